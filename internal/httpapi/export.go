package httpapi

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
)

// export streams rows of T, on the wire W, as CSV (RFC 4180, UTF-8, a header row of the fields' names), or as NDJSON by Accept.
// Memory is that of two chunks. An error after the first byte cuts the connection (see handle).
type export[T, W any] struct {
	name    string              // of the file, without ending
	raw     bool                // leave formulas as they are
	without string              // a field that is no column
	wire    func(T) W           // as late as possible: rows that wait need less memory
	line    func(W) any         // of NDJSON
	next    func() ([]T, error) // the next chunk; empty = the end
}

// chunkTimeout is how long a client may take to read one chunk, whatever the server's own limit for an answer is.
const chunkTimeout = 2 * time.Minute

func (*export[T, W]) contentTypes() map[string]*huma.MediaType {
	text := &huma.Schema{Type: huma.TypeString}
	return map[string]*huma.MediaType{"text/csv": {Schema: text}, "application/x-ndjson": {Schema: text}}
}

func (x *export[T, W]) respond(w http.ResponseWriter, r *http.Request) error {
	rows, err := x.next() // before the headers: its error can still be told
	if err != nil {
		return err
	}
	ndjson := wantsNDJSON(r.Header.Values("Accept"))
	kind, ending := "text/csv; charset=utf-8", "csv"
	if ndjson {
		kind, ending = "application/x-ndjson", "ndjson"
	}
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s.%s"`, x.name, ending))
	h.Add("Vary", "Accept")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	out, control := bufio.NewWriterSize(w, 64<<10), http.NewResponseController(w)
	columns := columnsOf(reflect.TypeFor[W](), x.without)
	if !ndjson {
		_, _ = out.Write(csvHeader(columns)) // a bufio.Writer tells of errors when it is flushed
	}
	for len(rows) > 0 {
		ahead := beside(x.next)
		_ = control.SetWriteDeadline(time.Now().Add(chunkTimeout)) // a server that cannot do it has none
		written := x.write(out, columns, rows, ndjson)
		if written == nil {
			written = out.Flush()
		}
		_ = control.Flush()  // a server that cannot do it sends later
		next, err := ahead() // also when writing failed: nothing of an answer goes on after it
		if written != nil {
			return fmt.Errorf("httpapi: export: %w", written)
		}
		if err != nil {
			return err
		}
		rows = next
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("httpapi: export: %w", err)
	}
	return nil
}

// beside runs f in a goroutine; wait is what it gave.
func beside[T any](f func() (T, error)) (wait func() (T, error)) {
	var out T
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil { // of a handler's goroutine the server would do it
				err = fmt.Errorf("httpapi: export: panic: %v\n%s", p, debug.Stack())
			}
		}()
		out, err = f()
	}()
	return func() (T, error) {
		<-done
		return out, err
	}
}

// exportChunk rows are read at a time, in two halves, each from a snapshot of its own: one long read would pin the log.
const exportChunk = 4000

// walk reads a list to its end, a chunk at a time. Reading takes several times as long as writing, so the halves of a chunk are
// read beside each other: the second from the row that is the last of the first.
type walk[T any, C comparable] struct {
	list  func(after *C, skip, limit int) (part[T], error)
	place func(T) C // of a row in the list
	after *C
	over  bool
}

// part of a list.
type part[T any] struct {
	rows []T
	more bool // there is more behind them
}

// next is the next chunk; empty = the end.
func (w *walk[T, C]) next() ([]T, error) {
	const half = exportChunk / 2
	if w.over {
		return nil, nil
	}
	middle, err := w.list(w.after, half-1, 1)
	if err != nil {
		return nil, err
	}
	var at C
	second := func() (part[T], error) { return part[T]{}, nil }
	if len(middle.rows) > 0 {
		at = w.place(middle.rows[0])
		second = beside(func() (part[T], error) { return w.list(&at, 0, half) })
	}
	got, err := w.list(w.after, 0, half)
	rest, restErr := second()
	if err != nil {
		return nil, err
	}
	// Where rows have come or gone meanwhile, the first half ends elsewhere, and the second is read again.
	if n := len(got.rows); n > 0 && len(middle.rows) > 0 && w.place(got.rows[n-1]) == at {
		if restErr != nil {
			return nil, restErr
		}
		got = part[T]{append(got.rows, rest.rows...), rest.more}
	}
	w.over = !got.more
	if n := len(got.rows); n > 0 {
		last := w.place(got.rows[n-1])
		w.after = &last
	}
	return got.rows, nil
}

func (x *export[T, W]) write(out *bufio.Writer, columns []column, rows []T, ndjson bool) error {
	var buf []byte
	w := new(W)
	for i := range rows {
		*w = x.wire(rows[i])
		if ndjson {
			line, err := json.Marshal(x.line(*w))
			if err != nil {
				return err
			}
			buf = append(append(buf[:0], line...), '\n')
		} else {
			buf = csvRow(buf[:0], columns, reflect.ValueOf(w).Elem(), x.raw)
		}
		_, _ = out.Write(buf) // told by Flush
	}
	return nil
}

// wantsNDJSON says whether Accept prefers NDJSON to CSV.
func wantsNDJSON(accept []string) bool {
	csv, ndjson := 0.0, 0.0
	for part := range strings.SplitSeq(strings.Join(accept, ","), ",") {
		kind, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q, err := strconv.ParseFloat(params["q"], 64)
		if err != nil {
			q = 1
		}
		switch kind {
		case "application/x-ndjson", "application/ndjson", "application/jsonl":
			ndjson = max(ndjson, q)
		case "text/csv":
			csv = max(csv, q)
		}
	}
	return ndjson > csv
}

type column struct {
	name  string
	index int
}

// columnsOf are the fields of a wire type, in order.
func columnsOf(t reflect.Type, without string) []column {
	var out []column
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != without {
			out = append(out, column{name, i})
		}
	}
	return out
}

func csvHeader(columns []column) []byte {
	var names []string
	for _, c := range columns {
		names = append(names, c.name)
	}
	return []byte(strings.Join(names, ",") + "\r\n")
}

func csvRow(b []byte, columns []column, row reflect.Value, raw bool) []byte {
	for i, c := range columns {
		if i > 0 {
			b = append(b, ',')
		}
		b = csvValue(b, row.Field(c.index), raw)
	}
	return append(b, '\r', '\n')
}

// csvValue writes one cell: lists joined with ";", unknown as nothing.
func csvValue(b []byte, v reflect.Value, raw bool) []byte {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return b
		}
		v = v.Elem()
	}
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		if x.IsZero() {
			return b
		}
		return x.UTC().AppendFormat(b, time.RFC3339Nano)
	case *uuid.UUID:
		if *x == uuid.Nil {
			return b
		}
		return appendUUID(b, *x)
	case *[]string:
		return csvText(b, strings.Join(*x, ";"), raw)
	}
	switch v.Kind() {
	case reflect.Bool:
		return strconv.AppendBool(b, v.Bool())
	case reflect.Int, reflect.Int64:
		return strconv.AppendInt(b, v.Int(), 10)
	}
	return csvText(b, v.String(), raw)
}

func appendUUID(b []byte, id uuid.UUID) []byte {
	b = hex.AppendEncode(b, id[:4])
	for from := 4; from < 10; from += 2 {
		b = hex.AppendEncode(append(b, '-'), id[from:from+2])
	}
	return hex.AppendEncode(append(b, '-'), id[10:])
}

func csvText(b []byte, s string, raw bool) []byte {
	if !raw && formula(s) {
		s = "'" + s
	}
	if !quoted(s) {
		return append(b, s...)
	}
	b = append(b, '"')
	b = append(b, strings.ReplaceAll(s, `"`, `""`)...)
	return append(b, '"')
}

// quoted says whether a text must stand in quotes: for what it holds, or for blanks at its ends, which some readers trim.
func quoted(s string) bool {
	for i := range len(s) { // strings.ContainsAny took a fifth of the time of a row
		switch s[i] {
		case '"', ',', '\r', '\n':
			return true
		}
	}
	return strings.TrimSpace(s) != s
}

// formula says whether a spreadsheet might run the cell: what follows blanks counts too, as some trim them.
func formula(s string) bool {
	if s == "" || '0' <= s[0] && s[0] <= '9' || 'a' <= s[0] && s[0] <= 'z' { // nearly all
		return false
	}
	if slices.Contains([]byte("\t\r\n"), s[0]) {
		return true
	}
	s = strings.TrimLeft(s, " \u00a0")
	return s != "" && (strings.IndexByte("=+-@", s[0]) >= 0 || strings.HasPrefix(s, "＝") || strings.HasPrefix(s, "＋") ||
		strings.HasPrefix(s, "－") || strings.HasPrefix(s, "＠"))
}
