package postgres

import (
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"monterey/internal/event"
)

// openAt is a store that was migrated at that time.
func openAt(t *testing.T, now *time.Time) *Store {
	t.Helper()
	s := openStore(t, emptyDatabase(t), func() time.Time { return *now })
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

func date(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

// partitionNames are the attached partitions.
func partitionNames(t *testing.T, s *Store) (names []string) {
	t.Helper()
	err := s.read(t.Context(), "partitions", func(tx pgx.Tx) (err error) {
		names, err = query(t.Context(), tx, func(r row) (name string, err error) { return name, r.Scan(&name) },
			"SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'events'::regclass ORDER BY 1")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// insertAt inserts an event of that time, and says into which partition.
func insertAt(t *testing.T, tx pgx.Tx, at time.Time) (partition string, err error) {
	id := event.FirstAt(at)
	copy(id.UUID[8:], uuid.NewString())
	err = tx.QueryRow(t.Context(), `INSERT INTO events (updated_at, received_at, delivery, workspace_id, campaign, ordinal, link, type, actor, class, source, id)
		VALUES (1, 1, 1, 1, 1, 1, 0, 1, 0, 0, 0, $1) RETURNING tableoid::regclass::text`, id).Scan(&partition)
	return partition, err
}

func TestPartitions(t *testing.T) {
	now := date(2026, 3, 5)
	s := openAt(t, &now)
	names := partitionNames(t, s)
	if n := monthsBack + 1 + monthsAhead; len(names) != n+2 || names[0] != "events_2024_03" || names[n-1] != "events_2026_06" {
		t.Errorf("at first there are %v", names)
	}
	last := time.UnixMilli(1<<48 - 1)
	if err := s.needMonths(eventsAt(time.Unix(0, 0), date(2024, 3, 1), now, date(2026, 6, 30), last)); err != nil {
		t.Error(err)
	}
	err := s.write(t.Context(), "insert", func(tx pgx.Tx) error {
		for _, c := range []struct {
			at   time.Time
			want string
		}{
			{time.Unix(0, 0), "events_old"}, {date(2024, 3, 1).Add(-time.Millisecond), "events_old"}, {date(2024, 3, 1), "events_2024_03"},
			{date(2026, 4, 1).Add(-time.Millisecond), "events_2026_03"}, {date(2026, 4, 1), "events_2026_04"},
			{date(2026, 7, 1).Add(-time.Millisecond), "events_2026_06"}, {date(farYear, 1, 1), "events_far"}, {last, "events_far"},
		} {
			if got, err := insertAt(t, tx, c.at); err != nil || got != c.want {
				t.Errorf("an event of %v went into %s, want %s: %v", c.at, got, c.want, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}

	// Three months later there are three more, made by whichever process comes first.
	now = date(2026, 6, 1)
	other := openStore(t, s.pool.Config().ConnString(), func() time.Time { return now })
	for _, s := range []*Store{s, other, s} {
		if err := s.EnsurePartitions(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	more := slices.DeleteFunc(partitionNames(t, s), func(n string) bool { return slices.Contains(names, n) })
	if want := []string{"events_2026_07", "events_2026_08", "events_2026_09"}; !slices.Equal(more, want) {
		t.Errorf("three months later there are %v too, want %v", more, want)
	}
	// The months between are not made for an event that lies far ahead.
	far := eventsAt(date(2031, 12, 1), date(2031, 12, 31), date(2033, 1, 1))
	if err := s.write(t.Context(), "far", func(pgx.Tx) error { return s.needMonths(far) }); err != nil {
		t.Fatal(err)
	}
	names = append(names, more...)
	more = slices.DeleteFunc(partitionNames(t, s), func(n string) bool { return slices.Contains(names, n) })
	if want := []string{"events_2031_12", "events_2033_01"}; !slices.Equal(more, want) {
		t.Errorf("for an event far ahead there are %v too, want %v", more, want)
	}
}

// eventsAt are events of these times.
func eventsAt(times ...time.Time) (out []event.Event) {
	for _, at := range times {
		out = append(out, event.Event{ID: event.FirstAt(at)})
	}
	return out
}

// TestPartitionsAtOnce: a month is made while others read and write events, and by one of several who need it.
func TestPartitionsAtOnce(t *testing.T) {
	now := date(2026, 3, 5)
	s := openAt(t, &now)
	far := date(2027, 1, 31)
	err := s.write(t.Context(), "count", func(tx pgx.Tx) error {
		if _, err := insertAt(t, tx, now); err != nil {
			return err
		}
		made := make(chan error)
		for range 3 {
			go func() {
				other := openStore(t, s.pool.Config().ConnString(), nil)
				other.times.lock = time.Second
				made <- other.write(t.Context(), "count", func(tx pgx.Tx) error {
					if err := other.needMonths(eventsAt(now, far)); err != nil {
						return err
					}
					for _, at := range []time.Time{now, far} {
						if _, err := insertAt(t, tx, at); err != nil {
							return err
						}
					}
					return nil
				})
			}()
		}
		for range 3 {
			if err := <-made; err != nil {
				t.Error(err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	var n int
	if err := s.pool.QueryRow(t.Context(), "SELECT count(*) FROM events").Scan(&n); err != nil || n != 7 {
		t.Errorf("%d events are there, want 7: %v", n, err)
	}
}

// TestDetachMonth: an old month is detached while others read and write events, none of whom waits; it is a table of its own
// then, and an event of that month that comes late goes into a new one.
func TestDetachMonth(t *testing.T) {
	now := date(2026, 3, 5)
	s := openAt(t, &now)
	old := date(2024, 5, 10)
	insert := func(at time.Time) (partition string, err error) {
		err = s.write(t.Context(), "insert", func(tx pgx.Tx) error {
			partition, err = insertAt(t, tx, at)
			return err
		})
		return partition, err
	}
	if _, err := insert(old); err != nil {
		t.Fatal(err)
	}
	s.times.lock = time.Second
	detached := make(chan error)
	err := s.write(t.Context(), "count", func(tx pgx.Tx) error {
		if _, err := insertAt(t, tx, now); err != nil { // the detaching waits for this transaction
			return err
		}
		go func() {
			detached <- execAlone(t.Context(), s.pool.Config().ConnString(), "ALTER TABLE events DETACH PARTITION events_2024_05 CONCURRENTLY")
		}()
		awaitRow(t, s, "SELECT 1 FROM pg_inherits WHERE inhparent = 'events'::regclass AND inhdetachpending")
		if _, err := insert(now); err != nil {
			t.Errorf("insert while a month is being detached: %v", err)
		}
		err := s.read(t.Context(), "read", func(tx pgx.Tx) error {
			var n int
			err := tx.QueryRow(t.Context(), "SELECT count(*) FROM events WHERE workspace_id = 1").Scan(&n)
			if n != 1 {
				t.Errorf("%d events are there while the month of another is being detached, want 1", n)
			}
			return err
		})
		if err != nil {
			t.Errorf("read while a month is being detached: %v", err)
		}
		other := openStore(t, s.pool.Config().ConnString(), nil)
		other.times.lock = time.Second
		if err := other.makeMonths(t.Context(), []month{monthOf(date(2040, 1, 1))}); err != nil {
			t.Errorf("make a month while another is being detached: %v", err)
		}
		return nil
	})
	if err := <-detached; err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := s.pool.QueryRow(t.Context(), "SELECT count(*) FROM events_2024_05").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d events are in the detached month, want 1: %v", n, err)
	}
	var got string // this process remembers the month that was detached
	err = s.write(t.Context(), "late", func(tx pgx.Tx) error {
		if err := s.needMonths(eventsAt(old)); err != nil {
			return err
		}
		got, err = insertAt(t, tx, old)
		return err
	})
	if err != nil || got != "events_2024_05_2" {
		t.Errorf("an event of the detached month went into %s: %v", got, err)
	}
}

// awaitRow waits until the query finds something.
func awaitRow(t *testing.T, s *Store, text string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if s.pool.QueryRow(t.Context(), text).Scan(new(int)) == nil {
			return
		}
	}
	t.Errorf("nothing came of %s", text)
}
