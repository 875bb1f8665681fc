package sqlite

import (
	"context"
	"database/sql"
	"iter"

	"monterey/internal/account"
	"monterey/internal/fault"
	"monterey/internal/workspace"
)

// accountChunk is how many rows of accounts one transaction changes. The writer is shared with ingest, which must not wait
// longer than 250 ms.
const accountChunk = 500

// accountImport is one import into the directory of a workspace. All or nothing, yet in short transactions: the entries are
// first staged in a file of their own (stagedAccounts), however slowly they come. Then what differs from the directory is written,
// marked with the import's number so that nobody sees it; one statement makes the import current, which shows all that it
// added and hides all that it removed; and what is hidden is deleted. Who dies before that statement leaves the directory as it
// was, and rows that nobody sees, which the next import clears away first.
type accountImport struct {
	store   *Store
	ws      int64
	staged  *stagedAccounts
	replace bool
	num     int64 // once begun
	counts  account.Counts
}

// ImportAccounts implements account.Store.
func (s *Store) ImportAccounts(ctx context.Context, c workspace.Caller, entries iter.Seq2[account.Entry, error], replace bool) (account.Counts, error) {
	i, err := s.newAccountImport(ctx, c, entries, replace)
	if err != nil {
		return account.Counts{}, translate("stage accounts", err)
	}
	defer i.staged.close()
	select {
	case s.importing <- struct{}{}:
		defer func() { <-s.importing }()
	case <-ctx.Done():
		return account.Counts{}, ctx.Err()
	}
	for _, step := range i.steps() {
		if err := step(ctx); err != nil {
			return account.Counts{}, translate("import accounts", err)
		}
	}
	_ = i.clear(ctx) // the import is done; the next one clears away what this could not
	return i.counts, nil
}

// newAccountImport stages the entries.
func (s *Store) newAccountImport(ctx context.Context, c workspace.Caller, entries iter.Seq2[account.Entry, error], replace bool) (*accountImport, error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return nil, err
	}
	i := &accountImport{store: s, ws: ws.num, replace: replace}
	if i.staged, err = s.stageAccounts(ctx); err != nil {
		return nil, err
	}
	if i.counts.Unchanged, err = i.staged.fill(ctx, entries); err != nil {
		i.staged.close()
		return nil, err
	}
	return i, nil
}

// steps are the import up to where it is current.
func (i *accountImport) steps() []func(context.Context) error {
	return []func(context.Context) error{i.begin, i.compare, i.add, i.remove, i.show}
}

// begin takes the directory over from an import that did not end, and clears away what that one left.
func (i *accountImport) begin(ctx context.Context) error {
	var settled int64
	err := i.store.write(ctx, "begin import", func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `INSERT INTO account_imports (workspace, began, settled, current) VALUES (?, 1, 0, 0)
			ON CONFLICT (workspace) DO UPDATE SET began = began + 1 RETURNING began, settled`, i.ws).Scan(&i.num, &settled)
	})
	if err != nil || settled == i.num-1 {
		return err
	}
	return i.settle(ctx)
}

func (i *accountImport) compare(ctx context.Context) (err error) {
	i.counts.Inserted, i.counts.Removed, err = i.staged.compare(ctx, i.ws, i.replace)
	i.counts.Unchanged -= i.counts.Inserted
	return err
}

func (i *accountImport) add(ctx context.Context) error {
	return i.apply(ctx, "added", "INSERT INTO accounts (change, workspace, address, number) VALUES (?, ?, ?, ?)", i.num)
}

func (i *accountImport) remove(ctx context.Context) error {
	return i.apply(ctx, "gone", "UPDATE accounts SET change = ? WHERE workspace = ? AND address = ? AND number = ?", -i.num)
}

// show makes the import current. Where nothing was removed, it leaves nothing to clear away.
func (i *accountImport) show(ctx context.Context) error {
	return i.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE account_imports SET current = began, settled = iif(?, began, settled) WHERE workspace = ?", i.counts.Removed == 0, i.ws)
		return err
	})
}

// clear deletes what the import removed.
func (i *accountImport) clear(ctx context.Context) error {
	if i.counts.Removed == 0 {
		return nil
	}
	if err := i.apply(ctx, "gone", "DELETE FROM accounts WHERE change = ? AND workspace = ? AND address = ? AND number = ?", -i.num); err != nil {
		return err
	}
	return i.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE account_imports SET settled = began WHERE workspace = ?", i.ws)
		return err
	})
}

// apply runs a statement for each row of added or gone. Its values are change, the workspace, the address and the number.
func (i *accountImport) apply(ctx context.Context, table, text string, change int64) error {
	return i.staged.each(ctx, table, accountChunk, func(part []account.Entry) error {
		return i.write(ctx, func(tx *sql.Tx) error {
			stmt, err := tx.PrepareContext(ctx, text)
			if err != nil {
				return err
			}
			for _, e := range part {
				if _, err := stmt.ExecContext(ctx, change, i.ws, e.Address, e.Number); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// write runs f in a transaction, unless another process has begun an import since.
func (i *accountImport) write(ctx context.Context, f func(*sql.Tx) error) error {
	return i.store.write(ctx, "import accounts", func(tx *sql.Tx) error {
		var began int64
		if err := tx.QueryRowContext(ctx, "SELECT began FROM account_imports WHERE workspace = ?", i.ws).Scan(&began); err != nil {
			return err
		}
		if began != i.num {
			return fault.New(fault.Conflict, "another import of the account directory has begun; nothing was changed")
		}
		return f(tx)
	})
}

// unsettledSQL finds the rows that an import left which did not end, and whether they are to stay.
const unsettledSQL = `SELECT a.address, a.number, a.change < -? FROM accounts a
	WHERE a.workspace = ? AND (a.address, a.number) > (?, ?) AND NOT a.change BETWEEN 0 AND ? ORDER BY a.address, a.number LIMIT ?`

// settle deletes the rows that are not seen and forgets removals that never became current.
func (i *accountImport) settle(ctx context.Context) error {
	type unsettled struct {
		account.Entry
		stays bool
	}
	for last := (unsettled{}); ; {
		var part []unsettled
		err := i.store.read(ctx, "read unsettled accounts", func(tx *sql.Tx) error {
			current, err := currentImport(ctx, tx, i.ws)
			if err != nil {
				return err
			}
			part, err = query(ctx, tx, func(r row) (u unsettled, err error) {
				err = r.Scan(&u.Address, &u.Number, &u.stays)
				return u, err
			}, unsettledSQL, current, i.ws, last.Address, last.Number, current, accountChunk)
			return err
		})
		if err != nil || len(part) == 0 {
			return err
		}
		last = part[len(part)-1]
		err = i.write(ctx, func(tx *sql.Tx) error {
			for _, u := range part {
				text := "DELETE FROM accounts WHERE workspace = ? AND address = ? AND number = ?"
				if u.stays {
					text = "UPDATE accounts SET change = 0 WHERE workspace = ? AND address = ? AND number = ?"
				}
				if _, err := tx.ExecContext(ctx, text, i.ws, u.Address, u.Number); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
}
