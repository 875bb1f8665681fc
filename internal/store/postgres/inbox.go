package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/delivery"
	"monterey/internal/fault"
	"monterey/internal/ingest"
	"monterey/internal/provider"
	"monterey/internal/workspace"
)

// How much one commit may take, and how long it may. Who waits for it longer is told that the store cannot be used.
const (
	groupRows  = 512
	groupBytes = 32 << 20
	appendFor  = 10 * time.Second
)

// inbox is this process's part in the table of that name: what it appends, what it has been given of it, and who tells of
// arrivals.
type inbox struct {
	s        *Store
	maxBytes int64

	requests chan *appending
	tell     chan struct{} // something was appended of which others are to be told
	arrived  chan struct{}
	listen   sync.Once
	ending   context.Context
	end      context.CancelFunc
	running  sync.WaitGroup

	last time.Time // the newest received_at that this process gave; of run's goroutine

	mu       sync.Mutex
	backlog  backlog
	handed   handedOut
	avoiding map[int64]time.Time // workspaces, by number, that others count, and until when they are left to them
	counting map[int64]bool      // workspaces that this process counts in
}

type appending struct {
	body     ingest.Body
	ws, conn int64
	id       delivery.ID
	received time.Time
	err      error
	done     chan struct{}
}

func newInbox(s *Store, maxBytes int64) *inbox {
	if maxBytes <= 0 {
		maxBytes = 8 << 30
	}
	in := &inbox{s: s, maxBytes: maxBytes, requests: make(chan *appending, groupRows), tell: make(chan struct{}, 1), arrived: make(chan struct{}, 1),
		avoiding: map[int64]time.Time{}, counting: map[int64]bool{}}
	in.ending, in.end = context.WithCancel(context.Background())
	in.running.Go(in.run)
	in.running.Go(in.notify)
	return in
}

func (in *inbox) close() {
	in.end()
	in.running.Wait()
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

var errEnding = fault.New(fault.Unavailable, "the server is ending")

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
	if err := in.room(ctx, int64(len(b.Raw))); err != nil {
		return delivery.ID{}, time.Time{}, err
	}
	a := &appending{body: b, ws: ws.num, conn: conn, done: make(chan struct{})}
	select {
	case in.requests <- a:
	case <-in.ending.Done():
		return delivery.ID{}, time.Time{}, errEnding
	case <-ctx.Done():
		return delivery.ID{}, time.Time{}, fault.Wrap(fault.Unavailable, ctx.Err(), "the request ended before it was stored")
	}
	select {
	case <-a.done:
	case <-in.ending.Done():
		in.running.Wait() // what was sent before the end is still stored
		select {
		case <-a.done:
		default:
			return delivery.ID{}, time.Time{}, errEnding
		}
	}
	return a.id, a.received, a.err
}

// run commits group after group: everything that came while the last commit ran goes into the next.
func (in *inbox) run() {
	for {
		select {
		case <-in.ending.Done():
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

// commit makes a group durable.
func (in *inbox) commit(group []*appending) {
	ctx, cancel := context.WithTimeout(context.Background(), appendFor) // who asked may go away; the group must not
	defer cancel()
	err := in.s.write(ctx, "append", func(tx pgx.Tx) error { return in.store(ctx, tx, group) })
	size := int64(0)
	for _, a := range group {
		a.err = err
		size += waitingBytes(len(a.body.Raw))
		close(a.done)
	}
	if err == nil {
		in.grow(size)
		wake(in.arrived)
		wake(in.tell)
	}
}

// store inserts a group. Before it is stamped it shows in the locks that it is on its way, so that AsOf waits for it.
func (in *inbox) store(ctx context.Context, tx pgx.Tx, group []*appending) error {
	epoch, _, err := in.s.epoch(ctx, tx)
	if err != nil {
		return err
	}
	at, seqs, err := in.begin(ctx, tx, len(group))
	if err != nil {
		return err
	}
	n := len(group)
	workspaces, connections, objects, sizes, bodies := make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n), make([][]byte, n)
	for i, a := range group {
		workspaces[i], connections[i], objects[i], sizes[i], bodies[i] = a.ws, a.conn, int64(a.body.Objects), int64(len(a.body.Raw)), array(a.body.Raw)
		a.id, a.received = delivery.IDOf(epoch, seqs[i]), at
	}
	_, err = tx.Exec(ctx, `INSERT INTO inbox (seq, received_at, workspace_id, connection, objects, bytes, body)
		SELECT b.seq, $2, b.workspace_id, b.connection, b.objects, b.bytes, b.body
		FROM unnest($1::bigint[], $3::integer[], $4::integer[], $5::integer[], $6::integer[], $7::bytea[])
		AS b (seq, workspace_id, connection, objects, bytes, body)`, seqs, micros(at), workspaces, connections, objects, sizes, bodies)
	return err
}

// begin locks, reads the clock, and reserves sequence numbers, in this order.
func (in *inbox) begin(ctx context.Context, tx pgx.Tx, n int) (at time.Time, seqs []int64, err error) {
	var now *int64 // NULL = the database's clock
	if in.s.now != nil {
		us := micros(in.s.now())
		now = &us
	}
	b := &pgx.Batch{}
	b.Queue("SELECT pg_advisory_xact_lock_shared($1, "+appendKey("coalesce($2::bigint, "+clockSQL+")")+")", lockAppend, now)
	b.Queue("SELECT coalesce($1::bigint, "+clockSQL+")", now).QueryRow(func(r pgx.Row) error {
		var us int64
		err := r.Scan(&us)
		at = fromMicros(us)
		return err
	})
	b.Queue("SELECT nextval(pg_get_serial_sequence('inbox', 'seq')) FROM generate_series(1, $1)", n).Query(func(rows pgx.Rows) (err error) {
		seqs, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	if err := tx.SendBatch(ctx, b).Close(); err != nil {
		return at, nil, err
	}
	if !at.After(in.last) {
		at = in.last.Add(time.Microsecond)
	}
	in.last = at
	return at, seqs, nil
}

// An append in flight is known by a lock whose number is the millisecond in which it began, without its upper bits: those
// of a transaction that is 12 days old at the most.
const appendBits = 31

// appendKey is the lock's number for a time, in SQL.
func appendKey(us string) string {
	return fmt.Sprintf("(%s / 1000 %% %d)::integer", us, int64(1)<<appendBits)
}

// beganAt is when an append began whose lock has this number.
func beganAt(key int64, now time.Time) time.Time {
	const all = int64(1) << appendBits
	ms := now.UnixMilli()
	ago := ((ms-key)%all + all) % all
	if ago > all/2 {
		ago -= all // its clock is ahead of ours
	}
	return time.UnixMilli(ms - ago).UTC()
}

// locksSQL reads the advisory locks of a class in this database.
const locksSQL = `SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory' AND classid = $1 AND objsubid = 2 AND granted
	AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

// AsOf implements delivery.Store.
func (s *Store) AsOf(ctx context.Context, c workspace.Caller) (time.Time, error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return time.Time{}, err
	}
	a := s.newAsOf(ws.num)
	if err := s.look(ctx, "as of", a.ask); err != nil {
		return time.Time{}, err
	}
	return a.time(), nil
}

// asOfQuestion asks before which time everything received in a workspace is counted. The clock is read first: an append that is seen neither
// in flight nor among what waits is stamped later, or is counted. One in flight is released after its rows can be seen, so they are
// looked for last. Each of the three must see what is there when it is asked, not a snapshot as reads have it.
type asOfQuestion struct {
	s      *Store
	ws     int64
	now    time.Time
	began  []int64 // numbers of the locks of appends in flight
	oldest int64   // received_at of what waits; 0 = nothing does
}

func (s *Store) newAsOf(ws int64) *asOfQuestion { return &asOfQuestion{s: s, ws: ws} }

// ask queues the questions.
func (a *asOfQuestion) ask(b *pgx.Batch) {
	a.began, a.oldest = nil, 0
	if a.s.now != nil {
		a.now = a.s.now().UTC().Truncate(time.Microsecond)
	} else {
		b.Queue("SELECT " + clockSQL).QueryRow(func(r pgx.Row) error {
			var us int64
			err := r.Scan(&us)
			a.now = fromMicros(us)
			return err
		})
	}
	b.Queue(locksSQL, lockAppend).Query(func(rows pgx.Rows) (err error) {
		a.began, err = pgx.CollectRows(rows, pgx.RowTo[int64])
		return err
	})
	b.Queue("SELECT received_at FROM inbox WHERE workspace_id = $1 ORDER BY received_at LIMIT 1", a.ws).
		Query(eachOf(func(r row) error { return r.Scan(&a.oldest) }))
}

func (a *asOfQuestion) time() time.Time {
	at := a.now
	for _, key := range a.began {
		at = earlier(at, beganAt(key, a.now))
	}
	if a.oldest != 0 {
		at = earlier(at, fromMicros(a.oldest))
	}
	return at
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// epoch is that of the inbox, with its number; it does not change.
func (s *Store) epoch(ctx context.Context, tx pgx.Tx) (epoch uint64, number int64, err error) {
	s.mu.Lock()
	for e, n := range s.epochNums {
		if n > number {
			epoch, number = e, n
		}
	}
	s.mu.Unlock()
	if number >= ownEpoch {
		return epoch, number, nil
	}
	var e int64
	if err := tx.QueryRow(ctx, "SELECT epoch, number FROM marks ORDER BY number DESC LIMIT 1").Scan(&e, &number); err != nil {
		return 0, 0, err
	}
	s.mu.Lock()
	s.epochNums[uint64(e)] = number
	s.mu.Unlock()
	return uint64(e), number, nil
}

// Bodies that waited in files which were copied into this database wait here with numbers below zero: what is missing from the
// delivery's number to that of the own epoch. So a delivery's number is the own epoch's and the number here together, always.

// waitingID is the id of the delivery with this number in the inbox.
func (s *Store) waitingID(ctx context.Context, tx pgx.Tx, seq int64) (delivery.ID, error) {
	epoch, own, err := s.epoch(ctx, tx)
	if err != nil {
		return delivery.ID{}, err
	}
	if seq < 0 {
		num := own<<seqBits + seq
		seq = num & (1<<seqBits - 1)
		if epoch, err = s.epochOf(ctx, tx, num>>seqBits); err != nil {
			return delivery.ID{}, err
		}
	}
	return delivery.IDOf(epoch, seq), nil
}

// waitingSeq is the inverse.
func (s *Store) waitingSeq(ctx context.Context, tx pgx.Tx, id delivery.ID) (int64, error) {
	_, own, err := s.epoch(ctx, tx)
	if err != nil {
		return 0, err
	}
	num, err := s.deliveryNum(ctx, tx, id)
	return num - own<<seqBits, err
}

// epochOf is the epoch with this number.
func (s *Store) epochOf(ctx context.Context, tx pgx.Tx, number int64) (uint64, error) {
	return cached(&s.mu, s.epochs, number, func() (epoch uint64, err error) {
		var e int64
		err = tx.QueryRow(ctx, "SELECT epoch FROM marks WHERE number = $1", number).Scan(&e)
		return uint64(e), err
	})
}

// ownEpoch is the least number of the database's own epoch; those of files copied into it are lower.
const ownEpoch = 1 << 20

// workspaceID is the inverse of the number; a deleted workspace has one too.
func (s *Store) workspaceID(ctx context.Context, tx pgx.Tx, num int64) (workspace.ID, error) {
	return cached(&s.mu, s.workspaceIDs, num, func() (id workspace.ID, err error) {
		err = tx.QueryRow(ctx, "SELECT id FROM workspaces WHERE num = $1", num).Scan(&id)
		return id, err
	})
}

func (s *Store) connectionID(ctx context.Context, tx pgx.Tx, num int64) (provider.ID, error) {
	return cached(&s.mu, s.connectionIDs, num, func() (id provider.ID, err error) {
		err = tx.QueryRow(ctx, "SELECT id FROM connections WHERE num = $1", num).Scan(&id)
		return id, err
	})
}

func (s *Store) connectionNum(ctx context.Context, id provider.ID) (int64, error) {
	return cached(&s.mu, s.connectionNums, id, func() (num int64, err error) {
		err = s.read(ctx, "connection", func(tx pgx.Tx) error {
			num, err = s.connectionNumIn(ctx, tx, id)
			return err
		})
		return num, err
	})
}

func (s *Store) connectionNumIn(ctx context.Context, tx pgx.Tx, id provider.ID) (int64, error) {
	return cached(&s.mu, s.connectionNums, id, func() (num int64, err error) {
		err = tx.QueryRow(ctx, "SELECT num FROM connections WHERE id = $1", id).Scan(&num)
		return num, err
	})
}
