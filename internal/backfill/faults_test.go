package backfill_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"monterey/internal/campaigner/campaignersim"
	"monterey/internal/store/testdb"
	"monterey/internal/task"
)

// withFaults backfills an account whose API has faults, cut off at random requests and by slices. It ends with exactly the
// account's history, or says why it failed; then the next one completes it. That one is not cut off: going on reads the page
// before again, and the simulator's rows begin to shift anew when page 1 is read again.
func withFaults(t *testing.T, r *rig, rnd *rand.Rand, faults ...string) {
	if err := r.sim.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
	r.work.Slice = time.Duration(rnd.IntN(3)) * 2 * time.Second
	r.work.Together = time.Duration(rnd.IntN(2)) * time.Hour
	for run := 0; ; run++ {
		id := r.create(task.Params{})
		for kills := rnd.IntN(4); ; kills-- {
			at := 0
			if kills > 0 && run == 0 {
				at = 1 + rnd.IntN(12)
			}
			if r.once(id, at) {
				break
			}
		}
		ended := r.ended(id)
		if ended.Status == task.Succeeded {
			break
		}
		r.work.Slice = time.Hour
		if run == 1 || ended.Error == "" || strings.Contains(ended.Error, "internal") {
			t.Fatalf("run %d: %s: %q", run, ended.Status, ended.Error)
		}
		t.Log(ended.Error)
	}
	lacking := slices.Contains(faults, campaignersim.MissingFields)
	r.exact(lacking)
	if !lacking {
		return
	}
	if err := r.sim.SetFaults(); err != nil {
		t.Fatal(err)
	}
	if g := r.succeeds(task.Params{Full: true}).Progress; g.Updated == 0 || g.Inserted != 0 {
		t.Errorf("reading all fields: %+v", g)
	}
	r.exact(false)
	if err := r.sim.SetFaults(campaignersim.MissingFields); err != nil {
		t.Fatal(err)
	}
	if g := r.succeeds(task.Params{Full: true}).Progress; g.Inserted+g.Updated+g.Unreadable != 0 {
		t.Errorf("reading fewer fields again: %+v", g)
	}
	r.exact(false)
}

func TestEachFault(t *testing.T) {
	t.Parallel()
	s := testdb.Open(t)
	for i, fault := range campaignersim.APIFaults {
		t.Run(fault, func(t *testing.T) {
			r := newRig(t, s, uint64(i), 2200)
			withFaults(t, r, rand.New(rand.NewPCG(uint64(i), 1)), fault)
			n := r.sim.Stats()
			if of, hits := n.Faults[fault]; hits && of == 0 {
				t.Error("the fault has hit nothing")
			}
			if n.TooEarly > 0 {
				t.Errorf("%d requests came before the time that was named", n.TooEarly)
			}
		})
	}
}

func seeds() int {
	if os.Getenv("MONTEREY_SOAK") != "" {
		return 200
	}
	if testing.Short() {
		return 3
	}
	return 20
}

func TestSoakThreeFaultsAtOnce(t *testing.T) {
	t.Parallel()
	s := testdb.Open(t)
	for seed := range seeds() {
		rnd := rand.New(rand.NewPCG(uint64(seed), 7))
		faults := slices.Clone(campaignersim.APIFaults)
		rnd.Shuffle(len(faults), func(i, j int) { faults[i], faults[j] = faults[j], faults[i] })
		t.Run(fmt.Sprintf("%d %s", seed, strings.Join(faults[:3], " ")), func(t *testing.T) {
			withFaults(t, newRig(t, s, uint64(seed), 1+rnd.IntN(2200)), rnd, faults[:3]...)
		})
	}
}
