package postgres

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/rollup"
	"monterey/internal/workspace"
)

// messages counts what is sent to the server and waited for.
type messages struct {
	mu   sync.Mutex
	sent []string
}

func (m *messages) add(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent = append(m.sent, text)
}

func (m *messages) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	m.add(d.SQL)
	return ctx
}

func (m *messages) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (m *messages) TraceBatchStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceBatchStartData) context.Context {
	var texts []string
	for _, q := range d.Batch.QueuedQueries {
		texts = append(texts, q.SQL)
	}
	m.add(strings.Join(texts, "\n"))
	return ctx
}

func (m *messages) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}

func (m *messages) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

// of is what f sends.
func (m *messages) of(f func()) []string {
	m.mu.Lock()
	m.sent = nil
	m.mu.Unlock()
	f()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sent
}

// trace counts the messages of a store from now on.
func trace(t *testing.T, s *Store) *messages {
	t.Helper()
	m := &messages{}
	cfg := s.pool.Config()
	cfg.ConnConfig.Tracer = m
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	old := s.pool
	s.pool = pool
	t.Cleanup(old.Close)
	return m
}

// TestMessages: each message is waited for, so reads send few.
func TestMessages(t *testing.T) {
	f := newListFixture(t)
	f.foldThrough(fixtureStart.AddDate(0, 0, 10))
	f.Store.now = func() time.Time { return fixtureStart.AddDate(0, 0, 11) }
	m := trace(t, f.Store)
	ctx := context.Background()
	one := f.campaigns[0].ID
	list := func(p event.ListParams) func() error {
		p.Limit = 10
		return func() error {
			got, err := f.ListEvents(ctx, f.caller, p)
			if err == nil && len(got.Items) == 0 {
				err = errors.New("nothing")
			}
			return err
		}
	}
	for _, tt := range []struct {
		what string
		ask  func() error
		most int
	}{
		{"workspace", func() error { _, err := f.GetWorkspace(ctx, f.caller.Workspace()); return err }, 1},
		{"as of", func() error { _, err := f.AsOf(ctx, f.caller); return err }, 1},
		{"one campaign", func() error {
			return f.Snapshot(ctx, f.caller, func(v rollup.View) error {
				_, err := rollup.One(ctx, v, one, rollup.Range{})
				return err
			})
		}, 3},
		{"events", list(event.ListParams{}), 2},
		{"events of a campaign", list(event.ListParams{Filter: event.Filter{Campaigns: []campaign.ID{one}}}), 2},
		{"events of a recipient", list(event.ListParams{Filter: event.Filter{Address: f.addresses[:1]}}), 2},
		{"deep page", list(event.ListParams{Offset: 700}), 5},
	} {
		var sent []string
		for range 2 { // the first time some facts are looked up that never change
			sent = m.of(func() {
				if err := tt.ask(); err != nil {
					t.Errorf("%s: %v", tt.what, err)
				}
			})
		}
		if len(sent) == 0 || len(sent) > tt.most {
			t.Errorf("%s: %d messages, want %d:\n%s", tt.what, len(sent), tt.most, strings.Join(sent, "\n---\n"))
		}
	}
}

// TestReadingBegins: whatever a read asks first begins it, and all it asks is of one snapshot; the connection is left as it was.
func TestReadingBegins(t *testing.T) {
	s := openMigrated(t)
	exec(t, s, "INSERT INTO counters (workspace_id, stamp) VALUES (1, 5), (2, 6)")
	const stamps = "SELECT stamp FROM counters ORDER BY workspace_id"
	stamp := func(tx pgx.Tx) (n int64) {
		if err := tx.QueryRow(t.Context(), "SELECT sum(stamp)::bigint FROM counters").Scan(&n); err != nil {
			t.Error(err)
		}
		return n
	}
	for what, first := range map[string]func(pgx.Tx) error{
		"a row": func(tx pgx.Tx) error {
			if n := stamp(tx); n != 11 {
				t.Errorf("%d", n)
			}
			return nil
		},
		"rows": func(tx pgx.Tx) error {
			got, err := query(t.Context(), tx, scanNum, stamps)
			if len(got) != 2 || got[0] != 5 || got[1] != 6 {
				t.Errorf("%v", got)
			}
			return err
		},
		"some of the rows": func(tx pgx.Tx) error {
			rows, err := tx.Query(t.Context(), stamps)
			if err != nil || !rows.Next() {
				t.Error("no row", err)
			}
			rows.Close()
			return rows.Err()
		},
		"no row": func(tx pgx.Tx) error {
			if err := tx.QueryRow(t.Context(), stamps+" OFFSET 2").Scan(new(int64)); !errors.Is(err, pgx.ErrNoRows) {
				t.Error(err)
			}
			return nil
		},
		"a statement": statement(t, stamps),
		"a batch": func(tx pgx.Tx) error {
			var b pgx.Batch
			var one, two int64
			askOne(&b, &one, stamps)
			askOne(&b, &two, stamps+" DESC")
			err := tx.SendBatch(t.Context(), &b).Close()
			if one != 6 || two != 5 { // the last rows
				t.Errorf("%d, %d", one, two)
			}
			return err
		},
	} {
		err := s.read(t.Context(), what, func(tx pgx.Tx) error {
			if err := first(tx); err != nil {
				return err
			}
			exec(t, s, "UPDATE counters SET stamp = stamp + 1")
			if n := stamp(tx); n != 11 {
				t.Errorf("%s: a later statement sees %d", what, n)
			}
			return nil
		})
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		exec(t, s, "UPDATE counters SET stamp = stamp - 1")
	}
	for what, wrong := range map[string]func(pgx.Tx) error{
		"a statement":       statement(t, "SELECT 1 / 0"),
		"a row":             func(tx pgx.Tx) error { return tx.QueryRow(t.Context(), "SELECT 1 / 0").Scan(new(int64)) },
		"one that is later": func(tx pgx.Tx) error { return errors.Join(statement(t, stamps)(tx), statement(t, "SELECT 1 / 0")(tx)) },
		"a write":           statement(t, "DELETE FROM counters"),
		"a batch": func(tx pgx.Tx) error {
			var b pgx.Batch
			askOne(&b, new(int64), "SELECT 1 / 0")
			askOne(&b, new(int64), stamps)
			return tx.SendBatch(t.Context(), &b).Close()
		},
	} {
		if err := s.read(t.Context(), what, wrong); err == nil {
			t.Errorf("%s that fails succeeds", what)
		}
	}
	look := func(text string) error {
		return s.look(t.Context(), "look", func(b *pgx.Batch) { askOne(b, new(int64), text) })
	}
	if err := look("SELECT 1 / 0"); !fault.Is(err, fault.Data) {
		t.Errorf("a look that fails: %v", err)
	}
	if err := look("DELETE FROM counters RETURNING stamp"); err == nil {
		t.Error("a look that writes succeeds")
	}
	err := s.read(t.Context(), "ended", func(tx pgx.Tx) error {
		var b pgx.Batch
		var n int64
		askOne(&b, &n, stamps)
		if err := sendLast(t.Context(), tx, &b); err != nil || n != 6 {
			t.Errorf("the last statement: %d, %v", n, err)
		}
		for what, later := range map[string]error{
			"a statement": statement(t, stamps)(tx),
			"a row":       tx.QueryRow(t.Context(), stamps).Scan(&n),
			"a batch":     tx.SendBatch(t.Context(), &b).Close(),
		} {
			if !errors.Is(later, errOver) {
				t.Errorf("%s after the last: %v", what, later)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	err = s.write(t.Context(), "goes on", func(tx pgx.Tx) error {
		var b pgx.Batch
		b.Queue("UPDATE counters SET stamp = 9")
		if err := sendLast(t.Context(), tx, &b); err != nil {
			return err
		}
		return errors.Join(statement(t, "SELECT 1")(tx), errOver)
	})
	if got := s.read(t.Context(), "undone", func(tx pgx.Tx) error {
		if n := stamp(tx); n != 11 {
			t.Errorf("a write that failed after that left %d", n)
		}
		return nil
	}); !errors.Is(err, errOver) || got != nil {
		t.Error(err, got)
	}
	for range Conns {
		conn, err := s.pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Release()
		if status := conn.Conn().PgConn().TxStatus(); status != 'I' {
			t.Errorf("a connection was left in a transaction: %c", status)
		}
	}
}

// TestReadsOnDeadConnections: reads do not see it either that all connections of the pool were ended at once.
func TestReadsOnDeadConnections(t *testing.T) {
	url := database(t)
	s, other := openStore(t, url, nil), openStore(t, url, nil)
	id := workspace.NewID()
	if err := s.CreateWorkspace(t.Context(), workspace.Workspace{ID: id, Name: "one", Timezone: "UTC"}); err != nil {
		t.Fatal(err)
	}
	for _, read := range []func() error{
		func() error { return s.read(t.Context(), "read", statement(t, "SELECT 1")) },
		func() error { _, err := s.GetWorkspace(t.Context(), id); return err },
		func() error {
			_, err := s.ListBounces(t.Context(), workspace.System(id), bounce.ListParams{Limit: 1})
			return err
		},
	} {
		if err := read(); err != nil { // its statements are prepared
			t.Fatal(err)
		}
		endAll(t, s, other)
		if err := read(); err != nil {
			t.Error(err)
		}
	}
}
