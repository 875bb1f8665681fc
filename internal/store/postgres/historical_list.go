package postgres

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"monterey/internal/bounce"
	"monterey/internal/provider"
	"monterey/internal/store/eventlist"
	"monterey/internal/workspace"
)

// ListBounces implements bounce.Store. See bounceQuery for which index answers what.
func (s *Store) ListBounces(ctx context.Context, c workspace.Caller, p bounce.ListParams) (out bounce.List, err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return out, err
	}
	err = s.read(ctx, "list bounces", func(tx pgx.Tx) error {
		v := newView(tx, ws.num, time.Time{})
		v.recipients = s.recipients
		out, err = listBounces(ctx, v, ws.key, p)
		return err
	})
	return out, err
}

func listBounces(ctx context.Context, v *view, key []byte, p bounce.ListParams) (out bounce.List, err error) {
	out.Items = []bounce.Historical{}
	q, err := newBounceQuery(ctx, v, key, p)
	if err != nil {
		return out, err
	}
	if !q.nothing {
		out.Items, out.Total, err = q.page(ctx)
	}
	if err == nil {
		err = q.send(ctx, &pgx.Batch{}) // where nothing was
	}
	if err != nil {
		return out, err
	}
	out.NewestUpdate = fromMicros(q.stamp)
	if len(out.Items) > p.Limit {
		out.Items, out.More = out.Items[:p.Limit], true
	}
	if q.someAccounts > 0 {
		err = v.addAccounts(ctx, out.Items)
	}
	return out, err
}

// bouncePlace is where a historical bounce stands among those of its workspace: its time in microseconds, and then its id.
// The zero id is before every place of that time.
type bouncePlace struct {
	at int64
	id bounce.ID
}

func placeOf(b bounce.Historical) bouncePlace { return bouncePlace{micros(b.OccurredAt), b.ID} }

func (p bouncePlace) compare(o bouncePlace) int {
	return cmp.Or(cmp.Compare(p.at, o.at), bytes.Compare(p.id.UUID[:], o.id.UUID[:]))
}

// bounceQuery is a list of historical bounces, its filter in the numbers of the database.
//
// The list is read as places from the index that fits, and then the rows of those that are on the page:
//
//   - of recipients: historical_bounces_by_recipient, sorted afterwards;
//   - by update, or of the little that was updated lately: historical_bounces_by_update;
//   - of classes: historical_bounces_by_class, a stream each, which are merged;
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
	first, last  bouncePlace
	behind       bool  // first itself is not chosen: first < place < last, else first <= place < last
	since, until int64 // updated_at: since <= at < until
	lately       bool  // few were updated since
	stamp        int64 // counters.stamp
	waits        asked
	someAccounts int64 // there are, and the rows come without their numbers
}

// fewRows come with the numbers of their accounts; of more they are asked for together.
const fewRows = 501

func newBounceQuery(ctx context.Context, v *view, key []byte, p bounce.ListParams) (*bounceQuery, error) {
	q := &bounceQuery{view: v, ListParams: p, to: micros(bounce.End), until: math.MaxInt64}
	if !p.From.IsZero() {
		q.from = min(max(eventlist.CeilMicros(p.From), 0), q.to)
	}
	if !p.To.IsZero() {
		q.to = max(min(eventlist.CeilMicros(p.To), q.to), 0)
	}
	q.first.at, q.last.at = q.from, q.to
	if !p.UpdatedFrom.IsZero() {
		q.since = eventlist.CeilMicros(p.UpdatedFrom)
	}
	if len(p.Classes) > 0 {
		q.classes = int64s(p.Classes)
		slices.Sort(q.classes)
		q.classes = slices.Compact(q.classes)
	}
	askOne(&q.waits.Batch, &q.stamp, "SELECT stamp FROM counters WHERE workspace_id = $1", v.ws)
	if err := q.findRecipients(ctx, key); err != nil {
		return nil, err
	}
	q.nothing = q.nothing || q.from >= q.to
	return q, q.findChanges(ctx)
}

// askOne reads a single number with b; it stays as it is where there is no row.
func askOne(b *pgx.Batch, n *int64, text string, args ...any) {
	b.Queue(text, args...).Query(eachOf(func(r row) error { return r.Scan(n) }))
}

// findChanges finds out whether all was updated since, or little.
func (q *bounceQuery) findChanges(ctx context.Context) error {
	if !q.changes() {
		return nil
	}
	var oldest, lately int64
	var b pgx.Batch
	askOne(&b, &oldest, "SELECT updated_at FROM historical_bounces WHERE workspace_id = $1 ORDER BY updated_at LIMIT 1", q.ws)
	if !q.byUpdate() && q.ordinals == nil {
		askOne(&b, &lately, "SELECT count(*) FROM (SELECT 1 FROM historical_bounces WHERE workspace_id = $1 AND updated_at >= $2 LIMIT $3) AS lately",
			q.ws, q.since, eventlist.FewKeys+1)
	}
	if err := q.send(ctx, &b); err != nil {
		return err
	}
	if q.since <= oldest { // chooses all
		q.since, q.UpdatedFrom = 0, time.Time{}
		return nil
	}
	q.lately = !q.byUpdate() && q.ordinals == nil && lately <= eventlist.FewKeys
	return nil
}

// send runs what waits and then b, all in one message.
func (q *bounceQuery) send(ctx context.Context, b *pgx.Batch) error {
	return q.waits.send(ctx, q.tx, b)
}

// findRecipients are those of the addresses asked for that the accounts asked for hold.
func (q *bounceQuery) findRecipients(ctx context.Context, key []byte) error {
	if len(q.Address) == 0 && len(q.Accounts) == 0 {
		return nil
	}
	addresses := q.Address
	if len(q.Accounts) > 0 {
		held, err := q.heldBy(ctx, q.Accounts)
		if err != nil {
			return err
		}
		if len(q.Address) > 0 {
			asked := make(map[string]bool, len(q.Address))
			for _, a := range q.Address {
				asked[a] = true
			}
			held = slices.DeleteFunc(held, func(a string) bool { return !asked[a] })
		}
		addresses = held
	}
	var b pgx.Batch
	ordinals := q.askOrdinals(&b, key, addresses)
	err := q.send(ctx, &b)
	q.ordinals = knownOrdinals(ordinals)
	q.nothing = len(q.ordinals) == 0
	return err
}

const heldSQL = "SELECT address FROM accounts WHERE workspace_id = $1 AND number = ANY ($2)"

// heldBy are the addresses that accounts hold.
func (q *bounceQuery) heldBy(ctx context.Context, numbers []string) (held []string, err error) {
	var b pgx.Batch
	b.Queue(heldSQL, q.ws, numbers).Query(func(rows pgx.Rows) (err error) {
		held, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	return held, q.send(ctx, &b)
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
	d := placeOf(a).compare(placeOf(b))
	if q.byUpdate() {
		d = a.UpdatedAt.Compare(b.UpdatedAt)
	}
	if q.desc() {
		return -d
	}
	return d
}

// page is the bounces of the page, and one more if there is more, and the exact total.
func (q *bounceQuery) page(ctx context.Context) (rows []bounce.Historical, total int64, err error) {
	var b pgx.Batch
	var parts [3]int64
	counted := q.collected() && !q.NoTotal && q.After == nil // the rows tell how many there are
	if !q.NoTotal && !counted {
		q.askTotal(&b, &parts)
	}
	skip := q.Offset
	switch {
	case q.After != nil:
		q.narrowBehind(*q.After)
	case q.Offset < eventlist.SeekFrom || q.byUpdate() || q.changes() || q.ordinals != nil:
	default:
		if skip, err = q.seek(ctx, &b); err != nil {
			return nil, 0, err
		}
		b = pgx.Batch{}
	}
	read := newBounceBatch(q.Limit + 1)
	if q.first.compare(q.last) < 0 {
		text, args := q.rowsSQL(skip)
		b.Queue(text, args...).Query(eachOf(read.scan))
	}
	send := q.waits.sendLast
	if q.Limit >= fewRows {
		askOne(&b, &q.someAccounts, "SELECT 1 FROM accounts WHERE workspace_id = $1 LIMIT 1", q.ws)
	}
	if q.Limit >= fewRows || counted && skip > 0 {
		send = q.waits.send
	}
	if err = send(ctx, q.tx, &b); err != nil {
		return nil, 0, err
	}
	slices.SortFunc(read.rows, q.compare) // they come so, nearly always, but a join promises nothing
	switch {
	case counted && len(read.rows) > 0:
		return read.rows, read.found, nil
	case counted && skip > 0: // the page is behind the last of them
		b = pgx.Batch{}
		q.askTotal(&b, &parts)
		err = q.send(ctx, &b)
	}
	return read.rows, parts[0] + parts[1] + parts[2], err
}

// narrowBehind makes the cursor a bound of the rows.
func (q *bounceQuery) narrowBehind(after bounce.Cursor) {
	place := bouncePlace{micros(after.OccurredAt), after.ID}
	switch q.Order {
	case bounce.NewestFirst:
		if place.compare(q.last) < 0 {
			q.last = place
		}
	case bounce.OldestFirst:
		if place.compare(q.first) >= 0 {
			q.first, q.behind = place, true
		}
	case bounce.UpdatedFirst:
		q.since = max(q.since, micros(after.UpdatedAt)+1)
	case bounce.UpdatedLatest:
		q.until = min(q.until, micros(after.UpdatedAt))
	}
}

// collected says whether the rows are looked for by what the filter names and sorted afterwards, whatever PostgreSQL thinks of
// an index in the order of the list.
func (q *bounceQuery) collected() bool { return q.ordinals != nil || q.lately }

// streams says whether each of several classes is read by itself.
func (q *bounceQuery) streams() bool { return len(q.classes) > 1 && !q.collected() && !q.byUpdate() }

// where is what the filter chooses, of one class or all that it names.
func (q *bounceQuery) where(w *where, classes []int64) {
	w.add("b.workspace_id = ?", q.ws)
	if q.ordinals != nil {
		w.add("b.ordinal = ANY (?)", q.ordinals)
	}
	switch {
	case len(classes) == 1:
		w.add("b.class = ?", classes[0])
	case classes != nil:
		w.add("b.class = ANY (?)", classes)
	}
	if !q.byUpdate() || !q.From.IsZero() || !q.To.IsZero() {
		from := "(b.occurred_at, b.id) >= (?, ?)"
		if q.behind {
			from = "(b.occurred_at, b.id) > (?, ?)"
		}
		w.add(from, q.first.at, q.first.id)
		w.add("(b.occurred_at, b.id) < (?, ?)", q.last.at, q.last.id)
	}
	if q.changes() || q.byUpdate() {
		w.add("b.updated_at >= ? AND b.updated_at < ?", q.since, q.until)
	}
}

// places reads the places of the next n rows behind the first skip. What is collected first stands before that, as found.
func (q *bounceQuery) places(n, skip int) (found, text string, args []any) {
	columns := "b.occurred_at, b.id"
	if q.byUpdate() { // not every index has it
		columns += ", b.updated_at"
	}
	parts := [][]int64{q.classes}
	if q.streams() {
		parts = nil
		for c := range slices.Chunk(q.classes, 1) {
			parts = append(parts, c)
		}
	}
	for i, classes := range parts {
		if i > 0 {
			text += " UNION ALL "
		}
		w := where{args: args}
		q.where(&w, classes)
		part := "SELECT " + columns + " FROM historical_bounces b WHERE " + w.sql()
		if q.streams() { // each in the order of the list, or all of it is read and sorted
			part = "(" + part + q.order("b.") + " LIMIT " + w.arg(n+skip) + ")"
		}
		text, args = text+part, w.args
	}
	if q.collected() {
		found, text = "WITH found AS MATERIALIZED ("+text+") ", "SELECT * FROM found"
	}
	w := where{args: args}
	return found, text + q.order("") + " LIMIT " + w.arg(n) + " OFFSET " + w.arg(skip), w.args
}

func (q *bounceQuery) order(of string) string {
	direction := ""
	if q.desc() {
		direction = " DESC"
	}
	if q.byUpdate() {
		return " ORDER BY " + of + "updated_at" + direction
	}
	return " ORDER BY " + of + "occurred_at" + direction + ", " + of + "id" + direction
}

// bounceColumns are what bounceBatch reads, of bounces b and addresses a; the numbers of accounts and how many were found come last.
const bounceColumns = "b.occurred_at, b.id, b.provider, b.provider_event_id, b.ordinal, b.class, b.updated_at, b.reason, b.facts, coalesce(a.address, ''), "

const bounceAddress = " LEFT JOIN addresses a ON a.workspace_id = b.workspace_id AND a.ordinal = b.ordinal"

// accountsColumn is the accounts that hold the address; NULL = none.
const accountsColumn = "(SELECT array_agg(c.number) FROM accounts c WHERE c.workspace_id = b.workspace_id AND c.address = a.address), "

// rowsSQL reads the rows of the page, and one more.
func (q *bounceQuery) rowsSQL(skip int) (text string, args []any) {
	columns := bounceColumns + accountsColumn
	if q.Limit >= fewRows {
		columns = bounceColumns + "NULL::text[], "
	}
	if !q.collected() && !q.streams() && skip == 0 { // the rows themselves are in order
		var w where
		q.where(&w, q.classes)
		return "SELECT " + columns + "0::bigint FROM historical_bounces b" + bounceAddress + " WHERE " + w.sql() + q.order("b.") + " LIMIT " + w.arg(q.Limit+1), w.args
	}
	count := "0::bigint"
	found, text, args := q.places(q.Limit+1, skip)
	if found != "" {
		count = "(SELECT count(*) FROM found)"
	}
	w := where{args: args}
	return found + "SELECT " + columns + count + " FROM (" + text + ") k JOIN historical_bounces b ON b.workspace_id = " + w.arg(q.ws) +
		" AND b.occurred_at = k.occurred_at AND b.id = k.id" + bounceAddress, w.args
}

// bounceBatch reads rows of historical bounces.
type bounceBatch struct {
	rows  []bounce.Historical
	found int64 // of what was collected
	known bounce.FactsReader

	// One row is scanned into these, the same for every row: new variables would cost an allocation each.
	dest              []any
	h                 bounce.Historical
	occurred, updated int64
	provider, facts   pgtype.DriverBytes
	reason            string
	accounts          []string
}

func newBounceBatch(n int) *bounceBatch {
	b := &bounceBatch{rows: make([]bounce.Historical, 0, n), known: bounce.FactsReader{}}
	b.dest = []any{&b.occurred, &b.h.ID, &b.provider, &b.h.ProviderEventID, &b.h.Recipient, &b.h.Class, &b.updated, &b.reason, &b.facts, &b.h.Address,
		&b.accounts, &b.found}
	return b
}

func (b *bounceBatch) scan(r row) error {
	if err := r.Scan(b.dest...); err != nil {
		return err
	}
	h := b.h
	h.OccurredAt, h.UpdatedAt, h.Provider, h.AccountNumbers = fromMicros(b.occurred), fromMicros(b.updated), b.name(), append([]string{}, b.accounts...)
	slices.Sort(h.AccountNumbers)
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
	addresses := make([]string, 0, len(rows))
	for i := range rows {
		if rows[i].Address != "" { // not erased
			addresses = append(addresses, rows[i].Address)
		}
	}
	if len(addresses) == 0 {
		return nil
	}
	slices.Sort(addresses)
	numbers, err := v.accountNumbers(ctx, slices.Compact(addresses))
	for i := range rows {
		if of := numbers[rows[i].Address]; of != nil {
			rows[i].AccountNumbers = slices.Clone(of)
		}
	}
	return err
}

// askTotal reads with b the exact number of bounces chosen, as the sum of some parts.
func (q *bounceQuery) askTotal(b *pgx.Batch, parts *[3]int64) {
	if q.ordinals != nil || q.changes() {
		var w where
		q.where(&w, q.classes)
		askOne(b, &parts[0], "SELECT count(*) FROM historical_bounces b WHERE "+w.sql(), w.args...)
		return
	}
	head, whole, tail := q.days()
	if whole.from == 0 && whole.to == micros(bounce.End) {
		whole = stretch{from: allDays * dayMicros}
	}
	w := q.countsWhere(whole)
	askOne(b, &parts[0], "SELECT coalesce(sum(bounces), 0)::bigint FROM historical_counts WHERE "+w.sql(), w.args...)
	q.askCount(b, &parts[1], head)
	q.askCount(b, &parts[2], tail)
}

// stretch of occurred_at: from <= at < to, in microseconds; n bounces are in it.
type stretch struct{ from, to, n int64 }

// dayMicros is a day of historical_counts.
const dayMicros = int64(24 * time.Hour / time.Microsecond)

// allDays is the day under which historical_counts has those of all days together.
const allDays = -1

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
	w.add("workspace_id = ? AND day >= ? AND day < ?", q.ws, days.from/dayMicros, days.to/dayMicros)
	if q.classes != nil {
		w.add("class = ANY (?)", q.classes)
	}
	return w
}

const countPlacesSQL = `SELECT count(*) FROM historical_bounces WHERE workspace_id = $1 AND class = ANY ($2) AND occurred_at >= $3 AND occurred_at < $4`

// askCount reads with b how many bounces of the classes are in a stretch.
func (q *bounceQuery) askCount(b *pgx.Batch, n *int64, s stretch) {
	if s.from == s.to {
		return
	}
	classes := q.classes
	if classes == nil {
		classes = int64s(bounce.Classes)
	}
	askOne(b, n, countPlacesSQL, q.ws, classes, s.from, s.to)
}

// seek narrows the bounds by the counts, which it reads with b, so that the page begins in the day at their near end, and says how
// many rows of it come before.
func (q *bounceQuery) seek(ctx context.Context, b *pgx.Batch) (skip int, err error) {
	stretches, err := q.stretches(ctx, b)
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
			q.last.at = min(q.last.at, s.to)
		} else {
			q.first.at = max(q.first.at, s.from)
		}
		return skip, nil
	}
	q.last = q.first // there are not so many
	return 0, nil
}

// stretches are the days that have rows, and the edges of the range, in the order asked. They are read with b.
func (q *bounceQuery) stretches(ctx context.Context, b *pgx.Batch) (out []stretch, err error) {
	head, whole, tail := q.days()
	q.askCount(b, &head.n, head)
	w := q.countsWhere(whole)
	b.Queue("SELECT day, sum(bounces)::bigint FROM historical_counts WHERE "+w.sql()+" GROUP BY day ORDER BY day", w.args...).Query(eachOf(func(r row) error {
		var day, n int64
		err := r.Scan(&day, &n)
		out = append(out, stretch{day * dayMicros, (day + 1) * dayMicros, n})
		return err
	}))
	q.askCount(b, &tail.n, tail)
	if err := q.send(ctx, b); err != nil {
		return nil, err
	}
	out = append(out, head, tail)
	slices.SortFunc(out, func(a, b stretch) int { return cmp.Compare(a.from, b.from) })
	if q.desc() {
		slices.Reverse(out)
	}
	return out, nil
}
