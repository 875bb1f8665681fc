package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"math"
	"slices"
	"strings"
	"time"

	"monterey/internal/bounce"
	"monterey/internal/provider"
	"monterey/internal/recipient"
	"monterey/internal/store/eventlist"
	"monterey/internal/workspace"
)

// ListBounces implements bounce.Store. See bounceQuery for which index answers what.
func (s *Store) ListBounces(ctx context.Context, c workspace.Caller, p bounce.ListParams) (out bounce.List, err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return out, err
	}
	err = s.read(ctx, "list bounces", func(tx *sql.Tx) error {
		out, err = s.listBounces(ctx, s.newView(tx, ws.num, time.Time{}), ws.key, p)
		return err
	})
	return out, err
}

func (s *Store) listBounces(ctx context.Context, v *view, key []byte, p bounce.ListParams) (out bounce.List, err error) {
	out.Items = []bounce.Historical{}
	q, err := newBounceQuery(ctx, v, key, p)
	if err != nil {
		return out, err
	}
	out.NewestUpdate = fromMicros(q.stamp)
	if q.nothing {
		return out, nil
	}
	if q.ordinals != nil && !p.NoTotal && !q.byUpdate() {
		out.Total, out.Items, err = q.ofRecipients(ctx, s)
	} else {
		if !p.NoTotal {
			if out.Total, err = q.total(ctx); err != nil {
				return out, err
			}
		}
		out.Items, err = q.page(ctx)
	}
	if err != nil {
		return out, err
	}
	if len(out.Items) > p.Limit {
		out.Items, out.More = out.Items[:p.Limit], true
	}
	return out, v.addAccounts(ctx, out.Items)
}

// bounceQuery is a list of historical bounces, its filter in the numbers of the database.
//
// The list is read as places from the index that fits, and then the rows of those that are on the page:
//
//   - of recipients: historical_bounces_by_recipient, sorted afterwards;
//   - by update, or of the little that was updated lately: historical_bounces_by_update;
//   - of classes: historical_bounces_by_class, a stream each, which SQLite merges;
//   - everything: the primary key.
//
// Totals come from historical_counts where days, classes and time are the filter, else from those indexes alone.
type bounceQuery struct {
	*view
	bounce.ListParams
	nothing      bool    // the filter can choose nothing
	classes      []int64 // nil = all
	ordinals     []int64 // nil = all
	from, to     int64   // occurred_at in microseconds: from <= at < to
	first, last  []byte  // places: first <= place < last
	since, until int64   // updated_at: since <= at < until
	lately       bool    // few were updated since
	stamp        int64   // counters.stamp
}

func newBounceQuery(ctx context.Context, v *view, key []byte, p bounce.ListParams) (*bounceQuery, error) {
	q := &bounceQuery{view: v, ListParams: p, to: micros(bounce.End), until: math.MaxInt64}
	if !p.From.IsZero() {
		q.from = min(max(eventlist.CeilMicros(p.From), 0), q.to)
	}
	if !p.To.IsZero() {
		q.to = max(min(eventlist.CeilMicros(p.To), q.to), 0)
	}
	q.first, q.last = firstPlace(q.from), firstPlace(q.to)
	if !p.UpdatedFrom.IsZero() {
		q.since = eventlist.CeilMicros(p.UpdatedFrom)
	}
	if len(p.Classes) > 0 {
		q.classes = int64s(p.Classes)
		slices.Sort(q.classes)
		q.classes = slices.Compact(q.classes)
	}
	var err error
	if q.stamp, err = v.stamp(ctx); err != nil {
		return nil, err
	}
	if err := q.findRecipients(ctx, key); err != nil {
		return nil, err
	}
	q.nothing = q.nothing || q.from >= q.to
	if q.changes() {
		var oldest int64
		err := q.each(ctx, func(r row) error { return r.Scan(&oldest) },
			"SELECT updated_at FROM historical_bounces WHERE workspace = ? ORDER BY updated_at LIMIT 1", v.ws)
		if err != nil {
			return nil, err
		}
		if q.since <= oldest { // chooses all
			q.since, q.UpdatedFrom = 0, time.Time{}
		}
	}
	if q.changes() && !q.byUpdate() && q.ordinals == nil {
		q.lately, err = q.fewUpdates(ctx)
	}
	return q, err
}

// stamp is the newest of the workspace: while it stays, so do its events and bounces.
func (v *view) stamp(ctx context.Context) (stamp int64, err error) {
	err = v.each(ctx, func(r row) error { return r.Scan(&stamp) }, "SELECT stamp FROM counters WHERE workspace = ?", v.ws)
	return stamp, err
}

// findRecipients are those of the addresses asked for that the accounts asked for hold.
func (q *bounceQuery) findRecipients(ctx context.Context, key []byte) error {
	addresses := q.Address
	if len(q.Accounts) > 0 {
		held, err := q.heldBy(ctx, q.Accounts)
		if err != nil {
			return err
		}
		if len(q.Address) > 0 {
			held = slices.DeleteFunc(held, func(a string) bool { return !slices.Contains(q.Address, a) })
		}
		addresses = held
	}
	if len(q.Address) == 0 && len(q.Accounts) == 0 {
		return nil
	}
	ordinals, err := q.ordinalsOf(ctx, key, addresses)
	slices.Sort(ordinals)
	ordinals = slices.Compact(ordinals)
	q.ordinals = slices.DeleteFunc(ordinals, func(o int64) bool { return o == 0 })
	q.nothing = len(q.ordinals) == 0
	return err
}

const heldSQL = `SELECT a.address FROM accounts a INDEXED BY accounts_by_number
	WHERE a.workspace = ? AND a.number IN (SELECT value FROM json_each(?)) AND ` + seenSQL

// heldBy are the addresses that accounts hold.
func (v *view) heldBy(ctx context.Context, numbers []string) (addresses []string, err error) {
	current, err := currentImport(ctx, v.tx, v.ws)
	if err != nil {
		return nil, err
	}
	err = v.each(ctx, func(r row) error {
		var a string
		err := r.Scan(&a)
		addresses = append(addresses, a)
		return err
	}, heldSQL, v.ws, listJSON(numbers), current, current)
	return addresses, err
}

// fewUpdates says whether few were updated since.
func (q *bounceQuery) fewUpdates(ctx context.Context) (few bool, err error) {
	n := 0
	err = q.each(ctx, func(r row) error { return r.Scan(&n) }, `SELECT count(*) FROM
		(SELECT 1 FROM historical_bounces INDEXED BY historical_bounces_by_update WHERE workspace = ? AND updated_at >= ? LIMIT ?)`, q.ws, q.since, eventlist.FewKeys+1)
	return n <= eventlist.FewKeys, err
}

func (q *bounceQuery) changes() bool { return !q.UpdatedFrom.IsZero() }

func (q *bounceQuery) byUpdate() bool {
	return q.Order == bounce.UpdatedFirst || q.Order == bounce.UpdatedLatest
}

func (q *bounceQuery) desc() bool {
	return q.Order == bounce.NewestFirst || q.Order == bounce.UpdatedLatest
}

// compare is the order asked for.
func (q *bounceQuery) compare(a, b bounce.Historical) int {
	d := cmp.Or(a.OccurredAt.Compare(b.OccurredAt), bytes.Compare(a.ID.UUID[:], b.ID.UUID[:]))
	if q.byUpdate() {
		d = a.UpdatedAt.Compare(b.UpdatedAt)
	}
	if q.desc() {
		return -d
	}
	return d
}

// page is the bounces of the page, and one more if there is more.
func (q *bounceQuery) page(ctx context.Context) ([]bounce.Historical, error) {
	skip, err := q.narrow(ctx)
	if err != nil || bytes.Compare(q.first, q.last) >= 0 {
		return []bounce.Historical{}, err
	}
	text, args := q.rowsSQL(skip)
	b := newBounceBatch(q.Limit + 1)
	if err := q.each(ctx, b.scan, text, args...); err != nil {
		return nil, err
	}
	if !slices.IsSortedFunc(b.rows, q.compare) { // SQLite gives them so, but does not promise it of a join
		slices.SortFunc(b.rows, q.compare)
	}
	return b.rows, nil
}

// narrow moves the bounds to where the page begins, and says how many rows come before it from there.
func (q *bounceQuery) narrow(ctx context.Context) (skip int, err error) {
	switch {
	case q.After != nil:
		q.narrowBehind(*q.After)
		return q.Offset, nil
	case q.Offset < eventlist.SeekFrom || q.byUpdate() || q.changes() || q.ordinals != nil:
		return q.Offset, nil
	}
	return q.seek(ctx)
}

// narrowBehind makes the cursor a bound of the rows.
func (q *bounceQuery) narrowBehind(after bounce.Cursor) {
	place := placeOf(after.OccurredAt, after.ID)
	switch q.Order {
	case bounce.NewestFirst:
		q.last = earlier(q.last, place)
	case bounce.OldestFirst:
		q.first = later(q.first, append(place, 0)) // the next place
	case bounce.UpdatedFirst:
		q.since = max(q.since, micros(after.UpdatedAt)+1)
	case bounce.UpdatedLatest:
		q.until = min(q.until, micros(after.UpdatedAt))
	}
}

const bounceTable = "historical_bounces b"

// source is the index that has what is asked for, with the conditions that it is read by.
func (q *bounceQuery) source() (table string, w where) {
	w.add("b.workspace = ?", q.ws)
	updates := where{}
	if q.changes() || q.byUpdate() {
		updates.add("b.updated_at >= ? AND b.updated_at < ?", q.since, q.until)
	}
	switch {
	case q.ordinals != nil:
		table = " INDEXED BY historical_bounces_by_recipient"
		w.add("b.ordinal IN (SELECT value FROM json_each(?))", listJSON(q.ordinals))
	case q.byUpdate() || q.lately:
		table = " INDEXED BY historical_bounces_by_update"
		w.append(updates)
		updates = where{}
	case q.classes != nil:
		table = " INDEXED BY historical_bounces_by_class"
		w.add("b.class = ?", q.classes[0])
	}
	if !q.byUpdate() || !q.From.IsZero() || !q.To.IsZero() {
		w.add("b.place >= ? AND b.place < ?", q.first, q.last)
	}
	w.append(updates)
	return bounceTable + table, w
}

// places reads the places of the next n rows behind the first skip.
func (q *bounceQuery) places(n, skip int) (text string, args []any) {
	table, w := q.source()
	parts := 1
	switch byClass := strings.HasSuffix(table, "_by_class"); {
	case byClass:
		parts = len(q.classes)
	case q.classes != nil:
		w.add("b.class IN (SELECT value FROM json_each(?))", listJSON(q.classes))
	}
	columns := "b.place AS place"
	if q.byUpdate() { // not every index has it
		columns += ", b.updated_at AS updated_at"
	}
	for i := range parts {
		if i > 0 {
			text += " UNION ALL "
			w.args[1] = q.classes[i]
		}
		text += "SELECT " + columns + " FROM " + table + " WHERE " + w.sql()
		args = append(args, w.args...)
	}
	return text + q.order("") + " LIMIT ? OFFSET ?", append(args, n, skip)
}

func (q *bounceQuery) order(alias string) string {
	order := " ORDER BY " + alias + "place"
	if q.byUpdate() {
		order = " ORDER BY " + alias + "updated_at"
	}
	if q.desc() {
		order += " DESC"
	}
	return order
}

// bounceColumns are what bounceBatch reads, of bounces b and addresses a. Every column costs: the small numbers come as one.
const bounceColumns = "b.place, b.provider, b.provider_event_id, b.ordinal | (b.class << 32), b.updated_at, b.reason, b.facts, coalesce(a.address, '')"

const bounceAddress = " LEFT JOIN addresses a ON a.workspace = b.workspace AND a.ordinal = b.ordinal"

// rowsSQL reads the rows of the page, and one more.
func (q *bounceQuery) rowsSQL(skip int) (text string, args []any) {
	if table, w := q.source(); table == bounceTable && skip == 0 { // the rows themselves are in order
		return "SELECT " + bounceColumns + " FROM " + table + bounceAddress + " WHERE " + w.sql() + q.order("b.") + " LIMIT ?", append(w.args, q.Limit+1)
	}
	text, args = q.places(q.Limit+1, skip)
	return "SELECT " + bounceColumns + " FROM (" + text + ") k CROSS JOIN " + bounceTable + " ON b.workspace = ? AND b.place = k.place" + bounceAddress,
		append(args, q.ws)
}

// bounceBatch reads rows of historical bounces.
type bounceBatch struct {
	rows  []bounce.Historical
	known bounce.FactsReader

	// One row is scanned into these, the same for every row: new variables would cost an allocation each.
	dest                   []any
	place, provider, facts sql.RawBytes
	small, updated         int64
	id, reason, address    string
}

func newBounceBatch(n int) *bounceBatch {
	b := &bounceBatch{rows: make([]bounce.Historical, 0, n), known: bounce.FactsReader{}}
	b.dest = []any{&b.place, &b.provider, &b.id, &b.small, &b.updated, &b.reason, &b.facts, &b.address}
	return b
}

func (b *bounceBatch) scan(r row) error {
	if err := r.Scan(b.dest...); err != nil {
		return err
	}
	at, id := bouncePlace(b.place).split()
	h := bounce.Historical{ID: id, Provider: b.name(), ProviderEventID: b.id, Recipient: recipient.Ordinal(b.small), Address: b.address, OccurredAt: at,
		Class: bounce.Class(b.small >> 32), UpdatedAt: fromMicros(b.updated), AccountNumbers: []string{}}
	if err := b.known.Read(b.facts, b.reason, &h); err != nil {
		return err
	}
	b.rows = append(b.rows, h)
	return nil
}

// name is the provider's name: that of the row before, nearly always.
func (b *bounceBatch) name() provider.Name {
	if n := len(b.rows); n > 0 && string(b.rows[n-1].Provider) == string(b.provider) {
		return b.rows[n-1].Provider
	}
	return provider.Name(b.provider)
}

// addAccounts sets the account numbers of each bounce.
func (v *view) addAccounts(ctx context.Context, rows []bounce.Historical) error {
	some := false
	err := v.each(ctx, func(row) error { some = true; return nil }, "SELECT 1 FROM accounts WHERE workspace = ? LIMIT 1", v.ws)
	if err != nil || !some || len(rows) == 0 {
		return err
	}
	current, err := currentImport(ctx, v.tx, v.ws)
	if err != nil {
		return err
	}
	numbers := make(map[string][]string, len(rows))
	for i := range rows {
		numbers[rows[i].Address] = nil
	}
	delete(numbers, "") // erased
	addresses := make([]string, 0, len(numbers))
	for a := range numbers {
		addresses = append(addresses, a)
	}
	slices.Sort(addresses) // neighbours in the index
	err = v.each(ctx, func(r row) error {
		var address, number string
		err := r.Scan(&address, &number)
		numbers[address] = append(numbers[address], number)
		return err
	}, accountNumbersSQL, listJSON(addresses), v.ws, current, current)
	for _, of := range numbers {
		slices.Sort(of)
	}
	for i := range rows {
		if of := numbers[rows[i].Address]; of != nil {
			rows[i].AccountNumbers = slices.Clone(of)
		}
	}
	return err
}

// total is the exact number of bounces chosen.
func (q *bounceQuery) total(ctx context.Context) (n int64, err error) {
	if q.ordinals == nil && !q.changes() {
		head, whole, tail := q.days()
		if n, err = q.sum(ctx, whole); err != nil {
			return 0, err
		}
		for _, edge := range []stretch{head, tail} {
			more, err := q.count(ctx, edge)
			if err != nil {
				return 0, err
			}
			n += more
		}
		return n, nil
	}
	table, w := q.source()
	if strings.HasSuffix(table, "_by_class") || table == bounceTable { // with updates of long ago
		counted := *q
		counted.lately = true
		table, w = counted.source()
	}
	if q.classes != nil {
		w.add("b.class IN (SELECT value FROM json_each(?))", listJSON(q.classes))
	}
	err = q.each(ctx, func(r row) error { return r.Scan(&n) }, "SELECT count(*) FROM "+table+" WHERE "+w.sql(), w.args...)
	return n, err
}

// stretch of occurred_at: from <= at < to, in microseconds; n bounces are in it.
type stretch struct{ from, to, n int64 }

// days are the whole days of the range, and what is left of it before and behind them.
func (q *bounceQuery) days() (head, whole, tail stretch) {
	from, to := (q.from+dayMicros-1)/dayMicros*dayMicros, q.to/dayMicros*dayMicros
	if from > to {
		return stretch{from: q.from, to: q.to}, stretch{}, stretch{}
	}
	return stretch{from: q.from, to: from}, stretch{from: from, to: to}, stretch{from: to, to: q.to}
}

// countsWhere chooses the counts of whole days.
func (q *bounceQuery) countsWhere(days stretch) (w where) {
	w.add("workspace = ? AND day >= ? AND day < ?", q.ws, days.from/dayMicros, days.to/dayMicros)
	if q.classes != nil {
		w.add("class IN (SELECT value FROM json_each(?))", listJSON(q.classes))
	}
	return w
}

func (q *bounceQuery) sum(ctx context.Context, days stretch) (n int64, err error) {
	if days.from == 0 && days.to == micros(bounce.End) {
		days = stretch{from: allDays * dayMicros}
	}
	w := q.countsWhere(days)
	err = q.each(ctx, func(r row) error { return r.Scan(&n) }, "SELECT coalesce(sum(bounces), 0) FROM historical_counts WHERE "+w.sql(), w.args...)
	return n, err
}

const countPlacesSQL = `SELECT count(*) FROM historical_bounces b INDEXED BY historical_bounces_by_class
	WHERE b.workspace = ? AND b.class IN (SELECT value FROM json_each(?)) AND b.place >= ? AND b.place < ?`

// count is how many bounces of the classes are in a stretch.
func (q *bounceQuery) count(ctx context.Context, s stretch) (n int64, err error) {
	if s.from == s.to {
		return 0, nil
	}
	classes := q.classes
	if classes == nil {
		classes = int64s(bounce.Classes)
	}
	err = q.each(ctx, func(r row) error { return r.Scan(&n) }, countPlacesSQL, q.ws, listJSON(classes), []byte(firstPlace(s.from)), []byte(firstPlace(s.to)))
	return n, err
}

// seek narrows the bounds by the counts, so that the page begins in the day at their near end, and says how many rows of it
// come before.
func (q *bounceQuery) seek(ctx context.Context) (skip int, err error) {
	stretches, err := q.stretches(ctx)
	if err != nil {
		return 0, err
	}
	skip = q.Offset
	for _, s := range stretches {
		if int64(skip) >= s.n {
			skip -= int(s.n)
			continue
		}
		if q.desc() {
			q.last = earlier(q.last, firstPlace(s.to))
		} else {
			q.first = later(q.first, firstPlace(s.from))
		}
		return skip, nil
	}
	q.last = q.first // there are not so many
	return 0, nil
}

// stretches are the days that have rows, and the edges of the range, in the order asked.
func (q *bounceQuery) stretches(ctx context.Context) (out []stretch, err error) {
	head, whole, tail := q.days()
	if head.n, err = q.count(ctx, head); err != nil {
		return nil, err
	}
	out = append(out, head)
	w := q.countsWhere(whole)
	err = q.each(ctx, func(r row) error {
		var day, n int64
		err := r.Scan(&day, &n)
		out = append(out, stretch{day * dayMicros, (day + 1) * dayMicros, n})
		return err
	}, "SELECT day, sum(bounces) FROM historical_counts WHERE "+w.sql()+" GROUP BY day ORDER BY day", w.args...)
	if err != nil {
		return nil, err
	}
	if tail.n, err = q.count(ctx, tail); err != nil {
		return nil, err
	}
	out = append(out, tail)
	slices.SortFunc(out, func(a, b stretch) int { return cmp.Compare(a.from, b.from) })
	if q.desc() {
		slices.Reverse(out)
	}
	return out, nil
}

func later(a, b []byte) []byte {
	if bytes.Compare(a, b) > 0 {
		return a
	}
	return b
}

func earlier(a, b []byte) []byte {
	if bytes.Compare(a, b) < 0 {
		return a
	}
	return b
}
