package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"slices"

	"monterey/internal/account"
	"monterey/internal/page"
	"monterey/internal/workspace"
)

// seenSQL is the condition that a row of accounts is seen; its two values are the current import.
const seenSQL = "(a.change BETWEEN 0 AND ? OR a.change < -?)"

// currentImport is the import whose changes are the newest that are seen.
func currentImport(ctx context.Context, tx *sql.Tx, ws int64) (current int64, err error) {
	err = tx.QueryRowContext(ctx, "SELECT current FROM account_imports WHERE workspace = ?", ws).Scan(&current)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return current, err
}

// ListAccounts implements account.Store.
func (s *Store) ListAccounts(ctx context.Context, c workspace.Caller, p account.ListParams) (out page.Of[account.Entry], err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return out, err
	}
	err = s.read(ctx, "list accounts", func(tx *sql.Tx) error {
		current, err := currentImport(ctx, tx, ws.num)
		if err != nil {
			return err
		}
		out, err = accountList(ws.num, current, p).page(ctx, tx, p.Params)
		return err
	})
	return out, err
}

func accountList(ws, current int64, p account.ListParams) list[account.Entry] {
	l := list[account.Entry]{
		columns: "a.number, a.address", from: "accounts a", id: "a.address", sort: "account_number",
		sorts: map[string]string{"account_number": "a.number", "email": "a.address"},
		scan: func(r row) (e account.Entry, err error) {
			err = r.Scan(&e.Number, &e.Address)
			return e, err
		},
	}
	if p.Sort == "email" {
		l.id = "a.number"
	}
	l.where.add("a.workspace = ? AND "+seenSQL, ws, current, current)
	if len(p.Numbers) > 0 {
		l.where.add("a.number IN (SELECT value FROM json_each(?))", listJSON(p.Numbers))
	}
	if len(p.Addresses) > 0 {
		l.where.add("a.address IN (SELECT value FROM json_each(?))", listJSON(p.Addresses))
	}
	return l
}

// accountNumbersSQL finds the numbers of addresses, none of them twice.
const accountNumbersSQL = `SELECT a.address, a.number FROM json_each(?) j
	CROSS JOIN accounts a ON a.workspace = ? AND a.address = j.value WHERE ` + seenSQL

// AccountNumbers implements account.Store.
func (s *Store) AccountNumbers(ctx context.Context, c workspace.Caller, addresses []string) (map[string][]string, error) {
	ws, err := s.workspace(ctx, c)
	out := map[string][]string{}
	if err != nil || len(addresses) == 0 {
		return out, err
	}
	err = s.read(ctx, "account numbers", func(tx *sql.Tx) error {
		current, err := currentImport(ctx, tx, ws.num)
		if err != nil {
			return err
		}
		_, err = query(ctx, tx, func(r row) (_ struct{}, err error) {
			var address, number string
			err = r.Scan(&address, &number)
			out[address] = append(out[address], number)
			return struct{}{}, err
		}, accountNumbersSQL, listJSON(slices.Compact(slices.Sorted(slices.Values(addresses)))), ws.num, current, current)
		return err
	})
	for _, numbers := range out {
		slices.Sort(numbers)
	}
	return out, err
}
