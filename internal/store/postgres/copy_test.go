package postgres

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"testing/iotest"
)

// TestCopyRows: whatever pieces they are read in, they are the header, the rows and the end.
func TestCopyRows(t *testing.T) {
	for _, n := range []int{0, 1, 3, 5000} {
		row := func(b []byte, i int) []byte {
			return textual(integer(columns(b, 2), int32(i)), bytes.Repeat([]byte{byte(i)}, i%300))
		}
		want := bytes.Clone(copyHeader)
		for i := range n {
			want = row(want, i)
		}
		want = binary.BigEndian.AppendUint16(want, 0xffff)
		for name, pieces := range map[string]func(io.Reader) io.Reader{"bytes": iotest.OneByteReader, "halves": iotest.HalfReader, "whole": func(r io.Reader) io.Reader { return r }} {
			got, err := io.ReadAll(io.LimitReader(pieces(&copyRows{n: n, append: row}), 10<<20))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d rows in %s: %d bytes, want %d: %v", n, name, len(got), len(want), err)
			}
		}
	}
}
