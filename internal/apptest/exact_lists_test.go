package apptest_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"monterey/internal/oracle"
)

// endsTooEarly tells whether the range of a series ends before it can begin: at or before the campaign's first event, or there is none.
func (s span) endsTooEarly(x *exam, campaign string) bool {
	first := x.o.Statistics(campaign, nil, nil)["first_event_at"]
	return first == nil || s.to != nil && *s.to <= moment(first).Unix()
}

func (x *exam) events() {
	runs := map[string]any{}
	for _, r := range x.pages("/campaign-runs/", nil, 7, false) {
		runs[r["id"].(string)] = r["started_at"]
	}
	for i := range 24 {
		s, f := x.anyFilter()
		if i == 0 {
			s, f = span{q: url.Values{}}, oracle.Filter{}
		}
		got := x.pages("/campaign-events/", s.q, []int{7, 50, 500}[i%3], i%2 == 0)
		x.newestFirst(s.q, got)
		for _, e := range got {
			id, _ := e["run_id"].(string)
			e["run_started_at"] = runs[id]
		}
		oracle.SortEvents(got)
		want := x.o.Events(f)
		if len(want) != len(got) {
			x.Errorf("events?%s: got %d, want %d", s.q.Encode(), len(got), len(want))
			continue
		}
		for j := range want {
			x.agree("events", s.q, want[j], got[j])
		}
	}
}

// newestFirst also finds rows that came twice.
func (x *exam) newestFirst(q url.Values, got []map[string]any) {
	seen := map[any]bool{}
	for i, e := range got {
		if seen[e["id"]] {
			x.Errorf("events?%s: %v came twice", q.Encode(), e["id"])
		}
		seen[e["id"]] = true
		if i > 0 && moment(e["occurred_at"]).After(moment(got[i-1]["occurred_at"])) {
			x.Errorf("events?%s: row %d is newer than the one before", q.Encode(), i)
		}
	}
}

// anyFilter makes a filter, its enums in any case, its values repeated or joined with commas.
func (x *exam) anyFilter() (span, oracle.Filter) {
	s := x.anySpan("day")
	f := oracle.Filter{From: s.from, To: s.to}
	if x.IntN(2) == 0 {
		f.Types = x.some("open", "click", "bounce", "unsubscribe")
		x.put(s.q, "event_type", f.Types)
		s.q["event_type"][0] = strings.ToUpper(s.q["event_type"][0])
	}
	if x.IntN(2) == 0 {
		f.Campaigns = x.some(x.o.Campaigns()...)
		if x.IntN(2) == 0 {
			x.put(s.q, "provider_campaign_id", f.Campaigns)
		} else {
			var ids []string
			for _, c := range f.Campaigns {
				ids = append(ids, x.ids[c])
			}
			x.put(s.q, "campaign_id", ids)
		}
	}
	if x.IntN(3) == 0 {
		all := x.o.Events(oracle.Filter{})
		who := all[x.IntN(len(all))]["recipient_email"].(string)
		f.Addresses = []string{who}
		asked := strings.ToUpper(who[:1]) + who[1:]
		if x.IntN(2) == 0 {
			asked = strings.ReplaceAll(asked, "+", " ") // as a careless client sends it
		}
		s.q.Set("recipient_email", asked)
	}
	if x.IntN(3) == 0 {
		f.Actor = x.some("human", "machine")[0]
		s.q.Set("actor", f.Actor)
	}
	return s, f
}

// some are one or more of all.
func (x *exam) some(all ...string) []string {
	all = slices.Clone(all)
	x.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:1+x.IntN(len(all))]
}

func (x *exam) put(q url.Values, name string, values []string) {
	if x.IntN(2) == 0 {
		q[name] = slices.Clone(values)
	} else {
		q.Set(name, strings.Join(values, ","))
	}
}

func (x *exam) bounces() {
	for range 6 {
		s := x.anySpan("day")
		want := x.o.Events(oracle.Filter{Types: []string{"bounce"}, From: s.from, To: s.to})
		got := x.pages("/bounce-events/", s.q, 20, x.IntN(2) == 0)
		if len(got) != len(want) {
			x.Errorf("bounces?%s: got %d, want %d", s.q.Encode(), len(got), len(want))
		}
	}
}

func (x *exam) suppressions() {
	want := x.o.Suppressed()
	listed := map[string]map[string]any{}
	ask, persons := []string{"Never-Mailed@example.com "}, []string{"never-mailed@example.com"}
	for _, person := range slices.Sorted(maps.Keys(want)) {
		entry := want[person]
		listed[person] = map[string]any{"email": person, "since": entry["since"]}
		ask, persons = append(ask, " "+strings.ToUpper(person[:3])+person[3:]), append(persons, person)
	}
	got := x.pages("/suppressions/", nil, 5, false)
	x.agreeRows("suppressions", nil, listed, got, field("email"))
	for _, reason := range []string{"hard_bounce", "unsubscribe"} {
		n := 0
		for _, entry := range want {
			if _, ok := entry["causes"].(map[string]any)[reason]; ok {
				n++
			}
		}
		if rows := x.pages("/suppressions/", url.Values{"reason": {reason}}, 500, false); len(rows) != n {
			x.Errorf("suppressions for %s: got %d, want %d", reason, len(rows), n)
		}
	}
	code, answer := x.try("POST", "/suppressions/check", nil, map[string]any{"emails": ask})
	if code != http.StatusOK {
		x.Fatalf("check: %d %v", code, answer)
	}
	rows := x.rows(answer)
	if len(rows) != len(ask) {
		x.Fatalf("check: got %d answers to %d addresses", len(rows), len(ask))
	}
	for i, row := range rows {
		x.checked(row, persons[i], want[persons[i]])
	}
}

// checked compares one answer of the check with the truth; entry is nil for who may be mailed.
func (x *exam) checked(row map[string]any, person string, entry map[string]any) {
	email, _ := row["email"].(string)
	if oracle.Person(email) != person || row["suppressed"] != (entry != nil) {
		x.Errorf("check of %s: got %v", person, row)
	}
	causes, _ := entry["causes"].(map[string]any)
	got := map[string]any{}
	for _, r := range row["reasons"].([]any) {
		cause := r.(map[string]any)
		got[cause["reason"].(string)] = moment(cause["occurred_at"]).UTC().Format(time.RFC3339)
	}
	if len(got) != len(causes) {
		x.Errorf("check of %s: got %v, want %v", person, got, causes)
	}
	x.agree("check of "+person, nil, causes, got)
}
