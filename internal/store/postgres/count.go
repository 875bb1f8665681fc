package postgres

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

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
	row, err := s.anyWorkspace(ctx, ws)
	return row.key, err
}

// Connection implements ingest.Store.
func (s *Store) Connection(ctx context.Context, ws workspace.ID, id provider.ID) (provider.Connection, error) {
	c := provider.Connection{ID: id, Workspace: ws}
	err := s.read(ctx, "connection", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `SELECT n.provider, n.provider_timezone FROM connections n JOIN workspaces w ON w.num = n.workspace_id
			WHERE n.id = $1 AND w.id = $2`, id, ws).Scan(&c.Provider, &c.Timezone)
	})
	return c, err
}

// Workspaces implements ingest.Store.
func (s *Store) Workspaces(ctx context.Context) (out []workspace.ID, err error) {
	err = s.read(ctx, "workspaces", func(tx pgx.Tx) error {
		out, err = query(ctx, tx, func(r row) (id workspace.ID, err error) {
			err = r.Scan(&id)
			return id, err
		}, "SELECT w.id FROM workspaces w JOIN counters c ON c.workspace_id = w.num WHERE w.deleted_at = 0 AND c.stamp > 0 ORDER BY w.num")
		return err
	})
	return out, err
}

// countWaits is how long counting waits for a workspace that another process writes to, before it is left to that one for a while.
const countWaits = time.Second

// counting is write for what is the only writer of its workspaces. Such a transaction looks everything up by keys, in tables that
// may have grown much since their statistics were taken.
func (s *Store) counting(ctx context.Context, what string, f func(pgx.Tx) error) error {
	return s.inTx(ctx, what, s.times.begin()+"; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; SET LOCAL jit = off", f)
}

func errTaken() error {
	return fault.New(fault.Taken, "another process counts these deliveries or writes to their workspace")
}

// Count implements ingest.Store. What makes a delivery count once is that its row in the inbox is deleted by the transaction
// that counts it.
func (s *Store) Count(ctx context.Context, items []ingest.Item, f func(ingest.Tx) error) error {
	defer s.counts.Begin()()
	nums, err := s.workspaceNums(ctx, items)
	if err != nil {
		return err
	}
	done, err := s.turns.wait(ctx, nums)
	if err != nil {
		return translate("count", err)
	}
	defer done()
	var t *countTx
	err = s.counting(ctx, "count", func(tx pgx.Tx) error {
		t = s.newCountTx(tx)
		if err := s.claim(ctx, tx, nums, items); err != nil {
			return err
		}
		return guard(func() error { return f(t) })
	})
	s.inbox.ended(nums)
	if fault.Is(err, fault.Taken) {
		s.inbox.avoid(nums)
	}
	if err != nil {
		return err
	}
	t.kept()
	s.inbox.counted(items)
	return nil
}

// workspaceNums are the items' workspaces, in the order in which they are locked.
func (s *Store) workspaceNums(ctx context.Context, items []ingest.Item) (nums []int64, err error) {
	seen := map[workspace.ID]bool{}
	for i := range items {
		id := items[i].Workspace
		if seen[id] {
			continue
		}
		row, err := s.anyWorkspace(ctx, id)
		if err != nil {
			return nil, err
		}
		seen[id], nums = true, append(nums, row.num)
	}
	slices.Sort(nums)
	return nums, nil
}

// claim makes this transaction the one that counts the items, and the only writer of their workspaces. Where another process
// counts in one of them the fault is Taken at once: what that one leaves can be counted later. Who else writes there is waited
// for, so that counting gets its turn.
func (s *Store) claim(ctx context.Context, tx pgx.Tx, nums []int64, items []ingest.Item) error {
	s.inbox.began(nums)
	var ours bool
	if err := tx.QueryRow(ctx, "SELECT bool_and(pg_try_advisory_xact_lock($1, n)) FROM unnest($2::integer[]) AS n", lockCounting, nums).Scan(&ours); err != nil {
		return err
	}
	if !ours {
		return errTaken()
	}
	if err := s.lockWorkspaces(ctx, tx, nums, min(countWaits, s.times.lock)); err != nil {
		if code(err) == lockNotAvailable {
			return errTaken()
		}
		return err
	}
	seqs := make([]int64, len(items))
	for i := range items {
		var err error
		if seqs[i], err = s.waitingSeq(ctx, tx, items[i].ID); err != nil {
			return err
		}
	}
	tag, err := tx.Exec(ctx, "DELETE FROM inbox WHERE seq = ANY ($1)", seqs)
	if err == nil && tag.RowsAffected() != int64(len(items)) {
		err = errTaken()
	}
	return err
}

// lockWorkspaces makes the transaction the only writer of workspaces, whose numbers are sorted.
func (s *Store) lockWorkspaces(ctx context.Context, tx pgx.Tx, nums []int64, wait time.Duration) error {
	b := &pgx.Batch{}
	b.Queue("SELECT set_config('lock_timeout', $1, true)", fmt.Sprint(wait.Milliseconds()))
	b.Queue("SELECT pg_advisory_xact_lock($1, n) FROM unnest($2::integer[]) AS n", lockWorkspace, nums)
	b.Queue("SELECT set_config('lock_timeout', $1, true)", fmt.Sprint(s.times.lock.Milliseconds()))
	return tx.SendBatch(ctx, b).Close()
}

// Rewrite implements ingest.Store.
func (s *Store) Rewrite(ctx context.Context, c workspace.Caller, f func(ingest.WorkspaceTx) error) error {
	return s.rewrite(ctx, "rewrite", c, func(w *workspaceTx) error { return f(w) })
}

// TryRewrite implements ingest.Store. It waits as long as counting does: where several processes count all the time, it would
// hardly ever find the workspace free.
func (s *Store) TryRewrite(ctx context.Context, c workspace.Caller, f func(ingest.WorkspaceTx) error) error {
	err := s.rewriteWithin(ctx, "rewrite", c, min(countWaits, s.times.lock), func(w *workspaceTx) error { return f(w) })
	if code(err) == lockNotAvailable {
		return errTaken()
	}
	return err
}

// rewrite runs f in one transaction of the workspace, as its only writer, for which it waits.
func (s *Store) rewrite(ctx context.Context, what string, c workspace.Caller, f func(*workspaceTx) error) error {
	return s.rewriteWithin(ctx, what, c, s.times.lock, f)
}

func (s *Store) rewriteWithin(ctx context.Context, what string, c workspace.Caller, wait time.Duration, f func(*workspaceTx) error) error {
	ws, err := s.anyWorkspace(ctx, c.Workspace())
	if err != nil {
		return err
	}
	done, err := s.turns.wait(ctx, []int64{ws.num})
	if err != nil {
		return translate(what, err)
	}
	defer done()
	var t *countTx
	err = s.counting(ctx, what, func(tx pgx.Tx) error {
		t = s.newCountTx(tx)
		if err := s.lockWorkspaces(ctx, tx, []int64{ws.num}, wait); err != nil {
			return err
		}
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

// anyWorkspace is what never changes of a workspace, of a deleted one too.
func (s *Store) anyWorkspace(ctx context.Context, id workspace.ID) (workspaceRow, error) {
	return cached(&s.mu, s.allNums, id, func() (row workspaceRow, err error) {
		err = s.read(ctx, "workspace", func(tx pgx.Tx) error {
			return found(tx.QueryRow(ctx, "SELECT num, identity_key FROM workspaces WHERE id = $1", id).Scan(&row.num, &row.key), "workspace")
		})
		return row, err
	})
}

// countTx is a counting transaction.
type countTx struct {
	s           *Store
	tx          pgx.Tx
	byWorkspace map[workspace.ID]*workspaceTx
}

func (s *Store) newCountTx(tx pgx.Tx) *countTx {
	return &countTx{s: s, tx: tx, byWorkspace: map[workspace.ID]*workspaceTx{}}
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
	row, err := t.s.anyWorkspace(ctx, ws) // known since it was locked
	if err != nil {
		return nil, err
	}
	now, err := t.s.clock(ctx, t.tx)
	if err != nil {
		return nil, err
	}
	w := &workspaceTx{view: newView(t.tx, row.num, now), t: t, mac: workspace.NewMAC(row.key), found: map[recipient.Hash]recipient.Ordinal{}, linkNums: map[linkKey]int64{},
		recovered: map[recoveredKey]map[int64]bool{}}
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

	linkNums  map[linkKey]int64               // links that are not in the cache
	ids       map[int64]campaign.ID           // see campaignIDs
	recovered map[recoveredKey]map[int64]bool // see mayBeRecovered
}

func (w *workspaceTx) exec(ctx context.Context, text string, args ...any) (pgconn.CommandTag, error) {
	return w.tx.Exec(ctx, text, args...)
}

// Stamps implements ingest.WorkspaceTx.
func (w *workspaceTx) Stamps(ctx context.Context, n int) (time.Time, error) {
	var first int64
	err := w.tx.QueryRow(ctx, "UPDATE counters SET stamp = greatest(stamp + 1, $2) + $3 WHERE workspace_id = $1 RETURNING stamp - $3",
		w.ws, micros(w.now), int64(n-1)).Scan(&first)
	return fromMicros(first), err
}

// next reserves n numbers of a counter and returns the first.
func (w *workspaceTx) next(ctx context.Context, counter string, n int) (first int64, err error) {
	err = w.tx.QueryRow(ctx, "UPDATE counters SET "+counter+" = "+counter+" + $2 WHERE workspace_id = $1 RETURNING "+counter+" - $2 + 1", w.ws, n).Scan(&first)
	return first, err
}

// Campaigns implements ingest.WorkspaceTx.
func (w *workspaceTx) Campaigns(ctx context.Context, p provider.Name, refs []string) (map[string]campaign.ID, error) {
	out := make(map[string]campaign.ID, len(refs))
	if err := w.findCampaigns(ctx, p, refs, out); err != nil {
		return nil, err
	}
	var unknown []string
	for _, ref := range refs {
		if _, ok := out[ref]; !ok {
			unknown = append(unknown, ref)
		}
	}
	if len(unknown) == 0 {
		return out, nil
	}
	if err := w.discover(ctx, p, unknown); err != nil {
		return nil, err
	}
	return out, w.findCampaigns(ctx, p, unknown, out)
}

func (w *workspaceTx) findCampaigns(ctx context.Context, p provider.Name, refs []string, out map[string]campaign.ID) error {
	return w.each(ctx, func(r row) error {
		var ref string
		var id campaign.ID
		var num int64
		err := r.Scan(&ref, &id, &num)
		out[ref], w.nums[id] = id, num
		return err
	}, "SELECT provider_campaign_id, id, num FROM campaigns WHERE workspace_id = $1 AND provider = $2 AND provider_campaign_id = ANY ($3)", w.ws, string(p), refs)
}

// discover makes the campaigns of first events; until somebody names them, they are named after their provider's ids. One that
// somebody else makes at the same moment is that one.
func (w *workspaceTx) discover(ctx context.Context, p provider.Name, refs []string) error {
	first, err := w.next(ctx, "campaign", len(refs))
	if err != nil {
		return err
	}
	ids := make([]campaign.ID, len(refs))
	for i := range ids {
		ids[i] = campaign.NewID()
	}
	_, err = w.exec(ctx, `INSERT INTO campaigns (workspace_id, num, id, provider, provider_campaign_id, name, tags, status, discovered, archived, created_at,
		updated_at) SELECT $1, $2 + c.n - 1, c.id, $3, c.ref, c.ref, '{}', '', true, false, $4, $4
		FROM unnest($5::uuid[], $6::text[]) WITH ORDINALITY AS c (id, ref, n)
		ON CONFLICT (workspace_id, provider, provider_campaign_id) DO NOTHING`, w.ws, first, string(p), micros(w.now), ids, refs)
	w.ids = nil // there are more
	return err
}

// must is the number of a campaign that this transaction has found.
func (w *workspaceTx) must(ctx context.Context, id campaign.ID) (int64, error) {
	num, ok, err := w.num(ctx, id)
	if err == nil && !ok {
		err = fault.New(fault.Internal, "campaign %s is not there", id)
	}
	return num, err
}
