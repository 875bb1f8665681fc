package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// arrivals is the channel on which processes tell one another that something was appended. It is told after the commit, and
// not for each: a commit that notifies locks out all others that do.
const arrivals = "monterey_inbox"

// tellEach is how often others are told at the most.
const tellEach = 20 * time.Millisecond

// Arrived implements ingest.Inbox. From the first call on a connection of its own listens to the other processes.
func (s *Store) Arrived() <-chan struct{} {
	in := s.inbox
	in.listen.Do(func() {
		in.running.Go(func() { in.hear(in.ending) })
		in.running.Go(func() { in.poll(in.ending) })
	})
	return in.arrived
}

// notify tells the other processes of what this one appended. Where that fails they find it by themselves.
func (in *inbox) notify() {
	for {
		select {
		case <-in.ending.Done():
			return
		case <-in.tell:
		}
		_ = in.s.inTx(in.ending, "notify", "BEGIN", func(tx pgx.Tx) error {
			_, err := tx.Exec(in.ending, "SELECT pg_notify($1, '')", arrivals)
			return err
		})
		rest(in.ending, tellEach)
	}
}

// hear listens until ctx ends, on one connection after the other.
func (in *inbox) hear(ctx context.Context) {
	for ctx.Err() == nil {
		_ = in.hearOn(ctx) // why does not matter: the inbox is looked at meanwhile
		rest(ctx, min(in.s.times.poll, time.Second))
	}
}

func (in *inbox) hearOn(ctx context.Context) error {
	dialing, cancel := context.WithTimeout(ctx, in.s.times.acquire)
	defer cancel()
	conn, err := pgx.ConnectConfig(dialing, in.s.direct.Copy())
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), in.s.times.acquire)
		defer cancel()
		_ = conn.Close(closing) // nothing is lost with it
	}()
	if _, err := conn.Exec(dialing, "LISTEN "+arrivals); err != nil {
		return err
	}
	wake(in.arrived) // something may have come before
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
		wake(in.arrived)
	}
}

// poll is for what nobody told of.
func (in *inbox) poll(ctx context.Context) {
	for ctx.Err() == nil {
		rest(ctx, in.s.times.poll)
		wake(in.arrived)
	}
}

// rest waits, or until ctx ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
