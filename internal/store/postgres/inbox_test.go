package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"monterey/internal/delivery"
	"monterey/internal/fault"
	"monterey/internal/ingest"
	"monterey/internal/provider"
	"monterey/internal/workspace"
)

// source is a workspace with a connection that deliveries come through.
type source struct {
	caller workspace.Caller
	conn   provider.ID
}

func newSource(t *testing.T, s *Store) source {
	t.Helper()
	id := workspace.NewID()
	src := source{workspace.System(id), provider.ID{UUID: uuid.New()}}
	if err := s.CreateWorkspace(t.Context(), workspace.Workspace{ID: id, Name: "w", Timezone: "UTC"}); err != nil {
		t.Fatal(err)
	}
	c := provider.Connection{ID: src.conn, Workspace: id, Provider: provider.Campaigner, Timezone: "UTC", WebhookMAC: id.UUID[:]}
	if err := s.CreateConnection(t.Context(), src.caller, c); err != nil {
		t.Fatal(err)
	}
	return src
}

func (src source) body(raw string) ingest.Body {
	return ingest.Body{Workspace: src.caller.Workspace(), Connection: src.conn, Raw: []byte(raw), Objects: 1}
}

func (src source) append(t *testing.T, s *Store, raw string) (delivery.ID, time.Time) {
	t.Helper()
	id, at, err := s.Append(t.Context(), src.body(raw))
	if err != nil {
		t.Fatal(err)
	}
	return id, at
}

func peek(t *testing.T, s *Store, after *ingest.Item, objects int) []ingest.Item {
	t.Helper()
	items, err := s.Peek(t.Context(), after, objects, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// raws are the bodies of items.
func raws(items []ingest.Item) string {
	var all []string
	for i := range items {
		all = append(all, string(items[i].Raw))
	}
	return strings.Join(all, " ")
}

func noEvents(ingest.Tx) error { return nil }

func asOf(t *testing.T, s *Store, src source) time.Time {
	t.Helper()
	at, err := s.AsOf(t.Context(), src.caller)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// holdAppend appends a delivery in a transaction that stays open until it is released.
func holdAppend(t *testing.T, s *Store, src source, raw string) (a *appending, release func()) {
	t.Helper()
	ctx := t.Context()
	ws, err := s.workspace(ctx, src.caller)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := s.connectionNum(ctx, src.conn)
	if err != nil {
		t.Fatal(err)
	}
	a = &appending{body: src.body(raw), ws: ws.num, conn: conn}
	held, released, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	in := &inbox{s: s} // another one, so that both may stamp
	go func() {
		ended <- s.write(ctx, "hold", func(tx pgx.Tx) error {
			err := in.store(ctx, tx, []*appending{a})
			close(held)
			<-released
			return err
		})
	}()
	<-held
	return a, func() {
		close(released)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
	}
}

// TestOutOfOrder: a delivery that becomes visible after one with a greater number is counted, and as_of waits for it.
func TestOutOfOrder(t *testing.T) {
	url := database(t)
	s, other := openStore(t, url, nil), openStore(t, url, nil)
	src := newSource(t, s)
	before := asOf(t, s, src)
	held, release := holdAppend(t, other, src, "held")
	later, _ := src.append(t, s, "later")
	_, heldSeq := held.id.Place()
	if _, seq := later.Place(); seq <= heldSeq {
		t.Fatalf("the later one has the number %d, the held one %d", seq, heldSeq)
	}
	items := peek(t, s, nil, 10)
	if raws(items) != "later" {
		t.Fatalf("what waits: %q", raws(items))
	}
	if at := asOf(t, s, src); at.After(held.received) || at.Before(before) {
		t.Errorf("as of %s while a delivery of %s is on its way (before: %s)", at, held.received, before)
	}
	if err := s.Count(t.Context(), items, noEvents); err != nil {
		t.Fatal(err)
	}
	if at := asOf(t, s, src); at.After(held.received) {
		t.Errorf("as of %s after the later one was counted; one of %s is on its way", at, held.received)
	}
	release()
	if at := asOf(t, s, src); !at.Equal(held.received) {
		t.Errorf("as of %s, want %s, when the one that waits was received", at, held.received)
	}
	got := peek(t, s, &items[0], 10)
	if raws(got) != "held" || got[0].ID != held.id || !got[0].ReceivedAt.Equal(held.received) {
		t.Fatalf("what waits behind the later one: %q", raws(got))
	}
	if err := s.Count(t.Context(), got, noEvents); err != nil {
		t.Fatal(err)
	}
	if at := asOf(t, s, src); !at.After(held.received) {
		t.Errorf("as of %s when all is counted", at)
	}
}

// TestBeganAt: the lock of an append in flight says when it began, also around the time at which its number begins anew.
func TestBeganAt(t *testing.T) {
	s := openMigrated(t)
	wrap := time.UnixMilli((time.Now().UnixMilli()>>appendBits + 1) << appendBits).UTC()
	for _, began := range []time.Time{time.Now(), wrap.Add(-time.Millisecond), wrap, wrap.Add(time.Minute)} {
		var key int64
		if err := s.pool.QueryRow(t.Context(), "SELECT "+appendKey("$1::bigint"), began.UnixMicro()).Scan(&key); err != nil {
			t.Fatal(err)
		}
		for _, later := range []time.Duration{0, time.Second, 5 * time.Minute, -time.Second} {
			if got := beganAt(key, began.Add(later)); !got.Equal(began.Truncate(time.Millisecond)) {
				t.Errorf("%s after %s: %s", later, began, got)
			}
		}
	}
}

// TestPeekBehind: what was given is not given again on the way, but is to who begins anew.
func TestPeekBehind(t *testing.T) {
	s := openMigrated(t)
	src := newSource(t, s)
	for i := range 6 {
		src.append(t, s, fmt.Sprint(i))
	}
	first := peek(t, s, nil, 2)
	second := peek(t, s, &first[1], 3)
	again := peek(t, s, &first[1], 2) // the answer before was not taken
	third := peek(t, s, &again[1], 10)
	if raws(first) != "0 1" || raws(second) != "2 3 4" || raws(again) != "2 3" || raws(third) != "4 5" {
		t.Errorf("got %q, %q, %q, %q", raws(first), raws(second), raws(again), raws(third))
	}
	if left := peek(t, s, &third[1], 10); len(left) > 0 {
		t.Errorf("behind the last there is %q", raws(left))
	}
	if err := s.Count(t.Context(), first, noEvents); err != nil {
		t.Fatal(err)
	}
	if anew := peek(t, s, nil, 10); raws(anew) != "2 3 4 5" {
		t.Errorf("from the oldest: %q", raws(anew))
	}
	if behind := peek(t, s, &again[1], 10); raws(behind) != "4 5" {
		t.Errorf("behind what was given before: %q", raws(behind))
	}
}

// TestLateInABacklog: what becomes visible before that which was given of a backlog already is given too, long before the backlog ends.
func TestLateInABacklog(t *testing.T) {
	url := database(t)
	s, other := openStore(t, url, nil), openStore(t, url, nil)
	src := newSource(t, s)
	_, release := holdAppend(t, other, src, "held")
	fillBacklog(t, s, 2*fewWait, src)
	given := map[string]bool{}
	var last *ingest.Item
	for i := range 2 * wholeEach {
		if i == 1 {
			release()
		}
		items := peek(t, s, last, 5)
		if len(items) != 5 {
			t.Fatalf("%d items of the answer %d", len(items), i)
		}
		last = &items[4]
		for _, it := range items {
			if raw := string(it.Raw); given[raw] {
				t.Fatalf("%q is given twice", raw)
			} else {
				given[raw] = true
			}
		}
	}
	if !given["held"] {
		t.Errorf("not given in %d answers", 2*wholeEach)
	}
	var rest []ingest.Item
	for items := peek(t, s, last, 100); len(items) > 0; items = peek(t, s, last, 100) {
		rest, last = append(rest, items...), &items[len(items)-1]
	}
	if got := len(given) + len(rest); got != 2*fewWait+1 {
		t.Errorf("%d were given, want all", got)
	}
}

// fillBacklog appends n deliveries of each source, in turns.
func fillBacklog(t *testing.T, s *Store, n int, sources ...source) {
	t.Helper()
	done := make(chan error)
	for i := range n {
		for _, src := range sources {
			go func() {
				_, _, err := s.Append(context.Background(), src.body(fmt.Sprint(i)))
				done <- err
			}()
		}
		for range sources {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestBacklogOfAllSizes: whatever the answers are to hold at the most, one after the other gives a backlog whole, each delivery once with its
// own body, and none has more than it needs.
func TestBacklogOfAllSizes(t *testing.T) {
	s := openStore(t, database(t), nil)
	sources := []source{newSource(t, s), newSource(t, s)}
	rnd := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	bodies := map[delivery.ID]ingest.Body{}
	var g errgroup.Group
	g.SetLimit(100)
	for i := range 4 * fewWait {
		b := sources[min(rnd.IntN(3), 1)].body(fmt.Sprint(i, " ", strings.Repeat("x", rnd.IntN(1+rnd.IntN(10_000)))))
		b.Objects = 1 + rnd.IntN(1+rnd.IntN(100))
		g.Go(func() error {
			id, _, err := s.Append(t.Context(), b)
			mu.Lock()
			defer mu.Unlock()
			bodies[id] = b
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		given := map[delivery.ID]bool{}
		var last *ingest.Item
		for {
			maxObjects, maxBytes := 100+rnd.IntN(1+rnd.IntN(100_000)), 20_000+rnd.IntN(1+rnd.IntN(4_000_000))
			items, err := s.Peek(t.Context(), last, maxObjects, maxBytes)
			if err != nil {
				t.Fatal(err)
			}
			if len(items) == 0 {
				break
			}
			last = &items[len(items)-1]
			for i, it := range items {
				if maxObjects <= 0 || maxBytes <= 0 {
					t.Fatalf("%d items of %d were enough", i, len(items))
				}
				maxObjects, maxBytes = maxObjects-it.Objects, maxBytes-len(it.Raw)
				if given[it.ID] {
					t.Fatalf("%s is given twice", it.ID)
				}
				given[it.ID] = true
				if want := bodies[it.ID]; !reflect.DeepEqual(it.Body, want) {
					t.Fatalf("%.100q is given, want %.100q", it.Raw, want.Raw)
				}
			}
			if len(given) < len(bodies) && maxObjects > 0 && maxBytes > 0 {
				t.Fatalf("an answer of %d items, and more wait", len(items))
			}
		}
		if len(given) != len(bodies) {
			t.Fatalf("%d of %d were given", len(given), len(bodies))
		}
	}
}

// TestBacklogByWorkspace: workers that find much settle on different workspaces.
func TestBacklogByWorkspace(t *testing.T) {
	url := database(t)
	s, other := openStore(t, url, nil), openStore(t, url, nil)
	one, two, three := newSource(t, s), newSource(t, s), newSource(t, s)
	const n = fewWait * 3 / 4
	fillBacklog(t, s, n, one, two)
	three.append(t, s, "last")
	of := func(items []ingest.Item) (out []workspace.ID) {
		for i := range items {
			if !slices.Contains(out, items[i].Workspace) {
				out = append(out, items[i].Workspace)
			}
		}
		return out
	}
	mine := peek(t, s, nil, 20)
	if got := of(mine); len(got) != 1 || len(mine) != 20 {
		t.Fatalf("%d items of the workspaces %v, want 20 of one", len(mine), got)
	}
	if next := peek(t, s, &mine[19], 20); !slices.Equal(of(next), of(mine)) {
		t.Errorf("behind the items of %v come those of %v", of(mine), of(next))
	}
	if all := peek(t, s, nil, 1000); len(all) != 2*n+1 || len(of(all)) != 3 {
		t.Errorf("%d items of %v, want all", len(all), of(all))
	}
	err := s.Count(t.Context(), mine, func(ingest.Tx) error {
		theirs := peek(t, other, nil, 20)
		if len(theirs) != 20 || slices.Equal(of(theirs), of(mine)) {
			t.Errorf("another process gets %d items of %v, of which this one counts", len(theirs), of(theirs))
		}
		if err := other.Count(t.Context(), theirs, noEvents); err != nil {
			t.Errorf("to count another workspace: %v", err)
		}
		if got := peek(t, s, &mine[19], 20); !slices.Equal(of(got), of(mine)) {
			t.Errorf("who counts is kept from its own workspace: %v", of(got))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestTaken: what another process counts, or has counted, is no failure, and its workspace is left to it for a while.
func TestTaken(t *testing.T) {
	ctx := t.Context()
	url := database(t)
	s, other := openStore(t, url, nil), openStore(t, url, nil)
	s.times.lock = time.Second
	one, two := newSource(t, s), newSource(t, s)
	one.append(t, s, "one")
	two.append(t, s, "two")
	items := peek(t, s, nil, 10)
	if raws(items) != "one two" {
		t.Fatalf("what waits: %q", raws(items))
	}
	held, release, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		ended <- other.Count(ctx, items[:1], func(ingest.Tx) error { close(held); <-release; return nil })
	}()
	<-held
	began := time.Now()
	if err := s.Count(ctx, items, noEvents); !fault.Is(err, fault.Taken) || time.Since(began) > s.times.lock {
		t.Errorf("to count what another counts: %v after %s, want Taken at once", err, time.Since(began))
	}
	s.inbox.avoiding = map[int64]time.Time{} // what the database says of it must do
	if got := peek(t, s, nil, 10); raws(got) != "two" {
		t.Errorf("while another counts the first, %q is given", raws(got))
	}
	if err := s.TryRewrite(ctx, one.caller, func(ingest.WorkspaceTx) error { return nil }); !fault.Is(err, fault.Taken) {
		t.Errorf("to try to rewrite it: %v, want Taken", err)
	}
	if err := s.Rewrite(ctx, one.caller, func(ingest.WorkspaceTx) error { return nil }); !fault.Is(err, fault.Unavailable) {
		t.Errorf("to rewrite it: %v, want Unavailable", err)
	}
	if err := s.Rewrite(ctx, two.caller, func(ingest.WorkspaceTx) error { return nil }); err != nil {
		t.Errorf("to rewrite the other workspace: %v", err)
	}
	close(release)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if err := s.Count(ctx, items, noEvents); !fault.Is(err, fault.Taken) {
		t.Errorf("to count again what is counted: %v, want Taken", err)
	}
	if got := peek(t, s, nil, 10); len(got) > 0 {
		t.Errorf("%q is given of workspaces that were taken just now", raws(got))
	}
	s.inbox.avoiding = map[int64]time.Time{}
	if got := peek(t, s, nil, 10); raws(got) != "two" {
		t.Errorf("what is left: %q", raws(got))
	}

	// Who rewrites is waited for; then counting goes on.
	rewriting := make(chan struct{})
	go func() {
		ended <- other.Rewrite(ctx, two.caller, func(ingest.WorkspaceTx) error {
			close(rewriting)
			time.Sleep(s.times.lock / 2)
			return nil
		})
	}()
	<-rewriting
	if err := s.Count(ctx, items[1:], noEvents); err != nil {
		t.Errorf("to count where another rewrites for a moment: %v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestArrived: a process hears of what another appended, also after its connection was lost.
func TestArrived(t *testing.T) {
	url := database(t)
	s, other := openStore(t, url, nil), openStore(t, url, nil)
	other.times.poll = time.Hour
	src := newSource(t, s)
	arrived := other.Arrived()
	heard := func(what string) {
		t.Helper()
		select {
		case <-arrived:
		case <-time.After(10 * time.Second):
			t.Fatalf("nothing was heard of %s", what)
		}
	}
	heard("what may have come before")
	src.append(t, s, "first")
	heard("the first")
	awaitRow(t, s, "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN monterey_inbox' AND state = 'idle'")
	exec(t, s, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query = 'LISTEN monterey_inbox'")
	src.append(t, s, "second")
	heard("the second")
}

// TestInboxFull: what is too much is refused, with the time after which to try again.
func TestInboxFull(t *testing.T) {
	url := database(t)
	s, err := OpenWith(t.Context(), Options{URL: url, InboxBytes: 3 * (rowBytes + 10)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	src := newSource(t, s)
	full := func(s *Store) bool {
		t.Helper()
		_, _, err := s.Append(t.Context(), src.body("0123456789"))
		if f, ok := errors.AsType[*fault.Error](err); err != nil && (!ok || f.Code != fault.Unavailable || f.RetryAfter == 0) {
			t.Fatalf("to append: %v, want Unavailable and when to try again", err)
		}
		return err != nil
	}
	n := 0
	for ; !full(s); n++ {
		if n > 10 {
			t.Fatal("it is never full")
		}
	}
	if n < 2 {
		t.Errorf("it is full after %d", n)
	}
	again, err := OpenWith(t.Context(), Options{URL: url, InboxBytes: 3 * (rowBytes + 10)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	if !full(again) {
		t.Error("another process has room")
	}
	if err := s.Count(t.Context(), peek(t, s, nil, 10), noEvents); err != nil {
		t.Fatal(err)
	}
	if full(s) {
		t.Error("it is full still when all is counted")
	}
}
