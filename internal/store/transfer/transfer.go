// Package transfer moves everything from a SQLite database that no server works on into an empty PostgreSQL one. It owns which
// rows go where and how far a move has come; opening both databases is the caller's, the schemas are the drivers'.
//
// Rows are read in the order of each table's key and written in chunks: one transaction holds a chunk and, in the table
// "copying" of the target, the key of its last row. So a move that was killed goes on behind the last chunk that was committed,
// and doubles nothing. While that table is there no server opens the target. What was written to the source between two
// attempts begins the move anew; what is written while it is under way fails it.
//
// At the end every table's rows are counted on both sides, all rollups are worked out anew from the events of the target, and
// the source is looked at again; then "copying" is dropped.
package transfer

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/ingest"
	"monterey/internal/page"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// Source is a SQLite database, opened for reading alone. It must have the schema version that the target needs.
type Source struct {
	Main  *sql.DB
	Inbox *sql.DB // nil: no server has run yet
}

// Target is a PostgreSQL database. A new one is migrated.
type Target interface {
	ingest.Store
	ListWorkspaces(ctx context.Context, only []workspace.ID, p page.Params) (page.Of[workspace.Workspace], error)
	Version(ctx context.Context) (has, needs int64, err error)
	Migrate(ctx context.Context) (from, to int64, err error)
	// Served says whether a server works on it.
	Served(ctx context.Context) (bool, error)
	// Load runs f in a transaction that writes and may take long; f runs again after a deadlock.
	Load(ctx context.Context, what string, f func(pgx.Tx) error) error
	// MakeMonths makes room for events of these times.
	MakeMonths(ctx context.Context, times []time.Time) error
	// Enqueue makes the job of a task.
	Enqueue(ctx context.Context, tx pgx.Tx, ws workspace.ID, id task.ID) error
	// Vacuum makes tables ready for reading after they were filled.
	Vacuum(ctx context.Context, tables []string) error
}

// Options of a move; zero values are defaults.
type Options struct {
	ChunkRows  int            // rows a transaction; default 10,000
	ChunkBytes int            // bytes a transaction, roughly; default 16 MiB
	At         func(Progress) // told after each chunk and at each step
	Say        func(string)   // told what people should know
}

// Progress is how far a move has come.
type Progress struct {
	Step        string // the table, or what is done after the tables
	Rows, Total int64  // of all tables
}

// Began is how a move began.
type Began string

// The ways to begin.
const (
	New     Began = "new"     // the target was empty
	Resumed Began = "resumed" // behind what an earlier attempt had copied
	Anew    Began = "anew"    // the source had changed since an earlier attempt, which was thrown away
)

// Report is what a move did.
type Report struct {
	Began      Began
	Rows       int64
	Tables     []Table
	Waiting    int64 // deliveries that are not counted yet, now in the target's inbox
	Tasks      int64 // unfinished ones, which go on in the target
	Altered    int64 // texts that PostgreSQL cannot hold as they were
	Workspaces []Recount
}

// Table is one that was copied.
type Table struct {
	Name string
	Rows int64
}

// Recount is what the recount of one workspace found.
type Recount struct {
	Workspace workspace.Workspace
	ingest.Drift
}

// Run moves everything. What it answers is in the target and verified. It may be called again after it failed or was killed.
func Run(ctx context.Context, source Source, target Target, o Options) (Report, error) {
	if o.ChunkRows <= 0 {
		o.ChunkRows = 10_000
	}
	if o.ChunkBytes <= 0 {
		o.ChunkBytes = 16 << 20
	}
	if o.At == nil {
		o.At = func(Progress) {}
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	c := &copier{source: source, target: target, Options: o}
	err := c.run(ctx)
	return c.report, err
}

type copier struct {
	Options
	source   Source
	target   Target
	report   Report
	progress Progress
}

func (c *copier) run(ctx context.Context) error {
	if err := c.ready(ctx); err != nil {
		return err
	}
	tables, err := c.plan(ctx)
	if err != nil {
		return err
	}
	c.step("looking at the source")
	from, err := c.look(ctx, tables)
	if err != nil {
		return err
	}
	c.progress.Total = from.total()
	if err := c.begin(ctx, tables, from); err != nil {
		return err
	}
	for _, t := range tables {
		if err := c.copy(ctx, t); err != nil {
			return fmt.Errorf("copy %s: %w", t.name, err)
		}
	}
	if err := c.settle(ctx, tables); err != nil {
		return err
	}
	if err := c.verify(ctx, tables, from); err != nil {
		return err
	}
	c.step("looking at the source again")
	after, err := c.look(ctx, tables)
	if err != nil {
		return err
	}
	if after.digest != from.digest {
		return fault.New(fault.Conflict, "the source was written to while it was copied; run it again, which begins anew")
	}
	return c.target.Load(ctx, "end the copy", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "DROP TABLE "+progressTable)
		return err
	})
}

func (c *copier) step(what string) {
	c.progress.Step = what
	c.At(c.progress)
}

// ready makes sure that both databases can be used, and migrates a new target.
func (c *copier) ready(ctx context.Context) error {
	has, needs, err := c.target.Version(ctx)
	if err != nil {
		return fmt.Errorf("read the target's version: %w", err)
	}
	var source int64
	if err := c.source.Main.QueryRowContext(ctx, "SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied").Scan(&source); err != nil {
		return fmt.Errorf("the source is no database of Monterey, or cannot be read: %w", err)
	}
	switch {
	case has > needs || source > needs:
		return fault.New(fault.Conflict, "the source has version %d and the target %d, this release knows %d: install the newer release", source, has, needs)
	case source < needs:
		return fault.New(fault.Conflict, "the source has version %d, this release needs %d: run monterey migrate on it first", source, needs)
	}
	served, err := c.target.Served(ctx)
	if err != nil {
		return err
	}
	if served {
		return fault.New(fault.Conflict, "a server works on the target: stop it first")
	}
	if has == 0 {
		var others schema
		if err := c.target.Load(ctx, "look at the target", func(tx pgx.Tx) error {
			others, err = targetSchema(ctx, tx)
			return err
		}); err != nil {
			return err
		}
		for name := range others {
			if !foreign(name) { // a migration that was cut short leaves those
				return fault.New(fault.Conflict, "the target holds other data (the table %s): it must be an empty database", name)
			}
		}
	}
	if has < needs {
		if _, _, err := c.target.Migrate(ctx); err != nil {
			return fmt.Errorf("migrate the target: %w", err)
		}
	}
	return nil
}

// copy copies what is left of a table.
func (c *copier) copy(ctx context.Context, t *table) error {
	at, err := c.standing(ctx, t.name)
	if err != nil {
		return err
	}
	c.progress.Rows += at.rows
	c.report.Altered += at.altered
	c.step(t.name)
	if !at.done {
		g, ctx := errgroup.WithContext(ctx)
		chunks := make(chan chunk, 1)
		g.Go(func() error {
			defer close(chunks)
			return t.read(ctx, at.position, c.ChunkRows, c.ChunkBytes, chunks)
		})
		g.Go(func() error {
			for ch := range chunks {
				if err := c.write(ctx, t, &at, ch); err != nil {
					return err
				}
			}
			return ctx.Err()
		})
		if err := g.Wait(); err != nil {
			return err
		}
	}
	c.report.Tables = append(c.report.Tables, Table{t.name, at.rows})
	c.report.Rows += at.rows
	if t.name == "inbox" {
		c.report.Waiting = at.rows
	}
	return nil
}

// write puts a chunk into the target together with how far the table is now.
func (c *copier) write(ctx context.Context, t *table, at *standing, ch chunk) error {
	if t.name == "events" {
		if err := c.target.MakeMonths(ctx, ch.times(t)); err != nil {
			return err
		}
	}
	names := make([]string, len(t.columns))
	for i, col := range t.columns {
		names[i] = col.name
	}
	next := standing{position: ch.position, rows: at.rows + int64(len(ch.rows)), altered: at.altered + ch.altered, done: ch.last}
	err := c.target.Load(ctx, "copy", func(tx pgx.Tx) error {
		if err := next.keep(ctx, tx, t.name, at.position); err != nil {
			return err
		}
		_, err := tx.CopyFrom(ctx, pgx.Identifier{t.name}, names, pgx.CopyFromRows(ch.rows))
		return err
	})
	if err != nil {
		return err
	}
	*at = next
	c.progress.Rows += int64(len(ch.rows))
	c.report.Altered += ch.altered
	c.At(c.progress)
	return nil
}

// times are when the events of a chunk occurred.
func (ch chunk) times(t *table) []time.Time {
	var id int
	for i, col := range t.columns {
		if col.name == "id" {
			id = i
		}
	}
	out := make([]time.Time, len(ch.rows))
	for i, r := range ch.rows {
		out[i] = event.ID{UUID: uuidOf(r[id])}.Time()
	}
	return out
}

// settle does what is left once all rows are there: numbers go on behind those that were given out, and tasks go on.
func (c *copier) settle(ctx context.Context, tables []*table) error {
	c.step("tasks")
	at, err := c.standing(ctx, "river_job")
	if err != nil {
		return err
	}
	if !at.done {
		err := c.target.Load(ctx, "settle", func(tx pgx.Tx) error {
			at.rows = 0
			if err := setSequences(ctx, tx, tables); err != nil {
				return err
			}
			if err := c.enqueue(ctx, tx, &at.rows); err != nil {
				return err
			}
			return standing{rows: at.rows, done: true}.keep(ctx, tx, "river_job", "")
		})
		if err != nil {
			return err
		}
	}
	c.report.Tasks = at.rows
	c.step("vacuum")
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = t.name
	}
	return c.target.Vacuum(ctx, names)
}

// setSequences lets identities go on behind the numbers that were copied. An inbox of negative numbers leaves its own alone.
func setSequences(ctx context.Context, tx pgx.Tx, tables []*table) error {
	for _, t := range tables {
		rows, err := tx.Query(ctx, "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attidentity <> ''", t.name)
		if err != nil {
			return err
		}
		columns, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, col := range columns {
			_, err := tx.Exec(ctx, fmt.Sprintf("SELECT setval(pg_get_serial_sequence('%[1]s', '%[2]s'), max(%[2]s)) FROM %[1]s HAVING max(%[2]s) > 0", t.name, col))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// enqueue makes the jobs of the tasks that have not ended.
func (c *copier) enqueue(ctx context.Context, tx pgx.Tx, n *int64) error {
	rows, err := tx.Query(ctx, `SELECT w.id, t.id FROM tasks t JOIN workspaces w ON w.num = t.workspace_id
		WHERE t.status IN ('queued', 'running') AND w.deleted_at = 0 ORDER BY t.created_at`)
	if err != nil {
		return err
	}
	type unfinished struct {
		ws workspace.ID
		id task.ID
	}
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (u unfinished, err error) { return u, r.Scan(&u.ws, &u.id) })
	if err != nil {
		return err
	}
	for _, u := range all {
		if err := c.target.Enqueue(ctx, tx, u.ws, u.id); err != nil {
			return err
		}
	}
	*n = int64(len(all))
	return nil
}

// verify counts every table on both sides, and works all rollups out anew.
func (c *copier) verify(ctx context.Context, tables []*table, from look) error {
	var wrong []string
	for _, t := range tables {
		c.step("counting " + t.name)
		var n int64
		err := c.target.Load(ctx, "count", func(tx pgx.Tx) error {
			return tx.QueryRow(ctx, "SELECT count(*) FROM "+t.name+whereSQL(t.mine)).Scan(&n)
		})
		if err != nil {
			return err
		}
		if n != from.rows[t.name] {
			wrong = append(wrong, fmt.Sprintf("%s has %d rows in the source and %d in the target", t.name, from.rows[t.name], n))
		}
	}
	if len(wrong) > 0 {
		return fault.New(fault.Internal, "the copy is not whole: %s; empty the target and copy again", strings.Join(wrong, ", "))
	}
	for p := (page.Params{Number: 1, Size: page.MaxSize}); ; p.Number++ {
		spaces, err := c.target.ListWorkspaces(ctx, nil, p)
		if err != nil {
			return err
		}
		for _, w := range spaces.Items {
			c.step("recount of " + w.Name)
			d, err := ingest.Rebuild(ctx, c.target, workspace.System(w.ID))
			if err != nil {
				return fmt.Errorf("recount %s (%s): %w", w.ID, w.Name, err)
			}
			c.report.Workspaces = append(c.report.Workspaces, Recount{w, d})
		}
		if len(spaces.Items) < p.Size {
			return nil
		}
	}
}

func whereSQL(cond string) string {
	if cond == "" {
		return ""
	}
	return " WHERE " + cond
}
