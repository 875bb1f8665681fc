package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/campaign"
	"monterey/internal/fault"
	"monterey/internal/rollup"
)

// view is a rollup.View on the snapshot of tx.
type view struct {
	tx   pgx.Tx
	ws   int64
	now  time.Time
	nums map[campaign.ID]int64
}

func newView(tx pgx.Tx, ws int64, now time.Time) *view {
	return &view{tx: tx, ws: ws, now: now, nums: map[campaign.ID]int64{{}: 0, rollup.Workspace: -1}}
}

// each calls f for each row of the answer. f may keep nothing of what it scans into pgtype.DriverBytes.
func (v *view) each(ctx context.Context, f func(row) error, text string, args ...any) error {
	rows, err := v.tx.Query(ctx, text, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// num is the campaign's number; ok is false for an id that is not there.
func (v *view) num(ctx context.Context, id campaign.ID) (num int64, ok bool, err error) {
	if num, ok = v.nums[id]; ok {
		return num, true, nil
	}
	num, err = campaignNum(ctx, v.tx, v.ws, id)
	if fault.Is(err, fault.NotFound) {
		return 0, false, nil
	}
	v.nums[id] = num
	return num, err == nil, err
}
