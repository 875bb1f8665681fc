package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"monterey/internal/fault"
	"monterey/internal/store"
	"monterey/internal/store/postgres"
	"monterey/internal/store/sqlite"
)

// database is what commands need of one.
type database interface {
	store.Database

	// LockServer keeps other servers away until release, where one alone may work on it.
	LockServer() (release func(), err error)
	// Served says whether a server runs that does tasks.
	Served(ctx context.Context) (bool, error)
	// OpenInbox is for a server, which takes webhooks in or counts them.
	OpenInbox(ctx context.Context) error
}

// openDatabase opens the database that the settings name.
func (p *program) openDatabase(ctx context.Context) (database, error) {
	if p.common.onPostgres() {
		s, err := postgres.OpenWith(ctx, postgres.Options{URL: p.common.Database, Direct: p.common.DatabaseDirect})
		if err != nil {
			return nil, fmt.Errorf("open the database %s: %s", p.common.databaseName(), whole(err))
		}
		return postgresDatabase{s}, nil
	}
	s, err := sqlite.Open(p.common.databasePath(), p.now)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	return &sqliteDatabase{s, p.common}, nil
}

// whole is an error in one line with its cause, which whoever sets a server up must know: a wrong address, a wrong password.
func whole(err error) string {
	if f, ok := errors.AsType[*fault.Error](err); ok && f.Err != nil {
		err = f.Err
	}
	return strings.Join(strings.Fields(err.Error()), " ")
}

// postgresDatabase is one that any number of servers share.
type postgresDatabase struct{ *postgres.Store }

func (postgresDatabase) LockServer() (release func(), err error) { return func() {}, nil }

func (postgresDatabase) OpenInbox(context.Context) error { return nil }

// sqliteDatabase is two files, of which the settings say where they are. One server alone may work on them.
type sqliteDatabase struct {
	*sqlite.Store
	settings *commonSettings
}

func (d *sqliteDatabase) LockServer() (release func(), err error) { return d.settings.lockServer() }

func (d *sqliteDatabase) Served(context.Context) (bool, error) { return d.settings.serverRuns(), nil }

func (d *sqliteDatabase) OpenInbox(ctx context.Context) error {
	return d.Store.OpenInbox(ctx, d.settings.inboxPath(), sqlite.InboxOptions{})
}

// onPostgres says whether the database is PostgreSQL's, whose URL the setting is then.
func (s *commonSettings) onPostgres() bool { return isPostgres(s.Database) }

func isPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

// databaseName names the database to people. It shows no password: of a URL, nothing but host and name.
func (s *commonSettings) databaseName() string {
	if !s.onPostgres() {
		return s.databasePath()
	}
	u, err := url.Parse(s.Database)
	if err != nil {
		return "postgres://…"
	}
	return "postgres://" + u.Host + u.EscapedPath()
}

// databasePath is the SQLite file that the settings name.
func (s *commonSettings) databasePath() string {
	if s.Database == "" {
		return filepath.Join(s.DataDir, "monterey.db")
	}
	return strings.TrimPrefix(s.Database, "sqlite:")
}

// inboxPath is the file beside it with what is not counted yet.
func (s *commonSettings) inboxPath() string {
	return filepath.Join(filepath.Dir(s.databasePath()), inboxName)
}

// databaseMistakes are those of the settings that name the database. They never show a value, which may hold a password.
func (s *commonSettings) databaseMistakes() (wrong []string) {
	const form = "must be as postgres://USER:PASSWORD@HOST:5432/NAME?sslmode=verify-full"
	isURL := func(url string) bool {
		_, err := pgxpool.ParseConfig(url)
		return isPostgres(url) && err == nil
	}
	path, isSQLite := strings.CutPrefix(s.Database, "sqlite:")
	switch {
	case s.onPostgres() && !isURL(s.Database):
		wrong = append(wrong, "--database is no URL of PostgreSQL: it "+form)
	case !s.onPostgres() && s.Database != "" && (!isSQLite || path == ""):
		wrong = append(wrong, "--database must be sqlite:PATH or a postgres:// URL")
	}
	switch {
	case s.DatabaseDirect == "":
	case !s.onPostgres():
		wrong = append(wrong, "--database-direct needs --database to be PostgreSQL too")
	case !isURL(s.DatabaseDirect):
		wrong = append(wrong, "--database-direct is no URL of PostgreSQL: it "+form)
	}
	return wrong
}

// filesOnly is the mistake of asking a command for PostgreSQL that works on SQLite's files, with what to do instead.
func (s *commonSettings) filesOnly(instead string) (wrong []string) {
	if s.onPostgres() {
		wrong = append(wrong, instead+" (docs/operations.md)")
	}
	return wrong
}
