package postgres

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/bounce"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/ingest"
	"monterey/internal/page"
)

// numbered is a decoder whose bodies are numbers of events, with spaces. The same number is always the same event. Of eight that
// follow one another, of one recipient, four are clicks of different links: together they are a machine's.
type numbered struct{}

var numberedStart = time.Date(2026, 1, 31, 20, 0, 0, 0, time.UTC)

func (numbered) Open([]byte) (int, []string, []byte, error) { panic("bodies come opened") }

func (numbered) Decode(body []byte, _ *time.Location, _ time.Time) (out []delivery.Object) {
	for text := range strings.FieldsSeq(string(body)) {
		n, _ := strconv.Atoi(text) // what the test wrote
		of := n / 8
		r := event.Report{Type: event.Click, CampaignRef: fmt.Sprint(of % 5), Address: fmt.Sprintf("p%d@d%d.example", of%17, of%3),
			OccurredAt: numberedStart.Add(time.Duration(of)*3*time.Minute + time.Duration(n%8)*time.Second), Identity: event.Identity(text),
			Facts: event.Facts{IP: "192.0.2.1"}}
		if n%8 >= 4 {
			r.Type = event.Types[n%len(event.Types)]
		}
		switch r.Type {
		case event.Click:
			r.Link = event.Link{URL: fmt.Sprintf("https://example.com/%d", n%7)}
		case event.Bounce:
			r.Class = bounce.Hard
		}
		out = append(out, delivery.Object{Report: &r})
	}
	return out
}

// TestProcesses: several processes append and count the same workspaces, and connections are cut all the time. What was accepted
// is counted once, and as_of never tells of what is not there.
func TestProcesses(t *testing.T) {
	const processes, sources, deliveries, perDelivery, numbers = 3, 2, 80, 6, 900
	ctx := t.Context()
	url := database(t)
	judge := openStore(t, url, nil) // is left alone
	var stores []*Store
	var from []source
	for range processes {
		s, err := Open(ctx, url+"&application_name=victim", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		s.newness.large, s.newness.sure = 2, 2
		stores = append(stores, s)
	}
	for range sources {
		from = append(from, newSource(t, judge))
	}

	working, stop := context.WithCancel(ctx)
	var workers, senders sync.WaitGroup
	for _, s := range stores {
		w := ingest.NewWorker(s, numbered{}, ingest.Options{BatchObjects: 40, Linger: 10 * time.Millisecond, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		workers.Go(func() { _ = w.Run(working) })
	}
	cutting, spare := context.WithCancel(ctx)
	workers.Go(func() { cut(cutting, judge) })
	workers.Go(func() { checkAsOf(t, working, judge, from) })

	var mu sync.Mutex
	accepted := make([]map[delivery.ID]bool, sources)
	expected := make([]map[int]bool, sources)
	for i := range from {
		accepted[i], expected[i] = map[delivery.ID]bool{}, map[int]bool{}
	}
	for n, s := range stores {
		senders.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(n), 1))
			for range deliveries {
				i := rnd.IntN(sources)
				var of []int
				for range perDelivery {
					of = append(of, rnd.IntN(numbers))
				}
				body := from[i].body(strings.Trim(fmt.Sprint(of), "[]"))
				body.Objects = perDelivery
				id, _, err := s.Append(ctx, body)
				for ; err != nil; id, _, err = s.Append(ctx, body) {
					if !fault.Is(err, fault.Unavailable) {
						t.Errorf("an append: %v", err)
						return
					}
					time.Sleep(time.Millisecond)
				}
				mu.Lock()
				accepted[i][id] = true
				for _, n := range of {
					expected[i][n] = true
				}
				mu.Unlock()
				time.Sleep(time.Duration(rnd.IntN(3)) * time.Millisecond)
			}
		})
	}
	senders.Wait()
	spare()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		n, _, err := judge.Waiting(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d deliveries wait still", n)
		}
	}
	stop()
	workers.Wait()
	last := ingest.NewWorker(judge, numbered{}, ingest.Options{})
	if err := last.Scheduled(ctx); err != nil {
		t.Errorf("scheduled work: %v", err)
	}
	for i := range from {
		checkCounted(t, judge, from[i], accepted[i], expected[i])
	}
}

// TestNewness: events that seem to be new are inserted without looking, and when some are there already the others are inserted
// all the same.
func TestNewness(t *testing.T) {
	s := openMigrated(t)
	src := newSource(t, s)
	w := ingest.NewWorker(s, numbered{}, ingest.Options{})
	working, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = w.Run(working) })
	defer func() { stop(); running.Wait() }()
	ws, err := s.workspace(t.Context(), src.caller)
	if err != nil {
		t.Fatal(err)
	}
	accepted, expected := map[delivery.ID]bool{}, map[int]bool{}
	for _, step := range []struct {
		body   string
		likely bool // before it
		inRow  int  // after it
	}{
		{"1", false, 1},
		{"2 3", false, 3},      // looked for
		{"4 5 6", true, 3},     // not looked for
		{"7 5 8 1 9", true, 0}, // in vain
		{"9 10 11", false, 0},  // looked for again
		{"12 13 14", false, 3},
		{"15", false, 4}, // too few
		{"16 17", true, 4},
	} {
		of := strings.Fields(step.body)
		if got := s.newness.likely(ws.num, len(of)); got != step.likely {
			t.Errorf("%s: likely to be new: %t", step.body, got)
		}
		body := src.body(step.body)
		body.Objects = len(of)
		id, _, err := s.Append(t.Context(), body)
		if err != nil {
			t.Fatal(err)
		}
		accepted[id] = true
		for _, n := range of {
			number, _ := strconv.Atoi(n)
			expected[number] = true
		}
		for until := time.Now().Add(10 * time.Second); w.Totals().Deliveries < uint64(len(accepted)); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("%s is not counted: %v", step.body, w.Ready())
			}
		}
		if got := s.newness.inRow[ws.num]; got != step.inRow {
			t.Errorf("%s: %d were new in a row, want %d", step.body, got, step.inRow)
		}
	}
	checkCounted(t, s, src, accepted, expected)
}

// cut ends connections of the processes under test until ctx ends, whatever they do.
func cut(ctx context.Context, s *Store) {
	for ctx.Err() == nil {
		time.Sleep(time.Duration(20+rand.IntN(60)) * time.Millisecond)
		_ = s.inTx(ctx, "cut", "BEGIN", func(tx pgx.Tx) error { // it fails when ctx ends
			_, err := tx.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'victim'
				AND random() < 0.3`)
			return err
		})
	}
}

// checkAsOf looks whether something comes later that was received before an as_of.
func checkAsOf(t *testing.T, ctx context.Context, s *Store, sources []source) {
	for ctx.Err() == nil {
		src := sources[rand.IntN(len(sources))]
		ws, err := s.workspace(ctx, src.caller)
		if err != nil {
			continue
		}
		at, err := s.AsOf(ctx, src.caller)
		if err != nil {
			continue
		}
		counted := func() (n int64) {
			_ = s.read(ctx, "look", func(tx pgx.Tx) error { // it fails when ctx ends
				return tx.QueryRow(ctx, "SELECT count(*) FROM deliveries WHERE workspace_id = $1 AND received_at < $2", ws.num, micros(at)).Scan(&n)
			})
			return n
		}
		before := counted()
		time.Sleep(100 * time.Millisecond)
		if after := counted(); after != before && ctx.Err() == nil {
			t.Errorf("as of %s, %d deliveries were counted that were received before; later %d", at, before, after)
		}
	}
}

// checkCounted compares what is stored of a source with what was accepted, and the rollups with the events.
func checkCounted(t *testing.T, s *Store, src source, accepted map[delivery.ID]bool, expected map[int]bool) {
	t.Helper()
	ctx := t.Context()
	ws, err := s.workspace(ctx, src.caller)
	if err != nil {
		t.Fatal(err)
	}
	var sum delivery.Counts
	found := map[delivery.ID]bool{}
	p := page.Params{Number: 1, Size: page.MaxSize}
	for ; ; p.Number++ {
		list, err := s.ListDeliveries(ctx, src.caller, nil, p)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list.Items {
			if d.State != delivery.Done || found[d.ID] {
				t.Errorf("delivery %s is %s, or there twice", d.ID, d.State)
			}
			found[d.ID] = true
			sum.Inserted, sum.Duplicate = sum.Inserted+d.Counts.Inserted, sum.Duplicate+d.Counts.Duplicate
		}
		if len(list.Items) == 0 {
			if list.Total != int64(len(found)) {
				t.Errorf("%d deliveries in all, but %d in the list", list.Total, len(found))
			}
			break
		}
	}
	for id := range accepted {
		if !found[id] {
			t.Errorf("delivery %s was accepted and is lost", id)
		}
	}
	var events, inserted, duplicate int
	err = s.read(ctx, "sums", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT (SELECT count(*) FROM events WHERE workspace_id = $1), inserted, duplicate FROM counters WHERE workspace_id = $1", ws.num).
			Scan(&events, &inserted, &duplicate)
	})
	if err != nil {
		t.Fatal(err)
	}
	if events != len(expected) || events != sum.Inserted || sum != (delivery.Counts{Inserted: inserted, Duplicate: duplicate}) {
		t.Errorf("%d events; %d were reported; deliveries say %+v, the sums %d and %d", events, len(expected), sum, inserted, duplicate)
	}
	machines := 0
	err = s.read(ctx, "machines", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT count(*) FROM events WHERE workspace_id = $1 AND actor <> 0", ws.num).Scan(&machines)
	})
	if err != nil || machines == 0 {
		t.Errorf("%d events are machines': %v", machines, err)
	}
	drift, err := ingest.Rebuild(ctx, s, src.caller)
	if err != nil || drift.Rows == 0 || drift.Drifted > 0 {
		t.Errorf("the rollups are not those of the events: %+v, %v", drift, err)
	}
}
