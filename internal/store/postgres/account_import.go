package postgres

import (
	"context"
	"encoding/binary"
	"iter"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"monterey/internal/account"
	"monterey/internal/fault"
	"monterey/internal/workspace"
)

// How an import goes.
const (
	accountChunk   = 5000                   // entries that are staged together
	importPatience = 2 * time.Minute        // with another import into the same workspace
	importLook     = 100 * time.Millisecond // how often it is looked whether that one has ended
	staleImport    = 24 * time.Hour         // after which one that did not end is cleared away
)

// accountImport is one import into the directory of a workspace. The entries may come slowly, so they are staged first, in
// transactions of their own; then one transaction makes the directory what they say, while those who read it see what it was.
// Who dies before leaves staged entries, which a later import clears away.
type accountImport struct {
	store   *Store
	ws      int64
	id      uuid.UUID
	replace bool
	parts   int // that are staged
}

// ImportAccounts implements account.Store.
func (s *Store) ImportAccounts(ctx context.Context, c workspace.Caller, entries iter.Seq2[account.Entry, error], replace bool) (account.Counts, error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return account.Counts{}, err
	}
	i := &accountImport{store: s, ws: ws.num, id: uuid.Must(uuid.NewV7()), replace: replace}
	if err := i.clearStale(ctx); err != nil {
		return account.Counts{}, err
	}
	counts, err := i.run(ctx, entries)
	if err != nil {
		i.clear(ctx)
		return account.Counts{}, err
	}
	return counts, nil
}

func (i *accountImport) run(ctx context.Context, entries iter.Seq2[account.Entry, error]) (account.Counts, error) {
	if err := i.stage(ctx, entries); err != nil {
		return account.Counts{}, err
	}
	return i.takeOver(ctx)
}

// stage reads the entries to their end.
func (i *accountImport) stage(ctx context.Context, entries iter.Seq2[account.Entry, error]) error {
	addresses, numbers := make([]string, 0, accountChunk), make([]string, 0, accountChunk)
	flush := func() error {
		err := i.put(ctx, addresses, numbers)
		addresses, numbers = addresses[:0], numbers[:0]
		return err
	}
	for e, err := range entries {
		if err != nil {
			return err
		}
		addresses, numbers = append(addresses, e.Address), append(numbers, e.Number)
		if len(addresses) < accountChunk {
			continue
		}
		if err := flush(); err != nil {
			return err
		}
	}
	return flush()
}

func (i *accountImport) put(ctx context.Context, addresses, numbers []string) error {
	i.parts++
	return i.store.write(ctx, "stage accounts", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "INSERT INTO staged_accounts (workspace_id, import, part, addresses, numbers) VALUES ($1, $2, $3, $4, $5)",
			i.ws, i.id, i.parts, addresses, numbers)
		return err
	})
}

// takeOver makes the directory what was staged, once no other import into the workspace does so.
func (i *accountImport) takeOver(ctx context.Context) (counts account.Counts, err error) {
	for began := time.Now(); ; {
		alone := false
		err = i.store.write(ctx, "import accounts", func(tx pgx.Tx) error {
			if err := tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1, $2)", lockImport, i.ws).Scan(&alone); err != nil || !alone {
				return err
			}
			counts, err = i.merge(ctx, tx)
			return err
		})
		switch {
		case err != nil || alone:
			return counts, err
		case time.Since(began) > importPatience:
			return counts, fault.New(fault.Conflict, "another import of the account directory is under way; nothing was changed")
		}
		select {
		case <-time.After(importLook):
		case <-ctx.Done():
			return counts, translate("import accounts", ctx.Err())
		}
	}
}

// mergeAccountsSQL sees one snapshot throughout. The text of an array has no collation of ours.
const mergeAccountsSQL = `WITH staged AS MATERIALIZED (
		SELECT DISTINCT n.address COLLATE "C" AS address, n.number COLLATE "C" AS number
		FROM staged_accounts s, unnest(s.addresses, s.numbers) AS n (address, number) WHERE s.workspace_id = $1 AND s.import = $2),
	added AS (INSERT INTO accounts (workspace_id, address, number)
		SELECT $1, s.address, s.number FROM staged s WHERE NOT EXISTS
			(SELECT 1 FROM accounts a WHERE a.workspace_id = $1 AND a.address = s.address AND a.number = s.number)
		ORDER BY s.address, s.number RETURNING 1),
	removed AS (DELETE FROM accounts a WHERE $3 AND a.workspace_id = $1 AND NOT EXISTS
			(SELECT 1 FROM staged s WHERE s.address = a.address AND s.number = a.number) RETURNING 1)
	SELECT (SELECT count(*) FROM staged), (SELECT count(*) FROM added), (SELECT count(*) FROM removed)`

const unstageSQL = "DELETE FROM staged_accounts WHERE workspace_id = $1 AND import = $2"

func (i *accountImport) merge(ctx context.Context, tx pgx.Tx) (counts account.Counts, err error) {
	// There may be millions, and PostgreSQL does not know of those that are new: it would look through them for each other.
	if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = '30min'; SET LOCAL enable_nestloop = off"); err != nil {
		return counts, err
	}
	var staged int64
	if err := tx.QueryRow(ctx, mergeAccountsSQL, i.ws, i.id, i.replace).Scan(&staged, &counts.Inserted, &counts.Removed); err != nil {
		return counts, err
	}
	counts.Unchanged = staged - counts.Inserted
	_, err = tx.Exec(ctx, unstageSQL, i.ws, i.id)
	return counts, err
}

// clear deletes what was staged in vain.
func (i *accountImport) clear(ctx context.Context) {
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), i.store.times.end)
	defer cancel()
	_ = i.store.write(ending, "clear staged accounts", func(tx pgx.Tx) error { // clearStale does what this could not
		_, err := tx.Exec(ending, unstageSQL, i.ws, i.id)
		return err
	})
}

// clearStale deletes what imports have left that died.
func (i *accountImport) clearStale(ctx context.Context) error {
	var before uuid.UUID
	binary.BigEndian.PutUint64(before[:], uint64(time.Now().Add(-staleImport).UnixMilli())<<16)
	return i.store.write(ctx, "clear staged accounts", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DELETE FROM staged_accounts WHERE workspace_id = $1 AND import < $2", i.ws, before)
		return err
	})
}
