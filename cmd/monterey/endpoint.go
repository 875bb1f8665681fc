package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// endpoint is one address that answers HTTP.
type endpoint struct {
	server   *http.Server
	listener net.Listener
}

// listen takes the address; requests wait until serve.
func listen(ctx context.Context, addr string, h http.Handler, log *slog.Logger) (*endpoint, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return &endpoint{listener: l, server: &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       time.Minute, // of a whole request: a webhook's body is 10 MiB at most
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug), // what clients do wrong is no error of ours
	}}, nil
}

// addr is where it listens, with the port that was taken.
func (e *endpoint) addr() string { return e.listener.Addr().String() }

// serve answers until stop; only a failure comes back as an error.
func (e *endpoint) serve() error {
	if err := e.server.Serve(e.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", e.addr(), err)
	}
	return nil
}

// stop takes no more requests and lets those that run end; what still runs when ctx is done is cut off.
func (e *endpoint) stop(ctx context.Context) {
	if err := e.server.Shutdown(ctx); err != nil {
		_ = e.server.Close() // nobody can be told any more
	}
}

// writeFile puts the whole text into the file or leaves the file as it was.
func writeFile(name string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
