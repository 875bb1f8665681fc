package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"monterey/internal/loadgen"
)

// warm is how many requests of each row are not counted.
const warm = 10

// reader asks one server over one connection kept alive.
type reader struct {
	*engine
	s        *server
	client   *http.Client
	health   time.Duration // p95 of /healthz: the yardstick
	biggest  string        // id of the biggest campaign
	from, to time.Time     // of the data set
	beside   *reader       // of SQLite's data set, by which PostgreSQL is judged: it is asked by turns. nil = there is none
}

// question is a row to measure; its paths are asked by turns.
type question struct {
	what       string
	must, hope time.Duration
	paths      []string
	median     bool // counts, as for a check of many addresses; else the 95th percentile does
}

// readRows measures reads of the whole data set: nothing else happens then.
func (e *engine) readRows(ctx context.Context, set *dataset) error {
	return e.withReader(ctx, set, func(r *reader) error {
		measure := func(beside *reader) error {
			r.beside = beside
			if err := r.rows(ctx); err != nil {
				return err
			}
			return r.export(ctx)
		}
		if e.cluster == nil || e.skipSQLite {
			return measure(nil)
		}
		lite := &engine{bench: e.bench}
		same, err := lite.dataset(ctx)
		if err != nil {
			return err
		}
		return lite.withReader(ctx, same, measure)
	})
}

// withReader runs f with a reader of a data set.
func (e *engine) withReader(ctx context.Context, set *dataset, f func(*reader) error) error {
	return e.withServer(ctx, set.Token, e.place(dataName), "reads", func(s *server) (err error) {
		w := loadgen.NewGenerator(e.workload()).Workload()
		r := &reader{engine: e, s: s, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1, DisableCompression: true}},
			from: w.End.AddDate(0, 0, -w.Days), to: w.End}
		defer r.client.CloseIdleConnections()
		if r.health, err = r.p95(ctx, func(int) string { return "/healthz" }); err != nil {
			return err
		}
		if r.biggest, err = r.campaign(ctx, loadgen.CampaignID(0)); err != nil {
			return err
		}
		return f(r)
	})
}

// rows measures all that is one request.
func (r *reader) rows(ctx context.Context) error {
	of, err := r.questions(ctx)
	if err != nil {
		return err
	}
	beside := make([]question, len(of))
	if r.beside != nil {
		if beside, err = r.beside.questions(ctx); err != nil {
			return err
		}
	}
	for i := range of {
		if err := r.row(ctx, of[i], beside[i].paths...); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) questions(ctx context.Context) ([]question, error) {
	statistics, err := r.statistics(ctx)
	if err != nil {
		return nil, err
	}
	events, err := r.events(ctx)
	return append(statistics, events...), err
}

// campaign is our id of a provider's campaign.
func (r *reader) campaign(ctx context.Context, provider int) (string, error) {
	var list struct {
		Items []struct {
			CampaignID string `json:"campaign_id"`
		}
	}
	err := r.get(ctx, fmt.Sprintf("/campaign-statistics/?provider_campaign_id=%d", provider), &list)
	if err == nil && len(list.Items) != 1 {
		err = fmt.Errorf("%d campaigns are the provider's %d", len(list.Items), provider)
	}
	if err != nil {
		return "", err
	}
	return list.Items[0].CampaignID, nil
}

func (r *reader) get(ctx context.Context, path string, v any) error {
	text, err := fetch(ctx, r.client, r.s.url+path, r.s.token)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// p95 asks one request after the other, each read to its end, and is what 95 of 100 did not exceed.
func (r *reader) p95(ctx context.Context, path func(i int) string) (time.Duration, error) {
	took := make([]time.Duration, 0, r.reads)
	for i := range warm + r.reads {
		one, err := r.ask(ctx, path(i))
		if err != nil {
			return 0, err
		}
		took = append(took, one)
	}
	return p95Of(took[warm:]), nil
}

// ask is how long one request takes.
func (r *reader) ask(ctx context.Context, path string) (time.Duration, error) {
	began := time.Now()
	_, err := fetch(ctx, r.client, r.s.url+path, r.s.token)
	return time.Since(began), err
}

func p95Of(took []time.Duration) time.Duration { return percentile(took, 95) }

func percentile(took []time.Duration, p int) time.Duration {
	took = slices.Sorted(slices.Values(took))
	return took[(len(took)*p+99)/100-1]
}

// row measures a row. Where SQLite is beside it, which is asked the same by other paths, one request of each follows the other: this machine is
// not as fast in one minute as in the next.
func (r *reader) row(ctx context.Context, q question, beside ...string) error {
	var got, lite []time.Duration
	warm := max(warm, len(q.paths)) // each once: whose files were read before is chance
	for i := range warm + r.reads {
		one, err := r.ask(ctx, q.paths[i%len(q.paths)])
		if err != nil {
			return fmt.Errorf("%s: %w", q.what, err)
		}
		got = append(got, one)
		if len(beside) == 0 {
			continue
		}
		if one, err = r.beside.ask(ctx, beside[i%len(beside)]); err != nil {
			return fmt.Errorf("%s, of SQLite: %w", q.what, err)
		}
		lite = append(lite, one)
	}
	what, p := q.what+", p95", 95
	if q.median {
		what, p = q.what+", median", 50
	}
	if len(lite) > 0 {
		r.sqlite[what] = percentile(lite[warm:], p)
	}
	say("%s: median %s, p95 %s", q.what, duration(percentile(got[warm:], 50)), duration(p95Of(got[warm:])))
	r.time(what, q.must, q.hope, percentile(got[warm:], p), "/healthz, p95", r.health)
	return nil
}

func query(pairs ...string) string {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Add(pairs[i], pairs[i+1])
	}
	return "?" + v.Encode()
}

func day(t time.Time) string { return t.Format(time.DateOnly) }

func (r *reader) statistics(ctx context.Context) ([]question, error) {
	one := "/campaign-statistics/" + r.biggest
	monthFrom, last := day(r.to.AddDate(0, 0, -30)), day(r.to.AddDate(0, 0, -1))
	hours := one + "/time-series" + query("granularity", "hour", "date_from", monthFrom, "date_to", last)
	days := one + "/time-series" + query("granularity", "day", "date_from", day(r.from), "date_to", last)
	if err := r.points(ctx, hours, 30*24); err != nil {
		return nil, err
	}
	if err := r.points(ctx, days, r.days); err != nil {
		return nil, err
	}
	list := func(zone string) string {
		return "/campaign-statistics/" + query("date_from", monthFrom, "date_to", last, "timezone", zone, "page_size", "200")
	}
	ms := time.Millisecond
	return []question{
		{what: "biggest campaign, lifetime", must: 3 * ms, hope: 3 * ms, paths: []string{one}},
		{what: "its hourly month with uniques", must: 25 * ms, hope: 10 * ms, paths: []string{hours}},
		{what: "its daily series of all days", must: 5 * ms, hope: 5 * ms, paths: []string{days}},
		{what: "200 campaigns, 30 days in Kathmandu", must: 100 * ms, hope: 50 * ms, paths: []string{list("Asia/Kathmandu")}},
		{what: "200 campaigns, 30 days in New York", must: 100 * ms, hope: 50 * ms, paths: []string{list("America/New_York")}},
	}, nil
}

// points checks that a series is as long as the row says.
func (r *reader) points(ctx context.Context, path string, want int) error {
	var series struct{ Points []struct{ Opens int } }
	if err := r.get(ctx, path, &series); err != nil {
		return err
	}
	if n := len(series.Points); n != want {
		return fmt.Errorf("GET %s: %d points, want %d", path, n, want)
	}
	return nil
}

func (r *reader) events(ctx context.Context) ([]question, error) {
	const list = "/campaign-events/"
	var page struct {
		Total int
		Items []struct {
			Email string `json:"recipient_email"`
		}
		Next string `json:"next_cursor"`
	}
	var cursors, histories []string
	pages := r.stored() / 50
	for _, n := range []int{1, pages / 10, pages / 4, pages / 2, pages * 3 / 4, pages * 9 / 10} {
		if err := r.get(ctx, list+query("page", fmt.Sprint(max(1, n))), &page); err != nil {
			return nil, err
		}
		if len(page.Items) != 50 || page.Next == "" {
			return nil, fmt.Errorf("page %d of the events has %d items and the cursor %q", n, len(page.Items), page.Next)
		}
		cursors = append(cursors, list+query("cursor", page.Next))
		for _, e := range page.Items[:20] {
			histories = append(histories, list+query("recipient_email", e.Email))
		}
	}
	deep := min(1000, pages-1)
	ms := time.Millisecond
	ofCampaign := query("page", fmt.Sprint(min(deep, pages/10)), "campaign_id", r.biggest)
	return []question{
		{what: "events, page 1", must: 5 * ms, hope: 5 * ms, paths: []string{list}},
		{what: "events, page 1 of a campaign's opens", must: 5 * ms, hope: 5 * ms, paths: []string{list + query("campaign_id", r.biggest, "event_type", "open")}},
		{what: fmt.Sprintf("events, page %d", deep), must: 20 * ms, hope: 20 * ms, paths: []string{list + query("page", fmt.Sprint(deep))}},
		{what: fmt.Sprintf("events, page %d of a campaign", deep), must: 20 * ms, hope: 20 * ms, paths: []string{list + ofCampaign}},
		{what: "events, cursor anywhere", must: 5 * ms, hope: 5 * ms, paths: cursors},
		{what: "one recipient's history", must: 10 * ms, hope: 10 * ms, paths: histories},
	}, nil
}

// stored is about how many events there are.
func (r *reader) stored() int { return r.engine.events }

// exportRows is how many events the export has, where there are so many.
const exportRows = 1_000_000

func (r *reader) export(ctx context.Context) error {
	length := r.to.Sub(r.from)
	if n := r.stored(); n > exportRows {
		length = time.Duration(float64(length) * exportRows / float64(n))
	}
	path := "/campaign-events/export" + query("date_from", r.from.Format(time.RFC3339), "date_to", r.from.Add(length).Format(time.RFC3339))
	pid := r.s.cmd.Process.Pid
	if err := r.keepPeak("reads", r.s.child); err != nil { // it is forgotten now
		return err
	}
	before, _, err := memory(pid)
	if err != nil {
		return err
	}
	if err := forgetPeak(pid); err != nil {
		return err
	}
	began := time.Now()
	rows, size, err := r.download(ctx, path)
	if err != nil {
		return err
	}
	took := time.Since(began)
	_, peak, err := memory(pid)
	if err != nil {
		return err
	}
	what, of := "/healthz, p95", r.health
	if r.cluster == nil {
		what = "reading as many rows of the file"
		if of, err = plainScan(ctx, r.place(dataName).sqliteFile(), rows); err != nil {
			return err
		}
	}
	r.time(fmt.Sprintf("CSV of %d events (%s)", rows, mib(size)), 8*time.Second, 8*time.Second, took, what, of)
	more := max(0, peak-before)
	r.add(row{what: "memory that the CSV takes more", must: "< 64 MiB", measured: mib(more), yardstick: yardstick{"before it", mib(before)},
		ratio: float64(more) / float64(before), verdict: atLeast(-float64(more), -64<<20, -64<<20)})
	return nil
}

// download reads an export and counts its rows, without the header.
func (r *reader) download(ctx context.Context, path string) (rows int, size int64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.s.url+path, nil)
	if err != nil {
		return 0, 0, err
	}
	req.Header.Set("Authorization", "Bearer "+r.s.token)
	resp, err := r.client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return 0, 0, fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	buffer := make([]byte, 256<<10)
	for {
		n, err := resp.Body.Read(buffer)
		rows, size = rows+bytes.Count(buffer[:n], []byte("\n")), size+int64(n)
		if errors.Is(err, io.EOF) {
			return rows - 1, size, nil
		}
		if err != nil {
			return 0, 0, err
		}
	}
}

// plainScan is how long the driver takes to read so many events by their key.
func plainScan(ctx context.Context, path string, n int) (took time.Duration, err error) {
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=query_only(ON)&_pragma=cache_size(-16384)")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	began := time.Now()
	rows, err := db.QueryContext(ctx, `SELECT id, campaign, type, ordinal, updated_at, received_at, actor, class, source, link, delivery, ip, facts
		FROM events WHERE workspace = 1 ORDER BY id LIMIT ?`, n)
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	var id []byte
	var numbers [10]int64
	var ip, facts sql.NullString
	for rows.Next() {
		if err := rows.Scan(&id, &numbers[0], &numbers[1], &numbers[2], &numbers[3], &numbers[4], &numbers[5], &numbers[6], &numbers[7], &numbers[8],
			&numbers[9], &ip, &facts); err != nil {
			return 0, err
		}
	}
	return time.Since(began), rows.Err()
}

// memoryRow says which part had the most memory. The sizes of the caches are those of package sqlite.
func (e *engine) memoryRow() {
	var worst, bare memoryOf
	for _, m := range e.peaks {
		if m.who == "bare" {
			bare = m
			continue
		}
		say("most memory, %s%s: %s", e.prefix("PostgreSQL, "), m.who, mib(m.bytes))
		if m.bytes > worst.bytes {
			worst = m
		}
	}
	r := row{what: "most resident memory (" + worst.who + ")", measured: mib(worst.bytes)}
	if bare.bytes > 0 {
		r.yardstick, r.ratio = yardstick{"bare net/http", mib(bare.bytes)}, float64(worst.bytes)/float64(bare.bytes)
	}
	if e.cluster == nil {
		const limit = 400 << 20
		r.must, r.verdict = "< 400 MiB", atLeast(-float64(worst.bytes), -limit, -limit)
		e.note(cachesNote)
	}
	e.add(r)
}

// cachesNote says what package sqlite sets (its openFile) and memo.Recipients.
const cachesNote = "Caches at the most: 48 MiB of pages for the writer, 8 MiB for each of 6 readers, 8 MiB for the inbox's writer and 4 MiB for " +
	"each of its 3 readers; 1 Mi recipients of about 30 bytes."
