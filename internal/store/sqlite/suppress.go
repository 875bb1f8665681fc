package sqlite

import (
	"context"

	"monterey/internal/bounce"
	"monterey/internal/event"
	"monterey/internal/ingest"
	"monterey/internal/recipient"
	"monterey/internal/suppression"
)

// Suppress implements ingest.WorkspaceTx.
func (w *workspaceTx) Suppress(ctx context.Context, causes []ingest.Suppression) error {
	for _, c := range causes {
		if _, err := w.exec(ctx, `INSERT INTO suppressions (workspace, ordinal, reason, event, occurred_at, source, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (workspace, ordinal, reason) DO UPDATE SET event = excluded.event, occurred_at = excluded.occurred_at, source = excluded.source,
			updated_at = excluded.updated_at WHERE excluded.event < event`,
			w.ws, int64(c.Recipient), int64(c.Reason), c.Event.UUID[:], micros(c.OccurredAt), int64(c.Source), micros(c.UpdatedAt)); err != nil {
			return err
		}
	}
	return nil
}

// Unsuppress implements ingest.WorkspaceTx. It looks through the recipient's history and the events that are not in it yet.
func (w *workspaceTx) Unsuppress(ctx context.Context, recipients []recipient.Ordinal) error {
	for _, o := range recipients {
		if _, err := w.exec(ctx, "DELETE FROM suppressions WHERE workspace = ? AND ordinal = ?", w.ws, int64(o)); err != nil {
			return err
		}
		var causes []ingest.Suppression
		err := w.each(ctx, func(r row) error {
			var id event.ID
			var kind, class, source, updated int64
			if err := r.Scan(&id, &kind, &class, &source, &updated); err != nil {
				return err
			}
			if reason := suppression.ReasonOf(event.Type(kind), bounce.Class(class)); reason != 0 {
				causes = append(causes, ingest.Suppression{Recipient: o, UpdatedAt: fromMicros(updated),
					Cause: suppression.Cause{Reason: reason, OccurredAt: id.Time(), Source: event.Source(source), Event: id}})
			}
			return nil
		}, `SELECT e.id, e.type, e.class, e.source, e.updated_at FROM history h JOIN events e ON e.workspace = h.workspace AND e.id = h.id
			WHERE h.workspace = ? AND h.ordinal = ?
			UNION SELECT id, type, class, source, updated_at FROM events INDEXED BY events_by_update
			WHERE workspace = ? AND updated_at > (SELECT history FROM counters WHERE workspace = ?) AND ordinal = ?`, w.ws, int64(o), w.ws, w.ws, int64(o))
		if err != nil {
			return err
		}
		if err := w.Suppress(ctx, causes); err != nil {
			return err
		}
	}
	return nil
}
