package apptest_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"monterey/internal/apptest"
	"monterey/internal/oracle"
)

// exam compares what one workspace answers with the truth about its world.
type exam struct {
	*site
	*rand.Rand
	o   *oracle.Oracle
	ids map[string]string // our campaign id by the provider's
	ats []int64           // seconds at which something happened
	own map[string]bool   // the provider's ids of campaigns that were registered here
}

// TestExact posts random worlds to the real program and compares every number that the API answers with brute force. Half of
// them are enough for the second database: brute force takes most of the time.
func TestExact(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			test := func(t *testing.T, o apptest.Options) { examine(&site{T: t, app: apptest.Start(t, o)}, seed) }
			if seed%2 == 0 {
				test(t, apptest.Options{})
			} else {
				apptest.OnEach(t, test)
			}
		})
	}
}

// examine does all of it with one workspace; the same seed asks the same questions.
func examine(s *site, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	world := oracle.Random(rng, 100+int(seed)*150)
	x := newExam(s, world, rng)
	x.report(world)
	x.compare()
}

func newExam(s *site, world oracle.World, rng *rand.Rand) *exam {
	x := &exam{site: s, Rand: rng, o: oracle.New(world), ids: map[string]string{}, own: map[string]bool{}}
	for _, e := range world.Events {
		x.ats = append(x.ats, e.At)
	}
	return x
}

// compare asks for everything.
func (x *exam) compare() {
	s := x.site
	for _, part := range []struct {
		name  string
		check func()
	}{{"intake", x.intake}, {"one", x.one}, {"list", x.list}, {"overview", x.overview}, {"series", x.series}, {"links", x.links},
		{"domains", x.domains}, {"events", x.events}, {"bounces", x.bounces}, {"suppressions", x.suppressions}} {
		s.T.Run(part.name, func(t *testing.T) {
			whole := s.T
			s.T = t
			defer func() { s.T = whole }()
			part.check()
		})
	}
}

// report posts the world from four connections at once, some bodies twice, registers the runs, and waits until all of it is
// counted.
func (x *exam) report(w oracle.World) {
	bodies := oracle.Bodies(oracle.Webhooks(w, x.Rand), apptest.WebhookKey, x.Rand)
	queue := make(chan []byte, len(bodies))
	for _, b := range bodies {
		queue <- b
	}
	close(queue)
	var mu sync.Mutex
	var last time.Time
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for b := range queue {
				at, err := x.post(b, i == 0)
				if err != nil {
					x.Errorf("%v; the body:\n%.500s", err, b)
					return
				}
				mu.Lock()
				if at.After(last) {
					last = at
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	x.counted(last)
	x.findCampaigns()
	for _, c := range x.o.Campaigns() {
		if x.ids[c] == "" {
			x.own[c] = true
			x.ids[c] = x.create("/email-campaigns/", map[string]any{"name": "c " + c, "provider_name": "campaigner", "provider_campaign_id": c})
		}
	}
	for i, r := range w.Runs {
		x.create("/campaign-runs/", map[string]any{"campaign_id": x.ids[r.Campaign], "provider_run_id": fmt.Sprint("run ", i),
			"started_at": zulu(r.Start), "sent": r.Sent, "delivered": r.Delivered})
	}
}

// findCampaigns learns our ids of the provider's campaigns.
func (x *exam) findCampaigns() {
	for _, c := range x.rows(x.get("/email-campaigns/", url.Values{"page_size": {"500"}})) {
		x.ids[c["provider_campaign_id"].(string)] = c["id"].(string)
	}
}

func (x *exam) create(path string, body map[string]any) string {
	code, answer := x.try("POST", path, nil, body)
	if code != http.StatusCreated {
		x.Fatalf("POST %s %v: %d %v", path, body, code, answer)
	}
	return answer["id"].(string)
}

// counted waits until all that was received at last is in the numbers, machines told from people.
func (x *exam) counted(last time.Time) {
	var seen map[string]any
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		seen = x.get("/campaign-statistics/overview", nil)
		if moment(seen["as_of"]).After(last) && moment(seen["human_as_of"]).After(last) {
			return
		}
	}
	x.Fatalf("received until %s, but as_of is %v and human_as_of %v", last, seen["as_of"], seen["human_as_of"])
}

func moment(v any) time.Time {
	s, _ := v.(string)
	at, _ := time.Parse(time.RFC3339, s) // null is the beginning of time
	return at
}

// agree compares one answer with the truth.
func (x *exam) agree(what string, q url.Values, want, got map[string]any) {
	x.Helper()
	for i, d := range oracle.Diff(want, got) {
		if i == 20 {
			x.Errorf("%s?%s: and more", what, q.Encode())
			break
		}
		x.Errorf("%s?%s: %s", what, q.Encode(), d)
	}
}

// agreeRows compares rows by their keys: none may be missing, none too many.
func (x *exam) agreeRows(what string, q url.Values, want map[string]map[string]any, got []map[string]any, key func(map[string]any) string) {
	x.Helper()
	left := map[string]bool{}
	for k := range want {
		left[k] = true
	}
	for _, row := range got {
		k := key(row)
		if !left[k] {
			x.Errorf("%s?%s: row %q is not wanted, or twice: %v", what, q.Encode(), k, row)
			continue
		}
		delete(left, k)
		x.agree(what+" "+k, q, want[k], row)
	}
	if len(left) > 0 {
		x.Errorf("%s?%s: rows are missing: %v", what, q.Encode(), left)
	}
}

func field(name string) func(map[string]any) string {
	return func(m map[string]any) string { s, _ := m[name].(string); return s }
}

func zulu(at int64) string { return time.Unix(at, 0).UTC().Format(time.RFC3339) }

// span is a range, and the parameters that ask for it.
type span struct {
	from, to *int64
	q        url.Values
	zone     *time.Location
}

// anySpan makes a range whose ends meet events, lie beside them, or on edges of days; one in four ends is open.
func (x *exam) anySpan(granularity string) span {
	s := span{q: url.Values{}, zone: oracle.RandomZone(x.Rand, granularity)}
	s.q.Set("timezone", s.zone.String())
	a, b := x.at(), x.at()
	from, to := min(a, b), max(a, b)+1
	if x.IntN(4) > 0 {
		text := x.write(&from, s.zone, false)
		s.from = &from
		s.q.Set("date_from", text)
	}
	if x.IntN(4) > 0 {
		text := x.write(&to, s.zone, true)
		s.to = &to
		s.q.Set("date_to", text)
	}
	return s
}

func (x *exam) at() int64 {
	at := x.ats[x.IntN(len(x.ats))]
	switch x.IntN(4) {
	case 0:
		return at - at%900
	case 1:
		return at + int64(x.IntN(3)-1)
	case 2:
		return at - at%3600
	}
	return at
}

// write puts a time into one of the forms of a parameter. A plain date moves it to the day's edge.
func (x *exam) write(at *int64, zone *time.Location, end bool) string {
	local := func(n int64) string { return time.Unix(n, 0).In(zone).Format("2006-01-02T15:04:05") }
	switch x.IntN(5) {
	case 0:
		start, next := oracle.Day(*at, zone)
		date := local(*at)[:10]
		if *at = start; end {
			*at = next
		}
		return date
	case 1: // without a zone, unless the clock shows that twice
		for _, shift := range []int64{1800, 3600, 86400} {
			if local(*at+shift) == local(*at) || local(*at-shift) == local(*at) {
				return zulu(*at)
			}
		}
		return local(*at)
	case 2:
		return time.Unix(*at, 0).In(zone).Format(time.RFC3339)
	}
	return zulu(*at)
}

// spans are the lifetime and some ranges.
func (x *exam) spans(n int, granularity string) []span {
	all := []span{{q: url.Values{}, zone: time.UTC}}
	for range n {
		all = append(all, x.anySpan(granularity))
	}
	return all
}

func (x *exam) intake() {
	sum := map[string]float64{}
	for _, d := range x.pages("/webhook-deliveries/", nil, 100, false) {
		for _, f := range []string{"inserted", "duplicate", "ignored", "quarantined"} {
			n, ok := d[f].(float64)
			if !ok {
				x.Fatalf("a delivery without %s: %v", f, d)
			}
			sum[f] += n
		}
	}
	want := map[string]any{"inserted": float64(x.o.Inserted()), "quarantined": 0.0, "ignored": float64(x.o.Ignored())}
	x.agree("deliveries", nil, want, map[string]any{"inserted": sum["inserted"], "quarantined": sum["quarantined"], "ignored": sum["ignored"]})
}

func (x *exam) one() {
	for _, c := range x.o.Campaigns() {
		id := x.ids[c]
		for _, s := range x.spans(8, "day") {
			got := x.get("/campaign-statistics/"+id, s.q)
			x.agree("statistics of "+c, s.q, x.o.Statistics(c, s.from, s.to), got)
		}
	}
}

func (x *exam) list() {
	for _, basis := range []string{oracle.ByEvent, oracle.BySend} {
		for _, s := range x.spans(10, "day") {
			s.q.Set("basis", basis)
			got := x.pages("/campaign-statistics/", s.q, 2, false)
			x.agreeRows("list", s.q, x.o.List(s.from, s.to, basis), got, field("provider_campaign_id"))
			if newest := field("last_event_at"); !slices.IsSortedFunc(got, func(a, b map[string]any) int { return strings.Compare(newest(b), newest(a)) }) {
				x.Errorf("list?%s is not sorted by last_event_at", s.q.Encode())
			}
		}
	}
}

func (x *exam) overview() {
	for _, basis := range []string{oracle.ByEvent, oracle.BySend} {
		for _, s := range x.spans(10, "day") {
			s.q.Set("basis", basis)
			x.agree("overview", s.q, x.o.Overview(s.from, s.to, basis), x.get("/campaign-statistics/overview", s.q))
		}
	}
}

func (x *exam) series() {
	for _, c := range x.o.Campaigns() {
		id := x.ids[c]
		for _, granularity := range []string{"hour", "day", "week", "month"} {
			for _, s := range x.spans(4, granularity) {
				x.oneSeries(c, id, granularity, s)
			}
		}
	}
}

func (x *exam) oneSeries(c, id, granularity string, s span) {
	p := oracle.SeriesParams{Campaign: c, Granularity: granularity, Zone: s.zone, WeekStart: time.Monday, From: s.from, To: s.to}
	s.q.Set("granularity", granularity)
	if x.IntN(2) == 0 {
		p.WeekStart = time.Sunday
		s.q.Set("week_start", "sunday")
	}
	if s.from == nil && s.endsTooEarly(x, c) {
		return // it begins at the first event, and ends before
	}
	code, got := x.try("GET", "/campaign-statistics/"+id+"/time-series", s.q, nil)
	p.AsOf = time.Now().Unix()
	if code == http.StatusOK {
		p.AsOf = moment(got["as_of"]).Unix()
	}
	want, ok := x.o.Series(p)
	switch {
	case !ok && code != http.StatusUnprocessableEntity:
		x.Errorf("series?%s is too long, but the answer is %d", s.q.Encode(), code)
	case ok && code != http.StatusOK:
		x.Errorf("series?%s: %d %v", s.q.Encode(), code, got)
	case ok:
		x.agree("series of "+c, s.q, want, got)
	}
}

func (x *exam) links() {
	for _, c := range x.o.Campaigns() {
		id := x.ids[c]
		for _, s := range x.spans(4, "day") {
			got := x.rows(x.get("/campaign-statistics/"+id+"/links", s.q))
			x.agreeRows("links of "+c, s.q, x.o.Links(c, s.from, s.to), got, oracle.LinkKey)
		}
	}
}

func (x *exam) domains() {
	for _, c := range x.o.Campaigns() {
		id := x.ids[c]
		for _, s := range x.spans(4, "day") {
			want := x.o.Domains(c, s.from, s.to)
			s.q.Set("limit", "500")
			x.agreeRows("domains of "+c, s.q, want, x.rows(x.get("/campaign-statistics/"+id+"/domains", s.q)), field("domain"))
			s.q.Set("limit", "2")
			few := x.rows(x.get("/campaign-statistics/"+id+"/domains", s.q))
			if len(few) != min(3, len(want)) || len(few) == 3 && few[2]["domain"] != "other" {
				x.Errorf("domains of %s?%s: got %d rows of %d domains, or no row for the others", c, s.q.Encode(), len(few), len(want))
			}
			for _, f := range []string{"recipients", "unique_opens", "unique_human_clicks", "bounces", "unsubscribes"} {
				sum := 0.0
				for _, d := range want {
					sum += d[f].(float64)
				}
				for _, d := range few {
					n, _ := d[f].(float64)
					sum -= n
				}
				if sum != 0 {
					x.Errorf("domains of %s?%s: %s of the rows are %v too few", c, s.q.Encode(), f, sum)
				}
			}
		}
	}
}
