package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"monterey/internal/delivery"
	"monterey/internal/page"
	"monterey/internal/workspace"
)

// seqBits is where in a delivery's number the sequence number ends and that of the epoch begins.
const seqBits = 40

// ListDeliveries implements delivery.Store. What is not counted yet is newer than all that is.
func (s *Store) ListDeliveries(ctx context.Context, c workspace.Caller, states []delivery.State, p page.Params) (out page.Of[delivery.Delivery], err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return out, err
	}
	if len(states) == 0 {
		states = delivery.States
	}
	l := deliveryList{s: s, ws: ws.num, of: c.Workspace(), states: states, oldestFirst: p.Sort != "" && !p.Desc}
	err = s.read(ctx, "list deliveries", func(tx pgx.Tx) error {
		l.tx = tx
		out, err = l.page(ctx, p)
		return err
	})
	return out, err
}

type deliveryList struct {
	s           *Store
	tx          pgx.Tx
	ws          int64
	of          workspace.ID
	states      []delivery.State
	oldestFirst bool
}

// page joins what waits and what is counted, one after the other.
func (l deliveryList) page(ctx context.Context, p page.Params) (out page.Of[delivery.Delivery], err error) {
	out.Items = []delivery.Delivery{}
	var total [2]int64 // of what waits and of what is counted
	if slices.Contains(l.states, delivery.Pending) {
		if err := l.tx.QueryRow(ctx, "SELECT count(*) FROM inbox WHERE workspace_id = $1", l.ws).Scan(&total[0]); err != nil {
			return out, err
		}
	}
	if total[1], err = l.count(ctx); err != nil {
		return out, err
	}
	out.Total = total[0] + total[1]
	parts := []int{0, 1}
	if l.oldestFirst {
		parts = []int{1, 0}
	}
	skip := int64(p.Offset())
	for _, part := range parts {
		n := min(int64(p.Size-len(out.Items)), total[part]-skip)
		if n <= 0 {
			skip -= total[part]
			continue
		}
		read := l.counted
		if part == 0 {
			read = l.waiting
		}
		items, err := read(ctx, n, max(skip, 0))
		if err != nil {
			return out, err
		}
		out.Items = append(out.Items, items...)
		skip = 0
	}
	return out, nil
}

// count takes the number from the intake's sums.
func (l deliveryList) count(ctx context.Context) (total int64, err error) {
	var n [4]int64
	err = l.tx.QueryRow(ctx, "SELECT done, partial, held FROM counters WHERE workspace_id = $1", l.ws).
		Scan(&n[delivery.Done], &n[delivery.Partial], &n[delivery.Quarantined])
	for st, count := range n {
		if slices.Contains(l.states, delivery.State(st)) {
			total += count
		}
	}
	return total, err
}

func (l deliveryList) direction() string {
	if l.oldestFirst {
		return ""
	}
	return " DESC"
}

const waitingSQL = `SELECT i.seq, n.id, n.provider, i.received_at, i.objects, i.bytes FROM (%s) i JOIN connections n ON n.num = i.connection`

// waiting reads in the order of arrival what is not counted.
func (l deliveryList) waiting(ctx context.Context, limit, offset int64) ([]delivery.Delivery, error) {
	order := fmt.Sprintf(" ORDER BY received_at%[1]s, seq%[1]s", l.direction())
	return l.readWaiting(ctx, fmt.Sprintf(waitingSQL, "SELECT * FROM inbox WHERE workspace_id = $1"+order+" LIMIT $2 OFFSET $3")+order, l.ws, limit, offset)
}

func (l deliveryList) readWaiting(ctx context.Context, text string, args ...any) ([]delivery.Delivery, error) {
	var seqs []int64
	out, err := query(ctx, l.tx, func(r row) (d delivery.Delivery, err error) {
		var seq, received int64
		err = r.Scan(&seq, &d.Connection, &d.Provider, &received, &d.Objects, &d.Bytes)
		d.Workspace, d.ReceivedAt, d.RawKept = l.of, fromMicros(received), true
		seqs = append(seqs, seq)
		return d, err
	}, text, args...)
	if err != nil {
		return nil, err
	}
	for i := range out {
		if out[i].ID, err = l.s.waitingID(ctx, l.tx, seqs[i]); err != nil {
			return nil, err
		}
	}
	return out, err
}

const deliverySQL = `SELECT m.epoch, d.num, n.id, n.provider, d.received_at, d.state, d.objects, d.bytes, d.inserted, d.duplicate, d.ignored, d.quarantined,
	EXISTS (SELECT 1 FROM archives a WHERE a.workspace_id = d.workspace_id AND a.num = d.archive), %s
	FROM (SELECT * FROM deliveries WHERE workspace_id = $1 AND %s) d JOIN marks m ON m.number = d.num >> 40 JOIN connections n ON n.num = d.connection`

// counted reads in the order of arrival what is counted. The unfinished, where they alone are asked for, are read from their
// own index, which is small.
func (l deliveryList) counted(ctx context.Context, limit, offset int64) ([]delivery.Delivery, error) {
	cond := "state = ANY ($2)"
	if !slices.Contains(l.states, delivery.Done) {
		cond += " AND state <> 1"
	}
	states := make([]int64, len(l.states))
	for i, st := range l.states {
		states[i] = int64(st)
	}
	order := " ORDER BY num" + l.direction()
	return query(ctx, l.tx, func(r row) (delivery.Delivery, error) { return scanDelivery(r, l.of) },
		fmt.Sprintf(deliverySQL, "''::bytea", cond+order+" LIMIT $3 OFFSET $4")+order, l.ws, states, limit, offset)
}

func scanDelivery(r row, of workspace.ID) (d delivery.Delivery, err error) {
	var epoch, num, received, state int64
	var results pgtype.DriverBytes
	d.Workspace = of
	if err := r.Scan(&epoch, &num, &d.Connection, &d.Provider, &received, &state, &d.Objects, &d.Bytes, &d.Counts.Inserted,
		&d.Counts.Duplicate, &d.Counts.Ignored, &d.Counts.Quarantined, &d.RawKept, &results); err != nil {
		return d, err
	}
	d.ID = delivery.IDOf(uint64(epoch), num&(1<<seqBits-1))
	d.ReceivedAt, d.State = fromMicros(received), delivery.State(state)
	if len(results) > 0 {
		d.Results, err = delivery.DecodeResults(results)
	}
	return d, err
}

// GetDelivery implements delivery.Store.
func (s *Store) GetDelivery(ctx context.Context, c workspace.Caller, id delivery.ID) (d delivery.Delivery, err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return d, err
	}
	epoch, seq := id.Place()
	err = s.read(ctx, "get delivery", func(tx pgx.Tx) error {
		found, err := query(ctx, tx, func(r row) (delivery.Delivery, error) { return scanDelivery(r, c.Workspace()) },
			fmt.Sprintf(deliverySQL, "d.results", "num = (SELECT number::bigint << 40 | $2 FROM marks WHERE epoch = $3)"), ws.num, seq, int64(epoch))
		if err != nil {
			return err
		}
		if len(found) == 0 {
			_, own, err := s.epoch(ctx, tx)
			if err != nil {
				return err
			}
			l := deliveryList{s: s, tx: tx, ws: ws.num, of: c.Workspace()}
			found, err = l.readWaiting(ctx, fmt.Sprintf(waitingSQL, `SELECT * FROM inbox WHERE workspace_id = $1
				AND seq = $2 + (SELECT (number::bigint - $4) << 40 FROM marks WHERE epoch = $3)`), ws.num, seq, int64(epoch), own)
			if err != nil {
				return err
			}
		}
		if len(found) == 0 {
			return noSuch("delivery")
		}
		d = found[0]
		return nil
	})
	return d, err
}
