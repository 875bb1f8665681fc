package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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

func rangeOf(from, to, step int) (out []account.Entry) {
	for e := range accountRange(from, to, step) {
		out = append(out, e)
	}
	return out
}

// However far an import comes, the directory is the old one until it is current, and the next import clears away what it left.
func TestImportThatDies(t *testing.T) {
	ctx := context.Background()
	for steps := range 6 {
		t.Run(fmt.Sprintf("after %d steps", steps), func(t *testing.T) {
			f := newFixture(t, 1, 1, 1)
			if _, err := f.ImportAccounts(ctx, f.caller, accountRange(0, 5000, 1), true); err != nil {
				t.Fatal(err)
			}
			i, err := f.newAccountImport(ctx, f.caller, accountRange(2500, 7500, 1), true)
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range i.steps()[:steps] {
				if err := step(ctx); err != nil {
					t.Fatal(err)
				}
			}
			i.staged.close() // and the process ends
			want := rangeOf(0, 5000, 1)
			if steps == len(i.steps()) {
				want = rangeOf(2500, 7500, 1)
			}
			if d := cmp.Diff(want, f.accounts()); d != "" {
				t.Errorf("the directory (-want +got):\n%s", d)
			}
			counts, err := f.ImportAccounts(ctx, f.caller, accountRange(0, 3, 1), false)
			if left := 3 - counts.Unchanged; err != nil || counts.Inserted != left || steps == len(i.steps()) != (left == 3) {
				t.Errorf("the next import: %+v, error %v", counts, err)
			}
			if d := cmp.Diff(append(rangeOf(0, 3, 1), want[3-counts.Inserted:]...), f.accounts()); d != "" {
				t.Errorf("the directory after the next import (-want +got):\n%s", d)
			}
			f.checkSettled()
		})
	}
}

func TestImportDeletesWhatItRemoved(t *testing.T) {
	f := newFixture(t, 1, 1, 1)
	for _, rows := range []iter.Seq2[account.Entry, error]{accountRange(0, 50, 1), accountRange(20, 60, 1)} {
		if _, err := f.ImportAccounts(context.Background(), f.caller, rows, true); err != nil {
			t.Fatal(err)
		}
		f.checkSettled()
	}
}

// checkSettled looks for rows that nobody sees.
func (f *fixture) checkSettled() {
	f.t.Helper()
	var rows, unsettled int
	err := f.readers.QueryRow(`SELECT count(*), count(*) FILTER (WHERE NOT a.change BETWEEN 0 AND i.current OR i.began <> i.settled)
		FROM accounts a JOIN account_imports i ON i.workspace = a.workspace WHERE a.workspace = ?`, f.ws).Scan(&rows, &unsettled)
	if err != nil || rows == 0 || unsettled > 0 {
		f.t.Errorf("%d of %d rows are unsettled: %v", unsettled, rows, err)
	}
}

// An import that another process overtakes ends, and leaves nothing to be seen.
func TestImportThatIsOvertaken(t *testing.T) {
	ctx := context.Background()
	f := newFixture(t, 1, 1, 1)
	slow, err := f.newAccountImport(ctx, f.caller, accountRange(0, 10, 1), true)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.staged.close()
	steps := slow.steps()
	for _, step := range steps[:3] {
		if err := step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.ImportAccounts(ctx, f.caller, accountRange(20, 30, 1), true); err != nil {
		t.Fatal(err)
	}
	if err := steps[4](ctx); !fault.Is(err, fault.Conflict) {
		t.Errorf("the import that was overtaken: %v", err)
	}
	if d := cmp.Diff(rangeOf(20, 30, 1), f.accounts()); d != "" {
		t.Errorf("the directory (-want +got):\n%s", d)
	}
	f.checkSettled()
}

func TestStagingLeavesNoFiles(t *testing.T) {
	f := newFixture(t, 1, 1, 1)
	looked := false
	_, err := f.ImportAccounts(context.Background(), f.caller, func(yield func(account.Entry, error) bool) {
		looked = true
		f.checkFiles()
		yield(account.Entry{}, os.ErrInvalid)
	}, false)
	if err == nil || !looked {
		t.Errorf("an import that fails: %v", err)
	}
	f.checkFiles()
}

func (f *fixture) checkFiles() {
	f.t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.Dir(f.path), "accounts-*"))
	if err != nil || len(files) > 0 {
		f.t.Errorf("files are left: %v %v", files, err)
	}
}

func TestPlansOfAccounts(t *testing.T) {
	f := newFixture(t, 1, 1, 1)
	err := f.read(context.Background(), "plan", func(tx *sql.Tx) error {
		for _, tt := range []struct {
			p    account.ListParams
			want string
		}{
			{account.ListParams{}, "USING COVERING INDEX accounts_by_number (workspace=?)"},
			{account.ListParams{Params: page.Params{Sort: "account_number", Desc: true}}, "USING COVERING INDEX accounts_by_number (workspace=?)"},
			{account.ListParams{Params: page.Params{Sort: "email"}}, "USING PRIMARY KEY (workspace=?)"},
			{account.ListParams{Params: page.Params{Sort: "email", Desc: true}}, "USING PRIMARY KEY (workspace=?)"},
		} {
			l := accountList(f.ws, 1, tt.p)
			order, err := l.order(tt.p.Params)
			if err != nil {
				return err
			}
			checkPlan(t, plan(t, tx, "SELECT "+l.columns+" FROM "+l.from+" WHERE "+l.where.sql()+order, l.where.args...), tt.want)
		}
		for filter, want := range map[*account.Filter]string{
			{Numbers: []string{"1"}}:     "USING COVERING INDEX accounts_by_number (workspace=? AND number=?)",
			{Addresses: []string{"a@x"}}: "USING PRIMARY KEY (workspace=? AND address=?)",
		} {
			l := accountList(f.ws, 1, account.ListParams{Filter: *filter})
			if got := plan(t, tx, "SELECT count(*) FROM "+l.from+" WHERE "+l.where.sql(), l.where.args...); !strings.Contains(got, want) {
				t.Errorf("the plan lacks %q:\n%s", want, got)
			}
		}
		if got := plan(t, tx, accountNumbersSQL, "[]", f.ws, 1, 1); !strings.Contains(got, "USING PRIMARY KEY (workspace=? AND address=?)") {
			t.Errorf("the plan of numbers:\n%s", got)
		}
		checkPlan(t, plan(t, tx, unsettledSQL, 1, f.ws, "a", "b", 1, 9), "USING PRIMARY KEY (workspace=? AND (address,number)>(?,?))")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// BenchmarkImportAccounts takes a million accounts in, and then half of them in their place, and says how long the longest wait for the
// writer was meanwhile.
func BenchmarkImportAccounts(b *testing.B) {
	const million = 1_000_000
	for b.Loop() {
		f := newFixture(b, 1, 1, 1)
		for _, x := range []struct {
			what string
			rows iter.Seq2[account.Entry, error]
		}{
			{"new", accountRange(0, million, 1)}, {"same", accountRange(0, million, 1)}, {"half", accountRange(0, million, 2)},
		} {
			ctx, stop := context.WithCancel(context.Background())
			longest := make(chan time.Duration)
			go func() { longest <- f.longestWait(ctx) }()
			begin := time.Now()
			if _, err := f.ImportAccounts(context.Background(), f.caller, x.rows, true); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(time.Since(begin).Seconds(), x.what+"-s")
			stop()
			b.ReportMetric(float64((<-longest).Milliseconds()), x.what+"-wait-ms")
		}
	}
}

// longestWait for a transaction of the writer, until ctx ends.
func (f *fixture) longestWait(ctx context.Context) (longest time.Duration) {
	for ctx.Err() == nil {
		begin := time.Now()
		f.write(func(*sql.Tx) {})
		longest = max(longest, time.Since(begin))
		time.Sleep(5 * time.Millisecond)
	}
	return longest
}
