package campaignersim

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"

	"monterey/internal/oracle"
)

// told is a report of an event, by a webhook or in a row of the API.
type told struct {
	campaign, kind, address, link string
	at                            int64
}

// sameButTime tells whether only their times tell two apart.
func (a told) sameButTime(b told) bool { a.at, b.at = 0, 0; return a == b }

// toldOf is what is told of an event at a time.
func toldOf(a *Account, e Event, at time.Time) told {
	f := factOf(e, a.Campaigns(), a.Contacts())
	return told{f.campaign, heldTypes[f.kind], f.person, f.link, at.Unix()}
}

// recoverRows is recovery by the book, in plain loops: exact matches first, then the nearest pair of those left, one to one,
// within 120 s. The rows that match nothing come back.
func recoverRows(webhooks, rows []told) (recovered []told) {
	left := map[told]bool{}
	for _, w := range webhooks {
		left[w] = true
	}
	open := map[told]bool{}
	for _, r := range rows {
		open[r] = true
	}
	for r := range open {
		if left[r] {
			delete(left, r)
			delete(open, r)
		}
	}
	type pair struct {
		row, webhook told
		far          int64
	}
	var pairs []pair
	for r := range open {
		for w := range left {
			if far := max(r.at-w.at, w.at-r.at); far <= 120 && r.sameButTime(w) {
				pairs = append(pairs, pair{r, w, far})
			}
		}
	}
	slices.SortFunc(pairs, func(a, b pair) int {
		return cmp.Or(cmp.Compare(a.far, b.far), cmp.Compare(a.row.at, b.row.at), cmp.Compare(a.webhook.at, b.webhook.at))
	})
	for _, p := range pairs {
		if open[p.row] && left[p.webhook] {
			delete(open, p.row)
			delete(left, p.webhook)
		}
	}
	for r := range open {
		recovered = append(recovered, r)
	}
	return recovered
}

// Whichever webhooks are dropped, recovery by nearness arrives at the truth, also with clocks two minutes apart.
func TestRecoveredTruth(t *testing.T) {
	for _, skew := range []time.Duration{-1, 0, time.Second / 2, MaxSkew} {
		for seed := range uint64(3) {
			a := NewAccount(Options{Seed: seed, Campaigns: 6, Recipients: 600, Days: 20, Skew: skew})
			rng := rand.New(rand.NewPCG(seed, 9))
			var posted []int
			var webhooks, rows []told
			moved := 0
			for i, e := range a.Events() {
				if far := e.Reported.Sub(e.At).Abs(); far > a.Options().Skew {
					t.Fatalf("event %d is reported %s off", i, far)
				} else if far > 0 {
					moved++
				}
				if e.Kind.HasWebhook() && rng.IntN(3) > 0 {
					posted = append(posted, i)
					if e.Contact >= 0 && !e.Kind.Ignored() {
						webhooks = append(webhooks, toldOf(a, e, e.At))
					}
				}
				if e.Campaign >= 0 && e.Contact >= 0 {
					rows = append(rows, toldOf(a, e, e.Reported))
				}
			}
			if n := len(a.Events()); (moved == 0) != (skew < 0) || skew >= 0 && moved < n/5 {
				t.Errorf("skew %s: %d of %d are reported at another time", skew, moved, n)
			}
			want := map[told]string{}
			for _, w := range webhooks {
				want[w] = "webhook"
			}
			for _, r := range recoverRows(webhooks, rows) {
				want[r] = "sync"
			}
			truth := a.RecoveredTruth(posted, nil)
			if d := diff.Diff(want, held(truth)); d != "" {
				t.Fatalf("skew %s, seed %d (-recovered +truth):\n%s", skew, seed, d)
			}
			compareRecovered(t, a, truth)
		}
	}
}

func held(truth *Truth) map[told]string {
	all := map[told]string{}
	for _, id := range append(truth.CampaignIDs(), "") {
		for _, e := range truth.Events(id) {
			all[told{id, e.Type, e.Address, e.LinkID, e.At.Unix()}] = e.Source
		}
	}
	return all
}

// compareRecovered asks the oracle for the numbers of what the truth says is held.
func compareRecovered(t *testing.T, a *Account, truth *Truth) {
	t.Helper()
	w := oracle.World{SoftBounces: true, Complaints: true}
	soft := 0
	for _, id := range append(truth.CampaignIDs(), "") {
		for _, e := range truth.Events(id) {
			w.Events = append(w.Events, oracle.Event{Campaign: id, Type: e.Type, Address: strings.ToUpper(e.Address), At: e.At.Unix(), LinkID: e.LinkID, URL: e.URL, Class: e.BounceType})
			if e.BounceType == "soft" {
				soft++
			}
		}
		for _, m := range truth.marks[id] {
			kind := oracle.Started
			if m.kind == Sent {
				kind = oracle.Sent
			}
			w.Marks = append(w.Marks, oracle.Mark{Campaign: id, Kind: kind, At: m.at, Sent: m.count})
		}
	}
	if soft == 0 {
		t.Error("no soft bounce")
	}
	o := oracle.New(w)
	if o.Inserted() != truth.Inserted {
		t.Errorf("%d inserted, recounted %d", truth.Inserted, o.Inserted())
	}
	cut := a.Options().Now.AddDate(0, 0, -7)
	for _, id := range truth.CampaignIDs() {
		same(t, "campaign "+id, o.Statistics(id, nil, nil), truth.Statistics(id, time.Time{}, time.Time{}))
		same(t, "campaign "+id+" lately", o.Statistics(id, unix(cut), nil), truth.Statistics(id, cut, time.Time{}))
	}
}

// A webhook that comes after its row was read changes nothing, but an open takes its time.
func TestRecoveredTruthOfLateWebhooks(t *testing.T) {
	a := NewAccount(tiny(8))
	var all []int
	opens, others := 0, 0
	for i, e := range a.Events() {
		if e.Kind.HasWebhook() {
			all = append(all, i)
		}
	}
	nothing, late := held(a.RecoveredTruth(nil, nil)), held(a.RecoveredTruth(nil, all))
	for e, source := range late {
		switch {
		case e.campaign == "" || e.kind == "open":
			opens++
			if source != "webhook" {
				t.Errorf("%+v is by %s", e, source)
			}
		case nothing[e] != "sync" || source != "sync":
			t.Errorf("%+v is by %s and %s", e, nothing[e], source)
		default:
			others++
		}
	}
	if opens == 0 || others == 0 {
		t.Errorf("%d opens and bounces of no campaign, %d others", opens, others)
	}
}
