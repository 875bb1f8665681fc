package postgres

import (
	"context"
	"encoding/binary"
	"io"

	"github.com/jackc/pgx/v5"
)

// copyRows is n rows as COPY reads them in its binary format (https://www.postgresql.org/docs/current/sql-copy.html): they are made
// while the server stores those before them.
type copyRows struct {
	n      int
	append func(b []byte, i int) []byte // appends row i: its columns, begun by columns

	made int
	buf  []byte // holds rest
	rest []byte // what is to be read next
	over bool
}

// copyHeader is a signature, no flags and no extension.
var copyHeader = append([]byte("PGCOPY\n\xff\r\n\x00"), make([]byte, 8)...)

// Read implements io.Reader.
func (c *copyRows) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		if c.over {
			return 0, io.EOF
		}
		b := c.buf[:0]
		if c.buf == nil {
			b = append(b, copyHeader...)
		}
		for c.made < c.n && len(b) < len(p) {
			b = c.append(b, c.made)
			c.made++
		}
		if c.made == c.n {
			b, c.over = binary.BigEndian.AppendUint16(b, 0xffff), true
		}
		c.buf, c.rest = b, b
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// copyIn copies n rows into a table.
func copyIn(ctx context.Context, tx pgx.Tx, text string, n int, row func(b []byte, i int) []byte) error {
	_, err := tx.Conn().PgConn().CopyFrom(ctx, &copyRows{n: n, append: row}, text)
	return err
}

// columns begins a row of n columns.
func columns(b []byte, n int) []byte { return binary.BigEndian.AppendUint16(b, uint16(n)) }

// sized begins a value of n bytes, or with -1 is NULL.
func sized(b []byte, n int) []byte { return binary.BigEndian.AppendUint32(b, uint32(n)) }

func smallint(b []byte, v int16) []byte { return binary.BigEndian.AppendUint16(sized(b, 2), uint16(v)) }
func integer(b []byte, v int32) []byte  { return binary.BigEndian.AppendUint32(sized(b, 4), uint32(v)) }
func bigint(b []byte, v int64) []byte   { return binary.BigEndian.AppendUint64(sized(b, 8), uint64(v)) }

// textual is a value of type text, bytea or uuid.
func textual[T string | []byte](b []byte, v T) []byte { return append(sized(b, len(v)), v...) }
