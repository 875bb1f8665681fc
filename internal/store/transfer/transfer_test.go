package transfer_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/ingest"
	"monterey/internal/store"
	"monterey/internal/store/postgres"
	"monterey/internal/store/sqlite"
	"monterey/internal/store/storetest"
	"monterey/internal/store/testdb"
	"monterey/internal/store/transfer"
	"monterey/internal/workspace"
)

// TestAllThatIsStored copies what each test of the stores' suite leaves behind.
func TestAllThatIsStored(t *testing.T) {
	url := testdb.Postgres(t)
	all, dirs := t.TempDir(), map[string]string{}
	t.Run("fill", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) store.Store {
			dir := filepath.Join(all, strings.ReplaceAll(t.Name(), "/", "_"))
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			dirs[filepath.Base(t.Name())] = dir
			return openSource(t, dir)
		})
	})
	for name, dir := range dirs {
		t.Run(name, func(t *testing.T) {
			s := openTarget(t, url)
			if _, err := transfer.Run(t.Context(), reading(t, dir), uncounted{s}, transfer.Options{ChunkRows: 3}); err != nil {
				t.Fatal(err)
			}
			compare(t, dir, url)
			empty(t, url)
		})
	}
}

// uncounted is a target whose rollups are left alone: those of the suite were put there by hand.
type uncounted struct{ *postgres.Store }

func (uncounted) Rewrite(context.Context, workspace.Caller, func(ingest.WorkspaceTx) error) error {
	return nil
}

// empty makes a database one again that may be copied into.
func empty(t *testing.T, url string) {
	t.Helper()
	execute(t, url, `DO $$ BEGIN EXECUTE (SELECT 'TRUNCATE ' || string_agg(relname, ', ') FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition
		AND relnamespace = 'public'::regnamespace AND relname NOT LIKE 'goose_%' AND relname NOT IN ('marks', 'river_migration')); END $$`)
	execute(t, url, "DELETE FROM marks WHERE number < (SELECT max(number) FROM marks)")
}

func execute(t *testing.T, url, statement string, args ...any) {
	t.Helper()
	conn := connect(t, url)
	if _, err := conn.Exec(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func connect(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func openTarget(t *testing.T, url string) *postgres.Store {
	t.Helper()
	s, err := postgres.OpenWith(t.Context(), postgres.Options{URL: url, Fill: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// openSource opens the SQLite database in dir with its inbox until the test ends.
func openSource(t *testing.T, dir string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(filepath.Join(dir, "monterey.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, _, err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.OpenInbox(t.Context(), filepath.Join(dir, sqlite.InboxFile), sqlite.InboxOptions{}); err != nil {
		t.Fatal(err)
	}
	return s
}

// reading opens the SQLite database in dir to be copied.
func reading(t *testing.T, dir string) (s transfer.Source) {
	t.Helper()
	var err error
	if s.Main, err = sqlite.OpenReading(filepath.Join(dir, "monterey.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Main.Close() })
	if s.Inbox, err = sqlite.OpenReading(filepath.Join(dir, sqlite.InboxFile)); errors.Is(err, fs.ErrNotExist) {
		return s
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Inbox.Close() })
	return s
}

// compare reads every row of both databases and says which are in one alone. It shares nothing with the code that copies.
func compare(t *testing.T, dir, url string) {
	t.Helper()
	src := reading(t, dir)
	conn := connect(t, url)
	want, got := sourceRows(t, src), targetRows(t, conn)
	for _, name := range slices.Sorted(keysOf(want, got)) {
		a, b := want[name], got[name]
		slices.Sort(a)
		slices.Sort(b)
		if slices.Equal(a, b) {
			continue
		}
		t.Errorf("%s: %d rows in the source, %d in the target", name, len(a), len(b))
		report(t, "only in the source", a, b)
		report(t, "only in the target", b, a)
	}
}

func keysOf(maps ...map[string][]string) func(func(string) bool) {
	all := map[string]bool{}
	for _, m := range maps {
		for k := range m {
			all[k] = true
		}
	}
	return func(yield func(string) bool) {
		for k := range all {
			if !yield(k) {
				return
			}
		}
	}
}

func report(t *testing.T, what string, these, others []string) {
	shown := 0
	for _, r := range these {
		if !slices.Contains(others, r) && shown < 3 {
			t.Errorf("  %s: %.300s", what, r)
			shown++
		}
	}
}

// row is a row's columns by the names of the source, as texts.
type row map[string]string

func (r row) String() string {
	var parts []string
	for k, v := range r {
		parts = append(parts, k+"="+v)
	}
	slices.Sort(parts)
	return strings.Join(parts, " ")
}

func sourceRows(t *testing.T, src transfer.Source) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	current := map[string]string{}
	marks, sets := map[string]row{}, map[string]row{}
	names := columnOf(t, src.Main, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE 'river_%' AND name NOT LIKE 'goose_%'`)
	slices.Sort(names) // account_imports before accounts, rollup_sets before rollups
	for _, name := range names {
		for _, r := range sqliteRows(t, src.Main, name) {
			switch name {
			case "history":
				continue
			case "account_imports":
				current[r["workspace"]] = r["current"]
				continue
			case "accounts":
				if !seen(r["change"], current[r["workspace"]]) {
					continue
				}
				delete(r, "change")
			case "counters":
				delete(r, "history")
			case "rollup_sets":
				sets[r["num"]] = r
				continue
			case "rollups":
				if at := sets[r["large"]]; at != nil {
					r["sets"], r["quarters"] = at["sets"], at["quarters"]
				}
				delete(r, "large")
			case "links":
				sum := sha256.Sum256([]byte(r["key"]))
				r["key"] = hex.EncodeToString(sum[:])
			case "marks":
				marks[r["epoch"]] = r
			}
			out[name] = append(out[name], r.String())
		}
	}
	if src.Inbox == nil {
		return out
	}
	for _, r := range sqliteRows(t, src.Inbox, "inbox") {
		m := marks[r["epoch"]]
		if m != nil && number(r["seq"]) <= number(m["seq"]) {
			continue // counted
		}
		out["inbox"] = append(out["inbox"], r.String())
	}
	return out
}

// seen says whether a row of accounts is seen.
func seen(change, current string) bool {
	n, cur := number(change), number(current)
	return 0 <= n && n <= cur || n < -cur
}

func number(s string) (n int64) {
	_, _ = fmt.Sscan(s, &n) // "" is 0
	return n
}

func sqliteRows(t *testing.T, db *sql.DB, name string) (out []row) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), `SELECT * FROM "`+name+`"`)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values, dest := make([]any, len(names)), make([]any, len(names))
		for i := range values {
			dest[i] = &values[i]
		}
		if err := rows.Scan(dest...); err != nil {
			t.Fatal(err)
		}
		r := row{}
		for i, v := range values {
			r[names[i]] = text(v)
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

func columnOf(t *testing.T, db *sql.DB, query string) (out []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

// text is a value of either database.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return "NULL"
	case string:
		return v
	case []byte:
		return hex.EncodeToString(v)
	case [16]byte:
		return hex.EncodeToString(v[:])
	case bool:
		if v {
			return "1"
		}
		return "0"
	case []any: // tags
		b, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return string(b)
	}
	return fmt.Sprint(v)
}

func targetRows(t *testing.T, conn *pgx.Conn) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	marks := map[int64]string{}
	var own int64
	if err := conn.QueryRow(t.Context(), "SELECT max(number) FROM marks").Scan(&own); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), `SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition AND relnamespace = 'public'::regnamespace
		AND relname NOT LIKE 'river_%' AND relname NOT LIKE 'goose_%'`)
	if err != nil {
		t.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	slices.SortStableFunc(names, func(a, b string) int { // marks first
		if a == "marks" {
			return -1
		} else if b == "marks" {
			return 1
		}
		return 0
	})
	for _, name := range names {
		for _, r := range postgresRows(t, conn, name) {
			if ws, ok := r["workspace_id"]; ok {
				r["workspace"] = ws
				delete(r, "workspace_id")
			}
			switch name {
			case "memberships":
				r["user"] = r["user_id"]
				delete(r, "user_id")
			case "historical_bounces":
				r["place"] = hex.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(number(r["occurred_at"])))) + r["id"]
				delete(r, "occurred_at")
				delete(r, "id")
			case "marks":
				if number(r["number"]) == own {
					continue
				}
				marks[number(r["number"])] = r["epoch"]
			case "inbox":
				num := own<<40 + number(r["seq"])
				r["seq"], r["epoch"] = fmt.Sprint(num&(1<<40-1)), marks[num>>40]
			}
			out[name] = append(out[name], r.String())
		}
	}
	return out
}

func postgresRows(t *testing.T, conn *pgx.Conn, name string) (out []row) {
	t.Helper()
	rows, err := conn.Query(t.Context(), "SELECT * FROM "+name)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			t.Fatal(err)
		}
		r := row{}
		for i, f := range rows.FieldDescriptions() {
			r[f.Name] = text(values[i])
		}
		out = append(out, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
