package sqlite

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/event"
)

// plan is how SQLite would run a query, a step a line.
func plan(t *testing.T, tx *sql.Tx, text string, args ...any) string {
	t.Helper()
	rows, err := tx.Query("EXPLAIN QUERY PLAN "+text, args...)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	defer func() { _ = rows.Close() }()
	var steps []string
	for rows.Next() {
		var id, parent, unused int
		var step string
		if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, step)
	}
	return strings.Join(steps, "\n")
}

func checkPlan(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("the plan lacks %q:\n%s", w, got)
		}
	}
	if strings.Contains(got, "TEMP B-TREE") {
		t.Errorf("the plan sorts:\n%s", got)
	}
}

func TestPlansOfStreams(t *testing.T) {
	f := newFixture(t, 1, 2, 2)
	one := []campaign.ID{f.campaigns[0].ID}
	from := fixtureStart.Add(time.Hour)
	for name, tt := range map[string]struct {
		event.Filter
		byUpdate bool
		want     string
	}{
		"all":       {want: "USING PRIMARY KEY (workspace=? AND id>? AND id<?)"},
		"actor":     {Filter: event.Filter{Actor: []event.Actor{event.Human}}, want: "USING PRIMARY KEY (workspace=? AND id>? AND id<?)"},
		"types":     {Filter: event.Filter{Types: []event.Type{event.Open, event.Click}}, want: "USING COVERING INDEX events_by_type (workspace=? AND type=? AND id>? AND id<?)"},
		"machines":  {Filter: event.Filter{Actor: []event.Actor{event.Machine}}, want: "USING INDEX events_by_type (workspace=? AND type=? AND id>? AND id<?)"},
		"campaign":  {Filter: event.Filter{Campaigns: one, From: from}, want: "USING COVERING INDEX events_by_campaign (workspace=? AND campaign=? AND type=? AND id>? AND id<?)"},
		"updated":   {byUpdate: true, want: "USING COVERING INDEX events_by_update (workspace=? AND updated_at>? AND updated_at<?)"},
		"of a type": {Filter: event.Filter{Types: []event.Type{event.Open}}, byUpdate: true, want: "USING INDEX events_by_update (workspace=? AND updated_at>? AND updated_at<?)"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, desc := range []bool{false, true} {
				p := event.ListParams{Filter: tt.Filter, Order: event.OldestFirst, Limit: 10}
				switch {
				case tt.byUpdate && desc:
					p.Order = event.UpdatedLatest
				case tt.byUpdate:
					p.Order = event.UpdatedFirst
				case desc:
					p.Order = event.NewestFirst
				}
				f.withQuery(p, func(tx *sql.Tx, q *eventQuery) {
					streams, err := q.streams(context.Background())
					if err != nil {
						t.Fatal(err)
					}
					for _, s := range streams {
						text, args := s.query(q, 10, 0)
						checkPlan(t, plan(t, tx, text, args...), tt.want)
						text, args = s.rowsQuery(q)
						checkPlan(t, plan(t, tx, text, args...), strings.Replace(tt.want, "COVERING ", "", 1))
					}
				})
			}
		})
	}
}

// withQuery runs fn with the query that a list is read by.
func (f *fixture) withQuery(p event.ListParams, fn func(*sql.Tx, *eventQuery)) {
	f.t.Helper()
	err := f.read(context.Background(), "plan", func(tx *sql.Tx) error {
		q, err := newEventQuery(context.Background(), f.newView(tx, f.ws, f.now()), f.key, p)
		if err == nil {
			fn(tx, q)
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestPlans(t *testing.T) {
	f := newFixture(t, 1, 2, 2)
	id := make([]byte, 16)
	err := f.read(context.Background(), "plan", func(tx *sql.Tx) error {
		checkPlan(t, plan(t, tx, eventsSQL, 1, 1, id), "SEARCH e USING PRIMARY KEY (workspace=? AND id=?)", "SEARCH a USING PRIMARY KEY (workspace=? AND ordinal=?)")
		for _, text := range []string{stretchSQL, bareSQL, quarterSQL, stretchSQL + " UNION ALL " + bareSQL} {
			args := []any{0, 1, 1, 1, 0, 9, 1, 1, 1, 1, 0, 9}[:6*(1+strings.Count(text, "UNION"))]
			checkPlan(t, plan(t, tx, text, args...), "USING PRIMARY KEY (workspace=? AND campaign=? AND span=? AND bucket>? AND bucket<?)")
		}
		checkPlan(t, plan(t, tx, storedSQL, 1, 1, 1, 0, 9), "USING PRIMARY KEY (workspace=? AND campaign=? AND span=? AND bucket>? AND bucket<?)")
		checkPlan(t, plan(t, tx, plainFactsSQL, 1, 1, id, id), "USING COVERING INDEX events_by_campaign (workspace=? AND campaign=? AND type=? AND id>? AND id<?)")
		checkPlan(t, plan(t, tx, fullFactsSQL, 1, 1, id, id), "USING INDEX events_by_campaign (workspace=? AND campaign=? AND type=? AND id>? AND id<?)")
		checkPlan(t, plan(t, tx, clicksSQL, 1, 1, id, id), "USING INDEX events_by_campaign (workspace=? AND campaign=? AND type=? AND id>? AND id<?)")
		got := plan(t, tx, historySQL+"true", 1, "[1]", id, id, 1, 5, "[1]", id, id, 1)
		for _, want := range []string{"history USING PRIMARY KEY (workspace=? AND ordinal=? AND id>? AND id<?)",
			"USING COVERING INDEX events_by_update (workspace=? AND updated_at>?)", "SEARCH e USING PRIMARY KEY (workspace=? AND id=?)"} {
			if !strings.Contains(got, want) {
				t.Errorf("the plan of a history lacks %q:\n%s", want, got)
			}
		}
		newest := deliveryList{states: delivery.States}
		checkPlan(t, plan(t, tx, newest.countedSQL(), 1, 10, 0), "SEARCH d USING PRIMARY KEY (workspace=?)")
		held := deliveryList{states: []delivery.State{delivery.Quarantined}}
		checkPlan(t, plan(t, tx, held.countedSQL(), 1, 10, 0), "SEARCH d USING INDEX deliveries_unfinished (workspace=? AND state=?)")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
