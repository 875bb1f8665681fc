package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Waiting is how many deliveries of all workspaces wait in the inbox file and when the oldest was received (zero when there
// is none), for who looks from beside a server or without one: it needs no open inbox. What is being counted meanwhile may
// be among them.
func (s *Store) Waiting(ctx context.Context) (n int64, oldest time.Time, err error) {
	path := filepath.Join(filepath.Dir(s.path), InboxFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return 0, oldest, nil // no server has run here yet
	}
	db, err := openFile(path, false, 1<<10, 0)
	if err != nil {
		return 0, oldest, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	marks := [][2]int64{}
	err = s.read(ctx, "waiting", func(tx *sql.Tx) error {
		all, err := query(ctx, tx, func(r row) (m [2]int64, err error) { return m, r.Scan(&m[0], &m[1]) }, "SELECT epoch, seq FROM marks")
		marks = append(marks, all...)
		return err
	})
	if err != nil {
		return 0, oldest, err
	}
	text, _ := json.Marshal(marks) // cannot fail for numbers
	var received int64
	err = db.QueryRowContext(ctx, `SELECT count(*), coalesce(min(received_at), 0) FROM inbox WHERE NOT EXISTS
		(SELECT 1 FROM json_each(?) d WHERE epoch = d.value ->> 0 AND seq <= d.value ->> 1)`, string(text)).Scan(&n, &received)
	return n, fromMicros(received), translate("waiting", err)
}
