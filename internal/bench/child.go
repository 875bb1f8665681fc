package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// child is a process that is measured.
type child struct {
	cmd    *exec.Cmd
	out    *bufio.Reader
	stderr bytes.Buffer
}

func start(ctx context.Context, binary string, at place, args ...string) (*child, error) {
	c := &child{cmd: exec.CommandContext(ctx, binary, args...)}
	for _, kv := range os.Environ() { // the user's own settings are not to be measured
		if !strings.HasPrefix(kv, "MONTEREY_") && !strings.HasPrefix(kv, "DEV_AUTH_") {
			c.cmd.Env = append(c.cmd.Env, kv)
		}
	}
	c.cmd.Env = append(c.cmd.Env, dirSetting+"="+at.dir)
	if at.url != "" {
		c.cmd.Env = append(c.cmd.Env, urlSetting+"="+at.url)
	}
	c.cmd.Stderr = &c.stderr
	c.cmd.WaitDelay = time.Second
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	return c, c.cmd.Start()
}

// line reads a line of JSON that the child prints; io.EOF after the last.
func (c *child) line(v any) error {
	text, err := c.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	return err
}

// stop ends the child as an operator does.
func (c *child) stop() error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself, which Wait tells
	return c.wait()
}

func (c *child) wait() error {
	_, _ = io.Copy(io.Discard, c.out) // Wait must come after the last read
	if err := c.cmd.Wait(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", filepath.Base(c.cmd.Path), c.cmd.Args[1], err, c.stderr.String())
	}
	return nil
}

// failed is err with what the child said; the child is ended.
func (c *child) failed(err error) error {
	_ = c.cmd.Process.Kill() // it may have ended by itself
	return errors.Join(err, c.wait())
}

// memory is a process's resident memory in bytes, and the most it had since it began or since forgetPeak.
func memory(pid int) (now, peak int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64) // other lines have no number
		switch name {
		case "VmRSS":
			now = kib << 10
		case "VmHWM":
			peak = kib << 10
		}
	}
	return now, peak, nil
}

func forgetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// keepPeak notes the most memory that a child had, before it ends.
func (e *engine) keepPeak(who string, c *child) error {
	_, peak, err := memory(c.cmd.Process.Pid)
	e.peaks = append(e.peaks, memoryOf{who, peak})
	return err
}

// server is the built program.
type server struct {
	*child
	url, metricsURL string
	token           string
}

// serve starts the program at a place; it has taken its addresses when serve returns.
func (b *bench) serve(ctx context.Context, token string, at place, args ...string) (*server, error) {
	args = append([]string{"serve", "--json", "--addr", "127.0.0.1:0", "--metrics-addr", "127.0.0.1:0"}, args...)
	c, err := start(ctx, b.binary, at, args...)
	if err != nil {
		return nil, err
	}
	var taken struct {
		URL         string `json:"url"`
		MetricsAddr string `json:"metrics_addr"`
	}
	if err := c.line(&taken); err != nil {
		return nil, c.failed(fmt.Errorf("the server did not start: %w", err))
	}
	return &server{child: c, url: taken.URL, metricsURL: "http://" + taken.MetricsAddr + "/metrics", token: token}, nil
}

// received is how many objects the server has counted since it began.
func (s *server) received(ctx context.Context) (int, error) {
	return s.counter(ctx, "monterey_ingest_received_total")
}

// counter is a figure of the server's metrics.
func (s *server) counter(ctx context.Context, name string) (int, error) {
	text, err := fetch(ctx, http.DefaultClient, s.metricsURL, "")
	if err != nil {
		return 0, err
	}
	_, value, ok := strings.Cut(string(text), "\n"+name+" ")
	if !ok {
		return 0, errors.New("/metrics has no " + name)
	}
	value, _, _ = strings.Cut(value, "\n")
	f, err := strconv.ParseFloat(value, 64)
	return int(f), err
}

// bareChild is the argument that makes this program the yardstick of the webhook.
const bareChild = "bare"

// serveBare answers 202 to everything, with nothing but net/http.
func serveBare(ctx context.Context, out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "{\"url\": \"http://%s\"}\n", l.Addr())
	s := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the generator tells when it breaks
		w.WriteHeader(http.StatusAccepted)
	})}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() }) // its error is that of the listener, closed anyway
	defer stop()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// fetch gets a page that must answer 200.
func fetch(ctx context.Context, client *http.Client, url, token string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", url, resp.Status, text)
	}
	return text, err
}
