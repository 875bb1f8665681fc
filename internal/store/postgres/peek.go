package postgres

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/delivery"
	"monterey/internal/ingest"
)

const (
	fewWait       = 256         // up to so many deliveries are given in the order of arrival; above that workspace by workspace
	maxWorkspaces = 64          // of how many workspaces one Peek gives something
	avoidFor      = time.Second // how long a workspace is left to others that were seen to count it
)

// handedOut remembers what Peek has given: for the last item of each answer, all that led to it. An answer may be thrown away
// and asked for again, so it counts as given only for who asks for what is behind it.
type handedOut struct {
	chains map[delivery.ID]*chain // by the last item
	order  []delivery.ID          // of chains; the oldest are forgotten
}

type chain struct {
	before *chain
	length int // of the chain, with this
	seqs   []int64
	ends   map[int64]waitingKey // the last that was given of each workspace
}

const maxChains = 128

// wholeEach is how often a backlog is read from its beginning; else it is read from where the last answer ended. What becomes visible
// before that is given later, then.
const wholeEach = 8

// until are the sequence numbers that were given up to the item after.
func (h *handedOut) until(after *ingest.Item) (*chain, map[int64]bool) {
	given := map[int64]bool{}
	if after == nil {
		return &chain{}, given
	}
	c := h.chains[after.ID]
	if c == nil { // forgotten: that some were given is found out when they are counted
		c = &chain{}
	}
	for b := c; b != nil; b = b.before {
		for _, seq := range b.seqs {
			given[seq] = true
		}
	}
	return c, given
}

func (h *handedOut) add(before *chain, chosen []waiting, items []ingest.Item) {
	if len(items) == 0 {
		return
	}
	c := &chain{before: before, length: before.length + 1, seqs: make([]int64, len(chosen)), ends: map[int64]waitingKey{}}
	maps.Copy(c.ends, before.ends)
	for i, k := range chosen {
		c.seqs[i] = k.seq
		if compareKeys(k.waitingKey, c.ends[k.ws]) > 0 {
			c.ends[k.ws] = k.waitingKey
		}
	}
	last := items[len(items)-1].ID
	if h.chains == nil {
		h.chains = map[delivery.ID]*chain{}
	}
	if h.chains[last] == nil {
		h.order = append(h.order, last)
	}
	h.chains[last] = c
	if len(h.order) > maxChains {
		delete(h.chains, h.order[0])
		h.order = h.order[1:]
	}
}

// counted forgets what led to an item that is counted: batches are counted in the order in which they were given.
func (h *handedOut) counted(last delivery.ID) {
	if c := h.chains[last]; c != nil {
		c.before, c.seqs = nil, nil
	}
}

// waitingKey is what is to be known of a delivery to choose it.
type waitingKey struct{ seq, ws, received, objects, bytes int64 }

// waiting is a delivery, read with its body or without.
type waiting struct {
	waitingKey
	conn int64 // 0 = neither this nor the body was read
	body []byte
}

const waitingColumns = "seq, workspace_id, received_at, objects, bytes"

func scanWaiting(r row) (w waiting, err error) {
	err = r.Scan(&w.seq, &w.ws, &w.received, &w.objects, &w.bytes)
	return w, err
}

func scanWhole(r row) (w waiting, err error) {
	err = r.Scan(&w.seq, &w.ws, &w.received, &w.objects, &w.bytes, &w.conn, &w.body)
	return w, err
}

func compareKeys(a, b waitingKey) int {
	return cmp.Or(cmp.Compare(a.received, b.received), cmp.Compare(a.seq, b.seq))
}

// Peek implements ingest.Inbox. Of a backlog it gives the workspace whose oldest delivery has waited longest, and others only
// where that one does not fill the answer: so several workers come to count different workspaces. What is behind an item is not
// what has greater numbers, which become visible in any order, but what was not given on the way to it.
func (s *Store) Peek(ctx context.Context, after *ingest.Item, maxObjects, maxBytes int) (items []ingest.Item, err error) {
	in := s.inbox
	in.mu.Lock()
	before, given := in.handed.until(after)
	last := len(before.seqs)
	in.mu.Unlock()
	var p peeking
	err = s.read(ctx, "read inbox", func(tx pgx.Tx) error {
		p = peeking{in: in, given: maps.Clone(given), objects: int64(maxObjects), bytes: int64(maxBytes)}
		if before.length%wholeEach != 0 {
			p.from, p.last = before.ends, last
		}
		if err := p.choose(ctx, tx); err != nil {
			return err
		}
		items, err = s.waitingItems(ctx, tx, p.chosen)
		return err
	})
	if err != nil {
		return nil, err
	}
	in.mu.Lock()
	in.handed.add(before, p.chosen, items)
	in.mu.Unlock()
	return items, nil
}

// peeking is the choice of what one Peek gives.
type peeking struct {
	in             *inbox
	given          map[int64]bool
	from           map[int64]waitingKey // where a workspace's part of a backlog is read from first
	last           int                  // how many the last answer had, where from is set
	objects, bytes int64                // how much more is wanted
	chosen         []waiting
}

func (p *peeking) full() bool { return p.objects <= 0 || p.bytes <= 0 }

func (p *peeking) take(all []waiting) {
	for _, w := range all {
		if p.full() {
			return
		}
		if !p.given[w.seq] {
			p.given[w.seq] = true
			p.chosen = append(p.chosen, w)
			p.objects, p.bytes = p.objects-w.objects, p.bytes-w.bytes
		}
	}
}

func (p *peeking) choose(ctx context.Context, tx pgx.Tx) error {
	few, err := query(ctx, tx, scanWaiting, "SELECT "+waitingColumns+" FROM inbox ORDER BY seq LIMIT $1", fewWait+1)
	if err != nil || len(few) == 0 {
		return err
	}
	avoided, err := p.in.avoided(ctx, tx)
	if err != nil {
		return err
	}
	if len(few) <= fewWait {
		few = slices.DeleteFunc(few, func(w waiting) bool { return avoided[w.ws] })
		slices.SortFunc(few, func(a, b waiting) int { return compareKeys(a.waitingKey, b.waitingKey) })
		p.take(few)
		return nil
	}
	heads, err := query(ctx, tx, scanHead, headsSQL)
	if err != nil {
		return err
	}
	heads = slices.DeleteFunc(heads, func(h head) bool { return avoided[h.ws] })
	slices.SortFunc(heads, func(a, b head) int { return cmp.Compare(a.received, b.received) })
	for _, h := range heads[:min(len(heads), maxWorkspaces)] {
		if p.full() {
			break
		}
		if err := p.chooseOf(ctx, tx, h.ws); err != nil {
			return err
		}
	}
	return nil
}

// head is when the oldest delivery of a workspace that waits was received.
type head struct{ ws, received int64 }

func scanHead(r row) (h head, err error) {
	err = r.Scan(&h.ws, &h.received)
	return h, err
}

// headsSQL jumps in the index from workspace to workspace.
const headsSQL = `WITH RECURSIVE h (workspace_id, received_at) AS (
	(SELECT workspace_id, received_at FROM inbox ORDER BY workspace_id, received_at LIMIT 1)
	UNION ALL SELECT n.* FROM h CROSS JOIN LATERAL (SELECT i.workspace_id, i.received_at FROM inbox i WHERE i.workspace_id > h.workspace_id
		ORDER BY i.workspace_id, i.received_at LIMIT 1) n)
	SELECT * FROM h`

// chooseOf takes the oldest of one workspace, first of those behind what was given before: none of them was given, so they are read
// with their bodies.
func (p *peeking) chooseOf(ctx context.Context, tx pgx.Tx, ws int64) error {
	if from, behind := p.from[ws]; behind {
		err := p.chooseBehind(from, max(p.last, fewWait), func(last waitingKey, limit int) ([]waiting, error) {
			return query(ctx, tx, scanWhole, wholeSQL, ws, last.received, last.seq, limit, p.objects, p.bytes)
		})
		if err != nil {
			return err
		}
	}
	return p.chooseBehind(waitingKey{}, len(p.given)+fewWait, func(last waitingKey, limit int) ([]waiting, error) {
		return query(ctx, tx, scanWaiting, behindSQL(waitingColumns), ws, last.received, last.seq, limit)
	})
}

// behindSQL reads columns of the next $4 deliveries of workspace $1 behind one.
func behindSQL(columns string) string {
	return "SELECT " + columns + " FROM inbox WHERE workspace_id = $1 AND (received_at, seq) > ($2, $3) ORDER BY received_at, seq LIMIT $4"
}

// wholeSQL reads those that are needed for $5 objects or $6 bytes, whichever are fewer, with their bodies.
var wholeSQL = "SELECT " + waitingColumns + `, connection, body FROM (SELECT *, sum(objects) OVER before - objects AS objects_before, sum(bytes) OVER before - bytes AS bytes_before
	FROM (` + behindSQL("*") + `) AS next WINDOW before AS (ORDER BY received_at, seq ROWS UNBOUNDED PRECEDING)) AS summed
	WHERE objects_before < $5 AND bytes_before < $6 ORDER BY received_at, seq`

// chooseBehind reads ever more at a time until the answer is full, as nobody knows how many are enough: not more than objects are
// wanted, since hardly a delivery has none.
func (p *peeking) chooseBehind(last waitingKey, limit int, next func(last waitingKey, limit int) ([]waiting, error)) error {
	for ; !p.full(); limit = max(fewWait, min(2*limit, int(p.objects))) {
		read, err := next(last, limit)
		if err != nil {
			return err
		}
		p.take(read)
		if len(read) < limit {
			return nil
		}
		last = read[len(read)-1].waitingKey
	}
	return nil
}

func scanNum(r row) (n int64, err error) {
	err = r.Scan(&n)
	return n, err
}

// avoided are the workspaces that are left to others.
func (in *inbox) avoided(ctx context.Context, tx pgx.Tx) (map[int64]bool, error) {
	held, err := query(ctx, tx, scanNum, locksSQL, lockCounting)
	if err != nil {
		return nil, err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	out := map[int64]bool{}
	for _, n := range held {
		out[n] = !in.counting[n]
	}
	for n, until := range in.avoiding {
		if time.Now().After(until) {
			delete(in.avoiding, n)
		} else {
			out[n] = true
		}
	}
	return out, nil
}

// avoid leaves workspaces to others for a while.
func (in *inbox) avoid(nums []int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, n := range nums {
		in.avoiding[n] = time.Now().Add(avoidFor)
	}
}

// waitingItems are what was chosen; bodies that were not read yet are read now.
func (s *Store) waitingItems(ctx context.Context, tx pgx.Tx, chosen []waiting) ([]ingest.Item, error) {
	if len(chosen) == 0 {
		return nil, nil
	}
	at := map[int64]int{}
	var seqs []int64
	for i, w := range chosen {
		if w.conn == 0 {
			at[w.seq], seqs = i, append(seqs, w.seq)
		}
	}
	if len(seqs) > 0 {
		_, err := query(ctx, tx, func(r row) (_ struct{}, err error) {
			var seq, conn int64
			var body []byte
			err = r.Scan(&seq, &conn, &body)
			chosen[at[seq]].conn, chosen[at[seq]].body = conn, body
			return struct{}{}, err
		}, "SELECT seq, connection, body FROM inbox WHERE seq = ANY ($1)", seqs)
		if err != nil {
			return nil, err
		}
	}
	items := make([]ingest.Item, len(chosen))
	for i, w := range chosen {
		items[i].ReceivedAt, items[i].Objects, items[i].Raw = fromMicros(w.received), int(w.objects), w.body
		var err error
		if items[i].ID, err = s.waitingID(ctx, tx, w.seq); err != nil {
			return nil, err
		}
		if items[i].Workspace, err = s.workspaceID(ctx, tx, w.ws); err != nil {
			return nil, err
		}
		if items[i].Connection, err = s.connectionID(ctx, tx, w.conn); err != nil {
			return nil, err
		}
	}
	return items, nil
}
