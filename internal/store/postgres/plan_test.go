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
)

// plan is how PostgreSQL would run a statement in tx, a step a line.
func plan(t *testing.T, tx pgx.Tx, text string, args ...any) string {
	t.Helper()
	ctx := context.Background()
	if _, err := tx.Exec(ctx, "PREPARE planned AS "+text); err != nil {
		t.Fatalf("%s: %v", text, err)
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

// checkPlan sees that a plan has these parts, does not sort, and reads no table as a whole.
func checkPlan(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("the plan lacks %q:\n%s", w, got)
		}
	}
	for _, bad := range []string{"Sort", "Seq Scan"} {
		if strings.Contains(got, bad) {
			t.Errorf("the plan has a %s:\n%s", bad, got)
		}
	}
}

// withQuery runs fn with the query that a list is read by.
func (f *fixture) withQuery(p event.ListParams, fn func(pgx.Tx, *eventQuery)) {
	f.t.Helper()
	err := f.read(context.Background(), "plan", func(tx pgx.Tx) error {
		q, err := newEventQuery(context.Background(), newView(tx, f.ws, f.now()), f.key, p)
		if err == nil {
			fn(tx, q)
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestPlansDraft(t *testing.T) {
	f := newListFixture(t)
	one := []campaign.ID{f.campaigns[0].ID}
	from := fixtureStart.Add(time.Hour)
	for name, p := range map[string]event.Filter{
		"all":            {},
		"actor":          {Actor: []event.Actor{event.Human}},
		"types":          {Types: []event.Type{event.Open, event.Click}},
		"type":           {Types: []event.Type{event.Open}},
		"campaign":       {Campaigns: one, From: from, To: from.Add(time.Hour)},
		"campaign, type": {Campaigns: one, Types: []event.Type{event.Open}, From: from},
		"changes":        {UpdatedFrom: from},
		"address":        {Address: f.addresses[:1]},
	} {
		for _, o := range []event.Order{event.NewestFirst, event.UpdatedFirst} {
			p.From, p.To = from, from.AddDate(0, 0, 4)
			f.withQuery(event.ListParams{Filter: p, Order: o, Limit: 10}, func(tx pgx.Tx, q *eventQuery) {
				text, args := q.keysSQL(11, 5)
				fmt.Println(name, o, "\n", text, "\n", plan(t, tx, text, args...))
			})
		}
	}
}
