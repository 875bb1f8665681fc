package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
)

// The driver's SQLite keeps the pages of all connections in one pool, as large as their caches together. A connection whose
// cache is full takes the page that was used longest ago, whoever's that is, and grows by it. So one that works long gets
// the pages of those that rest; when these come back the pool is full, and they drop each page as soon as they let go of it.
// Therefore the pool is emptied when a connection has taken cacheTaken from others, and not again before cacheAgain.
const (
	cacheTaken = 8 << 10 // KiB
	cacheAgain = time.Second
)

// shareCache gives every connection its part of the pool again if the one of db that worked last has taken too much. That
// it could not is no error: it is tried again.
func (s *Store) shareCache(ctx context.Context, db *sql.DB, cacheKiB int) {
	s.mu.Lock()
	due := time.Since(s.shared) >= cacheAgain
	if due {
		s.shared = time.Now()
	}
	s.mu.Unlock()
	if !due {
		return
	}
	if used, err := cacheUsed(ctx, db); err == nil && used>>10 > cacheKiB+cacheTaken {
		_, _ = db.ExecContext(ctx, "PRAGMA shrink_memory")
	}
}

// cacheUsed is how many bytes of the pool the connection of db has that worked last.
func cacheUsed(ctx context.Context, db *sql.DB) (used int, err error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	err = conn.Raw(func(driver any) error {
		c, ok := driver.(sqlite.DBStatus)
		if !ok {
			return fmt.Errorf("sqlite: %T does not tell its status", driver)
		}
		used, _, err = c.Status(sqlite.DBStatusCacheUsed, false)
		return err
	})
	return used, err
}
