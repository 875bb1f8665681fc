package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"monterey/internal/page"
	"monterey/internal/recipient"
	"monterey/internal/store/eventlist"
	"monterey/internal/suppression"
	"monterey/internal/workspace"
)

// suppressedSQL is the suppressed addresses, each with its reasons as bits. Erased addresses are not listed: there is
// nothing that could be left off a mailing.
const suppressedSQL = `(SELECT s.ordinal, a.address AS email, min(s.occurred_at) AS since, max(s.updated_at) AS updated_at, sum(1 << s.reason) AS reasons
	FROM suppressions s CROSS JOIN addresses a ON a.workspace = s.workspace AND a.ordinal = s.ordinal
	WHERE s.workspace = ? AND a.address <> '' GROUP BY s.ordinal)`

// ListSuppressions implements suppression.Store.
func (s *Store) ListSuppressions(ctx context.Context, c workspace.Caller, p suppression.ListParams) (out page.Of[suppression.Entry], err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return out, err
	}
	err = s.read(ctx, "list suppressions", func(tx *sql.Tx) error {
		w, err := suppressedWhere(ctx, tx, ws, p.Filter)
		if err != nil {
			return err
		}
		var ordinals []int64
		out, err = list[suppression.Entry]{
			columns: "ordinal, email, since, updated_at", from: suppressedSQL, where: w, id: "ordinal", sort: "-since",
			sorts: map[string]string{"since": "since", "updated_at": "updated_at", "email": "email"},
			scan: func(r row) (e suppression.Entry, err error) {
				var ordinal, since, updated int64
				err = r.Scan(&ordinal, &e.Address, &since, &updated)
				e.Since, e.UpdatedAt = fromMicros(since), fromMicros(updated)
				ordinals = append(ordinals, ordinal)
				return e, err
			},
		}.page(ctx, tx, p.Params)
		if err != nil || len(ordinals) == 0 {
			return err
		}
		causes, err := s.newView(tx, ws.num, time.Time{}).causesOf(ctx, ordinals)
		for i := range out.Items {
			out.Items[i].Causes = causes[i]
		}
		return err
	})
	return out, err
}

// suppressedWhere is the filter as a condition on suppressedSQL; its first argument is that of suppressedSQL itself.
func suppressedWhere(ctx context.Context, tx *sql.Tx, ws workspaceRow, f suppression.Filter) (w where, err error) {
	w.add("true", ws.num)
	if len(f.Reasons) > 0 {
		bits := 0
		for _, r := range f.Reasons {
			bits |= 1 << r
		}
		w.add("reasons & ? <> 0", bits)
	}
	if !f.UpdatedFrom.IsZero() {
		w.add("updated_at >= ?", eventlist.CeilMicros(f.UpdatedFrom))
	}
	if len(f.Address) == 0 {
		return w, nil
	}
	ordinals := []int64{}
	for _, address := range f.Address {
		var ordinal int64
		hash := recipient.HashOf(ws.key, address)
		err := tx.QueryRowContext(ctx, "SELECT ordinal FROM recipients WHERE workspace = ? AND hash = ?", ws.num, hash[:]).Scan(&ordinal)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return w, err
		}
		ordinals = append(ordinals, ordinal)
	}
	w.add("ordinal IN (SELECT value FROM json_each(?))", listJSON(ordinals))
	return w, nil
}

const causesSQL = `SELECT j.key, s.reason | (s.source << 8), s.occurred_at, s.event
	FROM json_each(?) j CROSS JOIN suppressions s ON s.workspace = ? AND s.ordinal = j.value`

// causesOf are the causes of each recipient, by reason.
func (v *view) causesOf(ctx context.Context, ordinals []int64) ([][]suppression.Cause, error) {
	out := make([][]suppression.Cause, len(ordinals))
	return out, v.causesAt(ctx, ordinals, inOrder(ordinals), out)
}

// inOrder is where the recipients that are known stand, in the order of the table: of many, which read each of its pages once.
func inOrder(ordinals []int64) (places []int) {
	places = make([]int, 0, len(ordinals))
	for i, o := range ordinals {
		if o != 0 {
			places = append(places, i)
		}
	}
	slices.SortFunc(places, func(a, b int) int { return cmp.Compare(ordinals[a], ordinals[b]) })
	return places
}

// causesAt fills in the causes of the recipients that stand at these places.
func (v *view) causesAt(ctx context.Context, ordinals []int64, places []int, out [][]suppression.Cause) error {
	sorted := make([]int64, len(places))
	for i, p := range places {
		sorted[i] = ordinals[p]
	}
	all := make([]suppression.Cause, 0, len(places)) // most have one: room for all is one allocation
	var n, small, occurred int64
	var id sql.RawBytes
	dest := []any{&n, &small, &occurred, &id}
	err := v.each(ctx, func(r row) error {
		if err := r.Scan(dest...); err != nil {
			return err
		}
		c := suppression.Cause{Reason: suppression.Reason(small), OccurredAt: fromMicros(occurred), Source: suppression.Source(small >> 8)}
		copy(c.ID[:], id)
		i := places[n]
		if len(out[i]) > 0 {
			out[i] = append(out[i], c)
			return nil
		}
		all = append(all, c)
		out[i] = all[len(all)-1 : len(all) : len(all)]
		return nil
	}, causesSQL, listJSON(sorted), v.ws)
	for _, i := range places {
		slices.SortFunc(out[i], func(a, b suppression.Cause) int { return cmp.Compare(a.Reason, b.Reason) })
	}
	return err
}

// CheckSuppressions implements suppression.Store. An erased address is found too. What an address has is of one snapshot, which
// may be older for one of many addresses than for another; who it is was seen before, and never changes.
func (s *Store) CheckSuppressions(ctx context.Context, c workspace.Caller, addresses []string) ([][]suppression.Cause, error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return nil, err
	}
	ordinals, causes := make([]int64, len(addresses)), make([][]suppression.Cause, len(addresses))
	if len(addresses) < manyAddresses {
		err := s.read(ctx, "check suppressions", func(tx *sql.Tx) (err error) {
			v := s.newView(tx, ws.num, time.Time{})
			if ordinals, err = v.ordinalsOf(ctx, ws.key, addresses); err == nil {
				causes, err = v.causesOf(ctx, ordinals)
			}
			return err
		})
		return causes, err
	}
	err = s.inHalves(ctx, ws.num, len(addresses), func(v *view, from, to int) error {
		found, err := v.ordinalsOf(ctx, ws.key, addresses[from:to])
		copy(ordinals[from:to], found)
		return err
	})
	if err != nil {
		return nil, err
	}
	places := inOrder(ordinals)
	return causes, s.inHalves(ctx, ws.num, len(places), func(v *view, from, to int) error {
		return v.causesAt(ctx, ordinals, places[from:to], causes)
	})
}

// manyAddresses are looked for by two readers.
const manyAddresses = 1000

// inHalves runs f on each half of n things beside the other, in a snapshot of its own.
func (s *Store) inHalves(ctx context.Context, ws int64, n int, f func(v *view, from, to int) error) error {
	var g errgroup.Group
	for _, half := range [][2]int{{0, n / 2}, {n / 2, n}} {
		s.readBeside(ctx, &g, "check suppressions", func(tx *sql.Tx) error {
			return f(s.newView(tx, ws, time.Time{}), half[0], half[1])
		})
	}
	return g.Wait()
}
