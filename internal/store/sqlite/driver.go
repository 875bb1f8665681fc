package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"

	"modernc.org/sqlite"
)

// mostStatements is how many statements a connection keeps parsed. The texts of ordinary work are fewer; filters make the
// rest, and which goes is left to chance.
const mostStatements = 100

// openDB opens what dsn names, with connections that keep their statements parsed: parsing costs more than most answers do.
func openDB(dsn string) (*sql.DB, error) {
	c, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector{c}), nil
}

type connector struct{ driver.Connector }

// Connect implements driver.Connector.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	inner, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{conner: inner.(conner), idle: map[string]stmter{}}, nil
}

// conner is what the driver's connection can do.
type conner interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
	sqlite.DBStatus
}

type stmter interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// conn is a connection that keeps statements which nobody uses. It is used by one goroutine at a time, as all are.
type conn struct {
	conner
	idle map[string]stmter
}

func (c *conn) take(ctx context.Context, text string) (stmt, error) {
	if st := c.idle[text]; st != nil {
		delete(c.idle, text)
		return stmt{st, c, text}, nil
	}
	st, err := c.conner.PrepareContext(ctx, text)
	if err != nil {
		return stmt{}, err
	}
	return stmt{st.(stmter), c, text}, nil
}

// PrepareContext implements driver.ConnPrepareContext.
func (c *conn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	st, err := c.take(ctx, text)
	if err != nil {
		return nil, err // not a stmt of nothing
	}
	return st, nil
}

// ExecContext implements driver.ExecerContext.
func (c *conn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	st, err := c.take(ctx, text)
	if err != nil {
		return nil, err
	}
	result, err := st.ExecContext(ctx, args)
	return result, errors.Join(err, st.Close())
}

// QueryContext implements driver.QueryerContext.
func (c *conn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	st, err := c.take(ctx, text)
	if err != nil {
		return nil, err
	}
	rows, err := st.QueryContext(ctx, args)
	if err != nil {
		return nil, errors.Join(err, st.Close())
	}
	return &queried{rows, st}, nil
}

// Close implements driver.Conn.
func (c *conn) Close() error {
	var errs []error
	for _, st := range c.idle {
		errs = append(errs, st.Close())
	}
	clear(c.idle)
	return errors.Join(append(errs, c.conner.Close())...)
}

// stmt is a statement in use.
type stmt struct {
	stmter
	c    *conn
	text string
}

// Close implements driver.Stmt: the connection keeps the statement.
func (s stmt) Close() error {
	if s.c.idle[s.text] != nil { // two were used at the same time
		return s.stmter.Close()
	}
	for other, st := range s.c.idle {
		if len(s.c.idle) < mostStatements {
			break
		}
		delete(s.c.idle, other)
		if err := st.Close(); err != nil {
			return errors.Join(err, s.stmter.Close())
		}
	}
	s.c.idle[s.text] = s.stmter
	return nil
}

// queried are the rows of a statement that is kept when they are closed.
type queried struct {
	driver.Rows
	st stmt
}

// Close implements driver.Rows.
func (r *queried) Close() error { return errors.Join(r.Rows.Close(), r.st.Close()) }
