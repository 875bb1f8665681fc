package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"slices"
	"time"

	"github.com/google/uuid"

	"monterey/internal/bounce"
	"monterey/internal/ingest"
	"monterey/internal/provider"
	"monterey/internal/recipient"
	"monterey/internal/suppression"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// bouncePlace is where a historical bounce stands among those of its workspace: its time in microseconds, 8 bytes from the
// highest, and then its id. Places sort by time; the 8 bytes alone are before every place of that time.
type bouncePlace []byte

const placeSize = 24

func firstPlace(micros int64) bouncePlace {
	return binary.BigEndian.AppendUint64(make([]byte, 0, placeSize), uint64(max(micros, 0)))
}

func placeOf(at time.Time, id bounce.ID) bouncePlace {
	return append(firstPlace(micros(at)), id.UUID[:]...)
}

func (p bouncePlace) split() (at time.Time, id bounce.ID) {
	copy(id.UUID[:], p[8:])
	return fromMicros(int64(binary.BigEndian.Uint64(p))), id
}

// PutBounces implements bounce.Store.
func (s *Store) PutBounces(ctx context.Context, c workspace.Caller, p provider.Name, rows []bounce.Historical) (bounce.Upserted, error) {
	var out bounce.Upserted
	if _, err := s.workspace(ctx, c); err != nil {
		return out, err
	}
	err := s.rewrite(ctx, "put bounces", c, func(w *workspaceTx) (err error) {
		out, err = w.putBounces(ctx, p, rows)
		return err
	})
	if err != nil {
		return bounce.Upserted{}, err
	}
	return out, nil
}

// PutPage implements bounce.Store.
func (s *Store) PutPage(ctx context.Context, c workspace.Caller, p provider.Name, rows []bounce.Historical, step func(bounce.Upserted) (task.Step, error)) error {
	if _, err := s.workspace(ctx, c); err != nil {
		return err
	}
	var began time.Time
	err := s.rewrite(ctx, "put page of bounces", c, func(w *workspaceTx) error {
		began = time.Now()
		got, err := w.putBounces(ctx, p, rows)
		if err != nil {
			return err
		}
		made, err := step(got)
		if err != nil {
			return err
		}
		return saveStep(ctx, w.tx, w.ws, made)
	})
	if err == nil {
		s.counts.GoFirst(ctx, time.Since(began))
	}
	return err
}

// storedBounce is a historical bounce with its place.
type storedBounce struct {
	bounce.Historical
	place bouncePlace
}

// bounceChange is a historical bounce as it is to be.
type bounceChange struct {
	storedBounce
	before *storedBounce // nil = it is new
}

// putBounces is PutBounces as a part of the transaction.
func (w *workspaceTx) putBounces(ctx context.Context, p provider.Name, rows []bounce.Historical) (out bounce.Upserted, err error) {
	changes, err := w.bounceChanges(ctx, p, rows)
	if err != nil {
		return out, err
	}
	n := len(changes)
	changes = slices.DeleteFunc(changes, func(c bounceChange) bool { return c.before != nil && c.Same(c.before.Historical) })
	out.Unchanged = n - len(changes)
	if len(changes) == 0 {
		return out, nil
	}
	slices.SortFunc(changes, func(a, b bounceChange) int { return bytes.Compare(a.place, b.place) })
	stamp, err := w.Stamps(ctx, len(changes))
	if err != nil {
		return out, err
	}
	for i := range changes {
		changes[i].UpdatedAt = stamp.Add(time.Duration(i) * time.Microsecond)
		if changes[i].before != nil {
			out.Updated++
		}
	}
	out.Inserted = len(changes) - out.Updated
	if err := w.storeBounces(ctx, changes); err != nil {
		return out, err
	}
	if err := w.countBounces(ctx, changes); err != nil {
		return out, err
	}
	return out, w.suppressBounces(ctx, changes)
}

// bounceChanges are the rows as they are to be, each provider id once, with what is stored of them. Only who is new and
// belongs to a row that is stored gets an ordinal: a row that says the same names a recipient who is known.
func (w *workspaceTx) bounceChanges(ctx context.Context, p provider.Name, rows []bounce.Historical) ([]bounceChange, error) {
	last := make(map[string]int, len(rows)) // the place of each provider id in changes
	changes := make([]bounceChange, 0, len(rows))
	for _, r := range rows {
		if err := r.Check(); err != nil {
			return nil, err
		}
		r.Provider, r.ID, r.Recipient = p, bounce.IDWith(w.mac, p, r.ProviderEventID), 0
		r.OccurredAt = r.OccurredAt.UTC().Truncate(time.Microsecond)
		c := bounceChange{storedBounce: storedBounce{r, placeOf(r.OccurredAt, r.ID)}}
		if i, twice := last[r.ProviderEventID]; twice {
			c.Historical = r.Over(changes[i].Historical)
			changes[i] = c
			continue
		}
		last[r.ProviderEventID] = len(changes)
		changes = append(changes, c)
	}
	for part := range slices.Chunk(changes, lookup) {
		if err := w.findBounces(ctx, p, part, func(b *storedBounce) {
			c := &changes[last[b.ProviderEventID]]
			c.before, c.Historical = b, c.Over(b.Historical)
		}); err != nil {
			return nil, err
		}
	}
	return changes, w.findBouncers(ctx, changes)
}

var findBouncesSQL = `SELECT b.provider_event_id, b.place, b.ordinal, b.class, b.reason, b.facts, coalesce(a.address, '')
	FROM historical_bounces b INDEXED BY historical_bounces_by_provider
	LEFT JOIN addresses a ON a.workspace = b.workspace AND a.ordinal = b.ordinal
	WHERE b.workspace = ? AND b.provider = ? AND b.provider_event_id IN (` + placeholders("?", lookup) + ")"

// findBounces calls f for what is stored of a part of the changes.
func (w *workspaceTx) findBounces(ctx context.Context, p provider.Name, part []bounceChange, f func(*storedBounce)) error {
	args := make([]any, 0, lookup+2)
	args = append(args, w.ws, string(p))
	for n := range lookup { // a full statement always, so that one is prepared
		args = append(args, part[min(n, len(part)-1)].ProviderEventID)
	}
	known := bounce.FactsReader{}
	var facts sql.RawBytes
	var reason string
	return w.each(ctx, func(r row) error {
		var b storedBounce
		var place []byte
		var ordinal, class int64
		err := r.Scan(&b.ProviderEventID, &place, &ordinal, &class, &reason, &facts, &b.Address)
		if err == nil {
			err = known.Read(facts, reason, &b.Historical)
		}
		if err != nil {
			return err
		}
		b.place, b.Recipient, b.Class = place, recipient.Ordinal(ordinal), bounce.Class(class)
		b.OccurredAt, b.ID = b.place.split()
		f(&b)
		return nil
	}, findBouncesSQL, args...)
}

// findBouncers sets the recipients of the changes. Of those who were erased no texts stay.
func (w *workspaceTx) findBouncers(ctx context.Context, changes []bounceChange) error {
	asked := map[string]int{} // the place of each address in who
	var who []ingest.Recipient
	for i := range changes {
		c := &changes[i]
		if c.before != nil && c.before.Address == c.Address {
			c.Recipient = c.before.Recipient
			continue
		}
		if _, twice := asked[c.Address]; !twice {
			asked[c.Address] = len(who)
			who = append(who, ingest.Recipient{Hash: recipient.HashWith(w.mac, c.Address), Address: c.Address})
		}
	}
	if len(who) == 0 {
		return nil
	}
	known := int64(0)
	err := w.each(ctx, func(r row) error { return r.Scan(&known) }, "SELECT ordinal FROM counters WHERE workspace = ?", w.ws)
	if err != nil {
		return err
	}
	ordinals, err := w.Recipients(ctx, who)
	if err != nil {
		return err
	}
	erased, err := w.erased(ctx, slices.DeleteFunc(int64s(ordinals), func(o int64) bool { return o > known }))
	if err != nil {
		return err
	}
	for i := range changes {
		c := &changes[i]
		if c.Recipient != 0 {
			continue
		}
		if c.Recipient = ordinals[asked[c.Address]]; erased[c.Recipient] {
			c.Detail, c.Status = bounce.Detail{}, ""
		}
	}
	return nil
}

const erasedSQL = `SELECT ordinal FROM addresses INDEXED BY addresses_erased
	WHERE workspace = ? AND ordinal IN (SELECT value FROM json_each(?)) AND address = ''`

// erased are those of the recipients who were erased.
func (w *workspaceTx) erased(ctx context.Context, of []int64) (map[recipient.Ordinal]bool, error) {
	out, some := map[recipient.Ordinal]bool{}, false
	err := w.each(ctx, func(row) error { some = true; return nil }, "SELECT 1 FROM addresses INDEXED BY addresses_erased WHERE workspace = ? AND address = '' LIMIT 1", w.ws)
	if err != nil || !some {
		return out, err
	}
	return out, w.each(ctx, func(r row) error {
		var o int64
		err := r.Scan(&o)
		out[recipient.Ordinal(o)] = true
		return err
	}, erasedSQL, w.ws, listJSON(of))
}

// storeBounces writes the rows of the changes.
func (w *workspaceTx) storeBounces(ctx context.Context, changes []bounceChange) error {
	const columns = 9
	args := make([]any, 0, columns*len(changes))
	for i := range changes {
		c := &changes[i]
		if c.before != nil {
			if _, err := w.exec(ctx, "DELETE FROM historical_bounces WHERE workspace = ? AND place = ?", w.ws, []byte(c.before.place)); err != nil {
				return err
			}
		}
		args = append(args, w.ws, []byte(c.place), string(c.Provider), c.ProviderEventID, int64(c.Recipient), int64(c.Class), micros(c.UpdatedAt),
			c.Detail.Reason, c.Facts())
	}
	return w.insertMany(ctx, `historical_bounces (workspace, place, provider, provider_event_id, ordinal, class, updated_at, reason, facts)`, columns, args)
}

// dayMicros is a day of historical_counts.
const dayMicros = int64(24 * time.Hour / time.Microsecond)

// allDays is the day under which historical_counts has those of all days together.
const allDays = -1

// countBounces brings the counts of days and classes up to date.
func (w *workspaceTx) countBounces(ctx context.Context, changes []bounceChange) error {
	type count struct{ day, class int64 }
	more := map[count]int64{}
	add := func(b *storedBounce, n int64) {
		more[count{micros(b.OccurredAt) / dayMicros, int64(b.Class)}] += n
		more[count{allDays, int64(b.Class)}] += n
	}
	for i := range changes {
		add(&changes[i].storedBounce, 1)
		if changes[i].before != nil {
			add(changes[i].before, -1)
		}
	}
	for c, n := range more {
		if n == 0 {
			continue
		}
		if _, err := w.exec(ctx, `INSERT INTO historical_counts (workspace, day, class, bounces) VALUES (?, ?, ?, ?)
			ON CONFLICT (workspace, day, class) DO UPDATE SET bounces = bounces + excluded.bounces`, w.ws, c.day, c.class, n); err != nil {
			return err
		}
		if n > 0 {
			continue
		}
		if _, err := w.exec(ctx, "DELETE FROM historical_counts WHERE workspace = ? AND day = ? AND class = ? AND bounces = 0", w.ws, c.day, c.class); err != nil {
			return err
		}
	}
	return nil
}

func causeOfBounce(id bounce.ID, at time.Time) suppression.Cause {
	return suppression.Cause{Reason: suppression.HardBounce, OccurredAt: at, Source: suppression.History, ID: id.UUID}
}

// suppressBounces adds the causes that hard bounces are, and works those anew whose bounce is hard no longer, or later, or
// another recipient's.
func (w *workspaceTx) suppressBounces(ctx context.Context, changes []bounceChange) error {
	var causes []ingest.Suppression
	var doubtful []recipient.Ordinal
	gone := map[uuid.UUID]bool{}
	for i := range changes {
		c := &changes[i]
		if c.Class == bounce.Hard {
			causes = append(causes, ingest.Suppression{Cause: causeOfBounce(c.ID, c.OccurredAt), Recipient: c.Recipient, UpdatedAt: c.UpdatedAt})
		}
		if b := c.before; b != nil && b.Class == bounce.Hard && (c.Class != bounce.Hard || c.Recipient != b.Recipient || c.OccurredAt.After(b.OccurredAt)) {
			doubtful, gone[b.ID.UUID] = append(doubtful, b.Recipient), true
		}
	}
	var again []recipient.Ordinal
	if len(doubtful) > 0 {
		stored, err := w.suppressed(ctx, listJSON(int64s(doubtful)))
		if err != nil {
			return err
		}
		for _, o := range doubtful {
			if s, ok := stored[reasonOf{o, suppression.HardBounce}]; ok && gone[s.ID] {
				again = append(again, o)
			}
		}
	}
	if err := w.Suppress(ctx, causes); err != nil {
		return err
	}
	return w.Unsuppress(ctx, again)
}
