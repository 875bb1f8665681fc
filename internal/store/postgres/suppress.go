package postgres

import (
	"bytes"
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"

	"monterey/internal/bounce"
	"monterey/internal/event"
	"monterey/internal/ingest"
	"monterey/internal/recipient"
	"monterey/internal/suppression"
)

// reasonOf is what a recipient has one cause of.
type reasonOf struct {
	recipient recipient.Ordinal
	reason    suppression.Reason
}

// earlierCause says whether cause a comes before b; ids break ties.
func earlierCause(a, b suppression.Cause) bool {
	return cmp.Or(a.OccurredAt.Compare(b.OccurredAt), bytes.Compare(a.ID[:], b.ID[:])) < 0
}

// Suppress implements ingest.WorkspaceTx. One statement changes a row but once, so the earliest cause of each is found first.
func (w *workspaceTx) Suppress(ctx context.Context, causes []ingest.Suppression) error {
	first := map[reasonOf]*ingest.Suppression{}
	for i := range causes {
		c := &causes[i]
		k := reasonOf{c.Recipient, c.Reason}
		if old := first[k]; old == nil || earlierCause(c.Cause, old.Cause) {
			first[k] = c
		}
	}
	if len(first) == 0 {
		return nil
	}
	var ordinals []int64
	var reasons, sources []int16
	var events []uuid.UUID
	var occurred, updated []int64
	for _, k := range sortedReasons(first) {
		c := first[k]
		ordinals, reasons, sources, events = append(ordinals, int64(c.Recipient)), append(reasons, int16(c.Reason)), append(sources, int16(c.Source)), append(events, c.ID)
		occurred, updated = append(occurred, micros(c.OccurredAt)), append(updated, micros(c.UpdatedAt))
	}
	_, err := w.exec(ctx, `INSERT INTO suppressions AS s (workspace_id, ordinal, reason, event, occurred_at, source, updated_at)
		SELECT $1, c.ordinal, c.reason, c.event, c.occurred_at, c.source, c.updated_at
		FROM unnest($2::integer[], $3::smallint[], $4::uuid[], $5::bigint[], $6::smallint[], $7::bigint[])
		AS c (ordinal, reason, event, occurred_at, source, updated_at)
		ON CONFLICT (workspace_id, ordinal, reason) DO UPDATE SET event = excluded.event, occurred_at = excluded.occurred_at, source = excluded.source,
		updated_at = excluded.updated_at WHERE (excluded.occurred_at, excluded.event) < (s.occurred_at, s.event)`,
		w.ws, ordinals, reasons, events, occurred, sources, updated)
	return err
}

func sortedReasons[V any](of map[reasonOf]V) []reasonOf {
	return slices.SortedFunc(maps.Keys(of), func(a, b reasonOf) int {
		return cmp.Or(cmp.Compare(a.recipient, b.recipient), cmp.Compare(a.reason, b.reason))
	})
}

// Unsuppress implements ingest.WorkspaceTx. It looks through the recipients' events and the provider's history, each once for
// all of them. A cause that is another than before is stamped anew.
func (w *workspaceTx) Unsuppress(ctx context.Context, recipients []recipient.Ordinal) error {
	if len(recipients) == 0 {
		return nil
	}
	ordinals := make([]int64, len(recipients))
	for i, o := range recipients {
		ordinals[i] = int64(o)
	}
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
	if _, err := w.exec(ctx, "DELETE FROM suppressions WHERE workspace_id = $1 AND ordinal = ANY ($2)", w.ws, ordinals); err != nil {
		return err
	}
	var causes []ingest.Suppression
	for _, k := range sortedReasons(after) {
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
func (w *workspaceTx) suppressed(ctx context.Context, ordinals []int64) (map[reasonOf]ingest.Suppression, error) {
	out := map[reasonOf]ingest.Suppression{}
	return out, w.each(ctx, func(r row) error {
		var ordinal, reason, occurred, source, updated int64
		var s ingest.Suppression
		err := r.Scan(&ordinal, &reason, &occurred, &source, &s.ID, &updated)
		s.Recipient, s.Reason, s.Source = recipient.Ordinal(ordinal), suppression.Reason(reason), suppression.Source(source)
		s.OccurredAt, s.UpdatedAt = fromMicros(occurred), fromMicros(updated)
		out[reasonOf{s.Recipient, s.Reason}] = s
		return err
	}, "SELECT ordinal, reason, occurred_at, source, event, updated_at FROM suppressions WHERE workspace_id = $1 AND ordinal = ANY ($2)", w.ws, ordinals)
}

// eventCauses calls f for the events of recipients; those without a reason have the Reason 0.
func (w *workspaceTx) eventCauses(ctx context.Context, ordinals []int64, f func(recipient.Ordinal, suppression.Cause)) error {
	return w.each(ctx, func(r row) error {
		var id event.ID
		var ordinal, kind, class, source int64
		if err := r.Scan(&ordinal, &id, &kind, &class, &source); err != nil {
			return err
		}
		f(recipient.Ordinal(ordinal), suppression.Cause{Reason: suppression.ReasonOf(event.Type(kind), bounce.Class(class)),
			OccurredAt: id.Time(), Source: suppression.Source(source), ID: id.UUID})
		return nil
	}, "SELECT ordinal, id, type, class, source FROM events WHERE workspace_id = $1 AND ordinal = ANY ($2)", w.ws, ordinals)
}

// historicalCauses calls f for the hard bounces of recipients in the provider's history.
func (w *workspaceTx) historicalCauses(ctx context.Context, ordinals []int64, f func(recipient.Ordinal, suppression.Cause)) error {
	return w.each(ctx, func(r row) error {
		var ordinal, occurred int64
		var id bounce.ID
		if err := r.Scan(&ordinal, &occurred, &id); err != nil {
			return err
		}
		f(recipient.Ordinal(ordinal), causeOfBounce(id, fromMicros(occurred)))
		return nil
	}, "SELECT ordinal, occurred_at, id FROM historical_bounces WHERE workspace_id = $1 AND ordinal = ANY ($2) AND class = $3",
		w.ws, ordinals, int64(bounce.Hard))
}
