package postgres

import (
	"context"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"

	"monterey/internal/campaign"
	"monterey/internal/fault"
	"monterey/internal/rollup"
)

// foldThrough gives the campaigns and the workspace lifetime rows of the days before one.
func (f *fixture) foldThrough(through time.Time) {
	rows := map[rollup.Key]*rollup.Row{}
	for i := range f.events {
		e := &f.events[i]
		for _, c := range []campaign.ID{e.Campaign, rollup.Workspace} {
			k := rollup.Key{Campaign: c, Span: rollup.Lifetime}
			if rows[k] == nil {
				rows[k] = rollup.NewRow()
				rows[k].Through = through.Unix()
			}
			switch fact := factOfEvent(e); {
			case fact.At >= through.Unix():
			case c == rollup.Workspace:
				rows[k].AddCount(fact)
			default:
				rows[k].Add(fact)
			}
		}
	}
	f.write(func(tx pgx.Tx) {
		f.exec(tx, "DELETE FROM rollups WHERE span = 4")
		f.putRollups(tx, rows)
	})
}

// TestReadAhead: what is read before it is asked for is what is asked for, however far the lifetime rows go, and whatever day it is.
func TestReadAhead(t *testing.T) {
	ctx := context.Background()
	f := newListFixture(t)
	day := func(n int) time.Time { return fixtureStart.Truncate(24*time.Hour).AddDate(0, 0, n) }
	one := func(v rollup.View, id campaign.ID, r rollup.Range) rollup.Statistics {
		t.Helper()
		st, err := rollup.One(ctx, v, id, r)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	for _, through := range []int{0, 1, 2, 3} {
		f.foldThrough(day(through))
		for _, today := range []int{1, 8, 9, 10, 300} {
			f.Store.now = func() time.Time { return day(today) }
			for _, c := range f.campaigns {
				for _, r := range []rollup.Range{{}, {From: day(1)}, {To: day(2).Add(time.Hour)}, {From: day(1), To: day(2)}} {
					var got, want rollup.Statistics
					f.inView(func(v rollup.View) { got = one(v, c.ID, r) })
					err := f.readAsOf(ctx, "by itself", planEach, f.ws, func(tx pgx.Tx) error {
						want = one(newView(tx, f.ws, f.Store.now()), c.ID, r)
						return nil
					})
					if diff := gocmp.Diff(want, got, cmpopts.IgnoreUnexported(rollup.Statistics{})); err != nil || diff != "" {
						t.Fatalf("folded through day %d, on day %d, %v: %v\n%s", through, today, r, err, diff)
					}
					if got.FirstEventAt == nil {
						t.Fatal("a campaign of nothing")
					}
				}
			}
		}
	}
	f.inView(func(v rollup.View) {
		if _, err := v.Campaign(ctx, campaign.NewID()); !fault.Is(err, fault.NotFound) {
			t.Errorf("a campaign that is not there: %v", err)
		}
		if runs, err := v.Runs(ctx, []campaign.ID{f.campaigns[1].ID}); err != nil || len(runs) != len(f.runs[f.campaigns[1].ID]) || len(runs) == 0 {
			t.Errorf("afterwards: %d runs, %v", len(runs), err)
		}
	})
}

// TestAheadOf: rows are given only where all that were asked for were read.
func TestAheadOf(t *testing.T) {
	id := campaign.NewID()
	var a ahead
	a.keep(rowsOf{7, rollup.Day}, keptRows{100, 400, []keptRow{{100, []byte("a")}, {200, []byte("b")}, {300, []byte("c")}}})
	day := func(from, to int64) rollup.Stretch {
		return rollup.Stretch{Campaign: id, Span: rollup.Day, From: from, To: to, Bare: true}
	}
	hours, sets := day(100, 400), day(100, 400)
	hours.Span, sets.Bare = rollup.Hour, false
	for _, tt := range []struct {
		campaign int32
		of       []rollup.Stretch
		could    bool
		want     string
	}{
		{7, []rollup.Stretch{day(100, 400)}, true, "abc"},
		{7, []rollup.Stretch{day(150, 300), day(100, 200)}, true, "ba"},
		{7, []rollup.Stretch{day(250, 250)}, true, ""},
		{7, []rollup.Stretch{day(99, 400)}, false, ""},
		{7, []rollup.Stretch{day(100, 401)}, false, ""},
		{7, []rollup.Stretch{day(100, 400), hours}, false, ""},
		{7, []rollup.Stretch{sets}, false, ""},
		{8, []rollup.Stretch{day(100, 400)}, false, ""},
	} {
		got := ""
		could, err := a.each([]int32{tt.campaign, tt.campaign}, tt.of, func(_ int, _ int64, counts, _ []byte) error {
			got += string(counts)
			return nil
		})
		if could != tt.could || got != tt.want || err != nil {
			t.Errorf("%v of %d: %v %q, %v", tt.of, tt.campaign, could, got, err)
		}
	}
}
