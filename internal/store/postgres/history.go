package postgres

import (
	"context"
	"slices"

	"monterey/internal/store/eventlist"
)

// collect is all keys chosen, sorted, where no index gives them in the order asked: of the changes of recipients, and of the
// little that was updated lately. nil = it is not so.
func (q *eventQuery) collect(ctx context.Context) ([]eventlist.Key, error) {
	if yes, err := q.collects(ctx); err != nil || !yes {
		return nil, err
	}
	keys, err := q.read(ctx, q.events())
	if err == nil && q.Changes() {
		var gone []eventlist.Key
		gone, err = q.gone(ctx)
		keys = append(keys, gone...)
	}
	slices.SortFunc(keys, q.Compare)
	return append([]eventlist.Key{}, keys...), err
}

func (q *eventQuery) collects(ctx context.Context) (bool, error) {
	switch {
	case q.hashes != nil:
		return q.Changes(), nil
	case q.Changes() && !q.ByUpdate():
		return q.fewUpdates(ctx)
	case !q.Changes() && q.ByUpdate() && (q.nums != nil || q.Types != nil):
		n, err := q.total(ctx)
		return n <= eventlist.FewKeys, err
	}
	return false, nil
}

// fewUpdates says whether few events were updated since.
func (q *eventQuery) fewUpdates(ctx context.Context) (few bool, err error) {
	n := 0
	err = q.each(ctx, func(r row) error { return r.Scan(&n) }, `SELECT count(*) FROM
		(SELECT 1 FROM events WHERE workspace_id = $1 AND updated_at >= $2 LIMIT $3) e`, q.ws, q.Since, eventlist.FewKeys+1)
	return n <= eventlist.FewKeys, err
}
