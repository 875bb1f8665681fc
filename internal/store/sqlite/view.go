package sqlite

import (
	"context"
	"database/sql"
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
	"monterey/internal/store/memo"
	"monterey/internal/workspace"
)

// Snapshot implements rollup.Store.
func (s *Store) Snapshot(ctx context.Context, c workspace.Caller, f func(rollup.View) error) error {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return err
	}
	asOf, asOfErr := s.AsOf(ctx, c)
	now := s.now() // not before as_of, and before the snapshot: what that does not hold happened later
	return s.read(ctx, "snapshot", func(tx *sql.Tx) error {
		v := s.newView(tx, ws.num, now)
		v.asOf, v.asOfErr = asOf, asOfErr
		return f(v)
	})
}

// view is a rollup.View on the snapshot of tx.
type view struct {
	tx         *sql.Tx
	ws         int64
	now        time.Time
	asOf       time.Time // of a Snapshot
	asOfErr    error
	recipients *memo.Memo[recipient.Hash, recipient.Ordinal]
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

// Where a row's sets and quarters are, which may be large.
const (
	setsSQL     = "CASE large WHEN 0 THEN sets ELSE (SELECT l.sets FROM rollup_sets l WHERE l.num = large) END"
	quartersSQL = "CASE large WHEN 0 THEN quarters ELSE (SELECT l.quarters FROM rollup_sets l WHERE l.num = large) END"
)

// The part of a statement that reads one stretch: by the key, so that rows come in order of bucket. Quarters are in the rows of
// their hours.
const (
	stretchSQL = "SELECT ?, bucket, counts, " + setsSQL + ", NULL FROM rollups WHERE workspace = ? AND campaign = ? AND span = ? AND bucket >= ? AND bucket < ?"
	bareSQL    = "SELECT ?, bucket, counts, NULL, NULL FROM rollups WHERE workspace = ? AND campaign = ? AND span = ? AND bucket >= ? AND bucket < ?"
	quarterSQL = "SELECT ?, bucket, counts, " + setsSQL + ", " + quartersSQL + " FROM rollups WHERE workspace = ? AND campaign = ? AND span = ? AND bucket >= ? AND bucket < ?"
)

// mostStretches is how many are read by one statement. One for each took twice as long (a statement costs the driver 40 µs, as
// much as ten rows); 8 and 64 take as long as 16, and so does a join with json_each, but for a time series.
const mostStretches = 16

// Rows implements rollup.Source.
func (v *view) Rows(ctx context.Context, stretches []rollup.Stretch, f func(int, int64, []byte, []byte) error) error {
	var n, bucket any // numbers would be read from texts
	var counts, sets, quarters sql.RawBytes
	scan := func(r row) error {
		if err := r.Scan(&n, &bucket, &counts, &sets, &quarters); err != nil {
			return err
		}
		return stretches[n.(int64)].Each(int(n.(int64)), bucket.(int64), counts, sets, quarters, f)
	}
	for from := 0; from < len(stretches); from += mostStretches {
		var parts []string
		var args []any
		for i, s := range stretches[from:min(from+mostStretches, len(stretches))] {
			num, ok, err := v.num(ctx, s.Campaign)
			switch {
			case err != nil:
				return err
			case !ok:
				continue
			case s.Span == rollup.Quarter:
				parts = append(parts, quarterSQL)
				s.Span, s.From = rollup.Hour, rollup.HourOf(s.From)
			case s.Bare:
				parts = append(parts, bareSQL)
			default:
				parts = append(parts, stretchSQL)
			}
			args = append(args, from+i, v.ws, num, int64(s.Span), s.From, s.To)
		}
		if len(parts) == 0 {
			continue
		}
		if err := v.each(ctx, scan, strings.Join(parts, " UNION ALL "), args...); err != nil {
			return err
		}
	}
	return nil
}

// Of a campaign the index alone answers for the types that need neither actor nor class: most of what a quarter hour holds
// after a send are sent events.
const (
	allFactsSQL   = "SELECT id, ordinal, type, class, actor FROM events WHERE workspace = ? AND id >= ? AND id < ?"
	plainFactsSQL = "SELECT id, ordinal, type, 0, 0 FROM events INDEXED BY events_by_campaign WHERE workspace = ? AND campaign = ? AND type IN (1, 2, 6, 7) AND id >= ? AND id < ?"
	fullFactsSQL  = "SELECT id, ordinal, type, class, actor FROM events INDEXED BY events_by_campaign WHERE workspace = ? AND campaign = ? AND type IN (3, 4, 5) AND id >= ? AND id < ?"
)

// Facts implements rollup.Source.
func (v *view) Facts(ctx context.Context, stretches []rollup.Stretch, f func(int, rollup.Fact)) error {
	var n int
	var id sql.RawBytes
	var ordinal, kind, class, actor int64
	scan := func(r row) error {
		if err := r.Scan(&id, &ordinal, &kind, &class, &actor); err != nil {
			return err
		}
		f(n, rollup.Fact{At: secondOf(id), Recipient: recipient.Ordinal(ordinal), Type: event.Type(kind), Class: bounce.Class(class),
			Actor: event.Rule(actor).Actor()})
		return nil
	}
	for i, s := range stretches {
		num, ok, err := v.num(ctx, s.Campaign)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		n = i
		first, last := idRange(s.From, s.To)
		if num < 0 {
			err = v.each(ctx, scan, allFactsSQL, v.ws, first, last)
		} else if err = v.each(ctx, scan, plainFactsSQL, v.ws, num, first, last); err == nil {
			err = v.each(ctx, scan, fullFactsSQL, v.ws, num, first, last)
		}
		if err != nil {
			return err
		}
	}
	return nil
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

// AsOf implements rollup.View.
func (v *view) AsOf(context.Context) (time.Time, error) {
	if v.asOf.IsZero() && v.asOfErr == nil {
		return v.asOf, fault.New(fault.Internal, "as_of was not asked of this transaction")
	}
	return v.asOf, v.asOfErr
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
