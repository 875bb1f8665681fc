package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"

	"monterey/internal/delivery"
)

// waitingDeliveries is a snapshot of the inbox.
type waitingDeliveries struct {
	tx   *sql.Tx
	from int64 // up to this seq everything was counted before the snapshot
	// done is JSON: how far epochs are counted in the main file's snapshot, where that is beyond from.
	done string
}

// readInbox runs f on a snapshot of the inbox; nil where no inbox is open. The main file must be read after it: so a
// delivery that is being counted is in one of the two snapshots at least, and the marks tell when it is in both.
func (s *Store) readInbox(ctx context.Context, f func(*waitingDeliveries) error) error {
	in := s.inbox
	if in == nil {
		return f(nil)
	}
	in.mu.Lock()
	w := waitingDeliveries{from: in.counted, done: "[]"}
	in.mu.Unlock()
	return inTx(ctx, in.readers, "read inbox", &sql.TxOptions{ReadOnly: true}, func(tx *sql.Tx) error {
		var n int // the first read takes the snapshot
		if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 FROM inbox LIMIT 1)").Scan(&n); err != nil {
			return err
		}
		w.tx = tx
		return f(&w)
	})
}

const (
	waitingSQL  = "SELECT epoch, seq, connection, received_at, objects, bytes FROM inbox WHERE "
	waitingCond = `seq > ? AND workspace = ? AND NOT EXISTS
		(SELECT 1 FROM json_each(?) d WHERE epoch = d.value ->> 0 AND seq <= d.value ->> 1)`
)

// count is how many deliveries of the workspace are not counted in the main file's snapshot.
func (w *waitingDeliveries) count(ctx context.Context, l deliveryList) (n int64, err error) {
	marks, err := query(ctx, l.main, func(r row) (m [2]int64, err error) { return m, r.Scan(&m[0], &m[1]) },
		"SELECT epoch, seq FROM marks WHERE seq > ?", w.from)
	if err != nil {
		return 0, err
	}
	if len(marks) > 0 {
		text, _ := json.Marshal(marks) // cannot fail for numbers
		w.done = string(text)
	}
	err = w.tx.QueryRowContext(ctx, "SELECT count(*) FROM inbox WHERE "+waitingCond, w.from, l.ws, w.done).Scan(&n)
	return n, err
}

// list is part of what count counted.
func (w *waitingDeliveries) list(ctx context.Context, l deliveryList, limit, offset int64) ([]delivery.Delivery, error) {
	order := " ORDER BY seq DESC"
	if l.oldestFirst {
		order = " ORDER BY seq"
	}
	return w.read(ctx, l, waitingCond+order+" LIMIT ? OFFSET ?", w.from, l.ws, w.done, limit, offset)
}

// get is the delivery at a place, none or one.
func (w *waitingDeliveries) get(ctx context.Context, l deliveryList, epoch uint64, seq int64) ([]delivery.Delivery, error) {
	return w.read(ctx, l, "seq = ? AND epoch = ? AND workspace = ?", seq, int64(epoch), l.ws)
}

func (w *waitingDeliveries) read(ctx context.Context, l deliveryList, cond string, args ...any) ([]delivery.Delivery, error) {
	conns := map[int64]*delivery.Delivery{} // what deliveries share, by the connection's number
	return query(ctx, w.tx, func(r row) (d delivery.Delivery, err error) {
		var epoch, seq, conn, received int64
		if err := r.Scan(&epoch, &seq, &conn, &received, &d.Objects, &d.Bytes); err != nil {
			return d, err
		}
		c := conns[conn]
		if c == nil {
			c = &delivery.Delivery{}
			err = l.main.QueryRowContext(ctx, "SELECT id, provider FROM connections WHERE num = ?", conn).Scan(&c.Connection, &c.Provider)
			conns[conn] = c
		}
		d.ID, d.Workspace, d.ReceivedAt, d.RawKept = delivery.IDOf(uint64(epoch), seq), l.of, fromMicros(received), true
		d.Connection, d.Provider = c.Connection, c.Provider
		return d, err
	}, waitingSQL+cond, args...)
}
