package directory

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5/pgconn"
	mssql "github.com/microsoft/go-mssqldb"

	"monterey/internal/account"
	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/store"
	"monterey/internal/store/testdb"
	"monterey/internal/workspace"
)

// outside is a real PostgreSQL, and the workspace's own directory, which has an account to be lost.
type outside struct {
	*testing.T
	url    *url.URL
	admin  *sql.DB
	store  store.Database
	caller workspace.Caller
}

func open(t *testing.T) *outside {
	t.Helper()
	text := testdb.Cluster(t)
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	admin, err := sql.Open("pgx", text)
	if err != nil {
		t.Fatal(err)
	}
	store := testdb.Open(t)
	t.Cleanup(func() {
		if err := admin.Close(); err != nil {
			t.Error(err)
		}
	})
	ws := workspace.Workspace{ID: workspace.NewID(), Name: "w", Timezone: "UTC"}
	if err := store.CreateWorkspace(t.Context(), ws); err != nil {
		t.Fatal(err)
	}
	o := &outside{T: t, url: u, admin: admin, store: store, caller: workspace.System(ws.ID)}
	if _, err := o.sync("SELECT 'old', 'old@x.com'", 0); err != nil {
		t.Fatal(err)
	}
	return o
}

func (o *outside) sync(query string, limit time.Duration) (account.Result, error) {
	o.Helper()
	return o.syncWith(o.Context(), Config{URL: o.url.String(), Query: query, Limit: limit})
}

func (o *outside) syncWith(ctx context.Context, c Config) (account.Result, error) {
	o.Helper()
	src, err := New(c)
	if err != nil {
		o.Fatal(err)
	}
	return Sync(ctx, o.store, o.caller, src)
}

func (o *outside) directory() (out []string) {
	o.Helper()
	got, err := o.store.ListAccounts(context.Background(), o.caller, account.ListParams{Params: page.Params{Number: 1, Size: page.MaxSize}})
	if err != nil {
		o.Fatal(err)
	}
	for _, e := range got.Items {
		out = append(out, e.Number+" "+e.Address)
	}
	return out
}

// kept says whether the last good directory is still there.
func (o *outside) kept(what string) {
	o.Helper()
	if d := cmp.Diff([]string{"old old@x.com"}, o.directory()); d != "" {
		o.Errorf("%s: the last directory was lost:\n%s", what, d)
	}
}

func TestSync(t *testing.T) {
	o := open(t)
	for _, tt := range []struct {
		name, query string
		want        []string
		result      account.Result
	}{
		{"text and numbers", "SELECT 17, 'A@x.com' UNION ALL SELECT 18, ' b@x.com'", []string{"17 a@x.com", "18 b@x.com"},
			account.Result{Counts: account.Counts{Inserted: 2, Removed: 1}}},
		{"other types", "SELECT 18::numeric(20), 'b@x.com'::varchar UNION ALL SELECT 20, 'c@x.com'::char(20)", []string{"18 b@x.com", "20 c@x.com"},
			account.Result{Counts: account.Counts{Inserted: 1, Unchanged: 1, Removed: 1}}},
		{"NULLs and worse", `SELECT * FROM (VALUES ('18', 'b@x.com'), (NULL, 'd@x.com'), ('21', NULL), ('22', 'nobody'), ('20', 'c@x.com')) AS v`,
			[]string{"18 b@x.com", "20 c@x.com"}, account.Result{Counts: account.Counts{Unchanged: 2}, ErrorRows: 3, Errors: []account.RowError{
				{Line: 2, Msg: "has no account_number"}, {Line: 3, Msg: "has no email"}, {Line: 4, Msg: "has an email that is no address"}}}},
		{"an id of its own type", "SELECT 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid, 'b@x.com'", []string{"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 b@x.com"},
			account.Result{Counts: account.Counts{Inserted: 1, Removed: 2}}},
	} {
		r, err := o.sync(tt.query, 0)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if d := cmp.Diff(tt.result, r, cmpopts.EquateEmpty()) + cmp.Diff(tt.want, o.directory()); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, d)
		}
	}
	many := "SELECT i, 'p' || i || '@x.com' FROM generate_series(1, 50000) AS i"
	for _, want := range []account.Counts{{Inserted: 50_000, Removed: 1}, {Unchanged: 50_000}} {
		if r, err := o.sync(many, 0); err != nil || r.Counts != want {
			t.Errorf("many: %+v, error %v", r, err)
		}
	}
}

// Whatever goes wrong outside, the last good directory stays, and the error says whether trying again may help.
func TestSyncThatFails(t *testing.T) {
	o := open(t)
	const slowRow = "SELECT i, 'p' || i || '@x.com' || CASE WHEN i = 5000 THEN pg_sleep(30)::text ELSE '' END FROM generate_series(1, 5000) AS i"
	for _, tt := range []struct {
		name, query string
		limit       time.Duration
		code        fault.Code
		says        string
	}{
		{"slow", "SELECT '1', 'a@x.com' FROM pg_sleep(30)", 300 * time.Millisecond, fault.Unavailable, "within 300ms"},
		{"slow after half", slowRow, time.Second, fault.Unavailable, "within 1s"},
		{"no rows", "SELECT '1', 'a@x.com' WHERE false", 0, fault.Unavailable, "no rows"},
		{"no row that can be used", "SELECT 'a@x.com', '1'", 0, fault.Invalid, "row 1 has an email that is no address"},
		{"one column", "SELECT '1'", 0, fault.Invalid, "two columns"},
		{"three columns", "SELECT '1', 'a@x.com', 3", 0, fault.Invalid, "it gives 3"},
		{"floating point", "SELECT 1000000::float8, 'a@x.com'", 0, fault.Invalid, "CAST"},
		{"no such table", "SELECT a, b FROM nowhere", 0, fault.Invalid, `"nowhere" does not exist (SQLSTATE 42P01)`},
		{"no SQL", "SELEC", 0, fault.Invalid, "42601"},
		{"two statements", "SELECT '1', 'a@x.com'; SELECT 1", 0, fault.Invalid, "42601"},
		{"an error after half", "SELECT i, 'p' || 1/(5000-i) || '@x.com' FROM generate_series(1, 5000) AS i", 0, fault.Invalid, "division by zero"},
		{"writing", "CREATE TABLE monterey_was_here (a text)", 0, fault.Invalid, "read-only"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			began := time.Now()
			_, err := o.sync(tt.query, tt.limit)
			if !fault.Is(err, tt.code) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v", fault.CodeOf(err), err)
			}
			if took := time.Since(began); took > 15*time.Second {
				t.Errorf("took %s", took)
			}
			o.kept(tt.name)
		})
	}
}

// The connection is cut while the answer comes: by the database's end, and by the caller's.
func TestSyncThatIsCut(t *testing.T) {
	o := open(t)
	const query = "SELECT i, 'p' || i || '@x.com' || CASE WHEN i = 5000 THEN pg_sleep(60)::text ELSE '' END FROM generate_series(1, 5000) AS i /* %s */"
	running := func(name string) int {
		for {
			var pid int
			err := o.admin.QueryRow("SELECT pid FROM pg_stat_activity WHERE query LIKE '%/* ' || $1 || ' */' AND wait_event = 'PgSleep'", name).Scan(&pid)
			if err == nil {
				return pid
			}
			if !errors.Is(err, sql.ErrNoRows) {
				t.Error(err)
				return 0
			}
		}
	}
	failed := make(chan error)
	go func() { _, err := o.sync(fmt.Sprintf(query, "cut"), 0); failed <- err }()
	if _, err := o.admin.Exec("SELECT pg_terminate_backend($1)", running("cut")); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; !fault.Is(err, fault.Unavailable) || !strings.Contains(err.Error(), "57P01") {
		t.Errorf("cut by the database: %v", err)
	}
	o.kept("cut by the database")

	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, err := o.syncWith(ctx, Config{URL: o.url.String(), Query: fmt.Sprintf(query, "cancelled")})
		failed <- err
	}()
	running("cancelled")
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	o.kept("cancelled")
}

// The line is cut without a word, half-way through the answer.
func TestSyncWhoseLineIsCut(t *testing.T) {
	o := open(t)
	target, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = target.Close() }() // the test is over
	go func() {
		for {
			client, err := target.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", o.url.Host)
			if err != nil {
				t.Error(err)
				return
			}
			go pipe(server, client, 1<<30)
			go pipe(client, server, 200_000) // of some 2 MB
		}
	}()
	u := *o.url
	u.Host = target.Addr().String()
	_, err = o.syncWith(t.Context(), Config{URL: u.String(), Query: "SELECT i, 'p' || i || '@x.com' FROM generate_series(1, 50000) AS i"})
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("%s: %v", fault.CodeOf(err), err)
	}
	o.kept("the line is cut")
}

// pipe passes so many bytes on, and then cuts both lines.
func pipe(to, from net.Conn, bytes int) {
	buffer := make([]byte, 4096)
	for bytes > 0 {
		n, err := from.Read(buffer[:min(len(buffer), bytes)])
		if n, err2 := to.Write(buffer[:n]); err != nil || err2 != nil || n == 0 {
			break
		}
		bytes -= n
	}
	_ = errors.Join(to.Close(), from.Close()) // the other direction may have closed them
}

func TestSyncCannotConnect(t *testing.T) {
	o := open(t)
	const secret = "hunter2 &/ü"
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	change := func(f func(*url.URL)) string {
		u := *o.url
		u.User = url.UserPassword(u.User.Username(), secret)
		f(&u)
		return u.String()
	}
	for _, tt := range []struct {
		name, url string
		code      fault.Code
	}{
		{"wrong password", change(func(*url.URL) {}), fault.Invalid},
		{"wrong password in a setting", change(func(u *url.URL) {
			u.User = url.User("monterey")
			u.RawQuery += "&password=" + url.QueryEscape(secret)
		}), fault.Invalid},
		{"no such database", strings.Replace(o.url.String(), "/postgres?", "/nowhere?", 1), fault.Invalid},
		{"nobody there", change(func(u *url.URL) { u.Host = closed.Addr().String() }), fault.Unavailable},
		{"no TLS", change(func(u *url.URL) { u.RawQuery = "sslmode=require" }), fault.Unavailable},
		{"SQL Server, nobody there", "sqlserver://sa:" + url.QueryEscape(secret) + "@" + closed.Addr().String() + "?dial+timeout=2", fault.Unavailable},
	} {
		_, err := o.syncWith(t.Context(), Config{URL: tt.url, Query: "SELECT '1', 'a@x.com'"})
		if !fault.Is(err, tt.code) {
			t.Errorf("%s: %s: %v", tt.name, fault.CodeOf(err), err)
		}
		if text := fmt.Sprintf("%v %+v %#v", err, err, err); strings.Contains(text, "hunter2") {
			t.Errorf("%s shows the password: %s", tt.name, text)
		}
		o.kept(tt.name)
	}
}

func TestNew(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                      {"body.url", "body.query"},
		"mysql://u:hunter2@h/d":                 {"body.url"},
		"postgres://u:hunter2@h:x/d":            {"body.url"},
		"postgres://u:hunter2/y@h:5432/d":       {"body.url"},
		"postgres://u:hun%ter2@h/d":             {"body.url"},
		"postgres:///d?password=hunter2":        {"body.url"},
		"postgres://u:hunter2@h/d?sslmode=what": {"body.url"},
		"host=h password=hunter2":               {"body.url"},
		"sqlserver://u:hunter2@h:x":             {"body.url"},
		"sqlserver://u:hunter2@h?encrypt=what":  {"body.url"},
		"postgresql://u:hunter2@h:1/d":          nil,
		"postgres://u:hunter2@h/d":              nil,
		"sqlserver://u:hunter2@h/i?database=d":  nil,
	} {
		c := Config{URL: text, Query: "SELECT 1, 2"}
		if text == "" {
			c.Query = " "
		}
		_, err := New(c)
		var got []string
		if f, ok := errors.AsType[*fault.Error](err); ok {
			for _, b := range f.Fields {
				got = append(got, strings.Join(b.Loc, "."))
			}
		}
		shown := fmt.Sprintf("%v %+v %#v", err, err, err)
		for _, field := range got {
			shown += field
		}
		var log strings.Builder
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "config", c)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "config", c)
		shown += fmt.Sprintf("%v %+v %#v %s", c, c, c, &log)
		if d := cmp.Diff(want, got); d != "" || strings.Contains(shown, "hunter2") {
			t.Errorf("%q shows %s\n(-want +got):\n%s", text, shown, d)
		}
	}
}

func TestPassingAndLastingErrors(t *testing.T) {
	s := &Source{secrets: []string{"hunter2"}}
	for _, tt := range []struct {
		err  error
		want fault.Code
	}{
		{&pgconn.PgError{Code: "53300"}, fault.Unavailable},
		{&pgconn.PgError{Code: "57P03"}, fault.Unavailable},
		{&pgconn.PgError{Code: "40001"}, fault.Unavailable},
		{&pgconn.PgError{Code: "XX000"}, fault.Unavailable},
		{&pgconn.PgError{}, fault.Unavailable},
		{&pgconn.PgError{Code: "42501"}, fault.Invalid},
		{&pgconn.PgError{Code: "28P01"}, fault.Invalid},
		{mssql.Error{Number: 18456, Class: 14}, fault.Invalid},
		{mssql.Error{Number: 208, Class: 16}, fault.Invalid},
		{mssql.Error{Number: 1205, Class: 13}, fault.Unavailable},
		{mssql.Error{Number: 40613, Class: 17}, fault.Unavailable},
		{&tls.CertificateVerificationError{Err: errors.New("x")}, fault.Invalid},
		{errors.New("EOF"), fault.Unavailable},
	} {
		if got := s.fault(fmt.Errorf("hunter2: %w", tt.err)); !fault.Is(got, tt.want) || strings.Contains(got.Error(), "hunter2") {
			t.Errorf("%v: %s, want %s: %v", tt.err, fault.CodeOf(got), tt.want, got)
		}
	}
}
