package postgres

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgtype"

	"monterey/internal/bounce"
	"monterey/internal/ingest"
	"monterey/internal/provider"
	"monterey/internal/recipient"
	"monterey/internal/suppression"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

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

// bounceChange is a historical bounce as it is to be.
type bounceChange struct {
	bounce.Historical
	before *bounce.Historical // nil = it is new
}

// putBounces is PutBounces as a part of the transaction.
func (w *workspaceTx) putBounces(ctx context.Context, p provider.Name, rows []bounce.Historical) (out bounce.Upserted, err error) {
	changes, err := w.bounceChanges(ctx, p, rows)
	if err != nil {
		return out, err
	}
	n := len(changes)
	changes = slices.DeleteFunc(changes, func(c bounceChange) bool { return c.before != nil && c.Same(*c.before) })
	out.Unchanged = n - len(changes)
	if len(changes) == 0 {
		return out, nil
	}
	slices.SortFunc(changes, func(a, b bounceChange) int { return placeOf(a.Historical).compare(placeOf(b.Historical)) })
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
	if err := w.storeBounces(ctx, p, changes); err != nil {
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
		if i, twice := last[r.ProviderEventID]; twice {
			changes[i].Historical = r.Over(changes[i].Historical)
			continue
		}
		last[r.ProviderEventID] = len(changes)
		changes = append(changes, bounceChange{Historical: r})
	}
	err := w.findBounces(ctx, p, slices.Collect(maps.Keys(last)), func(b *bounce.Historical) {
		c := &changes[last[b.ProviderEventID]]
		c.before, c.Historical = b, c.Over(*b)
	})
	if err != nil {
		return nil, err
	}
	return changes, w.findBouncers(ctx, changes)
}

const findBouncesSQL = `SELECT b.provider_event_id, b.occurred_at, b.id, b.ordinal, b.class, b.reason, b.facts, coalesce(a.address, '')
	FROM historical_bounces b LEFT JOIN addresses a ON a.workspace_id = b.workspace_id AND a.ordinal = b.ordinal
	WHERE b.workspace_id = $1 AND b.provider = $2 AND b.provider_event_id = ANY ($3)`

// findBounces calls f for what is stored of the provider's ids.
func (w *workspaceTx) findBounces(ctx context.Context, p provider.Name, ids []string, f func(*bounce.Historical)) error {
	known := bounce.FactsReader{}
	return w.each(ctx, func(r row) error {
		b := &bounce.Historical{Provider: p}
		var occurred int64
		var reason string
		var facts pgtype.DriverBytes
		if err := r.Scan(&b.ProviderEventID, &occurred, &b.ID, &b.Recipient, &b.Class, &reason, &facts, &b.Address); err != nil {
			return err
		}
		b.OccurredAt = fromMicros(occurred)
		if err := known.Read(facts, reason, b); err != nil {
			return err
		}
		f(b)
		return nil
	}, findBouncesSQL, w.ws, string(p), ids)
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
	ordinals, err := w.Recipients(ctx, who)
	if err != nil {
		return err
	}
	erased, err := w.erased(ctx, int64s(ordinals))
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

// erased are those of the recipients who were erased.
func (w *workspaceTx) erased(ctx context.Context, of []int64) (map[recipient.Ordinal]bool, error) {
	out := map[recipient.Ordinal]bool{}
	return out, w.each(ctx, func(r row) error {
		var o recipient.Ordinal
		err := r.Scan(&o)
		out[o] = true
		return err
	}, "SELECT ordinal FROM addresses WHERE workspace_id = $1 AND address = '' AND ordinal = ANY ($2)", w.ws, of)
}

const bounceArrays = "unnest($3::text[], $4::bigint[], $5::uuid[], $6::integer[], $7::smallint[], $8::bigint[], $9::text[], $10::text[])"

// storeBounces writes the rows of the changes.
func (w *workspaceTx) storeBounces(ctx context.Context, p provider.Name, changes []bounceChange) error {
	err := w.execBounces(ctx, p, changes, false, `INSERT INTO historical_bounces
		(workspace_id, provider, provider_event_id, occurred_at, id, ordinal, class, updated_at, reason, facts) SELECT $1, $2, * FROM `+bounceArrays)
	if err != nil {
		return err
	}
	return w.execBounces(ctx, p, changes, true, `UPDATE historical_bounces b SET occurred_at = n.occurred_at, ordinal = n.ordinal, class = n.class,
		updated_at = n.updated_at, reason = n.reason, facts = n.facts
		FROM `+bounceArrays+` AS n (provider_event_id, occurred_at, id, ordinal, class, updated_at, reason, facts)
		WHERE b.workspace_id = $1 AND b.provider = $2 AND b.provider_event_id = n.provider_event_id`)
}

// execBounces runs a statement for the changes of rows that are there, or of those that are new.
func (w *workspaceTx) execBounces(ctx context.Context, p provider.Name, changes []bounceChange, there bool, text string) error {
	var names, reasons, facts []string
	var occurred, updated, ordinals, classes []int64
	var ids []bounce.ID
	for i := range changes {
		c := &changes[i]
		if there != (c.before != nil) {
			continue
		}
		names, occurred, ids = append(names, c.ProviderEventID), append(occurred, micros(c.OccurredAt)), append(ids, c.ID)
		ordinals, classes, updated = append(ordinals, int64(c.Recipient)), append(classes, int64(c.Class)), append(updated, micros(c.UpdatedAt))
		reasons, facts = append(reasons, c.Detail.Reason), append(facts, c.Facts())
	}
	if len(names) == 0 {
		return nil
	}
	_, err := w.exec(ctx, text, w.ws, string(p), names, occurred, ids, ordinals, classes, updated, reasons, facts)
	return err
}

// countBounces brings the counts of days and classes up to date.
func (w *workspaceTx) countBounces(ctx context.Context, changes []bounceChange) error {
	type count struct{ day, class int64 }
	more := map[count]int64{}
	add := func(b *bounce.Historical, n int64) {
		more[count{micros(b.OccurredAt) / dayMicros, int64(b.Class)}] += n
		more[count{allDays, int64(b.Class)}] += n
	}
	for i := range changes {
		add(&changes[i].Historical, 1)
		if changes[i].before != nil {
			add(changes[i].before, -1)
		}
	}
	var days, classes, counts []int64
	for _, c := range slices.SortedFunc(maps.Keys(more), func(a, b count) int { return cmp.Or(cmp.Compare(a.day, b.day), cmp.Compare(a.class, b.class)) }) {
		days, classes, counts = append(days, c.day), append(classes, c.class), append(counts, more[c])
	}
	_, err := w.exec(ctx, `INSERT INTO historical_counts AS c (workspace_id, day, class, bounces)
		SELECT $1, * FROM unnest($2::integer[], $3::smallint[], $4::bigint[])
		ON CONFLICT (workspace_id, day, class) DO UPDATE SET bounces = c.bounces + excluded.bounces WHERE excluded.bounces <> 0`, w.ws, days, classes, counts)
	if err != nil {
		return err
	}
	_, err = w.exec(ctx, "DELETE FROM historical_counts WHERE workspace_id = $1 AND day = ANY ($2) AND bounces = 0", w.ws, slices.Compact(days))
	return err
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
		stored, err := w.suppressed(ctx, int64s(doubtful))
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
