package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"slices"

	"monterey/internal/workspace"
)

// historySlice is how many rows one transaction adds, so that the writer is free again soon.
const historySlice = 20_000

// historyEntry is a row of history.
type historyEntry struct {
	ordinal int64
	id      [16]byte
}

// FillHistory implements ingest.Store. Many events are read on a snapshot and go in sorted by recipient, a slice of
// neighbours a transaction: a random insert for each event would cost as much as storing the event. The mark moves at the
// end; a part that is done twice changes nothing.
func (s *Store) FillHistory(ctx context.Context, c workspace.Caller, least, most int) (more bool, err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return false, err
	}
	var entries []historyEntry
	var from, upTo int64
	err = s.read(ctx, "read events for history", func(tx *sql.Tx) error {
		v := s.newView(tx, ws.num, s.now())
		if err := tx.QueryRowContext(ctx, "SELECT history FROM counters WHERE workspace = ?", ws.num).Scan(&from); err != nil {
			return err
		}
		var waiting int
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM (SELECT 1 FROM events INDEXED BY events_by_update
			WHERE workspace = ? AND updated_at > ? LIMIT ?)`, ws.num, from, least).Scan(&waiting)
		if err != nil || waiting < least {
			return err
		}
		var id sql.RawBytes
		return v.each(ctx, func(r row) error {
			var e historyEntry
			err := r.Scan(&e.ordinal, &id, &upTo)
			copy(e.id[:], id)
			entries = append(entries, e)
			return err
		}, `SELECT ordinal, id, updated_at FROM events INDEXED BY events_by_update
			WHERE workspace = ? AND updated_at > ? ORDER BY updated_at LIMIT ?`, ws.num, from, most)
	})
	if err != nil || len(entries) == 0 {
		return false, err
	}
	slices.SortFunc(entries, func(a, b historyEntry) int {
		return cmp.Or(cmp.Compare(a.ordinal, b.ordinal), bytes.Compare(a.id[:], b.id[:]))
	})
	for slice := range slices.Chunk(entries, historySlice) {
		if err := s.addHistory(ctx, ws.num, slice); err != nil {
			return false, err
		}
	}
	return len(entries) == most, s.write(ctx, "end history", func(tx *sql.Tx) error {
		// What was taken back since it was read must not stay.
		_, err := tx.ExecContext(ctx, `DELETE FROM history WHERE workspace = ? AND (ordinal, id) IN (SELECT r.ordinal, r.id FROM removals r
			WHERE r.workspace = ? AND r.updated_at > ? AND NOT EXISTS (SELECT 1 FROM events e WHERE e.workspace = r.workspace AND e.id = r.id))`,
			ws.num, ws.num, from)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, "UPDATE counters SET history = ? WHERE workspace = ?", upTo, ws.num)
		return err
	})
}

func (s *Store) addHistory(ctx context.Context, ws int64, entries []historyEntry) error {
	return s.write(ctx, "fill history", func(tx *sql.Tx) error {
		w := &workspaceTx{view: s.newView(tx, ws, s.now())}
		args := make([]any, 0, 3*len(entries))
		for i := range entries {
			args = append(args, ws, entries[i].ordinal, entries[i].id[:])
		}
		return w.insertAll(ctx, "INSERT OR IGNORE INTO history (workspace, ordinal, id)", 3, args, "")
	})
}
