package oracle

import (
	"math/rand/v2"
	"testing"
	"time"
)

func at(t *testing.T, s string) int64 {
	t.Helper()
	tm, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return tm.Unix()
}

func p(n int64) *int64 { return &n }

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// check compares with fields written down by hand.
func check(t *testing.T, what string, want, got map[string]any) {
	t.Helper()
	for _, d := range Diff(want, got) {
		t.Errorf("%s: %s", what, d)
	}
}

// The small world: campaign 7, mailed to 20 at noon. Ann opens twice and clicks, Bob clicks on three links within 10 s,
// Cid bounces, and Dan unsubscribes the next day.
func small(t *testing.T) World {
	noon := at(t, "2025-06-15T12:00:00Z")
	click := func(who, link string, after int64) Event {
		return Event{Campaign: "7", Type: "click", Address: who, At: noon + after, LinkID: link, URL: "https://x.example/" + link}
	}
	return World{
		Marks: []Mark{{"7", Sent, noon + 100, p(20)}, {"7", Started, noon, nil}},
		Events: []Event{
			{Campaign: "7", Type: "open", Address: "ann@a.example", At: noon + 60},
			{Campaign: "7", Type: "open", Address: " Ann@A.example ", At: noon + 60},
			{Campaign: "7", Type: "open", Address: "ann@a.example", At: noon + 3600},
			click("ann@a.example", "1", 70), click("ANN@a.example", "1", 70), click("ann@a.example", "2", 70),
			click("bob@b.example", "1", 200), click("bob@b.example", "2", 205), click("bob@b.example", "3", 210),
			click("bob@b.example", "1", 211),
			{Campaign: "7", Type: "open", Address: "bob@b.example", At: noon + 199},
			{Campaign: "7", Type: "bounce", Address: "cid@b.example", At: noon + 5},
			{Campaign: "7", Type: "unsubscribe", Address: "dan@b.example", At: noon + 86400},
			{Type: "bounce", Address: "eve@b.example", At: noon},
		},
	}
}

func TestStatistics(t *testing.T) {
	o := New(small(t))
	check(t, "lifetime", map[string]any{
		"provider_campaign_id": "7", "basis": "event", "date_from": nil, "date_to": nil,
		"first_event_at": "2025-06-15T12:00:05Z", "last_event_at": "2025-06-16T12:00:00Z",
		"sent": 20.0, "delivered": 19.0, "delivered_source": "derived",
		"opens": 3.0, "unique_opens": 2.0, "human_opens": 3.0, "unique_human_opens": 2.0,
		"clicks": 6.0, "unique_clicks": 2.0, "human_clicks": 2.0, "unique_human_clicks": 1.0, // 211 lies in [205, 215] with 1, 2, 3
		"bounces": 1.0, "hard_bounces": 1.0, "soft_bounces": nil, "unsubscribes": 1.0, "complaints": nil,
		"rate_base":     map[string]any{"sent": 20.0, "delivered": 19.0},
		"delivery_rate": 0.95, "open_rate": 2.0 / 19, "human_open_rate": 2.0 / 19, "click_rate": 2.0 / 19, "human_click_rate": 1.0 / 19,
		"click_to_open_rate": 1.0, "bounce_rate": 0.05, "unsubscribe_rate": 1.0 / 19, "complaint_rate": nil,
	}, o.Statistics("7", nil, nil))
	check(t, "a range that cuts the run off and ends on a click", map[string]any{
		"date_from": "2025-06-15T12:01:00Z", "date_to": "2025-06-15T12:03:30Z",
		"first_event_at": "2025-06-15T12:00:05Z",
		"sent":           nil, "delivered": nil, "delivered_source": nil,
		"opens": 2.0, "unique_opens": 2.0, "clicks": 4.0, "human_clicks": 2.0, "bounces": 0.0, "unsubscribes": 0.0,
		"rate_base": map[string]any{"sent": 20.0, "delivered": 19.0}, "bounce_rate": 0.0, "open_rate": 2.0 / 19,
	}, o.Statistics("7", p(at(t, "2025-06-15T12:01:00Z")), p(at(t, "2025-06-15T12:03:30Z"))))
	check(t, "before the run", map[string]any{
		"sent": nil, "opens": 0.0, "rate_base": map[string]any{"sent": nil, "delivered": nil}, "open_rate": nil,
		"click_to_open_rate": nil, "delivery_rate": nil,
	}, o.Statistics("7", nil, p(at(t, "2025-06-15T12:00:00Z"))))
	if o.Inserted() != 14 || o.Received() != 16 {
		t.Errorf("inserted %d of %d, want 14 of 16", o.Inserted(), o.Received())
	}
}

// What the provider says of its campaigns, beside what happened and in the place of what nobody knows.
func TestFigures(t *testing.T) {
	w := World{
		Marks:  []Mark{{"1", Started, 10, nil}, {"2", Sent, 20, p(5)}, {"3", Started, 10, nil}, {"3", Started, 20, nil}},
		Events: []Event{{Campaign: "1", Type: "open", Address: "a@x", At: 30}, {Campaign: "1", Type: "bounce", Class: "soft", Address: "a@x", At: 40}},
		Read:   map[string][]string{"3": {"complaints"}},
		Figures: map[string]map[string]int64{"1": {"sent": 7, "soft_bounces": 3, "complaints": 1}, "2": {"sent": 6, "soft_bounces": 0},
			"3": {"sent": 9, "opens": 4}, "4": {"sent": 1}},
	}
	o := New(w)
	for c, want := range map[string]map[string]any{
		"1": {"sent": 7.0, "delivered": 6.0, "soft_bounces": 1.0, "complaints": nil, "provider_reported": map[string]any{"sent": 7.0, "soft_bounces": 3.0, "clicks": nil}},
		"2": {"sent": 5.0, "soft_bounces": 0.0, "complaints": nil, "provider_reported": map[string]any{"sent": 6.0, "opens": nil}},
		"3": {"sent": nil, "soft_bounces": nil, "complaints": 0.0}, // who knows which run sent how many
		"4": {"sent": nil, "opens": 0.0},
	} {
		check(t, c, want, o.Statistics(c, nil, nil))
	}
	check(t, "all", map[string]any{"sent": 12.0, "soft_bounces": 1.0, "complaints": 0.0,
		"provider_reported": map[string]any{"sent": 23.0, "soft_bounces": nil}}, o.Overview(nil, nil, ByEvent))
	delete(w.Figures, "3")
	check(t, "all but one", map[string]any{"provider_reported": nil}, New(w).Overview(nil, nil, ByEvent))
}

func TestMachines(t *testing.T) {
	base := at(t, "2025-01-01T00:00:00Z")
	click := func(c, link, url string, after int64) Event {
		return Event{Campaign: c, Type: "click", Address: "a@b", At: base + after, LinkID: link, URL: url}
	}
	for name, tc := range map[string]struct {
		clicks []Event
		human  float64 // of campaign 1
	}{
		"three links in 10 s":             {[]Event{click("1", "1", "", 0), click("1", "2", "", 5), click("1", "3", "", 10)}, 0},
		"three links in 11 s":             {[]Event{click("1", "1", "", 0), click("1", "2", "", 5), click("1", "3", "", 11)}, 3},
		"two links":                       {[]Event{click("1", "1", "", 0), click("1", "2", "", 0), click("1", "2", "", 1)}, 3},
		"two ids and a URL":               {[]Event{click("1", "1", "u", 0), click("1", "2", "u", 0), click("1", "", "u", 1)}, 0},
		"one link of another campaign":    {[]Event{click("1", "1", "", 0), click("1", "2", "", 0), click("2", "1", "", 1)}, 0},
		"a fourth in a window of its own": {[]Event{click("1", "1", "", 0), click("1", "2", "", 4), click("1", "3", "", 8), click("1", "1", "", 14)}, 0},
		"a fourth too late":               {[]Event{click("1", "1", "", 0), click("1", "2", "", 4), click("1", "3", "", 8), click("1", "1", "", 15)}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, name, map[string]any{"human_clicks": tc.human}, New(World{Events: tc.clicks}).Statistics("1", nil, nil))
		})
	}
}

func TestRuns(t *testing.T) {
	for name, tc := range map[string]struct {
		marks []Mark
		want  []Run
	}{
		"a whole run":            {[]Mark{{"1", Sent, 50, p(9)}, {"1", Started, 10, nil}}, []Run{{"1", 10, p(50), p(9), nil}}},
		"all in one second":      {[]Mark{{"1", Sent, 10, nil}, {"1", Started, 10, nil}}, []Run{{"1", 10, p(10), nil, nil}}},
		"never ended":            {[]Mark{{"1", Started, 10, nil}, {"1", Started, 20, nil}, {"1", Sent, 20, p(1)}}, []Run{{"1", 10, nil, nil, nil}, {"1", 20, p(20), p(1), nil}}},
		"ended twice":            {[]Mark{{"1", Started, 10, nil}, {"1", Sent, 20, p(1)}, {"1", Sent, 30, p(2)}}, []Run{{"1", 10, p(20), p(1), nil}, {"1", 30, p(30), p(2), nil}}},
		"ended before it began":  {[]Mark{{"1", Started, 10, nil}, {"1", Sent, 9, p(1)}}, []Run{{"1", 9, p(9), p(1), nil}, {"1", 10, nil, nil, nil}}},
		"doubled":                {[]Mark{{"1", Sent, 9, p(1)}, {"1", Sent, 9, p(1)}}, []Run{{"1", 9, p(9), p(1), nil}}},
		"of another campaign":    {[]Mark{{"1", Started, 10, nil}, {"2", Sent, 20, p(1)}}, []Run{{"1", 10, nil, nil, nil}}},
		"a mark in the late gap": {[]Mark{{"1", Started, 10, nil}, {"1", Started, 30, nil}, {"1", Sent, 29, p(4)}}, []Run{{"1", 10, p(29), p(4), nil}, {"1", 30, nil, nil, nil}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := New(World{Marks: tc.marks}).Runs("1")
			if len(got) != len(tc.want) {
				t.Fatalf("got %d runs, want %d", len(got), len(tc.want))
			}
			for i, w := range tc.want {
				g := got[i]
				if g.Start != w.Start || float(g.End) != float(w.End) || float(g.Sent) != float(w.Sent) {
					t.Errorf("run %d: got %d to %v, sent %v", i, g.Start, float(g.End), float(g.Sent))
				}
			}
		})
	}
}

// Two campaigns: 1 is mailed on the 1st to 10 and on the 3rd to 5 (delivered: 4), 2 only has a hand-made run on the 2nd.
func twoCampaigns(t *testing.T) (*Oracle, func(day int64) *int64) {
	first := at(t, "2025-05-01T00:00:00Z")
	day := func(n int64) *int64 { return p(first + (n-1)*86400) }
	open := func(c, who string, d int64) Event {
		return Event{Campaign: c, Type: "open", Address: who, At: *day(d) + 1}
	}
	return New(World{
		Marks: []Mark{{"1", Started, *day(1), nil}, {"1", Sent, *day(1) + 60, p(10)}},
		Runs:  []Run{{"1", *day(3), nil, p(5), p(4)}, {"2", *day(2), nil, p(8), nil}},
		Events: []Event{open("1", "a@x", 1), open("1", "a@x", 2), open("2", "a@x", 3), open("2", "b@x", 3), open("3", "b@x", 3),
			{Campaign: "2", Type: "bounce", Address: "c@x", At: *day(2)}},
	}), day
}

func TestOverview(t *testing.T) {
	o, day := twoCampaigns(t)
	check(t, "by event, days 2 and 3", map[string]any{
		"sent": 13.0, "delivered": 4.0, "delivered_source": "runs",
		"opens": 4.0, "unique_opens": 4.0, "distinct_openers": 2.0, "distinct_clickers": 0.0, "bounces": 1.0,
		"rate_base": map[string]any{"sent": 23.0, "delivered": 11.0}, // 1: 15 and 4; 2: 8 and 8 - 1
		"open_rate": 4.0 / 11, "first_event_at": "2025-05-01T00:00:01Z",
		"previous": map[string]any{
			"date_from": "2025-04-30T00:00:00Z", "date_to": "2025-05-02T00:00:00Z",
			"sent": 10.0, "delivered": nil, "unique_opens": 1.0, "distinct_openers": 1.0,
			"rate_base": map[string]any{"sent": 10.0, "delivered": 10.0},
		},
	}, o.Overview(day(2), day(4), ByEvent))
	check(t, "lifetime", map[string]any{"previous": nil, "delivered": 11.0, "delivered_source": "mixed", "unique_opens": 4.0},
		o.Overview(nil, nil, ByEvent))
	check(t, "by send, from day 2", map[string]any{"sent": 8.0, "delivered": 7.0, "delivered_source": "derived", "unique_opens": 2.0,
		"bounces": 1.0, "previous": nil}, o.Overview(day(2), nil, BySend))
}

func TestList(t *testing.T) {
	o, day := twoCampaigns(t)
	if list := o.List(day(2), day(3), ByEvent); len(list) != 3 {
		t.Errorf("by event: got %d campaigns, want all 3", len(list))
	} else {
		check(t, "1", map[string]any{"opens": 1.0, "unique_opens": 1.0, "sent": nil, "rate_base": map[string]any{"sent": 10.0, "delivered": 10.0}}, list["1"])
		check(t, "3", map[string]any{"opens": 0.0, "sent": nil, "open_rate": nil}, list["3"])
	}
	list := o.List(day(1), day(2), BySend)
	if len(list) != 1 {
		t.Errorf("by send: got %d campaigns, want the one that was first mailed on day 1", len(list))
	}
	check(t, "1 by send", map[string]any{"basis": "send", "opens": 2.0, "unique_opens": 1.0, "sent": 15.0, "delivered": 4.0,
		"delivered_source": "runs", "open_rate": 0.25, "date_to": "2025-05-02T00:00:00Z"}, list["1"])
}

func TestSeriesCalendars(t *testing.T) {
	for name, tc := range map[string]struct {
		zone, granularity string
		weekStart         time.Weekday
		from, to          string
		n                 int
		first, second     string // bucket_start
	}{
		"Berlin's day of 25 hours": {"Europe/Berlin", "day", time.Monday, "2025-10-25T22:00:00Z", "2025-10-27T23:00:00Z", 2,
			"2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z"},
		"its hours": {"Europe/Berlin", "hour", time.Monday, "2025-10-25T22:00:00Z", "2025-10-26T23:00:00Z", 25,
			"2025-10-25T22:00:00Z", "2025-10-25T23:00:00Z"},
		"a day of 23 hours": {"Europe/Berlin", "day", time.Monday, "2025-03-30T10:00:00Z", "2025-03-31T10:00:00Z", 2,
			"2025-03-29T23:00:00Z", "2025-03-30T22:00:00Z"},
		"Kathmandu's day":  {"Asia/Kathmandu", "day", time.Monday, "2025-06-15T18:14:59Z", "2025-06-15T18:15:01Z", 2, "2025-06-14T18:15:00Z", "2025-06-15T18:15:00Z"},
		"Kathmandu's hour": {"Asia/Kathmandu", "hour", time.Monday, "2025-06-15T18:14:59Z", "2025-06-15T18:15:01Z", 2, "2025-06-15T17:15:00Z", "2025-06-15T18:15:00Z"},
		"a week from Sunday": {"America/New_York", "week", time.Sunday, "2025-06-15T12:00:00Z", "2025-06-23T00:00:00Z", 2,
			"2025-06-15T04:00:00Z", "2025-06-22T04:00:00Z"},
		"a week from Monday": {"America/New_York", "week", time.Monday, "2025-06-15T12:00:00Z", "2025-06-23T00:00:00Z", 2,
			"2025-06-09T04:00:00Z", "2025-06-16T04:00:00Z"},
		"a month with a clock change": {"Europe/Berlin", "month", time.Monday, "2025-03-31T22:00:00Z", "2025-06-01T00:00:00Z", 3,
			"2025-03-31T22:00:00Z", "2025-04-30T22:00:00Z"},
		"a midnight that does not exist": {"Africa/Cairo", "day", time.Monday, "2025-04-24T21:59:59Z", "2025-04-25T21:00:00Z", 2,
			"2025-04-23T22:00:00Z", "2025-04-24T22:00:00Z"},
		"a midnight that comes twice": {"America/Havana", "day", time.Monday, "2025-11-02T03:59:59Z", "2025-11-03T05:00:00Z", 2,
			"2025-11-01T04:00:00Z", "2025-11-02T04:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			from, to := at(t, tc.from), at(t, tc.to)
			s, _ := New(World{}).Series(SeriesParams{Campaign: "1", Granularity: tc.granularity, Zone: zone(t, tc.zone), WeekStart: tc.weekStart, From: &from, To: &to})
			points := s["points"].([]any)
			if len(points) != tc.n {
				t.Fatalf("got %d points, want %d", len(points), tc.n)
			}
			one, two := points[0].(map[string]any), points[1].(map[string]any)
			check(t, "first", map[string]any{"bucket_start": tc.first, "bucket_end": tc.second, "partial": tc.from != tc.first}, one)
			check(t, "second", map[string]any{"bucket_start": tc.second}, two)
		})
	}
}

func TestSeriesCounts(t *testing.T) {
	o := New(small(t))
	params := SeriesParams{Campaign: "7", Granularity: "day", Zone: zone(t, "Asia/Kathmandu"), WeekStart: time.Sunday,
		From: p(at(t, "2025-06-15T12:01:10Z")), AsOf: at(t, "2025-06-17T00:00:00Z")}
	s, _ := o.Series(params)
	// Days begin at 18:15 UTC. The range cuts off the run, the bounce, and Ann's first open: her second is not new.
	check(t, "series", map[string]any{
		"granularity": "day", "timezone": "Asia/Kathmandu", "week_start": "sunday", "truncated": false, "date_from": "2025-06-15T12:01:10Z",
		"totals": map[string]any{"opens": 2.0, "clicks": 6.0, "unique_clicks": 2.0, "bounces": 0.0, "unsubscribes": 1.0, "sent": nil},
		"points": []any{
			map[string]any{"bucket_start": "2025-06-14T18:15:00Z", "bucket_end": "2025-06-15T18:15:00Z", "partial": true, "sent": nil,
				"opens": 2.0, "unique_opens": 2.0, "new_unique_opens": 1.0, "new_unique_human_opens": 1.0,
				"clicks": 6.0, "human_clicks": 2.0, "new_unique_clicks": 2.0, "new_unique_human_clicks": 1.0, "bounces": 0.0},
			map[string]any{"bucket_start": "2025-06-15T18:15:00Z", "bucket_end": "2025-06-16T18:15:00Z", "partial": false,
				"opens": 0.0, "unsubscribes": 1.0, "soft_bounces": nil},
			map[string]any{"bucket_start": "2025-06-16T18:15:00Z", "bucket_end": "2025-06-17T18:15:00Z", "partial": false, "opens": 0.0},
		}}, s)
	params.From = nil
	s, _ = o.Series(params)
	check(t, "from the first event", map[string]any{"bucket_start": "2025-06-14T18:15:00Z", "sent": 20.0, "delivered": nil, "bounces": 1.0,
		"new_unique_opens": 2.0}, s["points"].([]any)[0].(map[string]any))
	check(t, "totals", map[string]any{"delivered": 19.0, "delivered_source": "derived"}, s["totals"].(map[string]any))
}

func TestSeriesTooLong(t *testing.T) {
	o := New(small(t))
	params := SeriesParams{Campaign: "7", Granularity: "hour", Zone: time.UTC, AsOf: at(t, "2025-06-15T12:00:00Z") + 10_000*3600}
	s, ok := o.Series(params) // 10 001 hours: the first, with all but the unsubscription, and Ann's second open, goes
	if !ok {
		t.Fatal("refused without date_from")
	}
	check(t, "truncated", map[string]any{"truncated": true, "date_from": "2025-06-15T13:00:00Z",
		"totals": map[string]any{"opens": 1.0, "clicks": 0.0, "unsubscribes": 1.0, "sent": nil, "delivered": nil}}, s)
	check(t, "its first point", map[string]any{"bucket_start": "2025-06-15T13:00:00Z", "opens": 1.0, "new_unique_opens": 0.0},
		s["points"].([]any)[0].(map[string]any))
	params.From = p(at(t, "2025-06-15T12:59:59Z"))
	if _, ok := o.Series(params); ok {
		t.Error("10 001 buckets with date_from were not refused")
	}
	*params.From++
	if _, ok := o.Series(params); !ok {
		t.Error("10 000 buckets were refused")
	}
}

func TestEvents(t *testing.T) {
	o := New(small(t))
	if n := len(o.Events(Filter{})); n != 12 {
		t.Errorf("got %d events, want 12", n)
	}
	list := o.Events(Filter{Types: []string{"click"}, Addresses: []string{"BOB@b.example "}, Actor: "machine", To: p(at(t, "2025-06-15T12:03:26Z"))})
	if len(list) != 2 {
		t.Fatalf("got %d clicks, want 2", len(list))
	}
	check(t, "newest", map[string]any{"event_type": "click", "occurred_at": "2025-06-15T12:03:25Z", "url": "https://x.example/2",
		"actor": "machine", "recipient_email": "bob@b.example", "run_started_at": "2025-06-15T12:00:00Z", "bounce_type": nil}, list[0])
	began := New(World{Marks: []Mark{{"7", Started, 10, nil}}, Events: []Event{{Campaign: "7", Type: "open", Address: "a@b", At: 10}}})
	check(t, "in the second its run began", map[string]any{"run_started_at": "1970-01-01T00:00:10Z"}, began.Events(Filter{})[0])
	check(t, "without a campaign", map[string]any{"provider_campaign_id": nil, "bounce_type": "hard", "run_started_at": nil},
		o.Events(Filter{Addresses: []string{"eve@b.example"}})[0])
}

func TestLinksDomainsSuppressed(t *testing.T) {
	o := New(small(t))
	links := o.Links("7", nil, nil)
	if len(links) != 3 {
		t.Fatalf("got %d links, want 3", len(links))
	}
	check(t, "link 1", map[string]any{"link_id": "1", "url": "https://x.example/1", "clicks": 3.0, "unique_clicks": 2.0, "human_clicks": 1.0,
		"unique_human_clicks": 1.0, "first_click_at": "2025-06-15T12:01:10Z", "last_click_at": "2025-06-15T12:03:31Z"}, links["id 1"])
	domains := o.Domains("7", nil, nil)
	if len(domains) != 2 {
		t.Fatalf("got %d domains, want 2", len(domains))
	}
	check(t, "b.example", map[string]any{"domain": "b.example", "recipients": 3.0, "unique_opens": 1.0, "unique_clicks": 1.0,
		"unique_human_clicks": 0.0, "bounces": 1.0, "hard_bounces": 1.0, "soft_bounces": nil, "unsubscribes": 1.0}, domains["b.example"])
	if got := o.Suppressed(); len(got) != 3 {
		t.Errorf("got %d suppressed, want cid, dan and eve", len(got))
	} else {
		check(t, "dan", map[string]any{"email": "dan@b.example", "since": "2025-06-16T12:00:00Z", "reasons": []any{"unsubscribe"}}, got["dan@b.example"])
	}
}

func TestDiff(t *testing.T) {
	want := map[string]any{"opens": 3.0, "open_rate": 0.5, "at": "2025-01-01T00:00:00Z", "none": nil, "in": []any{map[string]any{"n": 1.0}}}
	for name, tc := range map[string]struct {
		change func(m map[string]any)
		n      int
	}{
		"same, and more":       {func(m map[string]any) { m["more"] = 1.0 }, 0},
		"a rate rounded":       {func(m map[string]any) { m["open_rate"] = 0.5 + 1e-13 }, 0},
		"a rate too far":       {func(m map[string]any) { m["open_rate"] = 0.5 + 1e-11 }, 1},
		"a count is no rate":   {func(m map[string]any) { m["opens"] = 3.0 + 1e-13 }, 1},
		"time with a fraction": {func(m map[string]any) { m["at"] = "2025-01-01T00:00:00.000Z" }, 0},
		"time not in UTC":      {func(m map[string]any) { m["at"] = "2025-01-01T00:00:00+00:00" }, 1},
		"0 for null":           {func(m map[string]any) { m["none"] = 0.0 }, 1},
		"absent for null":      {func(m map[string]any) { delete(m, "none") }, 1},
		"inside":               {func(m map[string]any) { m["in"] = []any{map[string]any{"n": 2.0}} }, 1},
		"shorter":              {func(m map[string]any) { m["in"] = []any{} }, 1},
		"two":                  {func(m map[string]any) { m["in"], m["opens"] = nil, nil }, 2},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]any{"opens": 3.0, "open_rate": 0.5, "at": "2025-01-01T00:00:00Z", "none": nil, "in": []any{map[string]any{"n": 1.0}}}
			tc.change(got)
			if d := Diff(want, got); len(d) != tc.n {
				t.Errorf("got %d differences, want %d: %v", len(d), tc.n, d)
			}
		})
	}
}

func rngOf(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }
