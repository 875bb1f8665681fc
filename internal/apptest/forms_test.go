package apptest_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/campaigner"
	"monterey/internal/oracle"

	"github.com/google/go-cmp/cmp"
)

// TestForms reads random worlds from their webhooks, in all documented forms: what comes out is what went in, and the
// decoder's identities are as many as there are events.
func TestForms(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 3))
		world := oracle.Random(rng, 200)
		want, got, identities := map[string]bool{}, map[string]bool{}, map[string]bool{}
		for _, e := range world.Events {
			class := ""
			if e.Type == "bounce" {
				class = "hard"
			}
			want[fmt.Sprintf("%s %q %q %d %q %q %s", e.Type, e.Campaign, oracle.Person(e.Address), e.At, e.LinkID, e.URL, class)] = true
		}
		for _, m := range world.Marks {
			want[mark(m.Campaign, m.Kind, m.At, m.Sent)] = true
		}
		ignored := 0
		for _, body := range oracle.Bodies(oracle.Webhooks(world, rng), "the key", rng) {
			n, keys, blanked, err := campaigner.Webhook{}.Open(body)
			if err != nil || !slices.Equal(keys, []string{"the key"}) {
				t.Fatalf("opened %v, %v:\n%s", keys, err, body)
			}
			objects := campaigner.Webhook{}.Decode(blanked, time.UTC, time.Now())
			if len(objects) != n {
				t.Errorf("%d objects were opened and %d decoded:\n%s", n, len(objects), body)
			}
			for _, o := range objects {
				switch {
				case o.Fault != "":
					t.Errorf("%s in\n%s", o.Fault, body)
				case o.Ignored != "":
					ignored++
				case o.Mark != nil:
					kind := oracle.Started
					if o.Mark.Kind == campaign.Sent {
						kind = oracle.Sent
					}
					got[mark(o.Mark.CampaignRef, kind, o.Mark.At.Unix(), o.Mark.Sent)] = true
				default:
					r := o.Report
					identities[r.Identity] = true
					got[fmt.Sprintf("%s %q %q %d %q %q %s", r.Type, r.CampaignRef, r.Address, r.OccurredAt.Unix(), r.Link.ID, r.Link.URL, r.Class)] = true
				}
			}
		}
		if d := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); d != "" {
			t.Errorf("seed %d (-want +got):\n%s", seed, d)
		}
		if n := len(oracle.New(world).Events(oracle.Filter{})); len(identities) != n {
			t.Errorf("seed %d: %d identities of %d events", seed, len(identities), n)
		}
		if ignored != world.Ignored {
			t.Errorf("seed %d: %d ignored, want %d", seed, ignored, world.Ignored)
		}
	}
}

func mark(campaign, kind string, at int64, sent *int64) string {
	n := int64(-1)
	if sent != nil {
		n = *sent
	}
	return fmt.Sprintf("%s %q %d %d", kind, campaign, at, n)
}

// TestDerivedRuns compares the program's derivation of runs with brute force, on marks that crowd in a few seconds.
func TestDerivedRuns(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 3))
	for range 3000 {
		var world oracle.World
		var marks []campaign.Mark
		seen := map[string]bool{}
		for range rng.IntN(9) {
			m := oracle.Mark{Campaign: "1", Kind: []string{oracle.Started, oracle.Sent}[rng.IntN(2)], At: int64(rng.IntN(12))}
			key := mark("1", m.Kind, m.At, nil)
			if seen[key] {
				continue
			}
			seen[key] = true
			mk := campaign.Mark{Kind: campaign.Started, At: time.Unix(m.At, 0)}
			if m.Kind == oracle.Sent {
				n := rng.Int64N(100)
				m.Sent, mk.Sent, mk.Kind = &n, &n, campaign.Sent
			}
			world.Marks, marks = append(world.Marks, m), append(marks, mk)
		}
		var want, got []string
		for _, r := range oracle.New(world).Runs("1") {
			end := int64(-1)
			if r.End != nil {
				end = *r.End
			}
			want = append(want, mark(fmt.Sprint(end), "run", r.Start, r.Sent))
		}
		for _, r := range campaign.DeriveRuns(marks) {
			end := int64(-1)
			if !r.FinishedAt.IsZero() {
				end = r.FinishedAt.Unix()
			}
			got = append(got, mark(fmt.Sprint(end), "run", r.StartedAt.Unix(), r.Sent))
		}
		slices.Sort(want)
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("%v (-want +got):\n%s", marks, d)
		}
	}
}
