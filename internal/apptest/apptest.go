// Package apptest runs the real program for end-to-end tests: the binary is built once, started as a child on a temporary
// data folder and any free port, with a workspace, an API key, and a connection whose webhook key is known. A child can be
// stopped as an operator stops it (SIGTERM) or killed as a power cut does (SIGKILL), and started again on its folder.
package apptest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"monterey/internal/store/testdb"
)

// WebhookKey is the webhook key of an App's connection.
const WebhookKey = "apptest-webhook-key"

// stopLimit is how long a server may take to stop after SIGTERM.
const stopLimit = 10 * time.Second

// Options of an App; the zero Options are good.
type Options struct {
	Binary   string   // "" = Build
	Dir      string   // the data folder; "" = a new one below t.TempDir()
	Database string   // the URL of a PostgreSQL database; "" = SQLite in the data folder
	Args     []string // more flags of serve
	Env      []string // more variables, NAME=VALUE
}

// OnEach runs a test on each kind of database: as a part "sqlite", and as a part "postgres" on a new database of its own, which
// is skipped where there is no PostgreSQL (see testdb). The Options name the database.
func OnEach(t *testing.T, test func(t *testing.T, o Options)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, Options{}) })
	OnPostgres(t, test)
}

// OnPostgres runs a test on PostgreSQL alone, as OnEach does.
func OnPostgres(t *testing.T, test func(t *testing.T, o Options)) {
	t.Helper()
	t.Run("postgres", func(t *testing.T) { test(t, Options{Database: testdb.Postgres(t)}) })
}

// App is a server and its data folder.
type App struct {
	Dir        string
	URL        string // http://127.0.0.1:PORT; another port after each Start
	MetricsURL string // where /metrics is
	Workspace  string // the id of its workspace
	Token      string // an admin key of the workspace
	Client     *http.Client

	t       testing.TB
	options Options
	cmd     *exec.Cmd
	exited  chan error
	log     logBuffer
}

// Start makes an App with a workspace "Apptest" (UTC) on a new data folder, and starts its server. It ends with the test.
func Start(t testing.TB, o Options) *App {
	t.Helper()
	a := New(t, o)
	a.Workspace = a.MustRun("workspace", "create", "Apptest")["id"].(string)
	a.Token = a.MustRun("key", "create", "--workspace", a.Workspace, "--name", "apptest", "--role", "admin")["key"].(string)
	a.MustRunInput(WebhookKey, "connection", "set", "--workspace", a.Workspace, "--provider", "campaigner", "--webhook-key-file", "-")
	a.Serve()
	return a
}

// New makes an App that is not set up and not running: for a folder that holds data already, or commands alone.
func New(t testing.TB, o Options) *App {
	t.Helper()
	if o.Binary == "" {
		o.Binary = Build(t)
	}
	if o.Dir == "" {
		o.Dir = filepath.Join(t.TempDir(), "monterey-data")
	}
	a := &App{Dir: o.Dir, t: t, options: o, Client: &http.Client{
		Transport: &http.Transport{MaxIdleConns: 256, MaxIdleConnsPerHost: 256},
		Timeout:   time.Minute,
	}}
	t.Cleanup(func() {
		a.Kill()
		a.Client.CloseIdleConnections()
		if t.Failed() {
			t.Logf("the server's log ends with:\n%s", a.Log())
		}
	})
	return a
}

// Beside starts another server on the App's database and workspace, in a role: one of several processes. What the options leave
// out is as the App has it; they may name another way to the database. It ends with the test.
func (a *App) Beside(role string, o Options) *App {
	a.t.Helper()
	if o.Database == "" {
		o.Database = a.options.Database
	}
	if o.Env == nil {
		o.Env = a.options.Env
	}
	o.Binary, o.Dir, o.Args = a.options.Binary, a.Dir, append([]string{"--role", role, "--no-migrate"}, o.Args...)
	b := New(a.t, o)
	b.Workspace, b.Token = a.Workspace, a.Token
	b.Serve()
	return b
}

// In is the App's server as it runs now, asked about another workspace.
func (a *App) In(workspace, token string) *App {
	return &App{Dir: a.Dir, URL: a.URL, MetricsURL: a.MetricsURL, Workspace: workspace, Token: token, Client: a.Client, t: a.t, options: a.options}
}

// Serve starts the server and returns once it answers.
func (a *App) Serve() {
	a.t.Helper()
	args := append([]string{"serve", "--json", "--addr", "127.0.0.1:0", "--metrics-addr", "127.0.0.1:0"}, a.options.Args...)
	cmd := a.Command(args...)
	cmd.Stderr = &a.log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		a.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		a.t.Fatal(err)
	}
	line, readErr := bufio.NewReader(stdout).ReadBytes('\n') // ends with the process too
	a.cmd, a.exited = cmd, make(chan error, 1)
	go func() {
		_, _ = io.Copy(io.Discard, stdout) // Wait must come after the last read
		a.exited <- cmd.Wait()
	}()
	var ready struct {
		Addr        string `json:"addr"`
		MetricsAddr string `json:"metrics_addr"`
	}
	if err := errors.Join(readErr, json.Unmarshal(line, &ready)); err != nil {
		a.Kill()
		a.t.Fatalf("the server did not start: %v\n%s", err, a.Log())
	}
	a.URL, a.MetricsURL = "http://"+ready.Addr, "http://"+ready.MetricsAddr+"/metrics" // a worker has no URL
}

// Running says whether a server is running that was neither stopped nor killed.
func (a *App) Running() bool { return a.cmd != nil }

// PID is the process id of the running server.
func (a *App) PID() int { return a.cmd.Process.Pid }

// Stop ends the server with SIGTERM and fails the test when it does not end well within 10 s.
func (a *App) Stop() {
	a.t.Helper()
	if a.cmd == nil {
		return
	}
	began := time.Now()
	_ = a.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself, which Wait tells
	select {
	case err := <-a.exited:
		if err != nil {
			a.t.Errorf("the server ended with %v", err)
		}
	case <-time.After(stopLimit):
		a.t.Errorf("the server still runs %s after SIGTERM", time.Since(began))
		_ = a.cmd.Process.Kill()
		<-a.exited
	}
	a.cmd = nil
}

// Freeze stops the server as it is (SIGSTOP), as a machine that hangs does, until it is thawed: it neither works nor answers, and
// its connections stay.
func (a *App) Freeze() {
	a.t.Helper()
	if err := a.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		a.t.Fatal(err)
	}
}

// Thaw lets a frozen server go on.
func (a *App) Thaw() {
	a.t.Helper()
	if err := a.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		a.t.Fatal(err)
	}
}

// Kill ends the server with SIGKILL, if it runs.
func (a *App) Kill() {
	if a.cmd == nil {
		return
	}
	_ = a.cmd.Process.Kill() // it may have ended by itself
	<-a.exited
	a.cmd = nil
}

// Log is the end of what the server wrote to standard error.
func (a *App) Log() string { return a.log.String() }

// Run runs a command of the program on the App's folder.
func (a *App) Run(input string, args ...string) (stdout, stderr string, code int) {
	a.t.Helper()
	cmd := a.Command(args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		a.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// MustRun runs a command with --json that has to succeed and returns its object.
func (a *App) MustRun(args ...string) map[string]any {
	a.t.Helper()
	return a.MustRunInput("", args...)
}

// MustRunInput is MustRun with something on standard input.
func (a *App) MustRunInput(input string, args ...string) map[string]any {
	a.t.Helper()
	stdout, stderr, code := a.Run(input, append(args, "--json")...)
	if code != 0 {
		a.t.Fatalf("monterey %s: exit %d: %s", strings.Join(args, " "), code, stderr)
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(stdout), &object); err != nil {
		a.t.Fatalf("monterey %s printed %q: %v", strings.Join(args, " "), stdout, err)
	}
	return object
}

// Command is the program, not started, with settings of the App alone: variables of the test's surroundings do not reach it.
func (a *App) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(a.options.Binary, args...)
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "MONTEREY_") && !strings.HasPrefix(kv, "DEV_AUTH_") {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "MONTEREY_DATA_DIR="+a.Dir)
	if a.options.Database != "" {
		cmd.Env = append(cmd.Env, "MONTEREY_DATABASE="+a.options.Database)
	}
	cmd.Env = append(cmd.Env, a.options.Env...)
	return cmd
}

// logBuffer keeps the end of what is written.
type logBuffer struct {
	mu   sync.Mutex
	text []byte
}

func (b *logBuffer) Write(p []byte) (int, error) {
	const keep = 64 << 10
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	if extra := len(b.text) - keep; extra > keep {
		b.text = append([]byte(nil), b.text[extra:]...)
	}
	return len(p), nil
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}

// Build builds the program, once a test process, and returns the path of the binary. With the race detector on, the
// program has it too.
func Build(t testing.TB) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var build = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("apptest: where is the module: %w", err)
	}
	root := strings.TrimSpace(string(out))
	bin := filepath.Join(root, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", err
	}
	// Test processes of several packages build at the same time: each builds a file of its own and renames it, so that
	// the path always holds a whole binary, and a running one keeps its own.
	temporary, err := os.CreateTemp(bin, "building-*")
	if err != nil {
		return "", err
	}
	_ = temporary.Close() // empty
	defer os.Remove(temporary.Name())
	path := filepath.Join(bin, "monterey-test")
	args := []string{"build", "-o", temporary.Name()}
	if raceEnabled {
		args, path = append(args, "-race"), path+"-race"
	}
	cmd := exec.Command("go", append(args, "monterey/cmd/monterey")...)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("apptest: build the program: %w\n%s", err, out)
	}
	return path, os.Rename(temporary.Name(), path)
})
