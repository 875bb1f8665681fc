package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"os"
	"path/filepath"

	"monterey/internal/account"
	"monterey/internal/fault"
)

// stagedAccounts is the directory that an import brings, in a file of its own beside the main file: it needs disk, not memory, and
// the main file's writer only for what differs. The main file is attached to it as live, for reading. The file has no
// name any more while it is used, so a crash leaves nothing.
type stagedAccounts struct {
	db   *sql.DB
	conn *sql.Conn // the only one: a second one would not find the file
	name string
}

const stagingTables = `CREATE TABLE rows (address TEXT NOT NULL, number TEXT NOT NULL, PRIMARY KEY (address, number)) STRICT, WITHOUT ROWID;
	CREATE TABLE added (address TEXT NOT NULL, number TEXT NOT NULL) STRICT;
	CREATE TABLE gone (address TEXT NOT NULL, number TEXT NOT NULL) STRICT;`

func (s *Store) stageAccounts(ctx context.Context) (_ *stagedAccounts, err error) {
	f, err := os.CreateTemp(filepath.Dir(s.path), "accounts-*.tmp")
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "there is no room to take the accounts in at the moment")
	}
	_ = f.Close() // nothing was written
	st := &stagedAccounts{name: f.Name()}
	defer func() {
		if err != nil {
			st.close()
		}
	}()
	// Nothing of the file is ever rolled back or read again later.
	q := url.Values{"_pragma": {"journal_mode(OFF)", "synchronous(OFF)", "busy_timeout(10000)",
		fmt.Sprintf("cache_size(-%d)", readerCache)}}
	if st.db, err = sql.Open("sqlite", fileURI(st.name, q)); err != nil {
		return nil, fmt.Errorf("sqlite: stage accounts: %w", err)
	}
	if st.conn, err = st.db.Conn(ctx); err != nil {
		return nil, err
	}
	if err := st.exec(ctx, stagingTables); err != nil {
		return nil, err
	}
	if err := st.exec(ctx, "ATTACH ? AS live", fileURI(s.path, url.Values{"mode": {"ro"}})); err != nil {
		return nil, err
	}
	_ = os.Remove(st.name) // where a file in use cannot be removed, close does
	return st, nil
}

func (st *stagedAccounts) exec(ctx context.Context, text string, args ...any) error {
	_, err := st.conn.ExecContext(ctx, text, args...)
	return err
}

// close throws the file away.
func (st *stagedAccounts) close() {
	if st.conn != nil {
		_ = st.conn.Close() // nothing in the file is of use any more
	}
	if st.db != nil {
		_ = st.db.Close() // likewise
	}
	_ = os.Remove(st.name) // gone already, but for the system that keeps files in use
}

// fill takes the entries in and says how many unlike ones they are.
func (st *stagedAccounts) fill(ctx context.Context, entries iter.Seq2[account.Entry, error]) (total int64, err error) {
	if err := st.exec(ctx, "BEGIN"); err != nil {
		return 0, err
	}
	const insert = "INSERT OR IGNORE INTO rows (address, number) VALUES "
	many, err := st.conn.PrepareContext(ctx, insert+placeholders("(?,?)", insertChunk))
	if err != nil {
		return 0, err
	}
	defer func() { _ = many.Close() }() // it only frees memory
	put := func(res sql.Result, err error) error {
		if err != nil {
			return err
		}
		n, err := res.RowsAffected()
		total += n
		return err
	}
	args := make([]any, 0, 2*insertChunk)
	for e, err := range entries {
		if err != nil {
			return 0, err
		}
		if args = append(args, e.Address, e.Number); len(args) == cap(args) {
			if err := put(many.ExecContext(ctx, args...)); err != nil {
				return 0, err
			}
			args = args[:0]
		}
	}
	if len(args) > 0 {
		if err := put(st.conn.ExecContext(ctx, insert+placeholders("(?,?)", len(args)/2), args...)); err != nil {
			return 0, err
		}
	}
	return total, st.exec(ctx, "COMMIT")
}

const (
	addedSQL = `INSERT INTO added SELECT r.address, r.number FROM rows r WHERE NOT EXISTS
		(SELECT 1 FROM live.accounts a WHERE a.workspace = ? AND a.address = r.address AND a.number = r.number)`
	goneSQL = `INSERT INTO gone SELECT a.address, a.number FROM live.accounts a WHERE a.workspace = ? AND NOT EXISTS
		(SELECT 1 FROM rows r WHERE r.address = a.address AND r.number = a.number)`
)

// compare notes what is added to the live directory of a workspace, which must be settled, and what is gone from it.
func (st *stagedAccounts) compare(ctx context.Context, ws int64, replace bool) (added, gone int64, err error) {
	res, err := st.conn.ExecContext(ctx, addedSQL, ws)
	if err != nil {
		return 0, 0, err
	}
	added, err = res.RowsAffected()
	if err != nil || !replace {
		return added, 0, err
	}
	if res, err = st.conn.ExecContext(ctx, goneSQL, ws); err != nil {
		return 0, 0, err
	}
	gone, err = res.RowsAffected()
	return added, gone, err
}

// each gives the rows of added or gone in parts, in the order of their keys.
func (st *stagedAccounts) each(ctx context.Context, table string, size int, f func([]account.Entry) error) error {
	for last := int64(0); ; {
		part, err := st.part(ctx, table, &last, size)
		if err != nil || len(part) == 0 {
			return err
		}
		if err := f(part); err != nil {
			return err
		}
	}
}

// part reads what follows the row with the number last, which it moves.
func (st *stagedAccounts) part(ctx context.Context, table string, last *int64, size int) (part []account.Entry, err error) {
	rows, err := st.conn.QueryContext(ctx, "SELECT rowid, address, number FROM "+table+" WHERE rowid > ? ORDER BY rowid LIMIT ?", *last, size)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var e account.Entry
		if err := rows.Scan(last, &e.Address, &e.Number); err != nil {
			return nil, err
		}
		part = append(part, e)
	}
	return part, rows.Err()
}
