package postgres

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/recipient"
)

// plan is how PostgreSQL would run a statement in tx, a step a line.
func plan(t *testing.T, tx pgx.Tx, text string, args ...any) string {
	t.Helper()
	ctx := context.Background()
	if _, err := tx.Exec(ctx, "PREPARE planned AS "+text); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	for i, a := range args {
		if hashes, ok := a.([]recipient.Hash); ok { // which the simple protocol cannot send
			args[i] = fmt.Sprintf("{%x}", hashes[0])
		}
	}
	execute := "EXPLAIN (COSTS OFF) EXECUTE planned"
	if len(args) > 0 {
		execute += "(" + params(len(args)) + ")"
	}
	steps, err := query(ctx, tx, func(r row) (step string, err error) { return step, r.Scan(&step) }, execute,
		append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	if _, err := tx.Exec(ctx, "DEALLOCATE planned"); err != nil {
		t.Fatal(err)
	}
	return strings.Join(steps, "\n")
}

// checkPlan sees that a plan has these parts, does not sort, and reads no table as a whole and no month but two.
func checkPlan(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("the plan lacks %q:\n%s", w, got)
		}
	}
	for _, bad := range []string{"->  Sort", "Seq Scan", "Bitmap", "events_old", "events_2026_03"} {
		if strings.Contains(got, bad) {
			t.Errorf("the plan has %s:\n%s", bad, got)
		}
	}
}

// withQuery runs fn with the query that a list is read by.
func (f *fixture) withQuery(p event.ListParams, fn func(pgx.Tx, *eventQuery)) {
	f.t.Helper()
	err := f.read(context.Background(), "plan", func(tx pgx.Tx) error {
		q, err := newEventQuery(context.Background(), newView(tx, f.ws, f.now()), f.key, p)
		if err == nil {
			err = q.send(context.Background(), &pgx.Batch{})
		}
		if err == nil {
			fn(tx, q)
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

// newPlanFixture has events enough for the planner to care, of two months.
func newPlanFixture(t *testing.T) *fixture {
	f := newFixture(t, 1, 50, 400)
	f.add(30_000, fixtureSpan)
	f.write(func(tx pgx.Tx) {
		f.exec(tx, "INSERT INTO removals (workspace_id, updated_at, id, type, ordinal, campaign) SELECT $1, $2::bigint + n, gen_random_uuid(), 1, 1, 1 FROM generate_series(1, 5000) n",
			f.ws, f.stamp)
		f.exec(tx, "ANALYZE")
	})
	return f
}

// The conditions of indexes as they are printed.
const (
	generic = "Subplans Removed: " // of months
	inTime  = "(id >= $2) AND (id < $3)"
)

func TestPlansOfLists(t *testing.T) {
	f := newPlanFixture(t)
	one := []campaign.ID{f.campaigns[0].ID}
	open := []event.Type{event.Open}
	from, to := fixtureStart.Add(time.Hour), fixtureStart.Add(fixtureSpan)
	for name, tt := range map[string]struct {
		event.Filter
		byUpdate bool
		rows     []string // the plan of what has one stream
		keys     []string
	}{
		"all":   {keys: []string{generic, "Index Only Scan", "_pkey", inTime}, rows: []string{generic, "_pkey", inTime, "addresses_pkey"}},
		"actor": {Filter: event.Filter{Actor: []event.Actor{event.Human}}, keys: []string{generic, "_pkey", inTime}, rows: []string{generic, "_pkey", inTime}},
		"type": {Filter: event.Filter{Types: open},
			keys: []string{generic, "Index Only Scan", "_workspace_id_type_id_idx", "(type = $4) AND (id >= $2)"}, rows: []string{"_workspace_id_type_id_idx", "(type = $4) AND (id >= $2)"}},
		"campaign": {Filter: event.Filter{Campaigns: one, Types: open},
			keys: []string{generic, "Index Only Scan", "_campaign_type_id_ordinal_idx", "(campaign = $4) AND (type = $5) AND (id >= $2)"},
			rows: []string{generic, "_campaign_type_id_ordinal_idx", "(campaign = $4) AND (type = $5) AND (id >= $2)"}},
		"updated":            {byUpdate: true, keys: []string{"_workspace_id_updated_at_idx", "(updated_at >= "}, rows: []string{"_workspace_id_updated_at_idx", "(updated_at >= "}},
		"updated, of a type": {Filter: event.Filter{Types: open}, byUpdate: true, keys: []string{"_workspace_id_updated_at_idx"}, rows: []string{"_workspace_id_updated_at_idx"}},
		"changes":            {Filter: event.Filter{UpdatedFrom: from}, byUpdate: true, keys: []string{"_workspace_id_updated_at_idx", "removals_pkey", "SubPlan"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, desc := range []bool{false, true} {
				p := event.ListParams{Filter: tt.Filter, Order: event.OldestFirst, Limit: 10}
				p.From, p.To = from, to
				switch {
				case tt.byUpdate && desc:
					p.Order = event.UpdatedLatest
				case tt.byUpdate:
					p.Order = event.UpdatedFirst
				case desc:
					p.Order = event.NewestFirst
				}
				f.withQuery(p, func(tx pgx.Tx, q *eventQuery) {
					text, args := q.keysSQL(11, 0)
					checkPlan(t, plan(t, tx, text, args...), tt.keys...)
					if tt.rows != nil {
						text, args = q.rowsSQL(0)
						checkPlan(t, plan(t, tx, text, args...), tt.rows...)
					}
				})
			}
		})
	}
	t.Run("streams", func(t *testing.T) {
		p := event.ListParams{Filter: event.Filter{Campaigns: []campaign.ID{f.campaigns[0].ID, f.campaigns[1].ID}, From: from, To: to}, Limit: 10}
		f.withQuery(p, func(tx pgx.Tx, q *eventQuery) {
			text, args := q.streamsSQL(11)
			checkPlan(t, plan(t, tx, text, args...), generic, "Index Only Scan Backward", "_campaign_type_id_ordinal_idx", "(campaign = c.num) AND (type = t.type) AND (id >= $3)")
		})
	})
	t.Run("deep page", func(t *testing.T) {
		f.withQuery(event.ListParams{Limit: 10}, func(tx pgx.Tx, q *eventQuery) {
			var workers string // which would read the whole of a large table, and sort it
			if err := tx.QueryRow(t.Context(), "SELECT current_setting('max_parallel_workers_per_gather')").Scan(&workers); err != nil || workers != "0" {
				t.Errorf("%s workers, error %v", workers, err)
			}
			text, args := q.rowsSQL(20)
			if got := plan(t, tx, text, args...); strings.Contains(got, "Sort") || !strings.Contains(got, "id >= $2") {
				t.Errorf("the plan:\n%s", got)
			}
		})
	})
	t.Run("recipient", func(t *testing.T) {
		f.withQuery(event.ListParams{Filter: event.Filter{Address: f.addresses[:1], From: from, To: to}, Limit: 10}, func(tx pgx.Tx, q *eventQuery) {
			all := q.events()
			checkPlan(t, plan(t, tx, all.sql("count(*)"), all.args...), generic, "Index Only Scan", "_workspace_id_ordinal_id_idx", "(ordinal = ANY (", " AND (id >= $2)", "recipients_pkey")
			text, args := q.rowsSQL(0)
			if got := plan(t, tx, text, args...); !strings.Contains(got, "_workspace_id_ordinal_id_idx") || !strings.Contains(got, "(id = e.id)") {
				t.Errorf("the plan of rows:\n%s", got)
			}
		})
	})
}

func TestPlans(t *testing.T) {
	f := newPlanFixture(t)
	first, last := event.FirstAt(fixtureStart), event.FirstAt(fixtureStart.Add(time.Hour))
	for _, mode := range []string{"force_custom_plan", "force_generic_plan"} {
		t.Run(mode, func(t *testing.T) {
			err := f.read(context.Background(), "plan", func(tx pgx.Tx) error {
				f.exec(tx, "SET LOCAL plan_cache_mode = "+mode)
				f.exec(tx, "SET LOCAL enable_seqscan = off") // the tables are small
				got := plan(t, tx, eventsSQL, f.ws, "{"+f.events[0].ID.String()+"}", f.events[0].ID, f.events[0].ID)
				for _, want := range []string{"_pkey on events_2026_0", "id = n.id", "addresses_pkey"} {
					if !strings.Contains(got, want) {
						t.Errorf("the plan of rows lacks %q:\n%s", want, got)
					}
				}
				checkPlan(t, plan(t, tx, factsSQL, f.ws, first, last, "{1,2}"), "Nested Loop", "_campaign_type_id_ordinal_idx", "campaign = c.num")
				checkPlan(t, plan(t, tx, clicksSQL, f.ws, 1, first, last), "_campaign_type_id_ordinal_idx", "(type = 4)")
				checkPlan(t, plan(t, tx, rowsSQL, f.ws, []int32{1, 1}, []int16{1, 2}, []int64{0, 5}, []int64{5, 9}, []bool{false, true}, []bool{false, true}),
					"Nested Loop", "rollups_pkey", "(span = s.span) AND (bucket >= s.first) AND (bucket < s.last)")
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
