package rolluprow

import (
	"context"
	"database/sql"
	"fmt"

	"monterey/internal/rollup"
)

// Statements are those of a database for MoveQuarters.
type Statements struct {
	AddColumn string
	Owners    string // every workspace and campaign that has rows
	Rows      string // of a workspace, a campaign and a span: bucket, counts, sets
	Put       string // quarters, of a workspace, a campaign and a bucket, into the hour's row
	Delete    string // the rows of quarters
}

// MoveQuarters puts the rows of quarters into those of their hours, as migration 12 does. Where an hour has no row, its quarters
// are lost until a recount, which that needs anyway.
func MoveQuarters(ctx context.Context, tx *sql.Tx, of Statements) error {
	if _, err := tx.ExecContext(ctx, of.AddColumn); err != nil {
		return err
	}
	var owners [][2]int64
	err := each(ctx, tx, func(rows *sql.Rows) error {
		var o [2]int64
		err := rows.Scan(&o[0], &o[1])
		owners = append(owners, o)
		return err
	}, of.Owners)
	if err != nil {
		return err
	}
	for _, o := range owners {
		if err := moveQuarters(ctx, tx, of, o[0], o[1]); err != nil {
			return err
		}
	}
	_, err = tx.ExecContext(ctx, of.Delete)
	return err
}

func moveQuarters(ctx context.Context, tx *sql.Tx, of Statements, workspace, campaign int64) error {
	hours := map[int64]*rollup.StoredHour{}
	for _, span := range []rollup.Span{rollup.Hour, rollup.Quarter} {
		err := each(ctx, tx, func(rows *sql.Rows) error {
			var bucket int64
			var p rollup.Parts
			if err := rows.Scan(&bucket, &p.Counts, &p.Sets); err != nil {
				return err
			}
			hour := rollup.Hour.Bucket(bucket)
			if span == rollup.Hour {
				hours[hour] = &rollup.StoredHour{Parts: p}
			} else if hours[hour] != nil {
				hours[hour].Quarters[(bucket-hour)/rollup.QuarterSeconds] = p
			}
			return nil
		}, of.Rows, workspace, campaign, int64(span))
		if err != nil {
			return err
		}
	}
	put, err := tx.PrepareContext(ctx, of.Put)
	if err != nil {
		return err
	}
	for bucket, h := range hours {
		quarters := h.Stored()
		if len(quarters) == 0 {
			continue
		}
		if _, err := put.ExecContext(ctx, quarters, workspace, campaign, bucket); err != nil {
			return fmt.Errorf("the quarters of an hour: %w", err)
		}
	}
	return put.Close()
}

func each(ctx context.Context, tx *sql.Tx, f func(*sql.Rows) error, text string, args ...any) error {
	rows, err := tx.QueryContext(ctx, text, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	for rows.Next() {
		if err := f(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}
