package sqlite

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"monterey/internal/delivery"
	"monterey/internal/fault"
	"monterey/internal/ingest"
	"monterey/internal/provider"
	"monterey/internal/workspace"
)

// The inbox is a file of its own. A row is known by (epoch, seq): seq is AUTOINCREMENT, since a plain rowid begins at 1
// again once the table is pruned empty, below the mark of the main file, where nothing is ever counted; epoch is random for
// each opening by a server, since a lost or restored inbox gives sequence numbers a second time.
const inboxSchema = `
CREATE TABLE IF NOT EXISTS inbox (
    seq         INTEGER PRIMARY KEY AUTOINCREMENT,
    epoch       INTEGER NOT NULL,
    workspace   INTEGER NOT NULL,
    connection  INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    objects     INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    body        BLOB    NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS holds (until INTEGER NOT NULL) STRICT; -- a backup is copying: nothing is pruned until then
`

// InboxOptions of a server's inbox; zero values are defaults.
type InboxOptions struct {
	MaxBytes int64 // of bodies that wait, above which nothing more is accepted; default 8 GiB
}

// How much one commit may take, and how many rows it may prune beside.
const (
	groupRows  = 512
	groupBytes = 32 << 20
	pruneRows  = 2_000
)

type inbox struct {
	db, readers *sql.DB
	opts        InboxOptions
	now         func() time.Time
	epoch       uint64

	requests chan *appending
	pruning  chan struct{}
	arrived  chan struct{}
	stop     chan struct{}
	stopped  chan struct{}

	mu      sync.Mutex
	marks   map[uint64]int64    // how far each epoch is counted
	last    time.Time           // the newest received_at
	waiting map[int64][]waiting // by workspace, oldest first
	bytes   int64               // of bodies that wait
	pruned  int64               // what was counted up to this seq is gone or going
	counted int64               // rows up to this seq are counted
}

// waiting is deliveries of one workspace that came one after another.
type waiting struct {
	received time.Time // of the first of them
	last     int64     // seq of the last of them that is durable; 0 = none is yet
	open     bool      // a commit adds to them
}

// waitingStep is how far apart deliveries may be received and still be waited for together: AsOf is early by so much at the
// most, and a long backlog takes little memory.
const waitingStep = 100 * time.Millisecond

// joinWaiting is the entry that a delivery received at this time belongs to: the last, or a new one behind it.
func joinWaiting(w []waiting, at time.Time) []waiting {
	if n := len(w); n > 0 && at.Sub(w[n-1].received) < waitingStep {
		return w
	}
	return append(w, waiting{received: at})
}

type appending struct {
	body     ingest.Body
	ws, conn int64
	id       delivery.ID
	received time.Time
	err      error
	done     chan struct{}
}

// OpenInbox opens the inbox file at path for a server, which must be the only one. The main file must be migrated.
func (s *Store) OpenInbox(ctx context.Context, path string, opts InboxOptions) error {
	if opts.MaxBytes <= 0 {
		opts.MaxBytes = 8 << 30
	}
	in := &inbox{opts: opts, now: s.now, requests: make(chan *appending, groupRows), pruning: make(chan struct{}, 1),
		arrived: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}), waiting: map[int64][]waiting{}}
	var err error
	if in.db, err = openFile(path, true, 8<<10, 1000); err != nil {
		return err
	}
	in.db.SetMaxOpenConns(1)
	if _, err = in.db.ExecContext(ctx, inboxSchema); err != nil {
		return translate("open inbox", err)
	}
	if in.readers, err = openFile(path, false, 4<<10, 0); err != nil {
		return err
	}
	in.readers.SetMaxOpenConns(3)
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	in.epoch = binary.BigEndian.Uint64(b[:]) >> 4
	if in.marks, err = s.newEpoch(ctx, in.epoch); err != nil {
		return err
	}
	if err := in.recover(ctx); err != nil {
		return translate("open inbox", err)
	}
	s.inbox = in
	go in.run()
	return nil
}

// newEpoch begins one and returns all marks.
func (s *Store) newEpoch(ctx context.Context, epoch uint64) (map[uint64]int64, error) {
	marks := map[uint64]int64{}
	err := s.write(ctx, "new epoch", func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "INSERT INTO marks (epoch, seq) VALUES (?, 0)", int64(epoch)); err != nil {
			return err
		}
		_, err := query(ctx, tx, func(r row) (_ struct{}, err error) {
			var e, seq int64
			err = r.Scan(&e, &seq)
			marks[uint64(e)] = seq
			return struct{}{}, err
		}, "SELECT epoch, seq FROM marks")
		return err
	})
	return marks, err
}

// recover finds what waits since before.
func (in *inbox) recover(ctx context.Context) error {
	rows, err := in.readers.QueryContext(ctx, "SELECT seq, epoch, workspace, received_at, bytes FROM inbox ORDER BY seq")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	counting := true
	for rows.Next() {
		var seq, epoch, ws, received, size int64
		if err := rows.Scan(&seq, &epoch, &ws, &received, &size); err != nil {
			return err
		}
		at := fromMicros(received)
		if at.After(in.last) {
			in.last = at
		}
		if seq <= in.marks[uint64(epoch)] {
			if counting {
				in.counted = seq
			}
			continue
		}
		counting = false // what comes later is not pruned by number
		in.bytes += size
		w := joinWaiting(in.waiting[ws], at)
		w[len(w)-1].last = seq
		in.waiting[ws] = w
	}
	in.wake(in.pruning)
	in.wake(in.arrived)
	return rows.Err()
}

func (in *inbox) wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (in *inbox) close() error {
	close(in.stop)
	<-in.stopped
	if err := in.readers.Close(); err != nil {
		return err
	}
	return in.db.Close()
}

// Append implements ingest.Inbox.
func (s *Store) Append(ctx context.Context, b ingest.Body) (delivery.ID, time.Time, error) {
	in := s.inbox
	ws, err := s.workspace(ctx, workspace.System(b.Workspace))
	if err != nil {
		return delivery.ID{}, time.Time{}, err
	}
	conn, err := s.connectionNum(ctx, b.Connection)
	if err != nil {
		return delivery.ID{}, time.Time{}, err
	}
	in.mu.Lock()
	full := in.bytes+int64(len(b.Raw)) > in.opts.MaxBytes
	in.mu.Unlock()
	if full {
		return delivery.ID{}, time.Time{}, &fault.Error{Code: fault.Unavailable, Message: "too much waits to be counted already", RetryAfter: 30 * time.Second}
	}
	a := &appending{body: b, ws: ws.num, conn: conn, done: make(chan struct{})}
	select {
	case in.requests <- a:
	case <-in.stop:
		return delivery.ID{}, time.Time{}, fault.New(fault.Unavailable, "the server is ending")
	case <-ctx.Done():
		return delivery.ID{}, time.Time{}, fault.Wrap(fault.Unavailable, ctx.Err(), "the request ended before it was stored")
	}
	select {
	case <-a.done:
	case <-in.stopped:
		return delivery.ID{}, time.Time{}, fault.New(fault.Unavailable, "the server is ending")
	}
	return a.id, a.received, a.err
}

// run commits group after group: everything that came while the last commit ran goes into the next.
func (in *inbox) run() {
	defer close(in.stopped)
	for {
		select {
		case <-in.stop:
			for { // what was sent before the end is still stored
				select {
				case a := <-in.requests:
					in.commit(in.gather(a))
				default:
					return
				}
			}
		case a := <-in.requests:
			in.commit(in.gather(a))
		case <-in.pruning:
			in.commit(nil)
		}
	}
}

func (in *inbox) gather(first *appending) []*appending {
	group, size := []*appending{first}, len(first.body.Raw)
	for len(group) < groupRows && size < groupBytes {
		select {
		case a := <-in.requests:
			group, size = append(group, a), size+len(a.body.Raw)
		default:
			return group
		}
	}
	return group
}

// commit makes a group durable, and prunes some of what is counted on the way.
func (in *inbox) commit(group []*appending) {
	received := in.begin(group)
	seqs := make([]int64, len(group))
	err := in.store(group, received, seqs)
	in.end(group, seqs, err)
	if err != nil {
		err = translate("append", err)
	}
	for i, a := range group {
		a.id, a.received, a.err = delivery.IDOf(in.epoch, seqs[i]), received, err
		close(a.done)
	}
	if len(group) > 0 && err == nil {
		in.wake(in.arrived)
	}
}

// begin stamps a group. From here on AsOf is not later than the stamp, until the group is counted.
func (in *inbox) begin(group []*appending) time.Time {
	in.mu.Lock()
	defer in.mu.Unlock()
	at := in.now().UTC().Truncate(time.Microsecond)
	if !at.After(in.last) {
		at = in.last.Add(time.Microsecond)
	}
	in.last = at
	for _, a := range group {
		w := joinWaiting(in.waiting[a.ws], at)
		w[len(w)-1].open = true
		in.waiting[a.ws] = w
	}
	return at
}

// end tells where a group's rows are, or that there are none.
func (in *inbox) end(group []*appending, seqs []int64, err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for i, a := range group {
		w := in.waiting[a.ws]
		n := len(w) - 1
		switch {
		case err == nil:
			w[n].last, w[n].open = seqs[i], false
			in.bytes += int64(len(a.body.Raw))
		case n >= 0 && w[n].open && w[n].last == 0:
			in.waiting[a.ws] = w[:n]
		case n >= 0:
			w[n].open = false
		}
	}
	in.settle() // the rows may have been counted between their commit and this
}

// settle forgets waiting deliveries that are counted.
func (in *inbox) settle() {
	for ws, w := range in.waiting {
		n := 0
		for n < len(w) && !w[n].open && w[n].last <= in.counted {
			n++
		}
		if n == len(w) {
			delete(in.waiting, ws)
		} else {
			in.waiting[ws] = w[n:]
		}
	}
}

func (in *inbox) store(group []*appending, received time.Time, seqs []int64) error {
	ctx := context.Background() // who asked may go away; the group must not
	tx, err := in.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it says so, which is no news
	if len(group) > 0 {
		st, err := tx.PrepareContext(ctx, "INSERT INTO inbox (epoch, workspace, connection, received_at, objects, bytes, body) VALUES (?, ?, ?, ?, ?, ?, ?)")
		if err != nil {
			return err
		}
		for i, a := range group {
			res, err := st.ExecContext(ctx, int64(in.epoch), a.ws, a.conn, micros(received), a.body.Objects, len(a.body.Raw), a.body.Raw)
			if err != nil {
				return err
			}
			if seqs[i], err = res.LastInsertId(); err != nil {
				return err
			}
		}
	}
	more, err := in.prune(ctx, tx)
	if err != nil && len(group) == 0 {
		return err
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	if more {
		in.wake(in.pruning)
	}
	return nil
}

// prune removes some of the rows that are counted, and says whether there may be more, unless a backup holds them. Until
// when is told by the clock: stamps run ahead of it after it was set back.
func (in *inbox) prune(ctx context.Context, tx *sql.Tx) (more bool, err error) {
	in.mu.Lock()
	from, to := in.pruned, in.counted
	in.mu.Unlock()
	if from >= to {
		return false, nil
	}
	var held int64
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(until), 0) FROM holds").Scan(&held); err != nil {
		return false, err
	}
	if held > micros(in.now()) {
		return false, nil
	}
	res, err := tx.ExecContext(ctx, "DELETE FROM inbox WHERE seq IN (SELECT seq FROM inbox WHERE seq <= ? ORDER BY seq LIMIT ?)", to, pruneRows)
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	if err != nil || n == pruneRows {
		return true, err
	}
	// Should this transaction fail, the rows go when more are counted.
	in.mu.Lock()
	in.pruned = to
	in.mu.Unlock()
	return false, nil
}

// countedTo tells that everything up to seq is counted, in the order of the file.
func (in *inbox) countedTo(epoch uint64, seq int64, size int64) {
	in.mu.Lock()
	in.marks[epoch] = max(in.marks[epoch], seq)
	in.counted = max(in.counted, seq)
	in.bytes -= size
	in.settle()
	in.mu.Unlock()
	in.wake(in.pruning)
}

// Arrived implements ingest.Inbox.
func (s *Store) Arrived() <-chan struct{} { return s.inbox.arrived }

// Peek implements ingest.Inbox.
func (s *Store) Peek(ctx context.Context, after *ingest.Item, maxObjects, maxBytes int) ([]ingest.Item, error) {
	in := s.inbox
	in.mu.Lock()
	from := in.counted
	in.mu.Unlock()
	if after != nil {
		_, from = after.ID.Place()
	}
	rows, err := in.readers.QueryContext(ctx, "SELECT seq, epoch, workspace, connection, received_at, objects, body FROM inbox WHERE seq > ? ORDER BY seq", from)
	if err != nil {
		return nil, translate("read inbox", err)
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	var out []ingest.Item
	objects, size := 0, 0
	for (objects < maxObjects && size < maxBytes) && rows.Next() {
		var seq, epoch, ws, conn, received int64
		var it ingest.Item
		if err := rows.Scan(&seq, &epoch, &ws, &conn, &received, &it.Objects, &it.Raw); err != nil {
			return nil, translate("read inbox", err)
		}
		in.mu.Lock()
		done := seq <= in.marks[uint64(epoch)]
		in.mu.Unlock()
		if done {
			continue
		}
		if it.Workspace, err = s.workspaceID(ctx, ws); err != nil {
			return nil, err
		}
		if it.Connection, err = s.connectionID(ctx, conn); err != nil {
			return nil, err
		}
		it.ID, it.ReceivedAt = delivery.IDOf(uint64(epoch), seq), fromMicros(received)
		out = append(out, it)
		objects, size = objects+it.Objects, size+len(it.Raw)
	}
	return out, translate("read inbox", rows.Err())
}

// AsOf implements delivery.Store. The clock is read under the lock under which groups are stamped, so every group that is
// not seen here is stamped later.
func (s *Store) AsOf(ctx context.Context, c workspace.Caller) (time.Time, error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return time.Time{}, err
	}
	in := s.inbox
	if in == nil {
		return time.Time{}, fault.New(fault.Unavailable, "the inbox is not open here")
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if w := in.waiting[ws.num]; len(w) > 0 {
		return w[0].received, nil
	}
	now := in.now().UTC().Truncate(time.Microsecond)
	if now.Before(in.last) { // stamps run ahead of the clock while it stands still
		now = in.last
	}
	in.last = now
	return now, nil
}

// Backlog is how many bytes of bodies wait to be counted.
func (s *Store) Backlog() int64 {
	s.inbox.mu.Lock()
	defer s.inbox.mu.Unlock()
	return s.inbox.bytes
}

// HoldPruning keeps everything in the inbox file at path until the time given; a backup calls it again while it runs. The
// zero time ends it.
func HoldPruning(ctx context.Context, path string, until time.Time) error {
	db, err := openFile(path, true, 1<<10, 1000)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }() // nothing of it is open
	db.SetMaxOpenConns(1)
	return inTx(ctx, db, "hold pruning", nil, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, inboxSchema); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM holds"); err != nil || until.IsZero() {
			return err
		}
		_, err := tx.ExecContext(ctx, "INSERT INTO holds (until) VALUES (?)", micros(until))
		return err
	})
}

// workspaceID is the inverse of the number; a deleted workspace has one too.
func (s *Store) workspaceID(ctx context.Context, num int64) (workspace.ID, error) {
	return cached(&s.mu, s.workspaceIDs, num, func() (id workspace.ID, err error) {
		err = s.readers.QueryRowContext(ctx, "SELECT id FROM workspaces WHERE num = ?", num).Scan(&id)
		return id, translate("workspace", err)
	})
}

func (s *Store) connectionID(ctx context.Context, num int64) (provider.ID, error) {
	return cached(&s.mu, s.connectionIDs, num, func() (id provider.ID, err error) {
		err = s.readers.QueryRowContext(ctx, "SELECT id FROM connections WHERE num = ?", num).Scan(&id)
		return id, translate("connection", err)
	})
}

func (s *Store) connectionNum(ctx context.Context, id provider.ID) (int64, error) {
	return cached(&s.mu, s.connectionNums, id, func() (num int64, err error) {
		err = s.readers.QueryRowContext(ctx, "SELECT num FROM connections WHERE id = ?", id.UUID[:]).Scan(&num)
		return num, translate("connection", err)
	})
}

// cached looks a fact up that never changes.
func cached[K comparable, V any](mu *sync.Mutex, facts map[K]V, k K, find func() (V, error)) (V, error) {
	mu.Lock()
	v, ok := facts[k]
	mu.Unlock()
	if ok {
		return v, nil
	}
	v, err := find()
	if err != nil {
		return v, fmt.Errorf("sqlite: %w", err)
	}
	mu.Lock()
	facts[k] = v
	mu.Unlock()
	return v, nil
}
