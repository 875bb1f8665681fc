package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"monterey/internal/bounce"
	"monterey/internal/provider"
	"monterey/internal/recipient"
	"monterey/internal/suppression"
	"monterey/internal/task"
)

// histories is a workspace with a history of bounces, and what a reader should see of it.
type histories struct {
	*fixture
	stored   map[string]bounce.Historical // by provider id
	accounts map[string][]string          // by address, sorted
	updated  time.Time                    // the newest update
}

const (
	historySpan   = 40 * 24 * time.Hour
	historyPeople = 30
)

func newHistories(t testing.TB, seed uint64) *histories {
	h := &histories{fixture: newFixture(t, seed, 0, 0), stored: map[string]bounce.Historical{}, accounts: map[string][]string{}}
	h.write(func(tx *sql.Tx) {
		for i := range historyPeople {
			for n := range i % 4 { // some have none
				h.hold(tx, fmt.Sprintf("a%d", (i*7+n*3)%11), person(i))
			}
		}
		h.exec(tx, "INSERT INTO accounts (workspace, address, number) VALUES (1, ?, 'of another workspace')", person(1))
	})
	return h
}

func person(i int) string { return fmt.Sprintf("p%d@d%d.example", i, i%7) }

// hold lets an account hold an address.
func (h *histories) hold(tx *sql.Tx, account, address string) {
	if slices.Contains(h.accounts[address], account) {
		return
	}
	h.exec(tx, "INSERT INTO accounts (workspace, address, number) VALUES (?, ?, ?)", h.ws, address, account)
	h.accounts[address] = append(h.accounts[address], account)
	slices.Sort(h.accounts[address])
}

// random is a bounce with one of so many provider ids.
func (h *histories) random(rnd *rand.Rand, ids int) bounce.Historical {
	b := bounce.Historical{ProviderEventID: strconv.Itoa(rnd.IntN(ids)), Address: person(rnd.IntN(historyPeople)), Class: bounce.Classes[rnd.IntN(4)],
		OccurredAt: fixtureStart.Add(time.Duration(rnd.Int64N(int64(historySpan))).Truncate(time.Hour)), Status: []string{"", "Active"}[rnd.IntN(2)]}
	if rnd.IntN(3) == 0 {
		b.OccurredAt = b.OccurredAt.Add(time.Duration(rnd.IntN(3600e6)) * time.Microsecond)
	}
	if rnd.IntN(2) == 0 {
		b.Detail = bounce.Detail{SMTPCode: 550, EnhancedCode: "5.1.1", Label: "Hard", Reason: fmt.Sprint("no such user ", rnd.IntN(2))}
	}
	if rnd.IntN(2) == 0 {
		b.Detail.Code = strconv.Itoa(rnd.IntN(3))
	}
	return b
}

// put puts rows and sees to it that the answer is right.
func (h *histories) put(t rapid.TB, rows []bounce.Historical) {
	t.Helper()
	var want bounce.Upserted
	last := map[string]bounce.Historical{}
	for _, r := range rows {
		if before, twice := last[r.ProviderEventID]; twice {
			r = r.Over(before)
		}
		last[r.ProviderEventID] = r
	}
	changed := map[string]bounce.Historical{}
	for id, r := range last {
		old, ok := h.stored[id]
		old.ID, old.Provider, old.Recipient, old.UpdatedAt, old.AccountNumbers = bounce.ID{}, "", 0, time.Time{}, nil
		if ok {
			r = r.Over(old)
		}
		switch {
		case !ok:
			want.Inserted++
		case gocmp.Equal(old, r):
			want.Unchanged++
			continue
		default:
			want.Updated++
		}
		changed[id] = r
	}
	got, err := h.PutBounces(context.Background(), h.caller, provider.Campaigner, rows)
	if err != nil || got != want {
		t.Fatalf("%d rows: %+v, want %+v, error %v", len(rows), got, want, err)
	}
	h.see(t, changed)
}

// see takes over what only the store can know of the rows that changed: their recipients and when they were updated.
func (h *histories) see(t rapid.TB, changed map[string]bounce.Historical) {
	t.Helper()
	since := h.updated
	for id, r := range changed {
		var ordinal, updated int64
		hash := recipient.HashOf(h.key, r.Address)
		err := h.readers.QueryRow("SELECT ordinal, updated_at FROM historical_bounces WHERE workspace = ? AND provider = 'campaigner' AND provider_event_id = ?",
			h.ws, id).Scan(&ordinal, &updated)
		if err != nil {
			t.Fatal(err)
		}
		r.ID, r.Provider, r.Recipient, r.UpdatedAt = bounce.IDOf(h.key, provider.Campaigner, id), provider.Campaigner, recipient.Ordinal(ordinal), fromMicros(updated)
		r.AccountNumbers = append([]string{}, h.accounts[r.Address]...)
		if !r.UpdatedAt.After(since) {
			t.Fatalf("%s was updated at %s, not after %s", id, r.UpdatedAt, since)
		}
		var known int64
		if err := h.readers.QueryRow("SELECT ordinal FROM recipients WHERE workspace = ? AND hash = ?", h.ws, hash[:]).Scan(&known); err != nil || known != ordinal {
			t.Fatalf("%s is recipient %d, the row has %d: %v", r.Address, known, ordinal, err)
		}
		h.stored[id] = r
		if r.UpdatedAt.After(h.updated) {
			h.updated = r.UpdatedAt
		}
	}
}

// choose is the list by brute force.
func (h *histories) choose(p bounce.ListParams) []bounce.Historical {
	out := []bounce.Historical{}
	for _, b := range h.stored {
		held := slices.ContainsFunc(b.AccountNumbers, func(a string) bool { return slices.Contains(p.Accounts, a) })
		if (len(p.Address) == 0 || slices.Contains(p.Address, b.Address)) && (len(p.Accounts) == 0 || held) &&
			(len(p.Classes) == 0 || slices.Contains(p.Classes, b.Class)) && (p.From.IsZero() || !b.OccurredAt.Before(p.From)) &&
			(p.To.IsZero() || b.OccurredAt.Before(p.To)) && (p.UpdatedFrom.IsZero() || !b.UpdatedAt.Before(p.UpdatedFrom)) {
			out = append(out, b)
		}
	}
	slices.SortFunc(out, func(a, b bounce.Historical) int {
		byTime := cmp.Or(a.OccurredAt.Compare(b.OccurredAt), bytes.Compare(a.ID.UUID[:], b.ID.UUID[:]))
		switch p.Order {
		case bounce.NewestFirst:
			return -byTime
		case bounce.OldestFirst:
			return byTime
		case bounce.UpdatedFirst:
			return a.UpdatedAt.Compare(b.UpdatedAt)
		}
		return b.UpdatedAt.Compare(a.UpdatedAt)
	})
	return out
}

func (h *histories) drawFilter(t *rapid.T) (p bounce.ListParams) {
	var people, accounts []string
	for i := range historyPeople {
		people = append(people, person(i))
	}
	for i := range 12 {
		accounts = append(accounts, fmt.Sprintf("a%d", i))
	}
	moment := func(name string) time.Time {
		switch rapid.IntRange(0, 4).Draw(t, name+"?") {
		case 0:
			return fixtureStart.Add(time.Duration(rapid.IntRange(-1, 41).Draw(t, name+" day")) * 24 * time.Hour)
		case 1:
			return fixtureStart.Add(time.Duration(rapid.Int64Range(0, int64(historySpan)).Draw(t, name)))
		}
		return time.Time{}
	}
	if rapid.IntRange(0, 2).Draw(t, "address?") == 0 {
		p.Address = some(t, "addresses", append(people, "nobody@example.com"))
	}
	if rapid.IntRange(0, 2).Draw(t, "account?") == 0 {
		p.Accounts = some(t, "accounts", accounts)
	}
	p.Classes = some(t, "classes", bounce.Classes)
	p.From, p.To = moment("from"), moment("to")
	if of := slices.Collect(maps.Values(h.stored)); len(of) > 0 && rapid.IntRange(0, 2).Draw(t, "updated?") == 0 {
		slices.SortFunc(of, func(a, b bounce.Historical) int { return a.UpdatedAt.Compare(b.UpdatedAt) })
		p.UpdatedFrom = rapid.SampledFrom(of).Draw(t, "updated").UpdatedAt.Add(-time.Duration(rapid.IntRange(0, 1).Draw(t, "finer")))
	}
	p.Order = bounce.Order(rapid.IntRange(0, 3).Draw(t, "order"))
	p.Limit = rapid.SampledFrom([]int{1, 2, 17, 300}).Draw(t, "limit")
	return p
}

// Pages of random bounces, of which many are there already and some changed, and after each what a list, its total, a page
// by number and one by cursor say.
func TestHistoryIsBruteForce(t *testing.T) {
	h := newHistories(t, 11)
	rnd := rand.New(rand.NewPCG(3, 3))
	page := func(n, ids int) (rows []bounce.Historical) {
		for range n {
			rows = append(rows, h.random(rnd, ids))
		}
		return rows
	}
	for range 4 {
		h.put(t, page(700, 2500))
	}
	rapid.Check(t, func(t *rapid.T) {
		if rapid.IntRange(0, 3).Draw(t, "put?") == 0 {
			rows := page(rapid.IntRange(0, 120).Draw(t, "rows"), 2600)
			for _, b := range h.stored { // and some that say the same
				if len(rows)%5 == 0 {
					break
				}
				b.ID, b.Provider, b.Recipient, b.UpdatedAt, b.AccountNumbers = bounce.ID{}, "", 0, time.Time{}, nil
				rows = append(rows, b)
			}
			h.put(t, rows)
		}
		h.checkList(t, h.drawFilter(t))
	})
	h.checkCauses(t)
	h.checkCounts(t)
	h.write(func(tx *sql.Tx) { // before migration 14
		h.exec(tx, "DELETE FROM historical_counts WHERE day = -1")
		h.exec(tx, "DELETE FROM goose_db_version WHERE version_id >= 14")
	})
	if _, _, err := h.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.checkCounts(t)
}

func (h *histories) checkList(t *rapid.T, p bounce.ListParams) {
	want := h.choose(p)
	p.Offset = rapid.IntRange(0, len(want)+1).Draw(t, "offset")
	part := func(from int) {
		t.Helper()
		got, err := h.ListBounces(context.Background(), h.caller, p)
		if err != nil {
			t.Fatal(err)
		}
		from = min(from, len(want))
		to := min(from+p.Limit, len(want))
		if diff := gocmp.Diff(want[from:to], got.Items); diff != "" || got.More != (to < len(want)) {
			t.Fatalf("%d of %d rows behind %d, more %v:\n%s", len(got.Items), len(want), from, got.More, diff)
		}
		if !p.NoTotal && got.Total != int64(len(want)) || !got.NewestUpdate.Equal(h.updated) && !got.NewestUpdate.After(h.updated) {
			t.Fatalf("the total is %d, want %d; the newest update is %s, want %s or later", got.Total, len(want), got.NewestUpdate, h.updated)
		}
	}
	part(p.Offset)
	h.withBounceQuery(t, p, func(_ *sql.Tx, q *bounceQuery) {
		if !q.lately && q.ordinals == nil || q.nothing {
			return
		}
		q.lately = false // as if so much had been updated, or the recipients had so many, that looking for it by time is better
		total, err := q.total(context.Background())
		got, perr := q.page(context.Background())
		if from := min(p.Offset, len(want)); err != nil || perr != nil || total != int64(len(want)) || !gocmp.Equal(want[from:min(from+p.Limit+1, len(want))], withAccounts(want, got)) {
			t.Fatalf("by time: %d rows, total %d, want %d of %d, errors %v, %v", len(got), total, min(len(want)-from, p.Limit+1), len(want), err, perr)
		}
	})
	if at := p.Offset; at > 0 && at <= len(want) {
		last := want[at-1]
		p.Offset, p.After = rapid.IntRange(0, 40).Draw(t, "offset behind"), &bounce.Cursor{ID: last.ID, OccurredAt: last.OccurredAt, UpdatedAt: last.UpdatedAt}
		p.NoTotal = rapid.Bool().Draw(t, "no total")
		part(at + p.Offset)
	}
}

// checkCauses compares the suppressions with the earliest hard bounce of each recipient.
func (h *histories) checkCauses(t *testing.T) {
	t.Helper()
	want := map[string][]suppression.Cause{}
	var people []string
	for i := range historyPeople {
		people = append(people, person(i))
		hard := h.choose(bounce.ListParams{Filter: bounce.Filter{Address: people[i:], Classes: []bounce.Class{bounce.Hard}}, Order: bounce.OldestFirst})
		if len(hard) > 0 {
			want[people[i]] = []suppression.Cause{{Reason: suppression.HardBounce, OccurredAt: hard[0].OccurredAt, Source: suppression.History, ID: hard[0].ID.UUID}}
		}
	}
	causes, err := h.CheckSuppressions(context.Background(), h.caller, people)
	got := map[string][]suppression.Cause{}
	for i, of := range causes {
		if len(of) > 0 {
			got[people[i]] = of
		}
	}
	if diff := gocmp.Diff(want, got); err != nil || diff != "" || len(want) == 0 {
		t.Errorf("%d suppressed, error %v:\n%s", len(want), err, diff)
	}
}

// checkCounts compares the counts with the rows, and sees that no row of counts is empty.
func (h *histories) checkCounts(t *testing.T) {
	t.Helper()
	want, got := map[[2]int64]int64{}, map[[2]int64]int64{}
	for _, b := range h.stored {
		want[[2]int64{b.OccurredAt.Unix() / 86400, int64(b.Class)}]++
		want[[2]int64{allDays, int64(b.Class)}]++
	}
	rows, err := h.readers.Query("SELECT day, class, bounces FROM historical_counts WHERE workspace = ?", h.ws)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var k [2]int64
		var n int64
		if err := rows.Scan(&k[0], &k[1], &n); err != nil {
			t.Fatal(err)
		}
		got[k] = n
	}
	if diff := gocmp.Diff(want, got); diff != "" || rows.Err() != nil {
		t.Errorf("counts (-want +got), error %v:\n%s", rows.Err(), diff)
	}
}

// A bounce of someone who was erased finds its recipient and brings neither the address nor texts back.
func TestHistoryOfTheErased(t *testing.T) {
	h := newHistories(t, 1)
	b := bounce.Historical{ProviderEventID: "1", Address: person(3), OccurredAt: fixtureStart, Class: bounce.Hard, Status: "x",
		Detail: bounce.Detail{SMTPCode: 550, Code: "7", Reason: "no " + person(3)}}
	h.put(t, []bounce.Historical{b})
	erased := h.stored["1"].Recipient
	h.write(func(tx *sql.Tx) {
		h.exec(tx, "UPDATE addresses SET address = '' WHERE workspace = ? AND ordinal = ?", h.ws, int64(erased))
	})
	another := b
	another.ProviderEventID = "2"
	for i, want := range []bounce.Upserted{{Inserted: 1, Updated: 1}, {Unchanged: 2}} { // the first takes the texts away
		got, err := h.PutBounces(t.Context(), h.caller, provider.Campaigner, []bounce.Historical{b, another})
		if err != nil || got != want {
			t.Fatalf("put %d: %+v, want %+v, error %v", i, got, want, err)
		}
	}
	list, err := h.ListBounces(t.Context(), h.caller, bounce.ListParams{Limit: 9, Filter: bounce.Filter{Address: []string{person(3)}}})
	if err != nil || len(list.Items) != 2 {
		t.Fatal(len(list.Items), err)
	}
	for _, got := range list.Items {
		if got.Address != "" || got.Recipient != erased || got.Detail != (bounce.Detail{}) || got.Status != "" || len(got.AccountNumbers) != 0 {
			t.Errorf("the erased one is there again: %+v", got)
		}
	}
	var n int
	if err := h.readers.QueryRow("SELECT count(*) FROM addresses WHERE workspace = ? AND address = ?", h.ws, person(3)).Scan(&n); err != nil || n != 0 {
		t.Errorf("the address is in %d rows: %v", n, err)
	}
}

// What was read again and is unchanged writes nothing, and nobody new is made a recipient by a page that fails.
func TestHistoryThatFails(t *testing.T) {
	h := newHistories(t, 1)
	rows := []bounce.Historical{h.random(h.rnd, 100), {ProviderEventID: "x"}}
	if _, err := h.PutBounces(t.Context(), h.caller, provider.Campaigner, rows); err == nil {
		t.Fatal("a row without an address was kept")
	}
	h.put(t, rows[:1])
	state := func() (s string) {
		for _, table := range []string{"historical_bounces", "historical_counts", "recipients", "suppressions", "counters"} {
			var n int
			if err := h.readers.QueryRow("SELECT count(*) FROM " + table).Scan(&n); err != nil {
				t.Fatal(err)
			}
			s += fmt.Sprintln(table, n)
		}
		var stamp int64
		if err := h.readers.QueryRow("SELECT stamp FROM counters WHERE workspace = ?", h.ws).Scan(&stamp); err != nil {
			t.Fatal(err)
		}
		return s + fmt.Sprint(stamp)
	}
	before := state()
	h.put(t, rows[:1])
	h.write(func(tx *sql.Tx) {
		h.exec(tx, "CREATE TRIGGER fails BEFORE INSERT ON historical_counts BEGIN SELECT raise(ABORT, 'half-way'); END")
	})
	more := bounce.Historical{ProviderEventID: "new", Address: "new@example.com", OccurredAt: fixtureStart.AddDate(1, 0, 0), Class: bounce.Hard}
	if _, err := h.PutBounces(t.Context(), h.caller, provider.Campaigner, []bounce.Historical{more}); err == nil {
		t.Fatal("a page was kept although its counts failed")
	}
	if after := state(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	h.write(func(tx *sql.Tx) { h.exec(tx, "DROP TRIGGER fails") })
	h.put(t, []bounce.Historical{more}) // a recipient of a page that failed is no recipient yet
}

func TestPlansOfHistory(t *testing.T) {
	h := newHistories(t, 1)
	h.put(t, []bounce.Historical{h.random(h.rnd, 10), h.random(h.rnd, 10)})
	const by = "INDEX historical_bounces_by_"
	from := fixtureStart.Add(90 * time.Minute)
	for name, tt := range map[string]struct {
		bounce.Filter
		byUpdate, sorts bool
		want            []string
	}{
		"all":       {want: []string{"SEARCH b USING PRIMARY KEY (workspace=? AND place>? AND place<?)"}},
		"range":     {Filter: bounce.Filter{From: from}, want: []string{"SEARCH b USING PRIMARY KEY (workspace=? AND place>? AND place<?)"}},
		"class":     {Filter: bounce.Filter{Classes: bounce.Classes[:1]}, want: []string{by + "class (workspace=? AND class=? AND place>? AND place<?)"}},
		"classes":   {Filter: bounce.Filter{Classes: bounce.Classes[:3]}, want: []string{"MERGE (UNION ALL)", by + "class (workspace=? AND class=? AND place>? AND place<?)"}},
		"recipient": {Filter: bounce.Filter{Address: []string{h.anyone()}}, sorts: true, want: []string{by + "recipient (workspace=? AND ordinal=? AND place>? AND place<?)"}},
		"updated":   {byUpdate: true, want: []string{by + "update (workspace=? AND updated_at>? AND updated_at<?)"}},
		"lately":    {Filter: bounce.Filter{UpdatedFrom: h.updated}, sorts: true, want: []string{by + "update (workspace=? AND updated_at>? AND updated_at<?)"}},
	} {
		for _, desc := range []bool{false, true} {
			p := bounce.ListParams{Filter: tt.Filter, Order: bounce.OldestFirst, Limit: 10}
			switch {
			case tt.byUpdate && desc:
				p.Order = bounce.UpdatedLatest
			case tt.byUpdate:
				p.Order = bounce.UpdatedFirst
			case desc:
				p.Order = bounce.NewestFirst
			}
			h.withBounceQuery(t, p, func(tx *sql.Tx, q *bounceQuery) {
				text, args := q.places(10, 3)
				got := plan(t, tx, text, args...)
				if tt.sorts {
					got = strings.ReplaceAll(got, "TEMP B-TREE", "")
				}
				checkPlan(t, got, tt.want...)
				if name != "all" && name != "range" { // the index alone answers
					checkPlan(t, got, "COVERING INDEX")
				}
				text, args = q.rowsSQL(0)
				got = plan(t, tx, text, args...)
				if tt.sorts {
					got = strings.ReplaceAll(got, "TEMP B-TREE", "")
				}
				checkPlan(t, got, "SEARCH b USING PRIMARY KEY (workspace=? AND place", "SEARCH a USING PRIMARY KEY (workspace=? AND ordinal=?)")
			})
		}
	}
	h.withBounceQuery(t, bounce.ListParams{Limit: 1}, func(tx *sql.Tx, _ *bounceQuery) {
		place := []byte{1}
		checkPlan(t, plan(t, tx, countPlacesSQL, 1, "[1]", place, place), "COVERING "+by+"class (workspace=? AND class=? AND place>? AND place<?)")
		checkPlan(t, plan(t, tx, heldSQL, 1, "[]", 0, 0), "COVERING INDEX accounts_by_number (workspace=? AND number=?)")
		checkPlan(t, strings.ReplaceAll(plan(t, tx, accountNumbersSQL, "[]", 1, 0, 0), "TEMP B-TREE", ""), "SEARCH a USING PRIMARY KEY (workspace=? AND address=?)")
		checkPlan(t, plan(t, tx, ordinalsSQL, 1, 1, place), "SEARCH r USING PRIMARY KEY (workspace=? AND hash=?)")
		checkPlan(t, plan(t, tx, erasedSQL, 1, "[]"), "COVERING INDEX addresses_erased (workspace=? AND ordinal=?)")
		args := []any{1, "campaigner"}
		for range lookup {
			args = append(args, "x")
		}
		checkPlan(t, plan(t, tx, findBouncesSQL, args...), by+"provider (workspace=? AND provider=? AND provider_event_id=?)")
	})
}

func (h *histories) anyone() string {
	for _, b := range h.stored {
		return b.Address
	}
	return ""
}

// withAccounts gives rows the accounts that they have among others.
func withAccounts(from, rows []bounce.Historical) []bounce.Historical {
	for i := range rows {
		at := slices.IndexFunc(from, func(b bounce.Historical) bool { return b.ID == rows[i].ID })
		if at >= 0 {
			rows[i].AccountNumbers = from[at].AccountNumbers
		}
	}
	return rows
}

func (h *histories) withBounceQuery(t rapid.TB, p bounce.ListParams, fn func(*sql.Tx, *bounceQuery)) {
	t.Helper()
	err := h.read(context.Background(), "history", func(tx *sql.Tx) error {
		q, err := newBounceQuery(context.Background(), h.newView(tx, h.ws, h.now()), h.key, p)
		if err == nil {
			fn(tx, q)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Of many recipients a second reader does a part, and only if it sees what the first does.
func TestHistoryOfMany(t *testing.T) {
	f := newFixture(t, 1, 0, 0)
	put := func(first, n int) (addresses []string) {
		rows := make([]bounce.Historical, n)
		for i := range rows {
			rows[i] = bounce.Historical{ProviderEventID: strconv.Itoa(first + i), Address: fmt.Sprintf("p%d@example.com", i%(6*ordinalsTogether+7)), Class: bounce.Hard,
				OccurredAt: fixtureStart.Add(time.Duration(i*7919%n) * time.Second)}
			addresses = append(addresses, rows[i].Address)
		}
		if _, err := f.PutBounces(t.Context(), f.caller, provider.Campaigner, rows); err != nil {
			t.Fatal(err)
		}
		return addresses
	}
	const n = 2000
	p := bounce.ListParams{Filter: bounce.Filter{Address: put(0, n)}, Limit: 20, Offset: 30}
	for _, meanwhile := range []bool{false, true} {
		if err := f.read(t.Context(), "test", func(tx *sql.Tx) error {
			q, err := newBounceQuery(t.Context(), f.newView(tx, f.ws, time.Time{}), f.key, p)
			if err != nil {
				return err
			}
			if meanwhile {
				put(n, n)
			}
			total, rows, err := q.ofRecipients(t.Context(), f.Store)
			if total != n || len(rows) != p.Limit+1 {
				t.Errorf("%d bounces, %d on the page, stored meanwhile: %t", total, len(rows), meanwhile)
			}
			for i, r := range rows {
				if want := fixtureStart.Add(time.Duration(n-1-p.Offset-i) * time.Second); !r.OccurredAt.Equal(want) {
					t.Errorf("row %d is of %s, want %s", i, r.OccurredAt, want)
				}
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	}
}

// A page of a backfill is followed by a pause while something is counted.
func TestABackfillLetsCountingGoFirst(t *testing.T) {
	h := newHistories(t, 1)
	of := task.New(task.Backfill, task.Params{}, "test", fixtureStart)
	if err := h.CreateTask(t.Context(), h.caller, of); err != nil {
		t.Fatal(err)
	}
	put := func() {
		step := func(bounce.Upserted) (task.Step, error) { return task.Step{Task: of.ID}, nil }
		if err := h.PutPage(t.Context(), h.caller, provider.Campaigner, nil, step); err != nil {
			t.Error(err)
		}
	}
	put() // nothing is counted
	h.counts.Share = 1 << 30
	ended := h.counts.Begin()
	done := make(chan struct{})
	go func() {
		defer close(done)
		put()
	}()
	select {
	case <-done:
		t.Error("it went on")
	case <-time.After(200 * time.Millisecond):
	}
	ended()
	<-done
}
