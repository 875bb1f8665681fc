package campaignersim

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// apiClient reads the API as a careful client does: it tries again, honours Retry-After on a clock of its own, reads to the
// end of a list and then the first page again.
type apiClient struct {
	t        *testing.T
	server   *Server
	http     *httptest.Server
	now      time.Time
	careless bool // it does not read the first page again
	pages    int
	seen     map[string]bool // faults that it met
}

func serveAPI(t *testing.T, a *Account, faults ...string) *apiClient {
	t.Helper()
	c := &apiClient{t: t, server: NewServer(a, "sim-key"), now: time.Date(2026, 3, 1, 12, 0, 0, 5e8, time.UTC), seen: map[string]bool{}}
	c.server.Now = func() time.Time { return c.now }
	c.server.Sleep = func(_ context.Context, d time.Duration) { c.now, c.seen[Slow] = c.now.Add(d), true }
	if err := c.server.SetFaults(faults...); err != nil {
		t.Fatal(err)
	}
	c.http = httptest.NewServer(c.server)
	t.Cleanup(c.http.Close)
	return c
}

// once asks for a path below /v1/.
func (c *apiClient) once(path string) (status int, header http.Header, body []byte, err error) {
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, c.http.URL+"/v1/"+path, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("ApiKey", "sim-key")
	res, err := c.http.Client().Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, res.Header, body, err
}

// get asks until there is an answer, at most four times.
func (c *apiClient) get(path string, into any) {
	c.t.Helper()
	var seen []string
	for range mostInARow + 1 {
		status, header, body, err := c.once(path)
		if err == nil && status == http.StatusOK {
			if err = json.Unmarshal(body, into); err != nil {
				c.t.Fatalf("%s: %v in %s", path, err, body)
			}
			return
		}
		seen = append(seen, fmt.Sprint(status, err))
		after := header.Get("Retry-After")
		switch {
		case err != nil:
			c.seen[CutBody] = true
		case status == http.StatusTooManyRequests && after == "":
			c.seen[RateLimitBare] = true
		case status == http.StatusTooManyRequests:
			c.seen[RateLimitRetryAfter] = true
		case status >= 500:
			c.seen[ServerErrors] = true
		}
		if n, err := strconv.Atoi(after); err == nil {
			c.now = c.now.Add(time.Duration(n) * time.Second)
		} else if at, err := http.ParseTime(after); err == nil {
			c.now = at
		}
	}
	c.t.Fatalf("%s was never answered: %q", path, seen)
}

type listAnswer struct {
	PageSize, PageNumber, TotalRecords, TotalPages int
	Items                                          []map[string]any
	Links                                          []map[string]string
}

// walk reads a list; rows with the same key are one.
func (c *apiClient) walk(path string, size int, key func(map[string]any) string) map[string]map[string]any {
	c.t.Helper()
	found := map[string]map[string]any{}
	read := func(number int) listAnswer {
		var l listAnswer
		c.get(fmt.Sprintf("%s?PageNumber=%d&PageSize=%d", path, number, size), &l)
		c.pages++
		if l.PageNumber != number || len(l.Items) > l.PageSize || l.PageSize > size {
			c.t.Fatalf("page %d of %d rows: %d, %d of %d", number, size, l.PageNumber, len(l.Items), l.PageSize)
		}
		c.look(l, size, key)
		for _, item := range l.Items {
			if _, known := found[key(item)]; !known && number == 1 && c.pages > 1 && len(found) > l.PageSize {
				c.seen[ShiftingRows] = true // it was not there before
			}
			found[key(item)] = item
		}
		return l
	}
	for number := 1; ; number++ {
		if l := read(number); number >= l.TotalPages {
			break
		}
	}
	if !c.careless {
		read(1)
	}
	return found
}

// look notes which faults a page shows.
func (c *apiClient) look(l listAnswer, size int, key func(map[string]any) string) {
	if l.PageSize < size {
		c.seen[SmallPages] = true
	}
	if l.Items == nil {
		c.seen[NullItems] = true
	}
	last := ""
	for _, item := range l.Items {
		if item["BounceID"] == nil {
			return // of what has no id, two may look alike
		}
		if key(item) == last {
			c.seen[DuplicateRows] = true
		}
		last = key(item)
		if item["EmailID"] == nil {
			c.seen[MissingFields] = true
		}
		text, ok := item["BouncedAt"].(string)
		if !ok {
			c.seen[MixedTimeForms] = true
		} else if _, err := time.Parse(time.RFC3339, strings.Replace(text, " ", "T", 1)); err != nil {
			c.seen[ZonelessTimes] = true
		}
	}
}

func byBounceID(item map[string]any) string { return fmt.Sprint(int64(item["BounceID"].(float64))) }

// checkHistory compares what was found with the truth; fields that are absent are not.
func checkHistory(t *testing.T, a *Account, found map[string]map[string]any) {
	t.Helper()
	n := 0
	for b := range a.Bounces() {
		n++
		item := found[fmt.Sprint(b.ID)]
		if item == nil {
			t.Errorf("bounce %d is missing", b.ID)
			continue
		}
		kind := kindOf(fmt.Sprint(item["Status"]))
		if text, ok := item["BounceType"].(string); ok {
			kind = kindOf(text)
		}
		at := item["BouncedAt"]
		if f, ok := at.(float64); ok {
			at = json.Number(strconv.FormatInt(int64(f), 10))
		}
		if item["EmailAddress"] != b.Address || kind != b.Kind || readTime(t, at, a.Options().Forms.Zone) != b.At.Unix() {
			t.Fatalf("bounce %+v is %v", b, item)
		}
		for name, want := range map[string]any{"Reason": b.Reason, "NDRCode": float64(b.NDRCode), "SendType": b.SendType, "EmailID": float64(b.EmailID)} {
			if got, ok := item[name]; ok && got != want {
				t.Fatalf("%s of bounce %d is %v, want %v", name, b.ID, got, want)
			}
		}
		if one, ok := a.Bounce(b.ID); !ok || one != b {
			t.Fatalf("bounce %d alone is %+v, %t", b.ID, one, ok)
		}
	}
	if n != len(found) {
		t.Errorf("found %d bounces of %d", len(found), n)
	}
}

// With each fault, with none and with all, a careful client gets the whole truth of the bounces and the reports.
func TestAPIFaults(t *testing.T) {
	o := tiny(2)
	o.Bounces, o.Forms.Zone = 1500, zone(t, "Europe/Berlin")
	a := NewAccount(o)
	cases := map[string][]string{"none": nil, "all": APIFaults}
	for _, name := range APIFaults {
		cases[name] = []string{name}
	}
	for name, faults := range cases {
		t.Run(name, func(t *testing.T) {
			c := serveAPI(t, a, faults...)
			c.server.Ratio = 0.4
			checkHistory(t, a, c.walk("Bounces", 150, byBounceID))
			checkReports(t, c, a)
			for _, f := range APIFaults {
				want := slices.Contains(faults, f) || f == ZonelessTimes && slices.Contains(faults, MixedTimeForms)
				if shuffled := f == DuplicateRows && slices.Contains(faults, ShiftingRows); c.seen[f] != want && !shuffled {
					t.Errorf("%s was seen: %t, want %t", f, c.seen[f], want)
				}
			}
			if stats := c.server.Stats(); stats.TooEarly != 0 || stats.AtOnce > 2 {
				t.Errorf("a client that waits and asks one by one: %+v", stats)
			}
		})
	}
}

// checkReports reads every report of two campaigns and compares its rows with the account's events.
func checkReports(t *testing.T, c *apiClient, a *Account) {
	t.Helper()
	z := a.Options().Forms.Zone
	key := func(item map[string]any) string {
		at := item["ActionDate"]
		if f, ok := at.(float64); ok {
			at = json.Number(strconv.FormatInt(int64(f), 10))
		}
		return fmt.Sprint(strings.ToLower(item["EmailAddress"].(string)), " ", readTime(t, at, z))
	}
	for index, campaign := range a.Campaigns()[:2] {
		rows := func(chosen func(Event) bool) (keys []string) {
			for _, e := range a.Events() {
				if e.Campaign == index && chosen(e) {
					keys = append(keys, fmt.Sprint(strings.ToLower(a.Contacts()[e.Contact].Address), " ", e.Reported.Unix()))
				}
			}
			slices.Sort(keys)
			return slices.Compact(keys)
		}
		compare := func(path string, want []string) {
			found := c.walk(fmt.Sprintf("Campaigns/%d/%s", campaign.ID, path), 20, key)
			var got []string
			for k := range found {
				got = append(got, k)
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s of campaign %d (-truth +found):\n%s", path, campaign.ID, diff)
			}
		}
		for name, kind := range reportKinds {
			compare(name, rows(func(e Event) bool { return e.Kind == kind }))
		}
		for i, l := range campaign.Links {
			compare(fmt.Sprintf("Links/%d/Clicks", l.ID), rows(func(e Event) bool { return e.Kind == Click && e.Link == i }))
		}
		var mailed []string
		for _, r := range campaign.Runs {
			for n, i := range r.Recipients[:r.mailed(a.Options().Now)] {
				mailed = append(mailed, fmt.Sprint(strings.ToLower(a.Contacts()[i].Address), " ", r.mailedAt(n).Unix()))
			}
		}
		slices.Sort(mailed)
		compare("Recipients", slices.Compact(mailed))
	}
}

// Who does not read the first page again misses rows that shift, and gets them by doing so.
func TestShiftingRowsNeedAnOverlap(t *testing.T) {
	o := tiny(3)
	o.Bounces = 600
	a := NewAccount(o)
	c := serveAPI(t, a, ShiftingRows)
	n := 0
	for range a.Bounces() {
		n++
	}
	c.careless = true
	if found := c.walk("Bounces", 100, byBounceID); len(found) != n-50 {
		t.Errorf("without an overlap %d of %d were found", len(found), n)
	}
	found := c.walk("Bounces", 100, byBounceID) // which begins with the first page
	checkHistory(t, a, found)
	c.careless = false
	checkHistory(t, a, c.walk("Bounces", 100, byBounceID)) // a new walk, which shifts again
	if c.walk("Bounces/Hard", 1000, byBounceID); c.pages < 3*n/100 {
		t.Errorf("%d pages", c.pages)
	}
}

// A page of a walk may be asked for in any order and again; a list that shifts loses nothing behind its first page.
func TestShiftingRowsHaveNoGaps(t *testing.T) {
	for n := range 60 {
		size, seed := 1+n%13, uint64(n)
		rows := 30 + 7*n
		var w walks
		found := map[int]int{}
		rng := rand.New(rand.NewPCG(seed, 1))
		take := func(number int) int {
			places, total, served := w.page("k", page{number: number, size: size}, rows, seed)
			for _, i := range places {
				if i < 0 || i >= rows {
					t.Fatalf("row %d of %d", i, rows)
				}
				found[i]++
			}
			served()
			return total
		}
		take(1)
		last := (rows + size - 1) / size
		if total := take(2); last > 4 && size > 8 && (total < rows-size/4 || total >= rows) {
			t.Errorf("%d rows by pages of %d: %d on the second page", rows, size, total)
		}
		for _, number := range rng.Perm(last - 1) {
			take(number + 2)
		}
		take(1)
		if len(found) != rows {
			t.Errorf("%d rows by pages of %d: found %d", rows, size, len(found))
		}
	}
}

func TestSinceAndPages(t *testing.T) {
	o := tiny(4)
	o.Bounces = 500
	a := NewAccount(o)
	c := serveAPI(t, a)
	var all []Bounce
	for b := range a.Bounces() {
		all = append(all, b)
	}
	for _, i := range []int{0, 1, 250, 499, 500, len(all) - 1} {
		since := all[i].At.Add(time.Millisecond - 1).Truncate(time.Second)
		want := 0
		for _, b := range all {
			if !b.At.Before(since) {
				want++
			}
		}
		for _, text := range []string{since.Format(time.RFC3339), since.Format("2006-01-02T15:04:05")} {
			var l listAnswer
			c.get("Bounces?PageSize=7&PageNumber=2&Since="+text, &l)
			if l.TotalRecords != want || l.TotalPages != (want+6)/7 || len(l.Items) != min(7, max(want-7, 0)) {
				t.Errorf("since %s: %d records on %d pages, %d here, want %d", text, l.TotalRecords, l.TotalPages, len(l.Items), want)
			}
		}
	}
	var l listAnswer
	if c.get("Bounces?PageSize=5000", &l); l.PageSize != 1000 || len(l.Items) != min(1000, len(all)) {
		t.Errorf("a page of 5000 rows has %d of %d", len(l.Items), l.PageSize)
	}
	if c.get("Bounces?PageNumber=2", &l); l.PageSize != 100 || byBounceID(l.Items[0]) != fmt.Sprint(all[100].ID) {
		t.Errorf("the second page has %d rows and begins with %v", l.PageSize, l.Items[0])
	}
	if c.get("Bounces?PageNumber=2000000000", &l); l.Items == nil || len(l.Items) > 0 {
		t.Errorf("far behind the end there are %v", l.Items)
	}
}

func TestCampaignLists(t *testing.T) {
	a := NewAccount(tiny(5))
	c := serveAPI(t, a)
	for path, want := range map[string]int{"Campaigns/All": 11, "Campaigns/Sent": 8, "Campaigns/Sending": 0, "Campaigns/Scheduled": 1,
		"Campaigns/Drafts": 2, "Campaigns": 1} {
		var l listAnswer
		if c.get(path, &l); l.TotalRecords != want || len(l.Items) != want {
			t.Errorf("%s: %d of %d, want %d", path, len(l.Items), l.TotalRecords, want)
		}
	}
	c = serveAPI(t, a, NullItems)
	var l listAnswer
	if c.get("Campaigns/Sending", &l); l.Items != nil {
		t.Errorf("no campaigns: %v", l.Items)
	}
	if c.get("Campaigns/Sent", &l); l.TotalPages != 0 || len(l.Items) != 8 {
		t.Errorf("%d campaigns on %d pages", len(l.Items), l.TotalPages)
	}
}

func TestAPIMistakes(t *testing.T) {
	a := NewAccount(tiny(1))
	c := serveAPI(t, a)
	id := a.Campaigns()[0].ID
	for path, want := range map[string]int{"Bounces?PageSize=0": 400, "Bounces?PageSize=x": 400, "Bounces?PageNumber=-1": 400, "Bounces?Since=soon": 400,
		"Bounces/x": 400, "Bounces/1": 404, "Campaigns/x": 400, "Campaigns/1": 404, "Campaigns/1/Opens": 404, fmt.Sprintf("Campaigns/%d/Nothing", id): 404,
		fmt.Sprintf("Campaigns/%d/Links/1", id): 404, fmt.Sprintf("Campaigns/%d/Links/x/Clicks", id): 400, "Nothing": 404} {
		status, header, body, err := c.once(path)
		var problem struct {
			ErrorCode int
			Message   string
		}
		if err != nil || status != want || header.Get("Date") != c.now.Format(http.TimeFormat) {
			t.Errorf("%s: %d, %s, %v, want %d", path, status, header.Get("Date"), err, want)
		}
		if status == 400 {
			if err = json.Unmarshal(body, &problem); err != nil || problem.ErrorCode == 0 || problem.Message == "" {
				t.Errorf("%s: %s", path, body)
			}
		}
	}
}

func TestRateLimit(t *testing.T) {
	c := serveAPI(t, NewAccount(tiny(1)))
	c.server.LimitRate(90 * time.Second)
	for range 20 {
		status, header, _, err := c.once("Ping")
		after := header.Get("Retry-After")
		at, dateErr := http.ParseTime(after)
		if err != nil || status != 429 || after != "90" && (dateErr != nil || at.Sub(c.now) < 90*time.Second) {
			t.Fatalf("%d, %q, %v", status, after, err)
		}
	}
	c.server.LimitRate(0)
	if status, header, _, _ := c.once("Ping"); status != 429 || header.Get("Retry-After") != "" {
		t.Errorf("%d, %q", status, header.Get("Retry-After"))
	}
	c.server.LiftRateLimit()
	if status, _, _, _ := c.once("Ping"); status != 200 {
		t.Error(status)
	}
	if err := c.server.SetFaults(RateLimitRetryAfter); err != nil {
		t.Fatal(err)
	}
	c.server.Ratio = 1
	if status, _, _, _ := c.once("Ping"); status != 429 {
		t.Error(status)
	}
	if status, _, _, _ := c.once("Ping"); status != 429 || c.server.Stats().TooEarly != 1 {
		t.Errorf("%d, %+v", status, c.server.Stats())
	}
	if err := c.server.SetFaults("eat", WebhookDrop); err == nil || !strings.Contains(err.Error(), "eat, webhook-drop") {
		t.Error(err)
	}
}

// The summary's counts are what the reports list.
func TestSummary(t *testing.T) {
	a := NewAccount(tiny(6))
	c := serveAPI(t, a)
	for i, campaign := range a.Campaigns() {
		var got map[string]any
		c.get(fmt.Sprintf("Campaigns/%d", campaign.ID), &got)
		lists := map[string]string{"EmailsSent": "Recipients", "TotalClicks": "Clicks", "HardBounces": "HardBounces", "SoftBounces": "SoftBounces",
			"Removes": "Removes", "Complaints": "Complaints"}
		for count, list := range lists {
			var l listAnswer
			if c.get(fmt.Sprintf("Campaigns/%d/%s?PageSize=1", campaign.ID, list), &l); got[count] != float64(l.TotalRecords) {
				t.Errorf("%s of campaign %d is %v, %s lists %d", count, i, got[count], list, l.TotalRecords)
			}
		}
		people := func(lists ...string) float64 {
			found := map[string]bool{}
			for _, list := range lists {
				for k := range c.walk(fmt.Sprintf("Campaigns/%d/%s", campaign.ID, list), 1000, func(item map[string]any) string { return item["EmailAddress"].(string) }) {
					found[k] = true
				}
			}
			return float64(len(found))
		}
		if got["UniqueClicks"] != people("Clicks") || got["Opens"] != people("Opens", "Clicks") {
			t.Errorf("campaign %d: %v clicked, %v active", i, got["UniqueClicks"], got["Opens"])
		}
		if got["Delivered"] != got["EmailsSent"].(float64)-got["HardBounces"].(float64)-got["SoftBounces"].(float64) {
			t.Errorf("campaign %d: %v", i, got)
		}
	}
}

// What happens live is in the reports at once, whether or not its webhook is posted.
func TestReportsGrow(t *testing.T) {
	o := tiny(1)
	a := NewAccount(o)
	c := serveAPI(t, a)
	c.walk("Bounces", 1000, byBounceID)
	a.live.Lock()
	for range 4 {
		a.launch(o.withDefaults().Now, 2000)
	}
	from, until := a.advance(o.withDefaults().Now.Add(3 * time.Hour))
	a.live.Unlock()
	if until-from < 100 {
		t.Fatalf("%d events", until-from)
	}
	checkHistory(t, a, c.walk("Bounces", 1000, byBounceID))
	newest := a.Campaigns()[len(a.Campaigns())-1]
	opens := 0
	for _, e := range a.Events() {
		if e.Kind == Open && e.Campaign == len(a.Campaigns())-1 {
			opens++
		}
	}
	var l listAnswer
	if c.get(fmt.Sprintf("Campaigns/%d/Opens", newest.ID), &l); l.TotalRecords != opens || opens == 0 {
		t.Errorf("%d opens, listed %d", opens, l.TotalRecords)
	}
}

func BenchmarkBounces(b *testing.B) {
	a := NewAccount(Options{Seed: 1, Campaigns: 4, Recipients: 500, Bounces: MaxBounces})
	server := httptest.NewServer(NewServer(a, "sim-key"))
	defer server.Close()
	rows := 0
	for n := 0; b.Loop(); n++ {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, fmt.Sprintf("%s/v1/Bounces?PageSize=1000&PageNumber=%d", server.URL, 1+n%1000), nil)
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("ApiKey", "sim-key")
		res, err := server.Client().Do(req)
		if err != nil {
			b.Fatal(err)
		}
		if _, err = io.Copy(io.Discard, res.Body); err != nil {
			b.Fatal(err)
		}
		_ = res.Body.Close()
		rows += 1000
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
