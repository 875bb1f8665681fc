package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/delivery"
	"monterey/internal/fault"
)

// Archive implements ingest.WorkspaceTx.
func (w *workspaceTx) Archive(raw [][]byte) func(context.Context, []delivery.Delivery) error {
	archives := w.t.s.packer.PackAll(raw)
	return func(ctx context.Context, ds []delivery.Delivery) error {
		b, rest := &pgx.Batch{}, ds
		for _, a := range archives() {
			n := len(a.Starts)
			if err := w.saveArchive(ctx, b, rest[:n], a); err != nil {
				return err
			}
			rest = rest[n:]
		}
		w.addIntake(b, ds, 1)
		return w.tx.SendBatch(ctx, b).Close()
	}
}

// saveArchive queues what stores deliveries whose bodies go into one archive.
func (w *workspaceTx) saveArchive(ctx context.Context, b *pgx.Batch, ds []delivery.Delivery, a delivery.Archive) error {
	n := len(ds)
	nums, conns, received, states, objects, bytes, starts := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n),
		make([]int64, n), make([]int64, n)
	inserted, duplicate, ignored, held, results := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n), make([][]byte, n)
	for i := range ds {
		d := &ds[i]
		var err error
		if nums[i], err = w.deliveryNum(ctx, d.ID); err != nil {
			return err
		}
		if conns[i], err = w.t.s.connectionNumIn(ctx, w.tx, d.Connection); err != nil {
			return err
		}
		received[i], states[i], objects[i], bytes[i], starts[i] = micros(d.ReceivedAt), int64(d.State), int64(d.Objects), int64(d.Bytes), int64(a.Starts[i])
		inserted[i], duplicate[i], ignored[i], held[i] = int64(d.Counts.Inserted), int64(d.Counts.Duplicate), int64(d.Counts.Ignored), int64(d.Counts.Quarantined)
		results[i] = delivery.EncodeResults(d.Results)
	}
	b.Queue("INSERT INTO archives (workspace_id, num, last, created_at, bodies) VALUES ($1, $2, $3, $4, $5)", w.ws, nums[0], nums[n-1], received[0], a.Packed)
	b.Queue(`INSERT INTO deliveries (workspace_id, archive, num, connection, received_at, state, objects, bytes, inserted, duplicate, ignored, quarantined, results, start)
		SELECT $1, $2, d.num, d.connection, d.received_at, d.state, d.objects, d.bytes, d.inserted, d.duplicate, d.ignored, d.quarantined, d.results, d.start
		FROM (SELECT unnest($3::bigint[]) AS num, unnest($4::integer[]) AS connection, unnest($5::bigint[]) AS received_at, unnest($6::smallint[]) AS state, unnest($7::integer[]) AS objects,
		unnest($8::integer[]) AS bytes, unnest($9::integer[]) AS inserted, unnest($10::integer[]) AS duplicate, unnest($11::integer[]) AS ignored, unnest($12::integer[]) AS quarantined,
		unnest($13::bytea[]) AS results, unnest($14::integer[]) AS start) AS d`,
		w.ws, nums[0], nums, conns, received, states, objects, bytes, inserted, duplicate, ignored, held, results, starts)
	return nil
}

// addIntake queues adding deliveries to the workspace's sums (sign 1), or taking them off (sign -1).
func (w *workspaceTx) addIntake(b *pgx.Batch, ds []delivery.Delivery, sign int) {
	var states [4]int
	var c delivery.Counts
	for i := range ds {
		states[ds[i].State] += sign
		c.Inserted += sign * ds[i].Counts.Inserted
		c.Duplicate += sign * ds[i].Counts.Duplicate
		c.Ignored += sign * ds[i].Counts.Ignored
		c.Quarantined += sign * ds[i].Counts.Quarantined
	}
	b.Queue(`UPDATE counters SET done = done + $2, partial = partial + $3, held = held + $4, inserted = inserted + $5, duplicate = duplicate + $6,
		ignored = ignored + $7, quarantined = quarantined + $8 WHERE workspace_id = $1`, w.ws, states[delivery.Done], states[delivery.Partial],
		states[delivery.Quarantined], c.Inserted, c.Duplicate, c.Ignored, c.Quarantined)
}

// UpdateDelivery implements ingest.WorkspaceTx.
func (w *workspaceTx) UpdateDelivery(ctx context.Context, d delivery.Delivery) error {
	old, _, err := w.Delivery(ctx, d.ID)
	if err != nil {
		return err
	}
	num, err := w.deliveryNum(ctx, d.ID)
	if err != nil {
		return err
	}
	b := &pgx.Batch{}
	w.addIntake(b, []delivery.Delivery{old}, -1)
	b.Queue(`UPDATE deliveries SET state = $3, objects = $4, inserted = $5, duplicate = $6, ignored = $7, quarantined = $8, results = $9
		WHERE workspace_id = $1 AND num = $2`, w.ws, num, int64(d.State), d.Objects, d.Counts.Inserted, d.Counts.Duplicate, d.Counts.Ignored,
		d.Counts.Quarantined, delivery.EncodeResults(d.Results))
	w.addIntake(b, []delivery.Delivery{d}, 1)
	return w.tx.SendBatch(ctx, b).Close()
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
	err = w.tx.QueryRow(ctx, `SELECT s.id, n.id, n.provider, d.received_at, d.state, d.objects, d.bytes, d.inserted, d.duplicate, d.ignored,
		d.quarantined, d.results, d.start, a.bodies FROM deliveries d JOIN workspaces s ON s.num = d.workspace_id JOIN connections n ON n.num = d.connection
		LEFT JOIN archives a ON a.workspace_id = d.workspace_id AND a.num = d.archive WHERE d.workspace_id = $1 AND d.num = $2`, w.ws, num).
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

// pruneAtOnce is how many archives one transaction forgets.
const pruneAtOnce = 16

// archivesOf chooses the archives of a workspace from before $1. One that holds something quarantined stays whole: rewriting it
// would spare little.
func archivesOf(ws string) string {
	return "FROM archives a WHERE a.workspace_id = " + ws + ` AND a.created_at < $1 AND NOT EXISTS (SELECT 1 FROM deliveries d
		WHERE d.workspace_id = a.workspace_id AND d.state <> 1 AND d.state IN (2, 3) AND d.num BETWEEN a.num AND a.last)`
}

// PruneArchives implements ingest.Store, some archives of one workspace a call.
func (s *Store) PruneArchives(ctx context.Context, before time.Time) (more bool, err error) {
	var ws []int64
	err = s.read(ctx, "old archives", func(tx pgx.Tx) error {
		ws, err = query(ctx, tx, scanNum, "SELECT w.num FROM workspaces w WHERE EXISTS (SELECT 1 "+archivesOf("w.num")+") ORDER BY w.num LIMIT 1", micros(before))
		return err
	})
	if err != nil || len(ws) == 0 {
		return false, err
	}
	return true, s.write(ctx, "prune archives", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM archives WHERE workspace_id = $2 AND num = ANY (ARRAY (SELECT a.num "+archivesOf("$2")+" ORDER BY a.created_at LIMIT $3))",
			micros(before), ws[0], pruneAtOnce)
		return err
	})
}
