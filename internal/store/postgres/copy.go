package postgres

import (
	"encoding/binary"
	"io"
)

// copyRows is n rows as COPY reads them in its binary format (https://www.postgresql.org/docs/current/sql-copy.html): they are made
// while the server stores those before them.
type copyRows struct {
	n      int
	append func(b []byte, i int) []byte // appends row i: how many columns, and each as in arrayCodec

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
		if c.made == 0 {
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
