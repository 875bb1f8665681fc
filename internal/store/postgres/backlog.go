package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/fault"
)

// backlog is how much waits, as this process knows: it is measured now and then, and in between what this process appends and
// counts is added and taken off.
type backlog struct {
	bytes    int64
	measured time.Time // when it was measured last; zero = never
	took     time.Duration
	busy     bool // somebody measures
}

// How often it is measured at the most, and which part of the time that may take.
const (
	measureEach = 5 * time.Second
	measurePart = 20
)

// rowBytes is what a body costs that waits, beside itself.
const rowBytes = 150

func waitingBytes(body int) int64 { return int64(body) + rowBytes }

// room is nil while there is room in the inbox for a body of so many bytes.
func (in *inbox) room(ctx context.Context, size int64) error {
	if err := in.measure(ctx); err != nil {
		return err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.backlog.bytes+size > in.maxBytes {
		return &fault.Error{Code: fault.Unavailable, Message: "too much waits to be counted already", RetryAfter: 30 * time.Second}
	}
	return nil
}

// measure measures the backlog if that is due. The first time it is waited for.
func (in *inbox) measure(ctx context.Context) error {
	in.mu.Lock()
	b := &in.backlog
	first := b.measured.IsZero()
	due := first || time.Since(b.measured) > max(measureEach, measurePart*b.took)
	if !due || b.busy && !first {
		in.mu.Unlock()
		return nil
	}
	b.busy = true
	in.mu.Unlock()
	if first {
		return in.sum(ctx)
	}
	go func() { _ = in.sum(in.ending) }() // where it fails the old figure stands until the next time
	return nil
}

func (in *inbox) sum(ctx context.Context) error {
	began := time.Now()
	bytes := int64(0)
	err := in.s.read(ctx, "measure the inbox", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT coalesce(sum(bytes::bigint + $1), 0)::bigint FROM inbox", rowBytes).Scan(&bytes)
	})
	in.mu.Lock()
	defer in.mu.Unlock()
	in.backlog.busy = false
	if err == nil {
		in.backlog = backlog{bytes: bytes, measured: time.Now(), took: time.Since(began)}
	}
	return err
}

// grow adds to what waits, or takes off.
func (in *inbox) grow(by int64) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.backlog.bytes = max(0, in.backlog.bytes+by)
}
