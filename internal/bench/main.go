package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"monterey/internal/campaigner/campaignersim"
	"monterey/internal/loadgen"
)

type options struct {
	events, campaigns, recipients, days int
	lifetime                            time.Duration
	duplicates                          float64
	dir, binary, profile                string
	rounds, reads                       int
	round                               time.Duration
	skipSQLite, skipPostgres            bool
	skipReads, skipPosts, skipHistory   bool
	skipNodes                           bool
	bounces                             int
	settings                            []string // of PostgreSQL
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	if len(args) > 0 {
		switch args[0] { // this program as its own child
		case bareChild:
			return serveBare(ctx, out)
		case drainChild:
			return drain(ctx, givenPlace(), args[1:], out)
		}
	}
	o := options{settings: usualSettings}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.events, "events", 5_000_000, "events stored")
	f.IntVar(&o.campaigns, "campaigns", 200, "campaigns")
	f.IntVar(&o.recipients, "recipients", 0, "recipients of the biggest campaign; 0 = a tenth of the events")
	f.IntVar(&o.days, "days", 90, "days that the events are spread over")
	f.DurationVar(&o.lifetime, "lifetime", 0, "how long a campaign is busy; 0 = all are on all days, which touches the most rollups")
	f.Float64Var(&o.duplicates, "duplicates", 0, "share of the events that are posted again")
	f.StringVar(&o.dir, "dir", "", "where the data set stays, and is found by a later run; default a temporary folder")
	f.StringVar(&o.binary, "binary", "", "the server; default it is built")
	f.StringVar(&o.profile, "profile", "", "a folder for CPU and memory profiles of the drain")
	f.IntVar(&o.rounds, "rounds", 3, "rounds of posting, of which the median counts")
	f.DurationVar(&o.round, "round", 4*time.Second, "how long one of them is")
	f.IntVar(&o.reads, "reads", 200, "requests of each row that reads")
	f.BoolVar(&o.skipSQLite, "skip-sqlite", false, "leave SQLite out, by whose reads PostgreSQL's are judged")
	f.BoolVar(&o.skipPostgres, "skip-postgres", false, "leave PostgreSQL out")
	f.Func("postgres", "a setting of PostgreSQL beside "+strings.Join(usualSettings, " ")+", as jit=off; may be repeated", func(s string) error {
		o.settings = append(slices.Clip(o.settings), s)
		return nil
	})
	f.BoolVar(&o.skipReads, "skip-reads", false, "leave the rows that read out")
	f.BoolVar(&o.skipPosts, "skip-posts", false, "leave the rows that post out")
	f.BoolVar(&o.skipHistory, "skip-history", false, "leave the rows of the provider's history of bounces out")
	f.BoolVar(&o.skipNodes, "skip-nodes", false, "leave the rows of several processes on PostgreSQL out")
	f.IntVar(&o.bounces, "bounces", 1_000_000, "bounces of that history")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() > 0 || o.events < 10_000 || o.campaigns < 1 || o.days < 1 || o.days < 30 && !o.skipReads || o.rounds < 1 || o.reads < 20 || o.skipSQLite && o.skipPostgres || o.bounces < 10_000 ||
		o.bounces > campaignersim.MaxBounces {
		return errors.New("needs 10,000 events, 10,000 bounces (at most 1,000,000), 30 days and 20 reads at least, a database, and no arguments")
	}
	if o.recipients <= 0 {
		o.recipients = max(1000, o.events/10)
	}
	return measureAll(ctx, o, out)
}

// bench is one run.
type bench struct {
	options
	self   string // this program
	table  table
	sqlite map[string]time.Duration // what SQLite took, by row
}

// memoryOf is the most memory that a process had.
type memoryOf struct {
	who   string
	bytes int64
}

func measureAll(ctx context.Context, o options, out io.Writer) (err error) {
	b := &bench{options: o, sqlite: map[string]time.Duration{}}
	before := loadAverage()
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.dir == "" {
		if b.dir, err = os.MkdirTemp("", "monterey-bench-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	} else if err := os.MkdirAll(b.dir, 0o700); err != nil {
		return err
	}
	if err := b.build(ctx); err != nil {
		return err
	}
	sync, err := syncTime(filepath.Join(b.dir, "sync"))
	if err != nil {
		return err
	}
	b.table.note("Making 4 KiB durable takes this disk %s (median): an acknowledgement waits for that.", duration(sync))
	if !b.skipSQLite {
		if err := b.measure(ctx, &engine{bench: b}); err != nil {
			return err
		}
	}
	if !b.skipPostgres {
		if err := b.postgres(ctx); err != nil {
			return err
		}
	}
	b.table.note("Load average before %s, after %s: a machine that does other work too makes every row slower.", before, loadAverage())
	return b.table.print(out, b.shape())
}

// postgres measures PostgreSQL, where it is installed.
func (b *bench) postgres(ctx context.Context) (err error) {
	c, err := startCluster(ctx, filepath.Join(b.dir, "postgres"), b.settings)
	if errors.Is(err, errNoPostgres) {
		b.table.note("PostgreSQL is not installed: its rows are left out.")
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.stop()) }()
	e := &engine{bench: b, cluster: c}
	e.note("%s.", c.description)
	if err := b.measure(ctx, e); err != nil {
		return err
	}
	if b.skipNodes {
		return nil
	}
	return e.nodeRows(ctx)
}

// measure makes the rows of one database.
func (b *bench) measure(ctx context.Context, e *engine) error {
	set, err := e.dataset(ctx)
	if err != nil {
		return err
	}
	if !b.skipPosts {
		if err := e.posts(ctx, set); err != nil {
			return err
		}
	}
	e.drainRows(set)
	e.sizeRows(set)
	if !b.skipReads {
		if err := e.readRows(ctx, set); err != nil {
			return err
		}
	}
	if !b.skipHistory {
		if err := e.historyRows(ctx); err != nil {
			return err
		}
	}
	e.memoryRow()
	return nil
}

// loadAverage is the machine's of the last minute, as the kernel writes it.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(text), " ")
	if err != nil {
		return "unknown"
	}
	return one
}

// build makes the server's binary, unless one is given or the reads and posts are left out.
func (b *bench) build(ctx context.Context) error {
	if b.binary != "" || b.skipReads && b.skipPosts && b.skipHistory && (b.skipNodes || b.skipPostgres) {
		return nil
	}
	b.binary = filepath.Join(b.dir, "monterey")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", b.binary, "monterey/cmd/monterey").CombinedOutput(); err != nil {
		return fmt.Errorf("build the server: %w\n%s", err, out)
	}
	return nil
}

// workload is that of the data set. Of 1,000 events 10 are of a kind that is not stored.
func (o *options) workload() loadgen.Workload {
	return loadgen.Workload{
		Seed: 1, Key: webhookKey, Events: int(float64(o.events)/0.99/(1-o.duplicates)) + 2*o.campaigns, Campaigns: o.campaigns,
		Recipients: o.recipients, Days: o.days, Lifetime: o.lifetime, Duplicates: o.duplicates,
	}
}

// say tells how far the run is.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format("15:04:05 ")+format+"\n", args...)
}
