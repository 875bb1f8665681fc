package postgres

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/campaign"
	"monterey/internal/rollup"
)

// ahead is what was read before it was asked for: each question by itself would be a message to wait for.
type ahead struct {
	campaign campaign.ID // of which human and runs are; zero = they were not read
	human    time.Time
	runs     []campaign.Run
	rows     map[rowsOf][]keptRows
}

// rowsOf are a campaign's rows of a span.
type rowsOf struct {
	campaign int32
	span     rollup.Span
}

// keptRows are all of those rows with from <= bucket < to, without sets.
type keptRows struct {
	from, to int64
	rows     []keptRow
}

type keptRow struct {
	bucket int64
	counts []byte
}

func (a *ahead) keep(of rowsOf, rows keptRows) {
	if a.rows == nil {
		a.rows = map[rowsOf][]keptRows{}
	}
	a.rows[of] = append(a.rows[of], rows)
}

// find is the rows of a stretch; ok is false where they were not read.
func (a *ahead) find(campaign int32, s rollup.Stretch) (rows []keptRow, ok bool) {
	if !s.Bare {
		return nil, false
	}
	for _, k := range a.rows[rowsOf{campaign, s.Span}] {
		if k.from <= s.From && s.To <= k.to {
			for _, r := range k.rows {
				if r.bucket >= s.From && r.bucket < s.To {
					rows = append(rows, r)
				}
			}
			return rows, true
		}
	}
	return nil, false
}

// each calls f as rollup.Source's Rows does, and says whether it could. campaigns are the numbers of the stretches'.
func (a *ahead) each(campaigns []int32, stretches []rollup.Stretch, f func(int, int64, []byte, []byte) error) (could bool, err error) {
	all := make([][]keptRow, len(stretches))
	for i, s := range stretches {
		if all[i], could = a.find(campaigns[i], s); !could {
			return false, nil
		}
	}
	for i, rows := range all {
		for _, r := range rows {
			if err := f(i, r.bucket, r.counts, nil); err != nil {
				return true, err
			}
		}
	}
	return true, nil
}

// foresee reads with b, without sets, the rows of stretches of known campaigns, which will be asked for. Of quarters it reads none.
func (v *view) foresee(b *pgx.Batch, campaigns []int32, stretches []rollup.Stretch) {
	stretches = slices.Clone(stretches)
	kept := make([]keptRows, len(stretches))
	for i := range stretches {
		s := &stretches[i]
		if s.Bare = true; s.Span == rollup.Quarter {
			return
		}
		kept[i].from, kept[i].to = s.From, s.To
	}
	text, args := v.rowsSQL(campaigns, stretches)
	b.Queue(text, args...).Query(func(rows pgx.Rows) error {
		var n int64
		for rows.Next() {
			var r keptRow
			if err := rows.Scan(&n, &r.bucket, &r.counts, nil, nil); err != nil {
				return err
			}
			kept[n-1].rows = append(kept[n-1].rows, r)
		}
		for i, k := range kept {
			v.ahead.keep(rowsOf{campaigns[i], stretches[i].Span}, k)
		}
		return rows.Err()
	})
}

// isWeek says whether the stretches are the counts of the days of a week, or of a part of it.
func isWeek(stretches []rollup.Stretch) bool {
	if len(stretches) != 1 || stretches[0].Span != rollup.Day || !stretches[0].Bare {
		return false
	}
	s := stretches[0]
	return s.From <= s.To && s.To <= s.From+rollup.WeekSeconds
}

// readWeek reads the days of a week with its hours: who looks for the day in which a row of a list is looks for its hour next.
func (v *view) readWeek(ctx context.Context, campaign int32, days rollup.Stretch) error {
	hours := days
	hours.Span = rollup.Hour
	var b pgx.Batch
	v.foresee(&b, []int32{campaign, campaign}, []rollup.Stretch{days, hours})
	return v.tx.SendBatch(ctx, &b).Close()
}

// foresight is a rollup.Source of nothing that notes which rows are asked for.
type foresight struct{ stretches []rollup.Stretch }

// Rows implements rollup.Source.
func (f *foresight) Rows(_ context.Context, stretches []rollup.Stretch, _ func(int, int64, []byte, []byte) error) error {
	f.stretches = append(f.stretches, stretches...)
	return nil
}

// Facts implements rollup.Source.
func (f *foresight) Facts(context.Context, []rollup.Stretch, func(int, rollup.Fact)) error {
	return nil
}

// lately is how long ago the days begin that are read ahead: lifetime rows hold what is older, as they are folded daily.
const lately = 7 * 24 * time.Hour

// aheadSQL reads the lifetime rows of a campaign and of the workspace, and their days from one on.
const aheadSQL = `SELECT c.num, s.span, r.bucket, r.counts FROM
	(SELECT num FROM campaigns WHERE workspace_id = $1 AND id = $2 UNION ALL SELECT -1) c (num) CROSS JOIN (VALUES (4::smallint, 0::bigint), (3, $3)) s (span, first)
	CROSS JOIN LATERAL (SELECT bucket, counts FROM rollups WHERE workspace_id = $1 AND campaign = c.num AND span = s.span AND bucket >= s.first ORDER BY bucket) r`

// readAhead reads a campaign, and what statistics of one ask next.
func (v *view) readAhead(ctx context.Context, id campaign.ID) (cm campaign.Campaign, err error) {
	a := ahead{campaign: id}
	first := rollup.Day.Bucket(v.clock().Add(-lately).Unix())
	var num int64
	there := false
	rows := map[rowsOf][]keptRow{}
	var b pgx.Batch
	b.Queue("SELECT "+campaignColumns+", num FROM campaigns WHERE workspace_id = $1 AND id = $2", v.ws, id).Query(eachOf(func(r row) (err error) {
		cm, err = scanCampaignAnd(r, &num)
		there = true
		return err
	}))
	b.Queue(humanSQL, v.ws).Query(eachOf(v.scanHuman(&a.human)))
	text, args := runsSQL(v.ws, []campaign.ID{id})
	b.Queue(text, args...).Query(func(rows pgx.Rows) (err error) {
		a.runs, err = readAll(rows, scanRun)
		return err
	})
	b.Queue(aheadSQL, v.ws, id, first).Query(eachOf(func(r row) error {
		var of rowsOf
		var kept keptRow
		err := r.Scan(&of.campaign, &of.span, &kept.bucket, &kept.counts)
		rows[of] = append(rows[of], kept)
		return err
	}))
	if err := v.tx.SendBatch(ctx, &b).Close(); err != nil {
		return cm, err
	}
	if !there {
		return cm, noSuch("campaign")
	}
	for _, c := range []int32{int32(num), -1} {
		life, days := rowsOf{c, rollup.Lifetime}, rowsOf{c, rollup.Day}
		a.keep(life, keptRows{0, math.MaxInt64, rows[life]})
		a.keep(days, keptRows{first, math.MaxInt64, rows[days]})
	}
	v.nums[id], v.ahead = num, a
	return cm, nil
}

// clock is the time as nearly as is enough to guess by.
func (v *view) clock() time.Time {
	if v.now.IsZero() {
		return time.Now()
	}
	return v.now
}

// asked are statements that go before whatever is asked next.
type asked struct{ pgx.Batch }

// send runs what waits and then b, all in one message.
func (a *asked) send(ctx context.Context, tx pgx.Tx, b *pgx.Batch) error {
	all := a.before(b)
	if all.Len() == 0 {
		return nil
	}
	return tx.SendBatch(ctx, all).Close()
}

// sendLast is send of the last statements of a read.
func (a *asked) sendLast(ctx context.Context, tx pgx.Tx, b *pgx.Batch) error {
	return sendLast(ctx, tx, a.before(b))
}

// before is what waits, which it does no longer, and then b.
func (a *asked) before(b *pgx.Batch) *pgx.Batch {
	all := &pgx.Batch{QueuedQueries: append(a.QueuedQueries, b.QueuedQueries...)}
	a.Batch = pgx.Batch{}
	return all
}

// eachOf is how f reads each row of an answer in a batch.
func eachOf(f func(row) error) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		for rows.Next() {
			if err := f(rows); err != nil {
				return err
			}
		}
		return rows.Err()
	}
}
