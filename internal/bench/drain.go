package main

import (
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"monterey/internal/campaigner"
	"monterey/internal/ingest"
	"monterey/internal/loadgen"
	"monterey/internal/store"
	"monterey/internal/store/postgres"
	"monterey/internal/store/sqlite"
)

// drainChild is the argument that makes this program the worker that drains an inbox.
const drainChild = "drain"

// sample is how far a drain has come.
type sample struct {
	Seconds          float64
	Received, Stored int
	Idle             float64 // seconds that the scheduled work took once the inbox was empty; in the last sample only
	Peak             int64   // of memory; likewise
	CPU              float64 // seconds of processor time so far
}

// drain counts what waits at a place until as many objects as the first argument says are counted, then does the scheduled
// work. It prints samples. The second argument is a folder for profiles.
func drain(ctx context.Context, at place, args []string, out io.Writer) (err error) {
	heap := int64(sqlite.HeapLimit)
	if at.url != "" {
		heap = postgres.HeapLimit
	}
	store.LimitHeap(heap) // as the server does
	if len(args) != 2 {
		return errors.New("drain OBJECTS PROFILES")
	}
	objects, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	s, err := at.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	worker := ingest.NewWorker(s, campaigner.Webhook{}, ingest.Options{})
	stopProfile, err := profile(args[1])
	if err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- worker.Run(working) }()
	print := json.NewEncoder(out)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var now sample
	for now.Received < objects {
		select {
		case err := <-ended:
			return errors.Join(errors.New("the worker ended"), err)
		case <-tick.C:
		}
		t := worker.Totals()
		if int(t.Received) == now.Received {
			continue
		}
		now = sample{Seconds: time.Since(began).Seconds(), Received: int(t.Received), Stored: int(t.Inserted), CPU: processorTime()}
		if t.Quarantined > 0 {
			return fmt.Errorf("%d objects were quarantined", t.Quarantined)
		}
		if err := print.Encode(now); err != nil {
			return err
		}
	}
	if err := stopProfile(); err != nil {
		return err
	}
	drained := time.Now()
	time.Sleep(200 * time.Millisecond) // the worker sees that nothing waits
	stop()
	if err := <-ended; err != nil {
		return err
	}
	if err := worker.Scheduled(ctx); err != nil {
		return err
	}
	now.Idle = time.Since(drained).Seconds()
	if _, now.Peak, err = memory(os.Getpid()); err != nil {
		return err
	}
	return print.Encode(now)
}

// processorTime is how many seconds of a processor this process has used.
func processorTime() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // fails for another "who" only
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// profile begins a CPU profile; the end writes one of memory too.
func profile(dir string) (end func() error, err error) {
	if dir == "" {
		return func() error { return nil }, nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	cpu, err := os.Create(filepath.Join(dir, "drain.cpu.pprof"))
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(cpu); err != nil {
		return nil, errors.Join(err, cpu.Close())
	}
	return func() error {
		pprof.StopCPUProfile()
		allocs, err := os.Create(filepath.Join(dir, "drain.allocs.pprof"))
		if err != nil {
			return errors.Join(err, cpu.Close())
		}
		return errors.Join(pprof.Lookup("allocs").WriteTo(allocs, 0), allocs.Close(), cpu.Close())
	}, nil
}

// drained is what the drain of a data set measured. Rates are of stored events a second.
type drained struct {
	Stored      int
	One         float64 // of the sections with one event a body
	Hundred     float64
	First, Last float64 // of the first and the last fifth
	Plain       float64 // rows a second that the database alone takes
	Decode      float64 // events a second that the decoder alone reads
	Seconds     float64
	Idle        float64 // seconds of scheduled work afterwards
	Peak        int64   // of memory
	CPU         float64 // seconds of processor time of the drain
	Server      float64 // likewise, of PostgreSQL
}

func (e *engine) drainAll(ctx context.Context, at place) (d drained, err error) {
	total := e.workload().Events
	if d.Plain, err = e.plainInserts(ctx, total); err != nil {
		return d, err
	}
	d.Decode = decodeRate(e.workload())
	say("plain rows %.0f/s, decoding alone %.0f events/s; draining", d.Plain, d.Decode)
	profiles := e.profile
	if profiles != "" {
		if profiles, err = filepath.Abs(filepath.Join(profiles, e.prefix("postgres"))); err != nil {
			return d, err
		}
	}
	c, err := start(ctx, e.self, at, drainChild, strconv.Itoa(total), profiles)
	if err != nil {
		return d, err
	}
	samples := []sample{{}}
	before, err := e.serverTime()
	if err != nil {
		return d, c.failed(err)
	}
	for {
		var s sample
		if err := c.line(&s); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return d, c.failed(err)
		}
		if s.Received*sections/total > samples[len(samples)-1].Received*sections/total {
			say("%d events stored after %.1f s", s.Stored, s.Seconds)
		}
		if s.Received >= total && d.Server == 0 {
			if d.Server, err = e.serverTime(); err != nil {
				return d, c.failed(err)
			}
			d.Server -= before
		}
		samples = append(samples, s)
	}
	if err := c.wait(); err != nil {
		return d, err
	}
	last := samples[len(samples)-1]
	d.Stored, d.Seconds, d.Idle, d.Peak, d.CPU = last.Stored, last.Seconds, last.Idle, last.Peak, last.CPU
	var seconds, stored [2]float64
	for section := range sections {
		from, to := timeOf(samples, total*section/sections), timeOf(samples, total*(section+1)/sections)
		seconds[section%2] += to - from
		stored[section%2] += float64(last.Stored) / sections
	}
	d.One, d.Hundred = stored[0]/seconds[0], stored[1]/seconds[1]
	d.First = float64(last.Stored) / 5 / timeOf(samples, total/5)
	d.Last = float64(last.Stored) / 5 / (timeOf(samples, total) - timeOf(samples, total-total/5))
	say("drained after %.1f s, scheduled work %.1f s more", d.Seconds, d.Idle)
	return d, nil
}

// timeOf is when so many objects were counted, to within a batch's part.
func timeOf(samples []sample, received int) float64 {
	for i := 1; i < len(samples); i++ {
		a, b := samples[i-1], samples[i]
		if b.Received >= received {
			return a.Seconds + (b.Seconds-a.Seconds)*float64(received-a.Received)/float64(max(1, b.Received-a.Received))
		}
	}
	return samples[len(samples)-1].Seconds
}

// serverTime is how many seconds of a processor PostgreSQL has used.
func (e *engine) serverTime() (float64, error) {
	if e.cluster == nil {
		return 0, nil
	}
	return e.cluster.processorTime()
}

// plainInserts is how many rows as wide as an event the database takes in a second: the yardstick of counting.
func (e *engine) plainInserts(ctx context.Context, rows int) (rate float64, err error) {
	if e.cluster == nil {
		return plainSQLite(ctx, filepath.Join(e.dir, "plain.db"), min(500_000, rows))
	}
	at, err := e.create(ctx, "plain")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, e.remove(ctx, "plain")) }()
	return rate, withConn(ctx, at.url, func(conn *pgx.Conn) error {
		rate, err = plainCopy(ctx, conn, rows)
		return err
	})
}

// plainRow is as wide as an event.
func plainRow(i int) []any {
	id := binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(i))
	return []any{1, id[:16:16], 7, 3, i, int64(1e15) + int64(i), int64(1e15), 0, 0, 1, 5, int64(1)<<40 + int64(i), "203.0.113.7", "500000001"}
}

// plainCopy copies rows by a key that grows, with no other index, 10,000 a transaction.
func plainCopy(ctx context.Context, conn *pgx.Conn, rows int) (rate float64, err error) {
	if _, err := conn.Exec(ctx, `CREATE TABLE plain (a integer, b uuid, c integer, d smallint, e integer, f bigint, g bigint, h smallint, i smallint, j smallint, k integer,
		l bigint, m text, n text, PRIMARY KEY (a, b))`); err != nil {
		return 0, err
	}
	began, done := time.Now(), 0
	for done < rows {
		end := min(rows, done+10_000)
		_, err := conn.CopyFrom(ctx, pgx.Identifier{"plain"}, strings.Split("abcdefghijklmn", ""), pgx.CopyFromFunc(func() ([]any, error) {
			if done == end {
				return nil, nil
			}
			done++
			return plainRow(done - 1), nil
		}))
		if err != nil {
			return 0, err
		}
	}
	return float64(done) / time.Since(began).Seconds(), nil
}

// plainSQLite inserts rows by a key that grows, with no index, 100 a statement and 10,000 a transaction.
func plainSQLite(ctx context.Context, path string, rows int) (rate float64, err error) {
	defer func() {
		for _, ending := range []string{"", "-wal", "-shm"} {
			_ = os.Remove(path + ending) // it may not be there
		}
	}()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=cache_size(-65536)&_pragma=wal_autocheckpoint(20000)")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	const columns, statement, transaction = 14, 100, 100
	if _, err := db.ExecContext(ctx, `CREATE TABLE plain (a, b, c, d, e, f, g, h, i, j, k, l, m, n, PRIMARY KEY (a, b)) WITHOUT ROWID`); err != nil {
		return 0, err
	}
	group := "(" + strings.TrimSuffix(strings.Repeat("?,", columns), ",") + ")"
	text := "INSERT INTO plain VALUES " + strings.TrimSuffix(strings.Repeat(group+",", statement), ",")
	began, done := time.Now(), 0
	for done < rows {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return 0, err
		}
		defer func() { _ = tx.Rollback() }() // after a commit it says so
		st, err := tx.PrepareContext(ctx, text)
		if err != nil {
			return 0, err
		}
		for range transaction {
			args := make([]any, 0, statement*columns)
			for range statement {
				args = append(args, plainRow(done)...)
				done++
			}
			if _, err := st.ExecContext(ctx, args...); err != nil {
				return 0, err
			}
		}
		if err := tx.Commit(); err != nil {
			return 0, err
		}
	}
	return float64(done) / time.Since(began).Seconds(), nil
}

// decodeRate is how many events a second the decoder reads on one processor, of bodies of one event.
func decodeRate(w loadgen.Workload) float64 {
	g := loadgen.NewGenerator(w)
	var bodies [][]byte
	for i := range 20_000 {
		bodies = append(bodies, g.AppendBody(nil, i%w.Events, 1))
	}
	began := time.Now()
	for _, body := range bodies {
		_ = campaigner.Webhook{}.Decode(body, time.UTC, began) // what it reads is checked elsewhere
	}
	return float64(len(bodies)) / time.Since(began).Seconds()
}

func (e *engine) drainRows(set *dataset) {
	d := set.Drain
	plain := yardstick{"plain SQLite inserts, one table", rate(d.Plain)}
	if e.cluster != nil {
		plain.what = "plain COPY, one table"
	}
	must := e.of(limits{40_000, 60_000}, limits{25_000, 40_000})
	e.rate("drain a full inbox, 1 event a body", must, d.One, plain)
	e.rate("drain a full inbox, 100 events a body", must, d.Hundred, plain)
	e.add(row{what: "drain: the last fifth against the first", must: "≥ 0.8 ×", measured: rate(d.Last), yardstick: yardstick{"the first fifth", rate(d.First)},
		ratio: d.Last / d.First, verdict: atLeast(d.Last/d.First, 0.8, 0.8)})
	e.peaks = append(e.peaks, memoryOf{"drain", d.Peak})
	used := fmt.Sprintf("%.1f s of processors", d.CPU)
	if e.cluster != nil {
		used += fmt.Sprintf(" and PostgreSQL %.1f s", d.Server)
	}
	all := d.CPU + d.Server
	e.note("the drain stored %d events in %.1f s and used %s: %.1f µs an event, so one processor that nobody else uses does %.0f/s. "+
		"Work that follows counting took %.1f s afterwards. Decoding alone: %.0f/s.",
		d.Stored, d.Seconds, used, all/float64(d.Stored)*1e6, float64(d.Stored)/all, d.Idle, d.Decode)
}
