package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

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
	l := deliveryList{ws: ws.num, of: c.Workspace(), states: states, oldestFirst: p.Sort != "" && !p.Desc}
	err = s.readInbox(ctx, func(waiting *waitingDeliveries) error {
		return s.read(ctx, "list deliveries", func(tx *sql.Tx) error {
			l.main = tx
			out, err = l.page(ctx, waiting, p)
			return err
		})
	})
	return out, err
}

type deliveryList struct {
	main        *sql.Tx
	ws          int64
	of          workspace.ID
	states      []delivery.State
	oldestFirst bool
}

// page joins the two files' lists, one after the other.
func (l deliveryList) page(ctx context.Context, w *waitingDeliveries, p page.Params) (out page.Of[delivery.Delivery], err error) {
	out.Items = []delivery.Delivery{}
	var total [2]int64 // of the inbox and of the main file
	if slices.Contains(l.states, delivery.Pending) && w != nil {
		if total[0], err = w.count(ctx, l); err != nil {
			return out, err
		}
	}
	if total[1], err = l.countMain(ctx); err != nil {
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
		read := readCounted
		if part == 0 {
			read = w.list
		}
		items, err := read(ctx, l, n, max(skip, 0))
		if err != nil {
			return out, err
		}
		out.Items = append(out.Items, items...)
		skip = 0
	}
	return out, nil
}

// countMain takes the number from the intake's sums.
func (l deliveryList) countMain(ctx context.Context) (total int64, err error) {
	var n [4]int64
	err = l.main.QueryRowContext(ctx, "SELECT done, partial, held FROM counters WHERE workspace = ?", l.ws).
		Scan(&n[delivery.Done], &n[delivery.Partial], &n[delivery.Quarantined])
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	for st, count := range n {
		if slices.Contains(l.states, delivery.State(st)) {
			total += count
		}
	}
	return total, err
}

const deliverySQL = `SELECT m.epoch, d.num, n.id, n.provider, d.received_at, d.state, d.objects, d.bytes, d.inserted, d.duplicate, d.ignored, d.quarantined,
	EXISTS (SELECT 1 FROM archives a WHERE a.workspace = d.workspace AND a.num = d.archive), %s
	FROM deliveries d %s CROSS JOIN marks m ON m.number = d.num >> 40 CROSS JOIN connections n ON n.num = d.connection WHERE d.workspace = ? AND `

// readCounted reads in the order of arrival what is in the main file.
func readCounted(ctx context.Context, l deliveryList, limit, offset int64) ([]delivery.Delivery, error) {
	return query(ctx, l.main, func(r row) (delivery.Delivery, error) { return scanDelivery(r, l.of) }, l.countedSQL(), l.ws, limit, offset)
}

// countedSQL reads the unfinished, where they alone are asked for, from their own index, which is small.
func (l deliveryList) countedSQL() string {
	index, cond := "", "true"
	var names []string
	for _, st := range l.states {
		names = append(names, fmt.Sprint(int(st)))
	}
	in := "IN (" + strings.Join(names, ", ") + ")"
	switch {
	case !slices.Contains(l.states, delivery.Done):
		index, cond = "INDEXED BY deliveries_unfinished", "d.state <> 1 AND d.state "+in
	case !slices.Contains(l.states, delivery.Partial) || !slices.Contains(l.states, delivery.Quarantined):
		cond = "+d.state " + in
	}
	order := " ORDER BY d.num DESC"
	if l.oldestFirst {
		order = " ORDER BY d.num"
	}
	return fmt.Sprintf(deliverySQL, "x''", index) + cond + order + " LIMIT ? OFFSET ?"
}

func scanDelivery(r row, of workspace.ID) (d delivery.Delivery, err error) {
	var epoch, num, received, state int64
	var results sql.RawBytes
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

// GetDelivery implements delivery.Store. The inbox is looked at first: what is counted meanwhile is in the main file then.
func (s *Store) GetDelivery(ctx context.Context, c workspace.Caller, id delivery.ID) (d delivery.Delivery, err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return d, err
	}
	epoch, seq := id.Place()
	err = s.readInbox(ctx, func(waiting *waitingDeliveries) error {
		return s.read(ctx, "get delivery", func(tx *sql.Tx) error {
			counted, err := query(ctx, tx, func(r row) (delivery.Delivery, error) { return scanDelivery(r, c.Workspace()) },
				fmt.Sprintf(deliverySQL, "d.results", "")+"d.num = (SELECT number << 40 | ? FROM marks WHERE epoch = ?)", ws.num, seq, int64(epoch))
			if err != nil {
				return err
			}
			if len(counted) == 0 && waiting != nil {
				counted, err = waiting.get(ctx, deliveryList{main: tx, ws: ws.num, of: c.Workspace()}, epoch, seq)
			}
			if err == nil && len(counted) == 0 {
				err = noSuch("delivery")
			}
			if err == nil {
				d = counted[0]
			}
			return err
		})
	})
	return d, err
}
