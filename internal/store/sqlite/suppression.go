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

// causesOf are the causes of each recipient, by reason. They are looked for in the order of the table, of which many read each
// page once.
func (v *view) causesOf(ctx context.Context, ordinals []int64) ([][]suppression.Cause, error) {
	out := make([][]suppression.Cause, len(ordinals))
	places := make([]int, len(ordinals)) // of the sorted ordinals
	for i := range places {
		places[i] = i
	}
	slices.SortFunc(places, func(a, b int) int { return cmp.Compare(ordinals[a], ordinals[b]) })
	sorted := make([]int64, len(ordinals))
	for i, p := range places {
		sorted[i] = ordinals[p]
	}
	all := make([]suppression.Cause, 0, len(ordinals)) // most have one: room for all is one allocation
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
	for _, of := range out {
		slices.SortFunc(of, func(a, b suppression.Cause) int { return cmp.Compare(a.Reason, b.Reason) })
	}
	return out, err
}

// checkTogether addresses, at least, are looked for by two readers.
const checkTogether = 1000

// CheckSuppressions implements suppression.Store. An erased address is found too. Half of many addresses are looked for beside
// the others, in a snapshot of its own: what an address has is of one.
func (s *Store) CheckSuppressions(ctx context.Context, c workspace.Caller, addresses []string) ([][]suppression.Cause, error) {
	ws, err := s.workspace(ctx, c)
	if err != nil || len(addresses) == 0 {
		return nil, err
	}
	size := len(addresses)
	if size >= checkTogether {
		size = (size + 1) / 2
	}
	parts := slices.Collect(slices.Chunk(addresses, size))
	causes := make([][][]suppression.Cause, len(parts))
	var g errgroup.Group
	for i, part := range parts {
		s.readBeside(ctx, &g, "check suppressions", func(tx *sql.Tx) error {
			v := s.newView(tx, ws.num, time.Time{})
			ordinals, err := v.ordinalsOf(ctx, ws.key, part)
			if err == nil {
				causes[i], err = v.causesOf(ctx, ordinals)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(causes...), nil
}
