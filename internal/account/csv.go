package account

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"monterey/internal/fault"
)

// maxRow bounds a row in memory, in bytes. A row is longer only where a closing quote is missing.
const maxRow = 64 << 10

// csvReader reads the rows of a CSV file (RFC 4180; LF or CRLF). Unlike encoding/csv it keeps a bounded memory where a
// closing quote is missing, and goes on behind a bad row. The end is io.EOF itself: an error that wraps it tells of a file
// that was cut off.
type csvReader struct {
	r    *bufio.Reader
	line int64 // where the next row begins
	row  []byte
	ends []int // of each cell in row
	bad  string
}

// cut is what is wrong with a row whose closing quote is missing: all that follows is inside of it.
const cut = "begins a quoted cell that never ends"

// next reads a row that is not blank, and where it begins. msg says what is wrong with the row; "" = nothing. The error is
// that of the reader, io.EOF at the end.
func (c *csvReader) next() (cells []string, line int64, msg string, err error) {
	for {
		line = c.line
		if err := c.read(); err != nil {
			return nil, line, "", err
		}
		if len(c.row) > 0 || len(c.ends) > 1 || c.bad != "" {
			break
		}
	}
	if c.bad == "" && !utf8.Valid(c.row) {
		c.bad = "is not UTF-8 text"
	}
	start := 0
	for _, end := range c.ends {
		cells = append(cells, string(c.row[start:end]))
		start = end
	}
	return cells, line, c.bad, nil
}

// read reads one row into row and ends.
func (c *csvReader) read() error {
	c.row, c.ends, c.bad = c.row[:0], c.ends[:0], ""
	if _, err := c.r.Peek(1); err != nil {
		return err
	}
	for {
		more, err := c.cell()
		if err != nil {
			return err
		}
		c.ends = append(c.ends, len(c.row))
		if len(c.ends) > maxRow {
			c.wrong("is longer than 64 KiB")
			c.ends = c.ends[:1]
		}
		if !more {
			c.line++
			return nil
		}
	}
}

// cell reads a cell and what ends it; more says that it was a comma.
func (c *csvReader) cell() (more bool, err error) {
	if b, err := c.r.Peek(1); err == nil && b[0] == '"' {
		_, _ = c.r.Discard(1) // it was peeked at
		if ended, err := c.quoted(); !ended {
			return false, err
		}
	}
	for {
		b, err := c.r.ReadByte()
		switch {
		case err == io.EOF:
			return false, nil
		case err != nil:
			return false, err
		case b == ',':
			return true, nil
		case b == '\n':
			return false, nil
		case b == '\r' && c.lineFeed():
		case b == '"':
			c.wrong("has a quote inside a cell that does not begin with one")
		default:
			c.put(b)
		}
	}
}

// quoted reads a quoted cell behind its opening quote, up to and with the closing one. It ends false at the end of the file.
func (c *csvReader) quoted() (ended bool, err error) {
	for {
		b, err := c.r.ReadByte()
		switch {
		case err == io.EOF:
			c.bad = cut
			return false, nil
		case err != nil:
			return false, err
		case b == '\n':
			c.line++
			c.put(b)
		case b != '"':
			c.put(b)
		default:
			after, err := c.r.Peek(1)
			if err != nil || after[0] != '"' {
				if err == nil && !bytes.Contains([]byte(",\r\n"), after) {
					c.wrong("has text behind a closing quote")
				}
				return true, nil
			}
			_, _ = c.r.Discard(1) // it was peeked at
			c.put('"')
		}
	}
}

func (c *csvReader) put(b byte) {
	if len(c.row) >= maxRow {
		c.wrong("is longer than 64 KiB; a closing quote may be missing")
		return
	}
	c.row = append(c.row, b)
}

// wrong keeps the first that is wrong with a row.
func (c *csvReader) wrong(msg string) {
	if c.bad == "" {
		c.bad = msg
	}
}

// lineFeed says whether a line feed follows.
func (c *csvReader) lineFeed() bool {
	b, err := c.r.Peek(1)
	return err == nil && b[0] == '\n'
}

// CSV reads entries out of a file with the columns account_number and email.
type CSV struct {
	rows                   csvReader
	width, number, address int // cells in a row, and where the two columns are
}

// NewCSV reads the header row: it names the columns account_number and email, in any order and case; others are ignored.
// The fault is Invalid when it does not; an error of the reader comes back as it is.
func NewCSV(r io.Reader) (*CSV, error) {
	c := &CSV{rows: csvReader{r: bufio.NewReaderSize(r, 64<<10), line: 1}}
	if b, err := c.rows.r.Peek(3); err == nil && string(b) == "\ufeff" {
		_, _ = c.rows.r.Discard(3) // it was peeked at
	}
	names, line, msg, err := c.rows.next()
	if err == io.EOF {
		return nil, wrongHeader(1, "the file is empty; its first row must name the columns account_number and email")
	}
	if err != nil {
		return nil, err
	}
	if msg != "" {
		return nil, wrongHeader(line, "the header row "+msg)
	}
	for i, name := range names {
		names[i] = strings.ToLower(strings.TrimSpace(name))
	}
	c.width, c.number, c.address = len(names), slices.Index(names, "account_number"), slices.Index(names, "email")
	if c.number < 0 || c.address < 0 {
		return nil, wrongHeader(line, "the header row must name the columns account_number and email, with a comma between them")
	}
	if slices.Contains(names[c.number+1:], "account_number") || slices.Contains(names[c.address+1:], "email") {
		return nil, wrongHeader(line, "the header row names a column twice")
	}
	return c, nil
}

func wrongHeader(line int64, msg string) error {
	return fault.Fields(fault.Field{Loc: []string{"body"}, Line: line, Msg: msg, Type: "header"})
}

// Next reads an entry and the line that its row begins at, from 1. msg says what is wrong with the row; "" = nothing. The
// error is io.EOF at the end, else that of the reader.
func (c *CSV) Next() (e Entry, line int64, msg string, err error) {
	cells, line, msg, err := c.rows.next()
	if err != nil || msg != "" {
		return e, line, msg, err
	}
	if len(cells) != c.width {
		return e, line, fmt.Sprintf("has another number of cells (%d) than the header row (%d)", len(cells), c.width), nil
	}
	e, msg = NewEntry(cells[c.number], cells[c.address])
	return e, line, msg, nil
}
