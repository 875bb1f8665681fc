package postgres

import (
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

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
	var now time.Time
	if s.now != nil {
		now = s.now() // before the snapshot: what it does not hold happened later
	}
	return s.readAsOf(ctx, "snapshot", planOnce, ws.num, func(tx pgx.Tx) error {
		v := newView(tx, ws.num, now)
		v.still = true
		return f(v)
	})
}

// view is a rollup.View on the snapshot of tx.
type view struct {
	tx    pgx.Tx
	ws    int64
	now   time.Time // zero = when tx began, which is before its snapshot
	nums  map[campaign.ID]int64
	still bool // nothing changes while the view is used: what will be asked may be read before
	ahead ahead

	recipients *memo.Memo[recipient.Hash, recipient.Ordinal] // of those whose ordinals are known; nil = none
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

// nobody is the number of no campaign.
const nobody = -2

// stretchNums are the numbers of the stretches' campaigns.
func (v *view) stretchNums(ctx context.Context, stretches []rollup.Stretch) ([]int32, error) {
	nums := make([]int32, len(stretches))
	for i, s := range stretches {
		num, ok, err := v.num(ctx, s.Campaign)
		if err != nil {
			return nil, err
		}
		if !ok {
			num = nobody
		}
		nums[i] = int32(num)
	}
	return nums, nil
}

// rowsSQL looks up each stretch by itself, in their order: ORDER BY keeps the planner from joining in another way.
// Quarters are in the rows of their hours.
const rowsSQL = `SELECT s.n, r.bucket, r.counts, r.sets, r.quarters
	FROM unnest($2::integer[], $3::smallint[], $4::bigint[], $5::bigint[], $6::boolean[], $7::boolean[])
		WITH ORDINALITY AS s (campaign, span, first, last, bare, fine, n)
	CROSS JOIN LATERAL (SELECT bucket, counts, CASE WHEN NOT s.bare THEN sets END AS sets, CASE WHEN s.fine THEN quarters END AS quarters FROM rollups
		WHERE workspace_id = $1 AND campaign = s.campaign AND span = s.span AND bucket >= s.first AND bucket < s.last ORDER BY bucket) r`

// Rows implements rollup.Source.
func (v *view) Rows(ctx context.Context, stretches []rollup.Stretch, f func(int, int64, []byte, []byte) error) error {
	campaigns, err := v.stretchNums(ctx, stretches)
	if err != nil {
		return err
	}
	if could, err := v.ahead.each(campaigns, stretches, f); could {
		return err
	}
	if v.still && isWeek(stretches) {
		if err := v.readWeek(ctx, campaigns[0], stretches[0]); err != nil {
			return err
		}
		_, err := v.ahead.each(campaigns, stretches, f)
		return err
	}
	var n, bucket int64
	var counts, sets, quarters pgtype.DriverBytes
	text, args := v.rowsSQL(campaigns, stretches)
	return v.each(ctx, func(r row) error {
		if err := r.Scan(&n, &bucket, &counts, &sets, &quarters); err != nil {
			return err
		}
		return stretches[n-1].Each(int(n-1), bucket, counts, sets, quarters, f)
	}, text, args...)
}

// rowsSQL reads the rows of stretches, whose campaigns have these numbers.
func (v *view) rowsSQL(campaigns []int32, stretches []rollup.Stretch) (text string, args []any) {
	spans, bare, fine := make([]int16, len(stretches)), make([]bool, len(stretches)), make([]bool, len(stretches))
	first, last := make([]int64, len(stretches)), make([]int64, len(stretches))
	for i, s := range stretches {
		if fine[i] = s.Span == rollup.Quarter; fine[i] {
			s.Span, s.From, s.Bare = rollup.Hour, rollup.HourOf(s.From), false
		}
		spans[i], first[i], last[i], bare[i] = int16(s.Span), s.From, s.To, s.Bare
	}
	return rowsSQL, []any{v.ws, campaigns, spans, first, last, bare, fine}
}

// Of campaigns the index alone answers for the types that need neither actor nor class: most of what a quarter hour holds
// after a send are sent events. Each campaign is looked up by itself (OFFSET), and each stretch of time by a statement: whoever plans
// for any number of either takes an index without campaigns.
const (
	allFactsSQL = "SELECT 1::bigint, id, ordinal, type, class, actor FROM events WHERE workspace_id = $1 AND id >= $2 AND id < $3"
	factsSQL    = `SELECT c.n, e.* FROM unnest($4::integer[]) WITH ORDINALITY AS c (num, n) CROSS JOIN LATERAL (
		SELECT id, ordinal, type, 0::smallint, 0::smallint FROM events
			WHERE workspace_id = $1 AND campaign = c.num AND type IN (1, 2, 6, 7) AND id >= $2 AND id < $3
		UNION ALL SELECT id, ordinal, type, class, actor FROM events
			WHERE workspace_id = $1 AND campaign = c.num AND type IN (3, 4, 5) AND id >= $2 AND id < $3 OFFSET 0) e`
)

// Facts implements rollup.Source.
func (v *view) Facts(ctx context.Context, stretches []rollup.Stretch, f func(int, rollup.Fact)) error {
	nums, err := v.stretchNums(ctx, stretches)
	if err != nil {
		return err
	}
	type edge struct{ from, to int64 }
	at := map[edge][]int{} // the stretches of campaigns
	for i, s := range stretches {
		if s.Campaign != rollup.Workspace {
			at[edge{s.From, s.To}] = append(at[edge{s.From, s.To}], i)
		} else if err := v.facts(ctx, []int{i}, f, allFactsSQL, v.ws, event.FirstIn(s.From), event.FirstIn(s.To)); err != nil {
			return err
		}
	}
	for t, of := range at {
		campaigns := make([]int32, len(of))
		for n, i := range of {
			campaigns[n] = nums[i]
		}
		if err := v.facts(ctx, of, f, factsSQL, v.ws, event.FirstIn(t.from), event.FirstIn(t.to), campaigns); err != nil {
			return err
		}
	}
	return nil
}

// facts reads events; those of number 1 are of the first of the stretches.
func (v *view) facts(ctx context.Context, of []int, f func(int, rollup.Fact), text string, args ...any) error {
	var n, ordinal, kind, class, actor int64
	var id event.ID
	dest := []any{&n, &id, &ordinal, &kind, &class, &actor}
	return v.each(ctx, func(r row) error {
		if err := r.Scan(dest...); err != nil {
			return err
		}
		f(of[n-1], rollup.Fact{At: id.Time().Unix(), Recipient: recipient.Ordinal(ordinal), Type: event.Type(kind), Class: bounce.Class(class),
			Actor: event.Rule(actor).Actor()})
		return nil
	}, text, args...)
}

// Campaign implements rollup.View.
func (v *view) Campaign(ctx context.Context, id campaign.ID) (campaign.Campaign, error) {
	if v.still {
		return v.readAhead(ctx, id)
	}
	return campaignOf(ctx, v.tx, v.ws, id)
}

// Campaigns implements rollup.View.
func (v *view) Campaigns(ctx context.Context, f campaign.Filter) ([]campaign.Campaign, error) {
	out, err := campaignsOf(ctx, v.tx, v.ws, f)
	if err != nil || len(out) < 2 {
		return out, err
	}
	// One query now spares one for each campaign that rows are asked of.
	return out, v.each(ctx, v.scanNum, "SELECT id, num FROM campaigns WHERE workspace_id = $1", v.ws)
}

// scanNum reads a campaign's id and number.
func (v *view) scanNum(r row) error {
	var id campaign.ID
	var num int64
	err := r.Scan(&id, &num)
	v.nums[id] = num
	return err
}

// Runs implements rollup.View.
func (v *view) Runs(ctx context.Context, campaigns []campaign.ID) ([]campaign.Run, error) {
	if len(campaigns) == 1 && campaigns[0] == v.ahead.campaign {
		return v.ahead.runs, nil
	}
	return runsOf(ctx, v.tx, v.ws, campaigns)
}

// AsOf implements rollup.View.
func (v *view) AsOf(ctx context.Context) (time.Time, error) { return asOfRead(ctx, v.tx) }

// HumanAsOf implements rollup.View. Where the rules have seen everything that the snapshot holds, they are as far as now; else
// as far as they were when they last had seen everything.
func (v *view) HumanAsOf(ctx context.Context) (at time.Time, err error) {
	if v.ahead.campaign != (campaign.ID{}) {
		return v.ahead.human, nil
	}
	return at, v.each(ctx, v.scanHuman(&at), humanSQL, v.ws)
}

const humanSQL = "SELECT human, stamp, human_as_of, (extract(epoch FROM transaction_timestamp()) * 1000000)::bigint FROM counters WHERE workspace_id = $1"

// scanHuman reads humanSQL.
func (v *view) scanHuman(at *time.Time) func(row) error {
	return func(r row) error {
		var human, stamp, asOf, now int64
		err := r.Scan(&human, &stamp, &asOf, &now)
		switch {
		case human < stamp:
			*at = fromMicros(asOf)
		case v.now.IsZero():
			*at = fromMicros(now)
		default:
			*at = v.now
		}
		return err
	}
}

const clicksSQL = "SELECT id, ordinal, actor, link FROM events WHERE workspace_id = $1 AND campaign = $2 AND type = 4 AND id >= $3 AND id < $4"

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
	first, last := event.FirstIn(from), event.FirstIn(to)
	var id event.ID
	var ordinal, actor, link int64
	dest := []any{&id, &ordinal, &actor, &link}
	return v.each(ctx, func(r row) error {
		if err := r.Scan(dest...); err != nil {
			return err
		}
		return f(links[link], rollup.Fact{At: id.Time().Unix(), Recipient: recipient.Ordinal(ordinal), Type: event.Click, Actor: event.Rule(actor).Actor()})
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
	}, "SELECT num, link_id, url FROM links WHERE workspace_id = $1 AND campaign = $2", v.ws, campaign)
}

// Domains implements rollup.View.
func (v *view) Domains(ctx context.Context, set *roaring.Bitmap, f func(string, *roaring.Bitmap) error) error {
	chunks := map[int64]bool{}
	for it := set.Iterator(); it.HasNext(); {
		chunk := it.PeekNext() >> 16
		chunks[int64(chunk)] = true
		if chunk == math.MaxUint16 {
			break
		}
		it.AdvanceIfNeeded((chunk + 1) << 16)
	}
	var name string
	var members pgtype.DriverBytes
	return v.each(ctx, func(r row) error {
		if err := r.Scan(&name, &members); err != nil {
			return err
		}
		ordinals := roaring.New()
		if _, err := ordinals.FromBuffer(members); err != nil {
			return fault.Wrap(fault.Internal, err, "the domain %s is damaged", name)
		}
		return f(name, ordinals)
	}, "SELECT domain, members FROM domains WHERE workspace_id = $1 AND chunk = ANY ($2)", v.ws, array(slices.Sorted(maps.Keys(chunks))))
}
