package postgres

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/account"
	"monterey/internal/page"
	"monterey/internal/workspace"
)

// ListAccounts implements account.Store.
func (s *Store) ListAccounts(ctx context.Context, c workspace.Caller, p account.ListParams) (out page.Of[account.Entry], err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return out, err
	}
	err = s.read(ctx, "list accounts", func(tx pgx.Tx) error {
		out, err = accountList(ws.num, p).page(ctx, tx, p.Params)
		return err
	})
	return out, err
}

func accountList(ws int64, p account.ListParams) list[account.Entry] {
	l := list[account.Entry]{
		columns: "number, address", from: "accounts", id: "address", sort: "account_number",
		sorts: map[string]string{"account_number": "number", "email": "address"},
		scan: func(r row) (e account.Entry, err error) {
			err = r.Scan(&e.Number, &e.Address)
			return e, err
		},
	}
	if p.Sort == "email" {
		l.id = "number"
	}
	l.where.add("workspace_id = ?", ws)
	if len(p.Numbers) > 0 {
		l.where.add("number = ANY (?)", p.Numbers)
	}
	if len(p.Addresses) > 0 {
		l.where.add("address = ANY (?)", p.Addresses)
	}
	return l
}

// accountNumbersSQL is a join, since for a list whose length is not known when it is planned each account would be compared with each address.
const accountNumbersSQL = "SELECT c.address, c.number FROM unnest($2::text[]) n (address) JOIN accounts c ON c.workspace_id = $1 AND c.address = n.address"

// AccountNumbers implements account.Store.
func (s *Store) AccountNumbers(ctx context.Context, c workspace.Caller, addresses []string) (map[string][]string, error) {
	ws, err := s.workspace(ctx, c)
	if err != nil || len(addresses) == 0 {
		return map[string][]string{}, err
	}
	var out map[string][]string
	err = s.read(ctx, "account numbers", func(tx pgx.Tx) error {
		out, err = newView(tx, ws.num, time.Time{}).accountNumbers(ctx, addresses)
		return err
	})
	return out, err
}

// accountNumbers are the accounts that hold each address, sorted; addresses that none holds are absent. It is the last that a read
// asks.
func (v *view) accountNumbers(ctx context.Context, addresses []string) (map[string][]string, error) {
	out := map[string][]string{}
	var b pgx.Batch
	b.Queue(accountNumbersSQL, v.ws, addresses).Query(eachOf(func(r row) error {
		var address, number string
		err := r.Scan(&address, &number)
		out[address] = append(out[address], number)
		return err
	}))
	err := sendLast(ctx, v.tx, &b)
	for address, numbers := range out {
		slices.Sort(numbers)
		out[address] = slices.Compact(numbers) // an address may be asked for twice
	}
	return out, err
}
