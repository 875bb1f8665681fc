package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/page"
	"monterey/internal/store/eventlist"
	"monterey/internal/suppression"
	"monterey/internal/workspace"
)

// suppressedSQL is the suppressed addresses, each with its reasons as bits. Erased addresses are not listed: there is
// nothing that could be left off a mailing.
const suppressedSQL = `(SELECT s.ordinal, a.address AS email, min(s.occurred_at) AS since, max(s.updated_at) AS updated_at,
		bit_or(1 << s.reason) AS reasons
	FROM suppressions s JOIN addresses a ON a.workspace_id = s.workspace_id AND a.ordinal = s.ordinal
	WHERE s.workspace_id = $1 AND a.address <> '' GROUP BY s.ordinal, a.address) s`

// ListSuppressions implements suppression.Store.
func (s *Store) ListSuppressions(ctx context.Context, c workspace.Caller, p suppression.ListParams) (out page.Of[suppression.Entry], err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return out, err
	}
	err = s.read(ctx, "list suppressions", func(tx pgx.Tx) error {
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
		causes, err := causesOf(ctx, tx, ws.num, ordinals)
		for i, o := range ordinals {
			out.Items[i].Causes = causes[o]
		}
		return err
	})
	return out, err
}

// suppressedWhere is the filter as a condition on suppressedSQL; its first argument is that of suppressedSQL itself.
func suppressedWhere(ctx context.Context, tx pgx.Tx, ws workspaceRow, f suppression.Filter) (w where, err error) {
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
	if len(f.Address) > 0 {
		ordinals, err := newView(tx, ws.num, time.Time{}).ordinalsOf(ctx, ws.key, f.Address)
		if err != nil {
			return w, err
		}
		w.add("ordinal = ANY (?)", ordinals)
	}
	return w, nil
}

// causesOf are the causes of recipients, by reason.
func causesOf(ctx context.Context, tx pgx.Tx, ws int64, ordinals []int64) (map[int64][]suppression.Cause, error) {
	out := map[int64][]suppression.Cause{}
	_, err := query(ctx, tx, func(r row) (_ struct{}, err error) {
		var ordinal int64
		c, err := scanCause(r, &ordinal)
		out[ordinal] = append(out[ordinal], c)
		return struct{}{}, err
	}, `SELECT ordinal, reason, occurred_at, source, event FROM suppressions
		WHERE workspace_id = $1 AND ordinal = ANY ($2) ORDER BY ordinal, reason`, ws, ordinals)
	return out, err
}

// scanCause reads a number, and then a cause.
func scanCause(r row, num *int64) (c suppression.Cause, err error) {
	var reason, occurred, source int64
	err = r.Scan(num, &reason, &occurred, &source, &c.ID)
	c.Reason, c.OccurredAt, c.Source = suppression.Reason(reason), fromMicros(occurred), suppression.Source(source)
	return c, err
}

// CheckSuppressions implements suppression.Store. An erased address is found too.
func (s *Store) CheckSuppressions(ctx context.Context, c workspace.Caller, addresses []string) ([][]suppression.Cause, error) {
	ws, err := s.workspace(ctx, c)
	out := make([][]suppression.Cause, len(addresses))
	if err != nil || len(addresses) == 0 {
		return out, err
	}
	err = s.read(ctx, "check suppressions", func(tx pgx.Tx) error {
		v := newView(tx, ws.num, time.Time{})
		v.recipients = s.recipients
		ordinals, err := v.ordinalsOf(ctx, ws.key, addresses)
		if err != nil {
			return err
		}
		causes, err := causesOf(ctx, tx, ws.num, ordinals)
		for i, o := range ordinals {
			out[i] = causes[o]
		}
		return err
	})
	return out, err
}
