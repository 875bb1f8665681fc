package storetest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"monterey/internal/account"
	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/store"
	"monterey/internal/workspace"
)

// entries are written "number address, number address".
func entries(text string) (out []account.Entry) {
	for pair := range strings.SplitSeq(text, ", ") {
		if number, address, ok := strings.Cut(pair, " "); ok {
			out = append(out, account.Entry{Number: number, Address: address})
		}
	}
	return out
}

// all gives entries, and then an error if it is not nil.
func all(list []account.Entry, end error) iter.Seq2[account.Entry, error] {
	return func(yield func(account.Entry, error) bool) {
		for _, e := range list {
			if !yield(e, nil) {
				return
			}
		}
		if end != nil {
			yield(account.Entry{}, end)
		}
	}
}

func addAccounts(t *testing.T, s account.Store, c workspace.Caller, text string) {
	t.Helper()
	must(s.ImportAccounts(t.Context(), c, all(entries(text), nil), false))(t)
}

func accounts(t *testing.T, s account.Store, c workspace.Caller) []account.Entry {
	t.Helper()
	return walk(t, 2, everything, func(p page.Params) (page.Of[account.Entry], error) {
		return s.ListAccounts(t.Context(), c, account.ListParams{Params: p})
	})
}

func testImportAccounts(t *testing.T, s store.Store) {
	ctx := t.Context()
	c, other := addCaller(t, s, "one"), addCaller(t, s, "two")
	addAccounts(t, s, other, "7 a@x")
	for _, x := range []struct {
		what, rows, want string
		replace          bool
		counts           account.Counts
	}{
		{"the first", "2 b@x, 1 a@x, 2 b@x, 1 b@x", "1 a@x, 1 b@x, 2 b@x", false, account.Counts{Inserted: 3}},
		{"the same again", "1 a@x, 2 b@x, 1 b@x", "1 a@x, 1 b@x, 2 b@x", false, account.Counts{Unchanged: 3}},
		{"some more", "3 c@x, 1 a@x", "1 a@x, 1 b@x, 2 b@x, 3 c@x", false, account.Counts{Inserted: 1, Unchanged: 1}},
		{"nothing", "", "1 a@x, 1 b@x, 2 b@x, 3 c@x", false, account.Counts{}},
		{"in their place", "3 c@x, 4 d@x", "3 c@x, 4 d@x", true, account.Counts{Inserted: 1, Unchanged: 1, Removed: 3}},
		{"in place of the same", "4 d@x, 3 c@x", "3 c@x, 4 d@x", true, account.Counts{Unchanged: 2}},
		{"what was removed comes back", "1 a@x", "1 a@x, 3 c@x, 4 d@x", false, account.Counts{Inserted: 1}},
		{"nothing in their place", "", "", true, account.Counts{Removed: 3}},
		{"and again", "9 z@x", "9 z@x", true, account.Counts{Inserted: 1}},
	} {
		counts := must(s.ImportAccounts(ctx, c, all(entries(x.rows), nil), x.replace))(t)
		same(t, x.what+": counts", counts, x.counts)
		same(t, x.what, accounts(t, s, c), entries(x.want))
	}
	same(t, "the other workspace's", accounts(t, s, other), entries("7 a@x"))
}

// testImportAccountsFails: an import whose rows end in an error, or whose context ends, changes nothing.
func testImportAccountsFails(t *testing.T, s store.Store) {
	c := addCaller(t, s, "one")
	addAccounts(t, s, c, "1 a@x, 2 b@x")
	broken := errors.New("broken")
	for _, replace := range []bool{false, true} {
		_, err := s.ImportAccounts(t.Context(), c, all(entries("3 c@x"), broken), replace)
		if !errors.Is(err, broken) {
			t.Errorf("an import that fails: %v", err)
		}
		_, err = s.ImportAccounts(t.Context(), c, all(nil, fault.New(fault.TooLarge, "too large")), replace)
		wantFault(t, "an import that fails with a fault", err, fault.TooLarge)
		ctx, cancel := context.WithCancel(t.Context())
		_, err = s.ImportAccounts(ctx, c, func(yield func(account.Entry, error) bool) {
			yield(entries("3 c@x")[0], nil)
			cancel()
		}, replace)
		if err == nil {
			t.Error("an import was kept whose context ended")
		}
		same(t, "the directory", accounts(t, s, c), entries("1 a@x, 2 b@x"))
	}
}

// testManyAccounts takes in more than one transaction can.
func testManyAccounts(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := addCaller(t, s, "one")
	rows := func(from, to int) iter.Seq2[account.Entry, error] {
		return func(yield func(account.Entry, error) bool) {
			for i := from; i < to; i++ {
				n := i * 7919 % 10_007 // in no order, none twice
				if !yield(account.Entry{Number: fmt.Sprint(n), Address: fmt.Sprintf("p%05d@example.com", n)}, nil) {
					return
				}
			}
		}
	}
	total := func(want int64) {
		t.Helper()
		got := must(s.ListAccounts(ctx, c, account.ListParams{Params: page.Params{Number: 1, Size: 1}}))(t)
		same(t, "total", got.Total, want)
	}
	same(t, "counts", must(s.ImportAccounts(ctx, c, rows(0, 7000), true))(t), account.Counts{Inserted: 7000})
	total(7000)
	same(t, "counts", must(s.ImportAccounts(ctx, c, rows(5000, 10_000), true))(t), account.Counts{Inserted: 3000, Unchanged: 2000, Removed: 5000})
	total(5000)
	var addresses []string
	for e := range rows(4990, 10_000) {
		addresses = append(addresses, e.Address)
	}
	same(t, "addresses found", len(must(s.AccountNumbers(ctx, c, addresses))(t)), 5000)
}

func testListAccounts(t *testing.T, s store.Store) {
	ctx := t.Context()
	c := addCaller(t, s, "one")
	addAccounts(t, s, c, "10 b@x, 2 b@x, 2 a@x, B c@x, a d@x, é a@x")
	for _, x := range []struct {
		sort    string
		desc    bool
		filter  account.Filter
		address string
	}{
		{"", false, account.Filter{}, "10 b@x, 2 a@x, 2 b@x, B c@x, a d@x, é a@x"},
		{"account_number", true, account.Filter{}, "é a@x, a d@x, B c@x, 2 b@x, 2 a@x, 10 b@x"},
		{"email", false, account.Filter{}, "2 a@x, é a@x, 10 b@x, 2 b@x, B c@x, a d@x"},
		{"email", true, account.Filter{}, "a d@x, B c@x, 2 b@x, 10 b@x, é a@x, 2 a@x"},
		{"", false, account.Filter{Numbers: []string{"2", "é", "none"}}, "2 a@x, 2 b@x, é a@x"},
		{"", false, account.Filter{Numbers: []string{"b"}}, ""},
		{"", false, account.Filter{Addresses: []string{"b@x", "d@x"}}, "10 b@x, 2 b@x, a d@x"},
		{"", false, account.Filter{Numbers: []string{"2"}, Addresses: []string{"b@x"}}, "2 b@x"},
	} {
		got := walk(t, 4, sorted(x.sort, x.desc), func(p page.Params) (page.Of[account.Entry], error) {
			return s.ListAccounts(ctx, c, account.ListParams{Filter: x.filter, Params: p})
		})
		same(t, fmt.Sprintf("%+v by %s", x.filter, x.sort), got, entries(x.address))
	}
}

func testAccountNumbers(t *testing.T, s store.Store) {
	ctx := t.Context()
	c, other := addCaller(t, s, "one"), addCaller(t, s, "two")
	addAccounts(t, s, c, "9 a@x, 10 a@x, 2 a@x, b a@x, B a@x, 1 b@x")
	addAccounts(t, s, other, "7 a@x, 8 c@x")
	ask := func(addresses ...string) map[string][]string {
		t.Helper()
		return must(s.AccountNumbers(ctx, c, addresses))(t)
	}
	want := map[string][]string{"a@x": {"10", "2", "9", "B", "b"}, "b@x": {"1"}}
	same(t, "numbers, in bytewise order", ask("b@x", "a@x", "c@x", "A@x", "a@x", ""), want)
	same(t, "none", ask(), map[string][]string{})
	many := []string{"a@x"}
	for i := range 40_000 {
		many = append(many, fmt.Sprintf("p%d@x", i))
	}
	same(t, "of many", ask(slices.Concat(many, []string{"b@x"})...), want)
	must(s.ImportAccounts(ctx, c, all(entries("1 b@x"), nil), true))(t)
	same(t, "after a removal", ask("a@x", "b@x"), map[string][]string{"b@x": {"1"}})
}

// testAccountSource: there is at most one a workspace, and it is nobody else's.
func testAccountSource(t *testing.T, s store.Store) {
	ctx := t.Context()
	c, other := addCaller(t, s, "one"), addCaller(t, s, "two")
	_, err := s.GetSource(ctx, c)
	wantFault(t, "get none", err, fault.NotFound)
	wantFault(t, "delete none", s.DeleteSource(ctx, c), fault.NotFound)

	src := account.Source{URL: []byte{0, 1, 0xff}, Query: "SELECT 'ä', '\"'\n", Schedule: "0 3 * * *"}
	theirs := account.Source{URL: []byte{7}, Query: "SELECT 1, 2"}
	ok(t, s.PutSource(ctx, c, src))
	ok(t, s.PutSource(ctx, other, theirs))
	same(t, "as put", must(s.GetSource(ctx, c))(t), src)
	src = account.Source{URL: []byte{2}, Query: "SELECT 3, 4"}
	ok(t, s.PutSource(ctx, c, src))
	same(t, "as put again", must(s.GetSource(ctx, c))(t), src)

	ok(t, s.DeleteSource(ctx, c))
	_, err = s.GetSource(ctx, c)
	wantFault(t, "get a deleted one", err, fault.NotFound)
	same(t, "the other workspace's", must(s.GetSource(ctx, other))(t), theirs)
	ok(t, s.DeleteWorkspace(ctx, other.Workspace(), at(9)))
	_, err = s.GetSource(ctx, other)
	wantFault(t, "that of a deleted workspace", err, fault.NotFound)
}
