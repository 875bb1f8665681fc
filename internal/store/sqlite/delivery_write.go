package sqlite

import (
	"context"
	"database/sql"
	"time"

	"monterey/internal/delivery"
	"monterey/internal/fault"
)

// Archive implements ingest.WorkspaceTx.
func (w *workspaceTx) Archive(raw [][]byte) func(context.Context, []delivery.Delivery) error {
	archives := w.t.s.packer.PackAll(raw)
	return func(ctx context.Context, ds []delivery.Delivery) error {
		rest := ds
		for _, a := range archives() {
			n := len(a.Starts)
			if err := w.saveArchive(ctx, rest[:n], a); err != nil {
				return err
			}
			rest = rest[n:]
		}
		return w.addIntake(ctx, ds, 1)
	}
}

func (w *workspaceTx) saveArchive(ctx context.Context, ds []delivery.Delivery, a delivery.Archive) error {
	nums := make([]int64, len(ds))
	for i := range ds {
		var err error
		if nums[i], err = w.deliveryNum(ctx, ds[i].ID); err != nil {
			return err
		}
	}
	if _, err := w.exec(ctx, "INSERT INTO archives (workspace, num, last, created_at, bodies) VALUES (?, ?, ?, ?, ?)",
		w.ws, nums[0], nums[len(nums)-1], micros(ds[0].ReceivedAt), a.Packed); err != nil {
		return err
	}
	const columns = 14
	args := make([]any, 0, columns*len(ds))
	for i := range ds {
		d := &ds[i]
		conn, err := w.t.s.connectionNum(ctx, d.Connection)
		if err != nil {
			return err
		}
		args = append(args, w.ws, nums[i], conn, micros(d.ReceivedAt), int64(d.State), d.Objects, d.Bytes, d.Counts.Inserted, d.Counts.Duplicate,
			d.Counts.Ignored, d.Counts.Quarantined, delivery.EncodeResults(d.Results), nums[0], a.Starts[i])
	}
	return w.insertMany(ctx, `deliveries (workspace, num, connection, received_at, state, objects, bytes, inserted, duplicate, ignored, quarantined, results,
		archive, start)`, columns, args)
}

// addIntake adds deliveries to the workspace's sums (sign 1), or takes them off (sign -1).
func (w *workspaceTx) addIntake(ctx context.Context, ds []delivery.Delivery, sign int) error {
	var states [4]int
	var c delivery.Counts
	for i := range ds {
		states[ds[i].State] += sign
		c.Inserted += sign * ds[i].Counts.Inserted
		c.Duplicate += sign * ds[i].Counts.Duplicate
		c.Ignored += sign * ds[i].Counts.Ignored
		c.Quarantined += sign * ds[i].Counts.Quarantined
	}
	_, err := w.exec(ctx, `UPDATE counters SET done = done + ?, partial = partial + ?, held = held + ?, inserted = inserted + ?, duplicate = duplicate + ?,
		ignored = ignored + ?, quarantined = quarantined + ? WHERE workspace = ?`, states[delivery.Done], states[delivery.Partial],
		states[delivery.Quarantined], c.Inserted, c.Duplicate, c.Ignored, c.Quarantined, w.ws)
	return err
}

// UpdateDelivery implements ingest.WorkspaceTx.
func (w *workspaceTx) UpdateDelivery(ctx context.Context, d delivery.Delivery) error {
	old, _, err := w.Delivery(ctx, d.ID)
	if err != nil {
		return err
	}
	if err := w.addIntake(ctx, []delivery.Delivery{old}, -1); err != nil {
		return err
	}
	num, err := w.deliveryNum(ctx, d.ID)
	if err != nil {
		return err
	}
	if _, err := w.exec(ctx, `UPDATE deliveries SET state = ?, objects = ?, inserted = ?, duplicate = ?, ignored = ?, quarantined = ?, results = ?
		WHERE workspace = ? AND num = ?`, int64(d.State), d.Objects, d.Counts.Inserted, d.Counts.Duplicate, d.Counts.Ignored, d.Counts.Quarantined,
		delivery.EncodeResults(d.Results), w.ws, num); err != nil {
		return err
	}
	return w.addIntake(ctx, []delivery.Delivery{d}, 1)
}

// Delivery implements ingest.WorkspaceTx.
func (w *workspaceTx) Delivery(ctx context.Context, id delivery.ID) (d delivery.Delivery, raw []byte, err error) {
	num, err := w.deliveryNum(ctx, id)
	if err != nil {
		return d, nil, err
	}
	var packed, results []byte
	var received, state, start int64
	d = delivery.Delivery{ID: id}
	err = w.tx.QueryRowContext(ctx, `SELECT s.id, n.id, n.provider, d.received_at, d.state, d.objects, d.bytes, d.inserted, d.duplicate, d.ignored,
		d.quarantined, d.results, d.start, a.bodies FROM deliveries d JOIN workspaces s ON s.num = d.workspace JOIN connections n ON n.num = d.connection
		LEFT JOIN archives a ON a.workspace = d.workspace AND a.num = d.archive WHERE d.workspace = ? AND d.num = ?`, w.ws, num).
		Scan(&d.Workspace, &d.Connection, &d.Provider, &received, &state, &d.Objects, &d.Bytes, &d.Counts.Inserted, &d.Counts.Duplicate, &d.Counts.Ignored,
			&d.Counts.Quarantined, &results, &start, &packed)
	if err != nil {
		return d, nil, err
	}
	if packed == nil {
		return d, nil, fault.New(fault.Conflict, "the raw body of this delivery is gone; it cannot be read again")
	}
	d.ReceivedAt, d.State, d.RawKept = fromMicros(received), delivery.State(state), true
	if d.Results, err = delivery.DecodeResults(results); err != nil {
		return d, nil, err
	}
	bodies, err := w.t.s.packer.Unpack(packed)
	if err != nil || start+int64(d.Bytes) > int64(len(bodies)) {
		return d, nil, fault.Wrap(fault.Internal, err, "the archive of delivery %s is damaged", id)
	}
	return d, bodies[start : start+int64(d.Bytes)], nil
}

// PruneArchives implements ingest.Store, an archive a call.
func (s *Store) PruneArchives(ctx context.Context, before time.Time) (more bool, err error) {
	var ws, num, last int64
	// One that holds something quarantined stays whole: rewriting it would spare little.
	err = s.readers.QueryRowContext(ctx, `SELECT a.workspace, a.num, a.last FROM archives a INDEXED BY archives_by_age WHERE a.created_at < ? AND NOT EXISTS
		(SELECT 1 FROM deliveries d INDEXED BY deliveries_unfinished WHERE d.workspace = a.workspace AND d.state <> 1 AND d.state IN (2, 3) AND d.num BETWEEN a.num AND a.last)
		ORDER BY a.created_at LIMIT 1`, micros(before)).Scan(&ws, &num, &last)
	if err == sql.ErrNoRows {
		return false, nil
	}
	if err != nil {
		return false, translate("prune archives", err)
	}
	return true, s.write(ctx, "prune archives", func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "DELETE FROM archives WHERE workspace = ? AND num = ?", ws, num)
		return err
	})
}
