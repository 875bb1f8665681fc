package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/ingest"
	"monterey/internal/provider"
	"monterey/internal/recipient"
	"monterey/internal/workspace"
)

// IdentityKey implements ingest.Store. A deleted workspace has one too: what was accepted for it is still counted.
func (s *Store) IdentityKey(ctx context.Context, ws workspace.ID) (event.Key, error) {
	var key []byte
	err := s.readers.QueryRowContext(ctx, "SELECT identity_key FROM workspaces WHERE id = ?", ws.UUID[:]).Scan(&key)
	return key, translate("identity key", err)
}

// Connection implements ingest.Store.
func (s *Store) Connection(ctx context.Context, ws workspace.ID, id provider.ID) (provider.Connection, error) {
	c := provider.Connection{ID: id, Workspace: ws}
	err := s.readers.QueryRowContext(ctx, `SELECT n.provider, n.provider_timezone FROM connections n JOIN workspaces w ON w.num = n.workspace
		WHERE n.id = ? AND w.id = ?`, id.UUID[:], ws.UUID[:]).Scan(&c.Provider, &c.Timezone)
	return c, translate("connection", err)
}

// Workspaces implements ingest.Store.
func (s *Store) Workspaces(ctx context.Context) ([]workspace.ID, error) {
	rows, err := s.readers.QueryContext(ctx, "SELECT w.id FROM workspaces w JOIN counters c ON c.workspace = w.num WHERE w.deleted_at = 0 AND c.stamp > 0 ORDER BY w.num")
	if err != nil {
		return nil, translate("workspaces", err)
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	var out []workspace.ID
	for rows.Next() {
		var id workspace.ID
		if err := rows.Scan(&id); err != nil {
			return nil, translate("workspaces", err)
		}
		out = append(out, id)
	}
	return out, translate("workspaces", rows.Err())
}

// Count implements ingest.Store.
func (s *Store) Count(ctx context.Context, items []ingest.Item, f func(ingest.Tx) error) error {
	defer s.counts.Begin()()
	t := &countTx{s: s, now: s.now(), byWorkspace: map[workspace.ID]*workspaceTx{}}
	var size int64
	last := map[uint64]int64{}
	for i := range items {
		epoch, seq := items[i].ID.Place()
		last[epoch] = max(last[epoch], seq)
		size += int64(len(items[i].Raw))
	}
	err := s.write(ctx, "count", func(tx *sql.Tx) error {
		t.tx = tx
		for epoch, seq := range last {
			if err := t.mark(ctx, epoch, seq); err != nil {
				return err
			}
		}
		return guard(func() error { return f(t) })
	})
	if err != nil {
		return err
	}
	t.kept()
	for epoch, seq := range last {
		s.inbox.countedTo(epoch, seq, size)
		size = 0
	}
	return nil
}

// Rewrite implements ingest.Store.
func (s *Store) Rewrite(ctx context.Context, c workspace.Caller, f func(ingest.WorkspaceTx) error) error {
	return s.rewrite(ctx, "rewrite", c, func(w *workspaceTx) error { return f(w) })
}

// TryRewrite implements ingest.Store: no other process writes to a workspace for long.
func (s *Store) TryRewrite(ctx context.Context, c workspace.Caller, f func(ingest.WorkspaceTx) error) error {
	return s.Rewrite(ctx, c, f)
}

// rewrite runs f in one transaction of the workspace.
func (s *Store) rewrite(ctx context.Context, what string, c workspace.Caller, f func(*workspaceTx) error) error {
	t := &countTx{s: s, now: s.now(), byWorkspace: map[workspace.ID]*workspaceTx{}}
	err := s.write(ctx, what, func(tx *sql.Tx) error {
		t.tx = tx
		w, err := t.workspace(ctx, c.Workspace())
		if err != nil {
			return err
		}
		return guard(func() error { return f(w) })
	})
	if err == nil {
		t.kept()
	}
	return err
}

// guard turns a panic into a fault of the data.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.Wrap(fault.Data, fmt.Errorf("panic: %v\n%s", p, debug.Stack()), "counting it failed")
		}
	}()
	return f()
}

// countTx is a counting transaction.
type countTx struct {
	s           *Store
	tx          *sql.Tx
	now         time.Time
	byWorkspace map[workspace.ID]*workspaceTx
}

// mark moves an epoch's mark; that it moves forward is what counts a delivery once.
func (t *countTx) mark(ctx context.Context, epoch uint64, seq int64) error {
	res, err := t.tx.ExecContext(ctx, `INSERT INTO marks (epoch, seq) VALUES (?, ?) ON CONFLICT (epoch) DO UPDATE SET seq = excluded.seq
		WHERE seq < excluded.seq`, int64(epoch), seq)
	if err != nil {
		return err
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		return fault.Wrap(fault.Internal, err, "these deliveries are counted already")
	}
	return nil
}

// Workspace implements ingest.Tx.
func (t *countTx) Workspace(ctx context.Context, ws workspace.ID) (ingest.WorkspaceTx, error) {
	w, err := t.workspace(ctx, ws)
	if err != nil {
		return nil, err // not a nil *workspaceTx
	}
	return w, nil
}

func (t *countTx) workspace(ctx context.Context, ws workspace.ID) (*workspaceTx, error) {
	if w := t.byWorkspace[ws]; w != nil {
		return w, nil
	}
	var num int64
	var key []byte
	if err := t.tx.QueryRowContext(ctx, "SELECT num, identity_key FROM workspaces WHERE id = ?", ws.UUID[:]).Scan(&num, &key); err != nil {
		return nil, translate("workspace", err)
	}
	w := &workspaceTx{view: t.s.newView(t.tx, num, t.now), t: t, mac: workspace.NewMAC(key), found: map[recipient.Hash]recipient.Ordinal{},
		epochs: map[uint64]int64{}, linkNums: map[linkKey]int64{}}
	t.byWorkspace[ws] = w
	return w, nil
}

// kept lets the caches have what the transaction has made, now that it is committed.
func (t *countTx) kept() {
	for _, w := range t.byWorkspace {
		t.s.recipients.Add(w.ws, w.found)
		t.s.links.Add(w.ws, w.linkNums)
	}
}

// workspaceTx is a counting transaction's part of one workspace. Reads go through its view.
type workspaceTx struct {
	*view
	t     *countTx
	mac   *workspace.MAC                       // under the workspace's identity key
	found map[recipient.Hash]recipient.Ordinal // recipients that are not in the cache

	epochs   map[uint64]int64      // their numbers
	linkNums map[linkKey]int64     // links that are not in the cache
	ids      map[int64]campaign.ID // see campaignIDs
}

func (w *workspaceTx) exec(ctx context.Context, text string, args ...any) (sql.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	st, err := w.prepared(ctx, text)
	if err != nil {
		return nil, err
	}
	return st.ExecContext(context.WithoutCancel(ctx), args...) // as view.each
}

// Stamps implements ingest.WorkspaceTx.
func (w *workspaceTx) Stamps(ctx context.Context, n int) (time.Time, error) {
	var first int64
	err := w.tx.QueryRowContext(ctx, "UPDATE counters SET stamp = max(stamp + 1, ?) + ? WHERE workspace = ? RETURNING stamp - ?",
		micros(w.t.now), n-1, w.ws, n-1).Scan(&first)
	return fromMicros(first), err
}

// next reserves n numbers of a counter and returns the first.
func (w *workspaceTx) next(ctx context.Context, counter string, n int) (first int64, err error) {
	err = w.tx.QueryRowContext(ctx, "UPDATE counters SET "+counter+" = "+counter+" + ? WHERE workspace = ? RETURNING "+counter+" - ? + 1",
		n, w.ws, n).Scan(&first)
	return first, err
}

// Campaigns implements ingest.WorkspaceTx.
func (w *workspaceTx) Campaigns(ctx context.Context, p provider.Name, refs []string) (map[string]campaign.ID, error) {
	out := make(map[string]campaign.ID, len(refs))
	for _, ref := range refs {
		var id campaign.ID
		var num int64
		err := w.each(ctx, func(r row) error { return r.Scan(&id, &num) },
			"SELECT id, num FROM campaigns WHERE workspace = ? AND provider = ? AND provider_campaign_id = ?", w.ws, string(p), ref)
		if err == nil && num == 0 {
			id, num, err = w.discover(ctx, p, ref)
		}
		if err != nil {
			return nil, err
		}
		out[ref], w.nums[id] = id, num
	}
	return out, nil
}

// discover makes the campaign of a first event; until somebody names it, it is named after its provider's id.
func (w *workspaceTx) discover(ctx context.Context, p provider.Name, ref string) (campaign.ID, int64, error) {
	num, err := w.next(ctx, "campaign", 1)
	if err != nil {
		return campaign.ID{}, 0, err
	}
	id, now := campaign.NewID(), micros(w.t.now)
	_, err = w.exec(ctx, `INSERT INTO campaigns (workspace, num, id, provider, provider_campaign_id, name, tags, status, discovered, archived, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, '[]', '', 1, 0, ?, ?)`, w.ws, num, id.UUID[:], string(p), ref, ref, now, now)
	w.ids = nil // there is one more
	return id, num, err
}

// must is the number of a campaign that this transaction has found.
func (w *workspaceTx) must(ctx context.Context, id campaign.ID) (int64, error) {
	num, ok, err := w.num(ctx, id)
	if err == nil && !ok {
		err = fault.New(fault.Internal, "campaign %s is not there", id)
	}
	return num, err
}

// insertChunk is how many rows insertMany writes with one statement.
const insertChunk = 100

// insertMany inserts rows of so many columns, whose values are all in args, one row after the other. A row that is there
// already is an error.
func (w *workspaceTx) insertMany(ctx context.Context, into string, columns int, args []any) error {
	return w.insertAll(ctx, "INSERT OR FAIL INTO "+into, columns, args, "")
}

// insertAll is insertMany with the beginning and the end of the statement.
func (w *workspaceTx) insertAll(ctx context.Context, insert string, columns int, args []any, end string) error {
	for len(args) > 0 {
		n := insertChunk
		if len(args) < n*columns {
			n = 1
		}
		text := insert + " VALUES " + placeholders("("+placeholders("?", columns)+")", n) + end
		if _, err := w.exec(ctx, text, args[:n*columns]...); err != nil {
			return err
		}
		args = args[n*columns:]
	}
	return nil
}

// placeholders is n times group, with commas.
func placeholders(group string, n int) string {
	return strings.TrimSuffix(strings.Repeat(group+",", n), ",")
}
