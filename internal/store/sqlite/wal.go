package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// SQLite copies the write-ahead log into the file by itself, but begins the log anew only when no reader is at work at that
// moment. Where reads overlap all the time that never comes, and the log would grow until the disk is full. So a log that
// has grown too long is emptied while the writer waits: for no longer than walPatience, and not again before walAgain.
const (
	walLimit    = 256 << 20 // bytes; several times what is copied at once
	walPatience = 250 * time.Millisecond
	walAgain    = 10 * time.Second
)

// relieve empties the log when it is too long. That it could not, as a long read goes on, is no error: it is tried again.
func (s *Store) relieve(ctx context.Context) {
	if info, err := os.Stat(s.path + "-wal"); err != nil || info.Size() <= s.walLimit || !s.relieveNow() {
		return
	}
	_ = s.emptyLog(ctx)
}

// relieveNow says whether it is time, and begins to wait for the next time.
func (s *Store) relieveNow() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.relieved) < walAgain {
		return false
	}
	s.relieved = time.Now()
	return true
}

func (s *Store) emptyLog(ctx context.Context) (err error) {
	conn, err := s.writer.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", walPatience.Milliseconds())); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	_, back := conn.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("PRAGMA busy_timeout = %d", busyFor.Milliseconds()))
	return errors.Join(err, back)
}
