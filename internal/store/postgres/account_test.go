package postgres

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"monterey/internal/account"
	"monterey/internal/fault"
	"monterey/internal/page"
)

// accountRange gives entries numbered from, from+step, … below to.
func accountRange(from, to, step int) iter.Seq2[account.Entry, error] {
	return func(yield func(account.Entry, error) bool) {
		for i := from; i < to; i += step {
			if !yield(account.Entry{Number: fmt.Sprintf("A%07d", i), Address: fmt.Sprintf("p%07d@example.com", i)}, nil) {
				return
			}
		}
	}
}

func rangeOf(from, to, step int) (out []account.Entry) {
	for e := range accountRange(from, to, step) {
		out = append(out, e)
	}
	return out
}

func (f *fixture) accounts() (out []account.Entry) {
	f.t.Helper()
	for n := 1; ; n++ {
		got, err := f.ListAccounts(context.Background(), f.caller, account.ListParams{Params: page.Params{Number: n, Size: 5000}})
		if err != nil {
			f.t.Fatal(err)
		}
		if out = append(out, got.Items...); len(got.Items) == 0 {
			if int64(len(out)) != got.Total {
				f.t.Errorf("%d accounts listed, total %d", len(out), got.Total)
			}
			return out
		}
	}
}

// checkAccounts compares the directory, and sees that so many entries are staged.
func (f *fixture) checkAccounts(what string, want []account.Entry, staged int) {
	f.t.Helper()
	if d := cmp.Diff(want, f.accounts()); d != "" {
		f.t.Errorf("%s: the directory (-want +got):\n%s", what, d)
	}
	n := 0
	if err := f.pool.QueryRow(f.t.Context(), "SELECT coalesce(sum(cardinality(addresses)), 0) FROM staged_accounts").Scan(&n); err != nil || n != staged {
		f.t.Errorf("%s: %d entries are staged, want %d: %v", what, n, staged, err)
	}
}

// A process that dies while it reads the entries leaves the directory as it was, and another clears away what it left, though
// not what an import has that may be going on.
func TestImportThatDies(t *testing.T) {
	f := newFixture(t, 1, 1, 1)
	if _, err := f.ImportAccounts(t.Context(), f.caller, accountRange(0, 100, 1), true); err != nil {
		t.Fatal(err)
	}
	f.checkAccounts("at first", rangeOf(0, 100, 1), 0)
	dead := &accountImport{store: f.Store, ws: f.ws, id: uuid.Must(uuid.NewV7()), replace: true}
	if err := dead.stage(t.Context(), accountRange(50, 150, 1)); err != nil {
		t.Fatal(err)
	}
	f.checkAccounts("after one that died", rangeOf(0, 100, 1), 100)
	if _, err := f.ImportAccounts(t.Context(), f.caller, accountRange(100, 110, 1), false); err != nil {
		t.Fatal(err)
	}
	f.checkAccounts("after one beside it", rangeOf(0, 110, 1), 100)
	f.write(func(tx pgx.Tx) { // a good day later
		old := uuid.UUID{6: 0x70, 8: 0x80}
		for i, ms := 0, time.Now().Add(-staleImport-time.Hour).UnixMilli(); i < 6; i++ {
			old[i] = byte(ms >> (40 - 8*i))
		}
		f.exec(tx, "UPDATE staged_accounts SET import = $1", old)
	})
	if _, err := f.ImportAccounts(t.Context(), f.caller, accountRange(110, 120, 1), false); err != nil {
		t.Fatal(err)
	}
	f.checkAccounts("a day later", rangeOf(0, 120, 1), 0)
}

// An import that fails half-way in the database changes nothing and leaves nothing.
func TestImportThatFails(t *testing.T) {
	f := newFixture(t, 1, 1, 1)
	if _, err := f.ImportAccounts(t.Context(), f.caller, accountRange(0, 100, 1), true); err != nil {
		t.Fatal(err)
	}
	f.write(func(tx pgx.Tx) {
		f.exec(tx, `CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
			CREATE TRIGGER t BEFORE DELETE ON accounts FOR EACH ROW EXECUTE FUNCTION no()`)
	})
	if _, err := f.ImportAccounts(t.Context(), f.caller, accountRange(50, 150, 1), true); err == nil {
		t.Error("it did not fail")
	}
	f.checkAccounts("after it", rangeOf(0, 100, 1), 0)
}

// Imports of several processes at once come one after the other: the directory is what one of them says.
func TestImportsAtOnce(t *testing.T) {
	f := newFixture(t, 1, 1, 1)
	other := openStore(t, f.pool.Config().ConnString(), f.now)
	var importing sync.WaitGroup
	for n := range 6 {
		importing.Go(func() {
			s := []*Store{f.Store, other}[n%2]
			counts, err := s.ImportAccounts(t.Context(), f.caller, accountRange(n*300, (n+2)*300, 1), true)
			if err != nil || counts.Inserted+counts.Unchanged != 600 {
				t.Errorf("import %d: %+v, error %v", n, counts, err)
			}
		})
	}
	importing.Wait()
	got := f.accounts()
	var first int
	if _, err := fmt.Sscanf(got[0].Number, "A%d", &first); err != nil {
		t.Fatal(err)
	}
	f.checkAccounts("after all", rangeOf(first, first+600, 1), 0)
}

// While one process takes an import over, another waits, and readers see what was.
func TestImportWaits(t *testing.T) {
	f := newFixture(t, 1, 1, 1)
	if _, err := f.ImportAccounts(t.Context(), f.caller, accountRange(0, 10, 1), true); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	err := f.Store.write(t.Context(), "another import", func(tx pgx.Tx) error {
		f.exec(tx, "SELECT pg_advisory_xact_lock($1, $2)", lockImport, f.ws)
		go func() {
			_, err := f.ImportAccounts(t.Context(), f.caller, accountRange(5, 15, 1), true)
			done <- err
		}()
		select {
		case err := <-done:
			t.Errorf("it did not wait: %v", err)
			done <- err
		case <-time.After(5 * importLook):
		}
		f.checkAccounts("meanwhile", rangeOf(0, 10, 1), 10)
		return nil
	})
	if err := errors.Join(err, <-done); err != nil {
		t.Fatal(err)
	}
	f.checkAccounts("afterwards", rangeOf(5, 15, 1), 0)

	ctx, cancel := context.WithCancel(t.Context())
	err = f.Store.write(t.Context(), "another import", func(tx pgx.Tx) error {
		f.exec(tx, "SELECT pg_advisory_xact_lock($1, $2)", lockImport, f.ws)
		time.AfterFunc(3*importLook, cancel)
		_, err := f.ImportAccounts(ctx, f.caller, accountRange(0, 20, 1), true)
		if !fault.Is(err, fault.Unavailable) {
			t.Errorf("given up while it waits: %v", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	f.checkAccounts("after one that was given up", rangeOf(5, 15, 1), 0)
}

func TestPlansOfAccounts(t *testing.T) {
	f := newFixture(t, 1, 1, 1)
	if _, err := f.ImportAccounts(t.Context(), f.caller, accountRange(0, 30_000, 1), true); err != nil {
		t.Fatal(err)
	}
	if _, err := f.pool.Exec(t.Context(), "VACUUM ANALYZE accounts"); err != nil {
		t.Fatal(err)
	}
	err := f.read(t.Context(), "plans", func(tx pgx.Tx) error {
		for field, want := range map[string]string{"account_number": "accounts_by_number", "email": "accounts_pkey"} {
			for _, desc := range []bool{false, true} {
				p := account.ListParams{Params: page.Params{Number: 1, Size: 50, Sort: field, Desc: desc}}
				l := accountList(f.ws, p)
				order, err := l.order(p.Params)
				if err != nil {
					return err
				}
				got := explain(t, tx, "SELECT "+l.columns+" FROM "+l.from+" WHERE "+l.where.sql()+order+" LIMIT 50", l.where.args...)
				if !strings.Contains(got, "using "+want) || strings.Contains(got, "Sort") {
					t.Errorf("by %s, descending %v:\n%s", field, desc, got)
				}
			}
		}
		if got := explain(t, tx, accountNumbersSQL, f.ws, []string{"p0000007@example.com", "b"}); !strings.Contains(got, "accounts_pkey") {
			t.Error(got)
		}
		if got := explain(t, tx, heldSQL, f.ws, []string{"A0000007", "b"}); !strings.Contains(got, "accounts_by_number") {
			t.Error(got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
