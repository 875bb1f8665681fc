package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// cluster is a PostgreSQL server of the run's own, set as an ordinary one, whose writes are durable.
type cluster struct {
	cmd         *exec.Cmd
	ended       chan error
	port        int
	password    string
	dir         string
	settings    []string
	version     int // 150000 = 15
	description string
}

// usualSettings are what every guide changes first; flag -postgres adds to them.
var usualSettings = []string{"shared_buffers=256MB", "max_wal_size=4GB"}

var errNoPostgres = errors.New("PostgreSQL is not installed")

// postgresPrograms is the folder of the newest release that is installed.
func postgresPrograms() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		path, err := exec.LookPath("initdb")
		if err != nil {
			return "", errNoPostgres
		}
		found = []string{path}
	}
	release := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // where there is no number, there is no choice
		return n
	}
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return release(a) - release(b) })), nil
}

// startCluster starts the server whose files are in dir, and makes them if they are not there.
func startCluster(ctx context.Context, dir string, settings []string) (c *cluster, err error) {
	programs, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	c = &cluster{dir: dir, settings: settings, ended: make(chan error, 1)}
	if err := c.makeFiles(ctx, programs); err != nil {
		return nil, fmt.Errorf("make a PostgreSQL: %w", err)
	}
	if c.port, err = freePort(ctx); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "server.log"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the server writes to it
	args := []string{"-D", c.data(), "-p", strconv.Itoa(c.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	if c.cmd, err = c.command(ctx, filepath.Join(programs, "postgres"), args...); err != nil {
		return nil, err
	}
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.Cancel = func() error { return c.cmd.Process.Signal(syscall.SIGINT) } // a fast shutdown, as stop's
	c.cmd.WaitDelay = time.Minute
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { c.ended <- c.cmd.Wait() }()
	if err := c.answers(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("PostgreSQL did not start, see %s: %w", log.Name(), err), c.stop())
	}
	return c, nil
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

// makeFiles makes the server's files and its password, unless an earlier run did.
func (c *cluster) makeFiles(ctx context.Context, programs string) error {
	secret := filepath.Join(c.dir, "password")
	if text, err := os.ReadFile(secret); !errors.Is(err, fs.ErrNotExist) {
		c.password = string(text)
		return err
	}
	if err := os.RemoveAll(c.dir); err != nil { // of a run that was ended
		return err
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	if err := c.own(c.dir); err != nil {
		return err
	}
	c.password = rand.Text()
	given := secret + ".new" // it gets its name when everything is there
	if err := os.WriteFile(given, []byte(c.password), 0o600); err != nil {
		return err
	}
	if err := c.own(given); err != nil {
		return err
	}
	cmd, err := c.command(ctx, filepath.Join(programs, "initdb"), "-D", c.data(), "-U", "bench", "--pwfile="+given, "--auth=scram-sha-256", "--encoding=UTF8", "--no-locale")
	if err != nil {
		return err
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	return os.Rename(given, secret)
}

// command is one of PostgreSQL's programs, which refuse to run as root.
func (c *cluster) command(ctx context.Context, path string, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for this program, which then stops its own
	uid, gid, other, err := serverUser()
	if other {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: gid}
	}
	return cmd, err
}

// own gives a file to the user that the server runs as, who must get to it too.
func (c *cluster) own(path string) error {
	uid, gid, other, err := serverUser()
	if err != nil || !other {
		return err
	}
	if err := os.Chmod(filepath.Dir(c.dir), 0o711); err != nil {
		return err
	}
	return os.Chown(path, int(uid), int(gid))
}

// serverUser is whom the server runs as where that cannot be this user.
func serverUser() (uid, gid uint32, other bool, err error) {
	if os.Getuid() != 0 {
		return 0, 0, false, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return 0, 0, false, err
		}
	}
	id, err := strconv.ParseUint(u.Uid, 10, 32)
	group, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return uint32(id), uint32(group), true, errors.Join(err, err2)
}

func freePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}

// answers waits until the server does, and asks what it is.
func (c *cluster) answers(ctx context.Context) error {
	for {
		err := withConn(ctx, c.url("postgres"), func(conn *pgx.Conn) error {
			return conn.QueryRow(ctx, `SELECT current_setting('server_version_num')::int, 'release ' || current_setting('server_version') || ', ' ||
				(SELECT string_agg(name || ' ' || current_setting(name), ', ' ORDER BY name) FROM pg_settings WHERE name IN ('shared_buffers', 'max_wal_size',
				'checkpoint_timeout', 'fsync', 'synchronous_commit', 'full_page_writes', 'wal_compression', 'autovacuum', 'work_mem', 'jit'))`).
				Scan(&c.version, &c.description)
		})
		if err == nil || ctx.Err() != nil {
			return err
		}
		select {
		case err := <-c.ended:
			c.ended <- err
			return errors.Join(errors.New("it ended"), err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// stop ends the server as an operator does.
func (c *cluster) stop() error {
	_ = c.cmd.Process.Signal(syscall.SIGINT) // it may have ended by itself, which the error below tells
	return <-c.ended
}

func (c *cluster) url(database string) string {
	return fmt.Sprintf("postgres://bench:%s@127.0.0.1:%d/%s?sslmode=disable", c.password, c.port, database)
}

// exec runs a statement about databases.
func (c *cluster) exec(ctx context.Context, statement string) error {
	return withConn(ctx, c.url("postgres"), func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, statement)
		return err
	})
}

// copy copies a database that nobody is connected to.
func (c *cluster) copy(ctx context.Context, from, to string) error {
	strategy := ""
	if c.version >= 150000 { // which else writes every page to its log
		strategy = " STRATEGY FILE_COPY"
	}
	return c.exec(ctx, "CREATE DATABASE "+to+" TEMPLATE "+from+strategy)
}

// processorTime is how many seconds of a processor the server's processes have used.
func (c *cluster) processorTime() (seconds float64, err error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	server := strconv.Itoa(c.cmd.Process.Pid)
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, rest, _ := strings.Cut(string(text), " ")
		fields := strings.Fields(rest[strings.LastIndex(rest, ")")+1:]) // from the state on
		used := fields[11:13]                                           // utime, stime
		switch {
		case pid == server:
			used = fields[11:15] // and those of children that have ended
		case fields[1] != server: // its parent
			continue
		}
		for _, u := range used {
			ticks, err := strconv.ParseFloat(u, 64)
			if err != nil {
				return 0, err
			}
			seconds += ticks / 100
		}
	}
	return seconds, nil
}
