package postgres

import (
	"context"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"monterey/internal/event"
)

// Events are kept in a partition a month of their id's time, so that an old month can be detached without a lock on the others.
// At first these many months before the present one are made, and one partition for everything older; afterwards some months
// ahead, and whatever month an event needs. What claims to be of the far future is in one partition too. There is no DEFAULT: it
// would forbid DETACH CONCURRENTLY and lock what is attached.
const (
	monthsBack  = 24
	monthsAhead = 3
	farYear     = 2200
)

// month counts months since the year 0.
type month int

func monthOf(t time.Time) month {
	t = t.UTC()
	return month(t.Year()*12 + int(t.Month()) - 1)
}

// start is the first moment of a month.
func (m month) start() time.Time {
	return time.Date(int(m)/12, time.Month(int(m)%12+1), 1, 0, 0, 0, 0, time.UTC)
}

func (m month) String() string { return fmt.Sprintf("events_%04d_%02d", int(m)/12, int(m)%12+1) }

// Months at which partitions without an end begin or end.
var (
	farMonth  = monthOf(time.Date(farYear, 1, 1, 0, 0, 0, 0, time.UTC))
	lastMonth = monthOf(time.UnixMilli(1<<48)) + 1 // after all that an id can say
)

// months remembers which months have a partition.
type months struct {
	mu    sync.Mutex
	spans []span
}

// span is the months of one partition.
type span struct{ from, to month } // to is not in it

func (m *months) has(wanted month) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return covered(m.spans, wanted)
}

// forget makes the next who asks look again: a month has been detached.
func (m *months) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spans = nil
}

func covered(spans []span, m month) bool {
	for _, s := range spans {
		if s.from <= m && m < s.to {
			return true
		}
	}
	return false
}

// EnsurePartitions makes the partitions that events need now and in the near future. It costs nothing when they are there.
func (s *Store) EnsurePartitions(ctx context.Context) error {
	now := time.Now() // for months, clocks agree well enough
	if s.now != nil {
		now = s.now()
	}
	var wanted []month
	for m := monthOf(now); m <= monthOf(now)+monthsAhead; m++ {
		if !s.months.has(m) {
			wanted = append(wanted, m)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	return s.makeMonths(ctx, wanted)
}

// missingMonths is a write's answer that it needs partitions first. A transaction does not see those that are attached while it
// is under way, so they are made after it is undone, and then it runs again.
type missingMonths []month

func (m missingMonths) Error() string {
	return fmt.Sprintf("no partition for the months %v", []month(m))
}

// needMonths is nil when these events, which are sorted by id, have their partitions; else what a write must return.
func (s *Store) needMonths(events []event.Event) error {
	var wanted missingMonths
	last := month(-1)
	for i := range events {
		m := monthOf(events[i].ID.Time())
		if m != last && !s.months.has(m) {
			wanted = append(wanted, m)
		}
		last = m
	}
	if wanted == nil {
		return nil
	}
	return wanted
}

// makeMonths makes the partitions of these months, which are sorted, in a transaction of its own.
func (s *Store) makeMonths(ctx context.Context, wanted []month) error {
	var spans []span
	err := s.write(ctx, "make partitions", func(tx pgx.Tx) (err error) {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1, 0)", lockPartitions); err != nil {
			return err
		}
		if spans, err = partitions(ctx, tx); err != nil {
			return err
		}
		for _, p := range missing(spans, wanted) {
			if err := p.attach(ctx, tx); err != nil {
				return err
			}
			spans = append(spans, p.span)
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.months.mu.Lock()
	s.months.spans = spans
	s.months.mu.Unlock()
	return nil
}

// boundID finds the ids in a partition's bounds; MINVALUE and MAXVALUE are none.
var boundID = regexp.MustCompile(`(?i)(FROM|TO) \('([0-9a-f-]{36})'\)`)

// partitions are the months that the attached partitions hold.
func partitions(ctx context.Context, tx pgx.Tx) ([]span, error) {
	return query(ctx, tx, func(r row) (s span, err error) {
		var bounds string
		if err := r.Scan(&bounds); err != nil {
			return s, err
		}
		s.to = lastMonth
		for _, b := range boundID.FindAllStringSubmatch(bounds, -1) {
			id, err := uuid.Parse(b[2])
			if err != nil {
				return s, err
			}
			if m := monthOf(event.ID{UUID: id}.Time()); b[1] == "FROM" {
				s.from = m
			} else {
				s.to = m
			}
		}
		return s, nil
	}, `SELECT pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
		WHERE i.inhparent = 'events'::regclass AND NOT i.inhdetachpending`)
}

// partition is one to be made.
type partition struct {
	name string
	span
}

// missing are the partitions to make so that the wanted months have one. The first of all make the two that have no end.
func missing(spans []span, wanted []month) (out []partition) {
	if len(spans) == 0 && len(wanted) > 0 {
		first := wanted[0] - monthsBack
		out = append(out, partition{"events_old", span{0, first}}, partition{"events_far", span{farMonth, lastMonth}})
		spans = []span{out[0].span, out[1].span}
		for m := first; m < wanted[0]; m++ {
			out = append(out, partition{m.String(), span{m, m + 1}})
		}
	}
	for _, m := range wanted {
		if !covered(spans, m) {
			out = append(out, partition{m.String(), span{m, m + 1}})
		}
	}
	return out
}

// attach makes a table like events and then attaches it: that locks out neither who reads events nor who writes them.
func (p partition) attach(ctx context.Context, tx pgx.Tx) error {
	from, to := "MINVALUE", "MAXVALUE"
	if p.from > 0 {
		from = "'" + event.FirstAt(p.from.start()).String() + "'"
	}
	if p.to < lastMonth {
		to = "'" + event.FirstAt(p.to.start()).String() + "'"
	}
	name := p.name
	for n := 2; ; n++ { // a month that was detached may still be there
		var free bool
		if err := tx.QueryRow(ctx, "SELECT to_regclass($1) IS NULL", name).Scan(&free); err != nil {
			return err
		}
		if free {
			break
		}
		name = fmt.Sprintf("%s_%d", p.name, n)
	}
	_, err := tx.Exec(ctx, fmt.Sprintf(`CREATE TABLE %[1]s (LIKE events INCLUDING ALL)
		WITH (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
		ALTER TABLE events ATTACH PARTITION %[1]s FOR VALUES FROM (%[2]s) TO (%[3]s)`, name, from, to))
	return err
}
