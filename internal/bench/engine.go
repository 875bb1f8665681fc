package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/store"
	"monterey/internal/store/postgres"
	"monterey/internal/store/sqlite"
)

// place is where a data set is: a data folder, and on PostgreSQL a database too.
type place struct {
	dir string
	url string // of PostgreSQL's database; empty = SQLite's files in dir
}

// The program, and this one as its own child, find a place by these.
const (
	dirSetting = "MONTEREY_DATA_DIR"
	urlSetting = "MONTEREY_DATABASE"
)

// givenPlace is that of a child.
func givenPlace() place { return place{os.Getenv(dirSetting), os.Getenv(urlSetting)} }

func (p place) sqliteFile() string { return filepath.Join(p.dir, "monterey.db") }

// open opens what is there, or makes it.
func (p place) open(ctx context.Context) (store.Database, error) {
	if p.url != "" {
		s, err := postgres.OpenWith(ctx, postgres.Options{URL: p.url, InboxBytes: 1 << 40})
		if err != nil {
			return nil, err
		}
		if _, _, err := s.Migrate(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		return s, nil
	}
	s, err := sqlite.Open(p.sqliteFile(), time.Now)
	if err != nil {
		return nil, err
	}
	if _, _, err := s.Migrate(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.OpenInbox(ctx, filepath.Join(p.dir, sqlite.InboxFile), sqlite.InboxOptions{MaxBytes: 1 << 40}); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// engine is a database that a run measures.
type engine struct {
	*bench
	cluster *cluster // nil = SQLite
	peaks   []memoryOf
}

// prefix begins the names of what belongs to PostgreSQL.
func (e *engine) prefix(text string) string {
	if e.cluster == nil {
		return ""
	}
	return text
}

func (e *engine) place(name string) place {
	p := place{dir: filepath.Join(e.dir, e.prefix("postgres-")+name)}
	if e.cluster != nil {
		p.url = e.cluster.url(name)
	}
	return p
}

// create makes a place, without what an earlier run left there.
func (e *engine) create(ctx context.Context, name string) (place, error) {
	p := e.place(name)
	err := e.remove(ctx, name)
	if err == nil {
		err = os.MkdirAll(p.dir, 0o700)
	}
	if err == nil && e.cluster != nil {
		err = e.cluster.exec(ctx, "CREATE DATABASE "+name)
	}
	return p, err
}

// copy makes a place like another, in which nobody works.
func (e *engine) copy(ctx context.Context, from, name string) (place, error) {
	p := e.place(name)
	err := e.remove(ctx, name)
	if err == nil {
		err = os.CopyFS(p.dir, os.DirFS(e.place(from).dir))
	}
	if err == nil && e.cluster != nil {
		err = e.cluster.copy(ctx, from, name)
	}
	return p, err
}

func (e *engine) remove(ctx context.Context, name string) error {
	err := os.RemoveAll(e.place(name).dir)
	if e.cluster != nil {
		err = errors.Join(err, e.cluster.exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"))
	}
	return err
}

func (e *engine) add(r row) {
	r.what = e.prefix("PostgreSQL: ") + r.what
	e.table.add(r)
}

func (e *engine) note(format string, args ...any) {
	e.table.notes = append(e.table.notes, e.prefix("PostgreSQL: ")+fmt.Sprintf(format, args...))
}

// limits are what must be reached, and what is hoped for; 0 = only shown.
type limits struct{ must, hope float64 }

// of chooses the limits of the database.
func (e *engine) of(sqlite, postgres limits) limits {
	if e.cluster == nil {
		return sqlite
	}
	return postgres
}

// rate adds a row of so many a second.
func (e *engine) rate(what string, l limits, got float64, y yardstick) {
	e.add(rateRow(what, l, got, y))
}

// time adds a row of how long something takes. PostgreSQL is measured by SQLite, where that was measured too.
func (e *engine) time(what string, must, hope, got time.Duration, what2 string, of time.Duration) {
	if e.cluster == nil {
		e.sqlite[what] = got
		e.add(timeRow(what, must, hope, got, what2, of))
		return
	}
	if sqlite, ok := e.sqlite[what]; ok {
		e.add(withinRow(what, 2, got, "SQLite", sqlite))
		return
	}
	e.add(row{what: what, measured: duration(got), yardstick: yardstick{what2, duration(of)}, ratio: got.Seconds() / of.Seconds()})
}

// withConn runs f on a connection of its own.
func withConn(ctx context.Context, url string, f func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	err = f(conn)
	return errors.Join(err, conn.Close(context.WithoutCancel(ctx)))
}
