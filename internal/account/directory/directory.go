// Package directory reads the account directory that an operator keeps in a database outside, PostgreSQL or SQL Server, and
// puts it in the place of a workspace's own: the whole of it or nothing, so that an outside directory that answers slowly,
// half or not at all never loses the last good one. A Job does so as a task, where the operator said.
package directory

import (
	"context"
	"database/sql"
	"fmt"
	"iter"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	mssql "github.com/microsoft/go-mssqldb"
	"github.com/microsoft/go-mssqldb/msdsn"

	"monterey/internal/account"
	"monterey/internal/fault"
	"monterey/internal/workspace"
)

// Config says where the outside directory is. The URL holds a password: a Config prints without it.
type Config struct {
	URL   string        // postgres://user:password@host:port/database, or sqlserver://user:password@host:port?database=name
	Query string        // gives two columns, account_number and email, in this order
	Limit time.Duration // from connecting to the last row; 0 = 10 minutes
}

const (
	defaultLimit = 10 * time.Minute
	connectLimit = 15 * time.Second
)

// String is where the directory is, without user, password and settings.
func (c Config) String() string {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" {
		return "an address that cannot be read"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// GoString and LogValue keep the password out of what %#v and slog print.
func (c Config) GoString() string { return c.String() }

// LogValue implements slog.LogValuer.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Source is an outside directory. It connects when it is read, each time anew.
type Source struct {
	query   string
	limit   time.Duration
	open    func() *sql.DB
	options *sql.TxOptions
	secrets []string // that no error may show
}

// New checks a configuration; the fault Invalid names url and query where they are wrong. Nothing is connected to.
func New(c Config) (*Source, error) {
	s := &Source{query: c.Query, limit: c.Limit}
	if s.limit <= 0 {
		s.limit = defaultLimit
	}
	var bad []fault.Field
	if msg := s.setURL(c.URL); msg != "" {
		bad = append(bad, fault.Field{Loc: []string{"body", "url"}, Msg: msg, Type: "url"})
	}
	if strings.TrimSpace(c.Query) == "" {
		bad = append(bad, fault.Field{Loc: []string{"body", "query"}, Msg: "is needed: a query that gives account_number and email", Type: "missing"})
	}
	if err := fault.Fields(bad...); err != nil {
		return nil, err
	}
	return s, nil
}

// setURL says what is wrong with the URL. It shows no part of it, nor what a parser says: where a password is not encoded, its
// rest may stand anywhere.
func (s *Source) setURL(text string) (msg string) {
	const unreadable = "cannot be read; user name and password must be percent-encoded"
	u, err := url.Parse(text)
	if err != nil {
		return unreadable
	}
	if u.Host == "" {
		return "must name a host, as in postgres://user:password@host:5432/database"
	}
	s.secrets = secretsOf(u)
	switch u.Scheme {
	case "postgres", "postgresql":
		cfg, err := pgx.ParseConfig(text)
		if err != nil {
			return unreadable
		}
		cfg.DefaultQueryExecMode = pgx.QueryExecModeExec // leaves nothing prepared behind a pooler
		if cfg.ConnectTimeout == 0 {
			cfg.ConnectTimeout = connectLimit
		}
		s.secrets = append(s.secrets, cfg.Password)
		s.open = func() *sql.DB { return stdlib.OpenDB(*cfg) }
		s.options = &sql.TxOptions{ReadOnly: true}
	case "sqlserver":
		cfg, err := msdsn.Parse(text)
		if err != nil {
			return unreadable
		}
		s.secrets = append(s.secrets, cfg.Password)
		s.open = func() *sql.DB { return sql.OpenDB(mssql.NewConnectorConfig(cfg)) }
	default:
		return "must begin with postgres:// or sqlserver://"
	}
	return ""
}

// Sync puts the outside directory in the place of the workspace's own. Rows that cannot be used are left out and listed,
// numbered from 1. The last good directory stays unless the answer was read to its end and has a row that can be used: an
// empty answer is more often a table that is just being filled than a directory without accounts.
//
// The fault Unavailable says that trying again later may work (not reached, cut off, too slow, no rows); Invalid that it will not
// until somebody changes the address, the query or the outside database; Conflict that another import began meanwhile.
func Sync(ctx context.Context, s account.Store, c workspace.Caller, src *Source) (account.Result, error) {
	return sync(ctx, s, c, src, func(int64) error { return nil })
}

// sync is Sync that tells seen of each row how many there are so far. An error of seen ends it.
func sync(ctx context.Context, s account.Store, c workspace.Caller, src *Source, seen func(rows int64) error) (r account.Result, err error) {
	r.Counts, err = s.ImportAccounts(ctx, c, src.entries(ctx, &r, seen), true)
	return r, err
}

// entries gives what can be used of the answer and notes in r what cannot.
func (s *Source) entries(ctx context.Context, r *account.Result, seen func(rows int64) error) iter.Seq2[account.Entry, error] {
	return func(yield func(account.Entry, error) bool) {
		rows := int64(0)
		stopped := false
		var unseen error
		err := s.read(ctx, func(number, address string) bool {
			rows++
			if unseen = seen(rows); unseen != nil {
				return false
			}
			e, msg := account.NewEntry(number, address)
			if msg != "" {
				r.Skip(rows, msg)
				return true
			}
			stopped = !yield(e, nil)
			return !stopped
		})
		switch {
		case stopped:
			return
		case unseen != nil:
			err = unseen
		case err == nil && rows == 0:
			err = fault.New(fault.Unavailable, "the query gave no rows; the last directory is kept")
		case err == nil && rows == r.ErrorRows:
			err = fault.New(fault.Invalid, "no row of the answer can be used; the last directory is kept; row 1 %s", r.Errors[0].Msg)
		}
		if err != nil {
			yield(account.Entry{}, err)
		}
	}
}

// read runs the query and gives each row to f until that says no. NULL is no text.
func (s *Source) read(ctx context.Context, f func(number, address string) bool) error {
	limited, cancel := context.WithTimeout(ctx, s.limit)
	defer cancel()
	err := s.readWithin(limited, f)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		return &fault.Error{Code: fault.Unavailable, Message: fmt.Sprintf("the outside directory did not answer to the end within %s", s.limit), Err: s.cause(err)}
	}
	return s.fault(err)
}

func (s *Source) readWithin(ctx context.Context, f func(number, address string) bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	db := s.open()
	defer func() { _ = db.Close() }() // all that mattered was read
	tx, err := db.BeginTx(ctx, s.options)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // it changed nothing
	rows, err := tx.QueryContext(ctx, s.query)
	if err != nil {
		return err
	}
	defer func() {
		cancel()         // or Close would read an answer to its end that nobody wants
		_ = rows.Close() // its error is that of rows.Err
	}()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	if len(names) != 2 {
		return fault.New(fault.Invalid, "the query must give two columns, account_number and email; it gives %d", len(names))
	}
	for rows.Next() {
		var number, address any
		if err := rows.Scan(&number, &address); err != nil {
			return err
		}
		a, err := text(number, names[0])
		if err != nil {
			return err
		}
		b, err := text(address, names[1])
		if err != nil {
			return err
		}
		if !f(a, b) {
			return nil
		}
	}
	return rows.Err()
}

// text is a value of the answer. A floating-point number is none: it would turn 1000000 into 1e+06, and lose digits.
func text(v any, column string) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case []byte:
		return string(v), nil
	case int64:
		return fmt.Sprint(v), nil
	}
	return "", fault.New(fault.Invalid, "the column %s must be text or whole numbers; CAST it in the query", column)
}
