package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"

	"monterey/internal/bounce"
	"monterey/internal/event"
	"monterey/internal/ingest"
	"monterey/internal/recipient"
	"monterey/internal/suppression"
)

// Suppress implements ingest.WorkspaceTx.
func (w *workspaceTx) Suppress(ctx context.Context, causes []ingest.Suppression) error {
	const columns = 7
	args := make([]any, 0, columns*len(causes))
	for i := range causes {
		c := &causes[i]
		args = append(args, w.ws, int64(c.Recipient), int64(c.Reason), c.ID[:], micros(c.OccurredAt), int64(c.Source), micros(c.UpdatedAt))
	}
	return w.insertAll(ctx, "INSERT INTO suppressions (workspace, ordinal, reason, event, occurred_at, source, updated_at)", columns, args,
		` ON CONFLICT (workspace, ordinal, reason) DO UPDATE SET event = excluded.event, occurred_at = excluded.occurred_at, source = excluded.source,
		updated_at = excluded.updated_at WHERE (excluded.occurred_at, excluded.event) < (occurred_at, event)`)
}

// reasonOf is what a recipient has one cause of.
type reasonOf struct {
	recipient recipient.Ordinal
	reason    suppression.Reason
}

// earlierCause says whether cause a comes before b; ids break ties.
func earlierCause(a, b suppression.Cause) bool {
	return cmp.Or(a.OccurredAt.Compare(b.OccurredAt), bytes.Compare(a.ID[:], b.ID[:])) < 0
}

// Unsuppress implements ingest.WorkspaceTx. It looks through the recipients' history, the events that are not in it yet, and
// the provider's history, each once for all of them. A cause that is another than before is stamped anew.
func (w *workspaceTx) Unsuppress(ctx context.Context, recipients []recipient.Ordinal) error {
	if len(recipients) == 0 {
		return nil
	}
	ordinals := listJSON(int64s(recipients))
	before, err := w.suppressed(ctx, ordinals)
	if err != nil {
		return err
	}
	after := map[reasonOf]suppression.Cause{}
	add := func(o recipient.Ordinal, c suppression.Cause) {
		k := reasonOf{o, c.Reason}
		if old, ok := after[k]; c.Reason != 0 && (!ok || earlierCause(c, old)) {
			after[k] = c
		}
	}
	if err := w.eventCauses(ctx, ordinals, add); err != nil {
		return err
	}
	if err := w.historicalCauses(ctx, ordinals, add); err != nil {
		return err
	}
	if _, err := w.exec(ctx, "DELETE FROM suppressions WHERE workspace = ? AND ordinal IN (SELECT value FROM json_each(?))", w.ws, ordinals); err != nil {
		return err
	}
	var causes []ingest.Suppression
	for _, k := range slices.SortedFunc(maps.Keys(after), func(a, b reasonOf) int {
		return cmp.Or(cmp.Compare(a.recipient, b.recipient), cmp.Compare(a.reason, b.reason))
	}) {
		s := before[k]
		if s.Cause != after[k] {
			s = ingest.Suppression{Cause: after[k], Recipient: k.recipient}
			if s.UpdatedAt, err = w.Stamps(ctx, 1); err != nil {
				return err
			}
		}
		causes = append(causes, s)
	}
	return w.Suppress(ctx, causes)
}

// suppressed are the stored causes of recipients.
func (w *workspaceTx) suppressed(ctx context.Context, ordinals string) (map[reasonOf]ingest.Suppression, error) {
	out := map[reasonOf]ingest.Suppression{}
	return out, w.each(ctx, func(r row) error {
		var ordinal, reason, occurred, source, updated int64
		var s ingest.Suppression
		err := r.Scan(&ordinal, &reason, &occurred, &source, &s.ID, &updated)
		s.Recipient, s.Reason, s.Source = recipient.Ordinal(ordinal), suppression.Reason(reason), suppression.Source(source)
		s.OccurredAt, s.UpdatedAt = fromMicros(occurred), fromMicros(updated)
		out[reasonOf{s.Recipient, s.Reason}] = s
		return err
	}, `SELECT ordinal, reason, occurred_at, source, event, updated_at FROM suppressions
		WHERE workspace = ? AND ordinal IN (SELECT value FROM json_each(?))`, w.ws, ordinals)
}

// eventCauses calls f for the events of recipients; those without a reason have the Reason 0.
func (w *workspaceTx) eventCauses(ctx context.Context, ordinals string, f func(recipient.Ordinal, suppression.Cause)) error {
	return w.each(ctx, func(r row) error {
		var id event.ID
		var ordinal, kind, class, source int64
		if err := r.Scan(&ordinal, &id, &kind, &class, &source); err != nil {
			return err
		}
		f(recipient.Ordinal(ordinal), suppression.Cause{Reason: suppression.ReasonOf(event.Type(kind), bounce.Class(class)),
			OccurredAt: id.Time(), Source: suppression.Source(source), ID: id.UUID})
		return nil
	}, `SELECT h.ordinal, e.id, e.type, e.class, e.source FROM history h CROSS JOIN events e ON e.workspace = h.workspace AND e.id = h.id
		WHERE h.workspace = ? AND h.ordinal IN (SELECT value FROM json_each(?))
		UNION ALL SELECT ordinal, id, type, class, source FROM events INDEXED BY events_by_update
		WHERE workspace = ? AND updated_at > (SELECT history FROM counters WHERE workspace = ?) AND +ordinal IN (SELECT value FROM json_each(?))`,
		w.ws, ordinals, w.ws, w.ws, ordinals)
}

// historicalCauses calls f for the hard bounces of recipients in the provider's history.
func (w *workspaceTx) historicalCauses(ctx context.Context, ordinals string, f func(recipient.Ordinal, suppression.Cause)) error {
	return w.each(ctx, func(r row) error {
		var ordinal int64
		var place []byte
		if err := r.Scan(&ordinal, &place); err != nil {
			return err
		}
		at, id := bouncePlace(place).split()
		f(recipient.Ordinal(ordinal), causeOfBounce(id, at))
		return nil
	}, `SELECT ordinal, place FROM historical_bounces INDEXED BY historical_bounces_by_recipient
		WHERE workspace = ? AND ordinal IN (SELECT value FROM json_each(?)) AND class = ?`, w.ws, ordinals, int64(bounce.Hard))
}
