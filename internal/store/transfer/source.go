package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// chunk is rows that are written together.
type chunk struct {
	rows     [][]any
	altered  int64  // texts that were altered to fit
	position string // behind them
	last     bool   // there are no more
}

// read cuts what comes behind a position into chunks. The last one may be empty.
func (t *table) read(ctx context.Context, position string, maxRows, maxBytes int, out chan<- chunk) error {
	args, err := t.parse(position)
	if err != nil {
		return err
	}
	rows, err := t.db.QueryContext(ctx, t.selectSQL(position != ""), args...)
	if err != nil {
		return fmt.Errorf("transfer: read: %w", err)
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	values := make([]any, len(t.key)+len(t.columns))
	dest := make([]any, len(values))
	for i := range values {
		dest[i] = &values[i]
	}
	send := func(c chunk) error {
		select {
		case out <- c:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	now, size := chunk{position: position}, 0
	for rows.Next() {
		if len(now.rows) >= maxRows || size >= maxBytes {
			if err := send(now); err != nil {
				return err
			}
			now, size = chunk{}, 0
		}
		if err := rows.Scan(dest...); err != nil {
			return fmt.Errorf("transfer: read: %w", err)
		}
		key := values[:len(t.key)]
		row, altered, err := t.convert(values[len(t.key):])
		if err != nil {
			return fmt.Errorf("transfer: the row %s: %w", format(key), err)
		}
		now.rows, now.altered, now.position = append(now.rows, row), now.altered+altered, format(key)
		size += sizeOf(values)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("transfer: read: %w", err)
	}
	now.last = true
	return send(now)
}

func (t *table) convert(values []any) (row []any, altered int64, err error) {
	row = make([]any, len(values))
	for i, v := range values {
		if v == nil {
			continue
		}
		out, changed, err := t.columns[i].convert(v)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w", t.columns[i].name, err)
		}
		if changed {
			altered++
		}
		row[i] = out
	}
	return row, altered, nil
}

func sizeOf(values []any) (n int) {
	for _, v := range values {
		switch v := v.(type) {
		case string:
			n += len(v)
		case []byte:
			n += len(v)
		default:
			n += 8
		}
	}
	return n
}

func uuidOf(v any) uuid.UUID {
	id, _ := v.(uuid.UUID) // the schema of events says so
	return id
}

// selectSQL reads the key and then the columns, in the key's order, from behind a position.
func (t *table) selectSQL(behind bool) string {
	keys := make([]string, len(t.key))
	for i, k := range t.key {
		keys[i] = k.expr
	}
	key := strings.Join(keys, ", ")
	text := "SELECT " + key
	for _, c := range t.columns {
		text += ", " + c.expr
	}
	text += " FROM " + t.from + " WHERE "
	if t.where != "" {
		text += t.where
	} else {
		text += "true"
	}
	if behind {
		text += " AND (" + key + ") > (" + strings.TrimSuffix(strings.Repeat("?, ", len(keys)), ", ") + ")"
	}
	return text + " ORDER BY " + key
}

// format writes a key down: numbers in decimals, all else in hexadecimal digits.
func format(key []any) string {
	parts := make([]string, len(key))
	for i, v := range key {
		switch v := v.(type) {
		case []byte:
			parts[i] = hex.EncodeToString(v)
		case string:
			parts[i] = hex.EncodeToString([]byte(v))
		default:
			parts[i] = fmt.Sprint(v)
		}
	}
	return strings.Join(parts, " ")
}

// parse is the inverse of format; nothing of "".
func (t *table) parse(position string) (key []any, err error) {
	if position == "" {
		return nil, nil
	}
	parts := strings.Split(position, " ")
	if len(parts) != len(t.key) {
		return nil, fmt.Errorf("transfer: %q is no position in %s", position, t.name)
	}
	for i, p := range parts {
		if t.key[i].kind == "INTEGER" {
			n, err := strconv.ParseInt(p, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("transfer: position in %s: %w", t.name, err)
			}
			key = append(key, n)
			continue
		}
		b, err := hex.DecodeString(p)
		if err != nil {
			return nil, fmt.Errorf("transfer: position in %s: %w", t.name, err)
		}
		if t.key[i].kind == "TEXT" {
			key = append(key, string(b))
		} else {
			key = append(key, b)
		}
	}
	return key, nil
}

// look is what the source holds.
type look struct {
	rows   map[string]int64 // to be copied, by table
	origin string           // tells one database from another
	digest string           // changes with what is written
}

func (l look) total() (n int64) {
	for _, rows := range l.rows {
		n += rows
	}
	return n
}

// digested is up to how many rows a table is looked at as a whole. Every start of a server and all that is counted or imported
// leaves a trace in a small table: marks, counters, tasks.
const digested = 10_000

// look counts all tables, and digests the counts and the small tables.
func (c *copier) look(ctx context.Context, tables []*table) (look, error) {
	l := look{rows: map[string]int64{}}
	sum := sha256.New()
	for _, t := range tables {
		var n int64
		if err := t.db.QueryRowContext(ctx, "SELECT count(*) FROM "+t.from+whereSQL(t.where)).Scan(&n); err != nil {
			return l, fmt.Errorf("transfer: count %s: %w", t.name, err)
		}
		l.rows[t.name] = n
		fmt.Fprintf(sum, "%s %d\n", t.name, n)
		if n <= digested && t.name != "inbox" { // its bodies are large; nothing but a server adds any
			if err := t.digest(ctx, sum); err != nil {
				return l, err
			}
		}
	}
	l.digest = hex.EncodeToString(sum.Sum(nil))
	origin := sha256.New()
	for _, q := range []string{"SELECT coalesce((SELECT epoch FROM marks ORDER BY number LIMIT 1), 0)",
		"SELECT coalesce((SELECT identity_key FROM workspaces ORDER BY num LIMIT 1), x'')"} {
		var v any
		if err := c.source.Main.QueryRowContext(ctx, q).Scan(&v); err != nil {
			return l, fmt.Errorf("transfer: read the source: %w", err)
		}
		fmt.Fprintf(origin, "%T %v\n", v, v)
	}
	l.origin = hex.EncodeToString(origin.Sum(nil))
	return l, nil
}

// digest adds the rows as they are to be copied.
func (t *table) digest(ctx context.Context, sum hash.Hash) error {
	chunks := make(chan chunk, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		defer close(chunks)
		failed <- t.read(ctx, "", 1000, 1<<20, chunks)
	}()
	for ch := range chunks {
		for _, r := range ch.rows {
			for _, v := range r {
				text := fmt.Sprintf("%T %v", v, v)
				fmt.Fprintf(sum, "%d %s\n", len(text), text)
			}
		}
	}
	return <-failed
}

// marks are the epochs of inboxes, by which bodies that wait keep the ids that they were acknowledged with: a delivery's number
// is that of its epoch << 40 + its sequence number there, and in the target's inbox the sequence number is what is missing to
// that from the number of the target's own epoch: below zero.
type marks struct {
	own   int64  // the number of the target's own epoch, above all that are copied
	waits []mark // of the epochs that the source's inbox holds
	added []mark // those of them that the source's main file does not know
}

type mark struct{ number, epoch, counted int64 }

func (c *copier) readMarks(ctx context.Context) (m marks, err error) {
	err = c.target.Load(ctx, "read marks", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "SELECT max(number) FROM marks").Scan(&m.own)
	})
	if err != nil || c.source.Inbox == nil {
		return m, err
	}
	rows, err := c.source.Inbox.QueryContext(ctx, "SELECT epoch FROM inbox GROUP BY epoch ORDER BY min(seq)")
	if err != nil {
		return m, fmt.Errorf("transfer: read the inbox: %w", err)
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	for rows.Next() {
		k := mark{}
		if err := rows.Scan(&k.epoch); err != nil {
			return m, fmt.Errorf("transfer: read the inbox: %w", err)
		}
		m.waits = append(m.waits, k)
	}
	if err := rows.Err(); err != nil {
		return m, fmt.Errorf("transfer: read the inbox: %w", err)
	}
	var newest int64
	if err := c.source.Main.QueryRowContext(ctx, "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'marks'), 0)").Scan(&newest); err != nil {
		return m, fmt.Errorf("transfer: read marks: %w", err)
	}
	for i := range m.waits {
		k := &m.waits[i]
		err := c.source.Main.QueryRowContext(ctx, "SELECT coalesce(max(number), 0), coalesce(max(seq), 0) FROM marks WHERE epoch = ?", k.epoch).Scan(&k.number, &k.counted)
		if err != nil {
			return m, fmt.Errorf("transfer: read marks: %w", err)
		}
		if k.number == 0 { // counting gives it one
			newest++
			k.number = newest
			m.added = append(m.added, *k)
		}
	}
	return m, nil
}

// marksSQL is the table of marks with those that are added.
func (m marks) marksSQL() string {
	text := "(SELECT number, epoch, seq FROM marks"
	for _, k := range m.added {
		text += fmt.Sprintf(" UNION ALL SELECT %d, %d, 0", k.number, k.epoch)
	}
	return text + ")"
}

// joinSQL finds an inbox row's epoch.
func (m marks) joinSQL() string {
	rows := []string{"(NULL, NULL, NULL)"}
	for _, k := range m.waits {
		rows = append(rows, fmt.Sprintf("(%d, %d, %d)", k.number, k.epoch, k.counted))
	}
	return " JOIN (SELECT column1 AS number, column2 AS epoch, column3 AS counted FROM (VALUES " + strings.Join(rows, ", ") + ")) m ON m.epoch = t.epoch"
}

// inboxSeq is the sequence number in the target's inbox.
func (m marks) inboxSeq() string {
	return fmt.Sprintf("((m.number - %d) * %d + t.seq)", m.own, int64(1)<<40)
}
