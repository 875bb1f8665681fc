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

// Unsuppress implements ingest.WorkspaceTx. It looks through the recipients' histories and, once for all of them, the events
// that are not in these yet. What it finds is updated now: it is another cause than was told before.
func (w *workspaceTx) Unsuppress(ctx context.Context, recipients []recipient.Ordinal) error {
	if len(recipients) == 0 {
		return nil
	}
	of := listJSON(int64s(recipients))
	if _, err := w.exec(ctx, "DELETE FROM suppressions WHERE workspace = ? AND ordinal IN (SELECT value FROM json_each(?))", w.ws, of); err != nil {
		return err
	}
	stamp, err := w.Stamps(ctx, 1)
	if err != nil {
		return err
	}
	var causes []ingest.Suppression
	err = w.each(ctx, func(r row) error {
		var id event.ID
		var ordinal, kind, class, source int64
		if err := r.Scan(&id, &ordinal, &kind, &class, &source); err != nil {
			return err
		}
		if reason := suppression.ReasonOf(event.Type(kind), bounce.Class(class)); reason != 0 {
			causes = append(causes, ingest.Suppression{Recipient: recipient.Ordinal(ordinal), UpdatedAt: stamp,
				Cause: suppression.Cause{Reason: reason, OccurredAt: id.Time(), Source: event.Source(source), Event: id}})
		}
		return nil
	}, `SELECT e.id, e.ordinal, e.type, e.class, e.source FROM history h CROSS JOIN events e ON e.workspace = h.workspace AND e.id = h.id
		WHERE h.workspace = ? AND h.ordinal IN (SELECT value FROM json_each(?))
		UNION SELECT id, ordinal, type, class, source FROM events INDEXED BY events_by_update
		WHERE workspace = ? AND updated_at > (SELECT history FROM counters WHERE workspace = ?) AND ordinal IN (SELECT value FROM json_each(?))`,
		w.ws, of, w.ws, w.ws, of)
	if err != nil {
		return err
	}
	return w.Suppress(ctx, causes)
}
