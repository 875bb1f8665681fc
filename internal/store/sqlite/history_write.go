package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"slices"

	"monterey/internal/workspace"
)

// FillHistory implements ingest.Store. The rows go in sorted by recipient: a random insert for each event would cost more
// than storing the event.
func (s *Store) FillHistory(ctx context.Context, c workspace.Caller, limit int) (more bool, err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return false, err
	}
	type entry struct {
		ordinal int64
		id      []byte
	}
	err = s.write(ctx, "fill history", func(tx *sql.Tx) error {
		w := newView(tx, ws.num, s.now())
		var entries []entry
		var upTo int64
		err := w.each(ctx, func(r row) error {
			var e entry
			err := r.Scan(&e.ordinal, &e.id, &upTo)
			entries = append(entries, e)
			return err
		}, `SELECT ordinal, id, updated_at FROM events INDEXED BY events_by_update
			WHERE workspace = ? AND updated_at > (SELECT history FROM counters WHERE workspace = ?) ORDER BY updated_at LIMIT ?`, ws.num, ws.num, limit)
		if err != nil || len(entries) == 0 {
			return err
		}
		more = len(entries) == limit
		slices.SortFunc(entries, func(a, b entry) int {
			if a.ordinal != b.ordinal {
				return int(a.ordinal - b.ordinal)
			}
			return bytes.Compare(a.id, b.id)
		})
		st, err := tx.PrepareContext(ctx, "INSERT INTO history (workspace, ordinal, id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
		if err != nil {
			return err
		}
		for _, e := range entries {
			if _, err := st.ExecContext(ctx, ws.num, e.ordinal, e.id); err != nil {
				return err
			}
		}
		_, err = tx.ExecContext(ctx, "UPDATE counters SET history = ? WHERE workspace = ?", upTo, ws.num)
		return err
	})
	return more, err
}
