package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/recipient"
	"monterey/internal/rollup"
	"monterey/internal/workspace"
)

// Snapshot implements rollup.Store.
func (s *Store) Snapshot(ctx context.Context, c workspace.Caller, f func(rollup.View) error) error {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return err
	}
	now := s.now() // before the snapshot: what it does not hold happened later
	return s.read(ctx, "snapshot", func(tx *sql.Tx) error { return f(s.newView(tx, ws.num, now)) })
}

// view is a rollup.View on the snapshot of tx.
type view struct {
	tx         *sql.Tx
	ws         int64
	now        time.Time
	recipients *recipient.Cache
	nums       map[campaign.ID]int64
	stmts      map[string]*sql.Stmt // of this transaction; asking the connection for one costs too
}

func (s *Store) newView(tx *sql.Tx, ws int64, now time.Time) *view {
	nums := map[campaign.ID]int64{{}: 0, rollup.Workspace: -1}
	return &view{tx: tx, ws: ws, now: now, recipients: s.recipients, nums: nums, stmts: map[string]*sql.Stmt{}}
}

// each calls f for each row of the answer. f may keep nothing of what it scans into sql.RawBytes. A query is short: that the
// asker went away is seen between two of them, which spares the driver a goroutine for each.
func (v *view) each(ctx context.Context, f func(row) error, text string, args ...any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx)
	st, err := v.prepared(ctx, text)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(ctx, args...)
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

// prepared is the statement with this text; it is closed with tx.
func (v *view) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if st := v.stmts[text]; st != nil {
		return st, nil
	}
	st, err := v.tx.PrepareContext(ctx, text)
	if err == nil {
		v.stmts[text] = st
	}
	return st, err
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

const (
	rowsSQL = "SELECT bucket, counts, sets FROM rollups WHERE workspace = ? AND campaign = ? AND span = ? AND bucket >= ? AND bucket < ? ORDER BY bucket"
	// An hour's row holds its quarters.
	quartersSQL = "SELECT bucket, counts, sets, quarters FROM rollups WHERE workspace = ? AND campaign = ? AND span = 2 AND bucket >= ? AND bucket < ? ORDER BY bucket"
	countsSQL   = "SELECT bucket, counts FROM rollups WHERE workspace = ? AND campaign = ? AND span = ? AND bucket >= ? AND bucket < ? ORDER BY bucket"
)

// Rows implements rollup.Source.
func (v *view) Rows(ctx context.Context, c campaign.ID, s rollup.Span, from, to int64, f func(int64, []byte, []byte) error) error {
	num, ok, err := v.num(ctx, c)
	if err != nil || !ok {
		return err
	}
	if s == rollup.Quarter {
		return v.quarters(ctx, from, to, f, quartersSQL, v.ws, num, rollup.HourOf(from), to)
	}
	var bucket int64
	var counts, sets sql.RawBytes
	return v.each(ctx, func(r row) error {
		if err := r.Scan(&bucket, &counts, &sets); err != nil {
			return err
		}
		return f(bucket, counts, sets)
	}, rowsSQL, v.ws, num, int64(s), from, to)
}

// quarters calls f for each quarter with from <= bucket < to of the hours that the query answers: bucket, counts, sets, quarters.
func (v *view) quarters(ctx context.Context, from, to int64, f func(int64, []byte, []byte) error, text string, args ...any) error {
	var bucket int64
	var counts, sets, quarters sql.RawBytes
	return v.each(ctx, func(r row) error {
		if err := r.Scan(&bucket, &counts, &sets, &quarters); err != nil {
			return err
		}
		return rollup.EachQuarter(bucket, counts, sets, quarters, from, to, f)
	}, text, args...)
}

const stretchSQL = "SELECT ? AS n, bucket, counts, sets, %s FROM rollups WHERE workspace = ? AND campaign = ? AND span = ? AND bucket >= ? AND bucket < ?"

var (
	wideSQL = fmt.Sprintf(stretchSQL, "NULL")
	fineSQL = fmt.Sprintf(stretchSQL, "quarters")
)

// Join implements rollup.Source.
func (v *view) Join(ctx context.Context, c campaign.ID, stretches []rollup.Stretch, f func(counts, sets []byte) error) error {
	num, ok, err := v.num(ctx, c)
	if err != nil || !ok {
		return err
	}
	texts, args := make([]string, len(stretches)), make([]any, 0, 6*len(stretches))
	for i, s := range stretches {
		texts[i] = wideSQL
		if s.Span == rollup.Quarter {
			texts[i], s.Span, s.From = fineSQL, rollup.Hour, rollup.HourOf(s.From)
		}
		args = append(args, i, v.ws, num, int64(s.Span), s.From, s.To)
	}
	var n, bucket int64
	var counts, sets, quarters sql.RawBytes
	each := func(_ int64, counts, sets []byte) error { return f(counts, sets) }
	return v.each(ctx, func(r row) error {
		if err := r.Scan(&n, &bucket, &counts, &sets, &quarters); err != nil {
			return err
		}
		if s := stretches[n]; s.Span == rollup.Quarter {
			return rollup.EachQuarter(bucket, counts, sets, quarters, s.From, s.To, each)
		}
		return f(counts, sets)
	}, strings.Join(texts, " UNION ALL "), args...)
}

// Counts implements rollup.Source.
func (v *view) Counts(ctx context.Context, c campaign.ID, s rollup.Span, from, to int64, f func(int64, []byte, []byte) error) error {
	num, ok, err := v.num(ctx, c)
	if err != nil || !ok {
		return err
	}
	if s == rollup.Quarter {
		return v.quarters(ctx, from, to, countsOf(f), quartersSQL, v.ws, num, rollup.HourOf(from), to)
	}
	var bucket int64
	var counts sql.RawBytes
	return v.each(ctx, func(r row) error {
		if err := r.Scan(&bucket, &counts); err != nil {
			return err
		}
		return f(bucket, counts, nil)
	}, countsSQL, v.ws, num, int64(s), from, to)
}

// countsOf hands f no sets.
func countsOf(f func(int64, []byte, []byte) error) func(int64, []byte, []byte) error {
	return func(bucket int64, counts, _ []byte) error { return f(bucket, counts, nil) }
}

// Of a campaign the index alone answers for the types that need neither actor nor class: most of what a quarter hour holds
// after a send are sent events.
const (
	allFactsSQL   = "SELECT id, ordinal, type, class, actor FROM events WHERE workspace = ? AND id >= ? AND id < ?"
	plainFactsSQL = "SELECT id, ordinal, type, 0, 0 FROM events INDEXED BY events_by_campaign WHERE workspace = ? AND campaign = ? AND type IN (1, 2, 6, 7) AND id >= ? AND id < ?"
	fullFactsSQL  = "SELECT id, ordinal, type, class, actor FROM events INDEXED BY events_by_campaign WHERE workspace = ? AND campaign = ? AND type IN (3, 4, 5) AND id >= ? AND id < ?"
)

// Facts implements rollup.Source.
func (v *view) Facts(ctx context.Context, c campaign.ID, from, to int64, f func(rollup.Fact)) error {
	num, ok, err := v.num(ctx, c)
	if err != nil || !ok {
		return err
	}
	var id sql.RawBytes
	var ordinal, kind, class, actor int64
	scan := func(r row) error {
		if err := r.Scan(&id, &ordinal, &kind, &class, &actor); err != nil {
			return err
		}
		f(rollup.Fact{At: secondOf(id), Recipient: recipient.Ordinal(ordinal), Type: event.Type(kind), Class: bounce.Class(class),
			Actor: event.Rule(actor).Actor()})
		return nil
	}
	first, last := idRange(from, to)
	if num < 0 {
		return v.each(ctx, scan, allFactsSQL, v.ws, first, last)
	}
	if err := v.each(ctx, scan, plainFactsSQL, v.ws, num, first, last); err != nil {
		return err
	}
	return v.each(ctx, scan, fullFactsSQL, v.ws, num, first, last)
}

// idRange is the ids of the events with from <= Unix second < to: first <= id < last.
func idRange(from, to int64) (first, last []byte) {
	f, l := event.FirstIn(from), event.FirstIn(to)
	return f.UUID[:], l.UUID[:]
}

// secondOf is the Unix second that an id begins with.
func secondOf(id []byte) int64 {
	ms := int64(0)
	for _, b := range id[:6] {
		ms = ms<<8 | int64(b)
	}
	return ms / 1000
}

// Campaign implements rollup.View.
func (v *view) Campaign(ctx context.Context, id campaign.ID) (campaign.Campaign, error) {
	return campaignOf(ctx, v.tx, v.ws, id)
}

// Campaigns implements rollup.View.
func (v *view) Campaigns(ctx context.Context, f campaign.Filter) ([]campaign.Campaign, error) {
	out, err := campaignsOf(ctx, v.tx, v.ws, f)
	if err != nil || len(out) < 2 {
		return out, err
	}
	// One query now spares one for each campaign that rows are asked of.
	return out, v.each(ctx, func(r row) error {
		var id campaign.ID
		var num int64
		err := r.Scan(&id, &num)
		v.nums[id] = num
		return err
	}, "SELECT id, num FROM campaigns WHERE workspace = ?", v.ws)
}

// Runs implements rollup.View.
func (v *view) Runs(ctx context.Context, campaigns []campaign.ID) ([]campaign.Run, error) {
	return runsOf(ctx, v.tx, v.ws, campaigns)
}

// HumanAsOf implements rollup.View. Where the rules have seen everything that the snapshot holds, they are as far as now; else
// as far as they were when they last had seen everything.
func (v *view) HumanAsOf(ctx context.Context) (at time.Time, err error) {
	err = v.each(ctx, func(r row) error {
		var human, stamp, asOf int64
		err := r.Scan(&human, &stamp, &asOf)
		if at = fromMicros(asOf); human >= stamp {
			at = v.now
		}
		return err
	}, "SELECT human, stamp, human_as_of FROM counters WHERE workspace = ?", v.ws)
	return at, err
}

const clicksSQL = `SELECT e.id, e.ordinal, e.actor, e.link FROM events e INDEXED BY events_by_campaign
	WHERE e.workspace = ? AND e.campaign = ? AND e.type = 4 AND e.id >= ? AND e.id < ?`

// Clicks implements rollup.View.
func (v *view) Clicks(ctx context.Context, c campaign.ID, from, to int64, f func(event.Link, rollup.Fact) error) error {
	num, ok, err := v.num(ctx, c)
	if err != nil || !ok {
		return err
	}
	links, err := v.linksOf(ctx, num)
	if err != nil {
		return err
	}
	first, last := idRange(from, to)
	var id sql.RawBytes
	var ordinal, actor, link int64
	return v.each(ctx, func(r row) error {
		if err := r.Scan(&id, &ordinal, &actor, &link); err != nil {
			return err
		}
		return f(links[link], rollup.Fact{At: secondOf(id), Recipient: recipient.Ordinal(ordinal), Type: event.Click, Actor: event.Rule(actor).Actor()})
	}, clicksSQL, v.ws, num, first, last)
}

// linksOf are the links of a campaign by number.
func (v *view) linksOf(ctx context.Context, campaign int64) (map[int64]event.Link, error) {
	links := map[int64]event.Link{}
	return links, v.each(ctx, func(r row) error {
		var num int64
		var l event.Link
		err := r.Scan(&num, &l.ID, &l.URL)
		links[num] = l
		return err
	}, "SELECT num, link_id, url FROM links WHERE workspace = ? AND campaign = ?", v.ws, campaign)
}

// Domains implements rollup.View.
func (v *view) Domains(ctx context.Context, set *roaring.Bitmap, f func(string, *roaring.Bitmap) error) error {
	chunks := map[uint32]bool{}
	for it := set.Iterator(); it.HasNext(); {
		chunk := it.PeekNext() >> 16
		chunks[chunk] = true
		if chunk == math.MaxUint16 {
			break
		}
		it.AdvanceIfNeeded((chunk + 1) << 16)
	}
	wanted := []int64{}
	for chunk := range chunks {
		wanted = append(wanted, int64(chunk))
	}
	slices.Sort(wanted)
	var name string
	var members sql.RawBytes
	return v.each(ctx, func(r row) error {
		if err := r.Scan(&name, &members); err != nil {
			return err
		}
		ordinals := roaring.New()
		if _, err := ordinals.FromBuffer(members); err != nil {
			return fault.Wrap(fault.Internal, err, "the domain %s is damaged", name)
		}
		return f(name, ordinals)
	}, "SELECT domain, members FROM domains WHERE workspace = ? AND chunk IN (SELECT value FROM json_each(?))", v.ws, listJSON(wanted))
}
