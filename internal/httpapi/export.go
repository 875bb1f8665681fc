package httpapi

import (
	"bufio"
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

// export streams rows of W as CSV (RFC 4180, UTF-8, a header row of the fields' names), or as NDJSON by Accept. Memory is
// that of one chunk. An error after the first byte cuts the connection (see handle).
type export[W any] struct {
	name    string // of the file, without ending
	raw     bool   // leave formulas as they are
	without string // a field that is no column
	line    func(W) any
	next    func() ([]W, error) // the next chunk; empty = the end
}

// chunkTimeout is how long a client may take to read one chunk, whatever the server's own limit for an answer is.
const chunkTimeout = 2 * time.Minute

func (*export[W]) contentTypes() map[string]*huma.MediaType {
	text := &huma.Schema{Type: huma.TypeString}
	return map[string]*huma.MediaType{"text/csv": {Schema: text}, "application/x-ndjson": {Schema: text}}
}

func (x *export[W]) respond(w http.ResponseWriter, r *http.Request) error {
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
		ahead := x.ahead()
		_ = control.SetWriteDeadline(time.Now().Add(chunkTimeout)) // a server that cannot do it has none
		written := x.write(out, columns, rows, ndjson)
		if written == nil {
			written = out.Flush()
		}
		_ = control.Flush() // a server that cannot do it sends later
		next := <-ahead     // also when writing failed: nothing of an answer goes on after it
		if written != nil {
			return fmt.Errorf("httpapi: export: %w", written)
		}
		if rows, err = next.rows, next.err; err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("httpapi: export: %w", err)
	}
	return nil
}

// chunk is what next gave.
type chunk[W any] struct {
	rows []W
	err  error
}

// ahead reads the next chunk while the last is written.
func (x *export[W]) ahead() <-chan chunk[W] {
	out := make(chan chunk[W], 1)
	go func() {
		var c chunk[W]
		defer func() {
			if p := recover(); p != nil { // of a handler's goroutine the server would do it
				c.err = fmt.Errorf("httpapi: export: panic: %v\n%s", p, debug.Stack())
			}
			out <- c
		}()
		c.rows, c.err = x.next()
	}()
	return out
}

func (x *export[W]) write(out *bufio.Writer, columns []column, rows []W, ndjson bool) error {
	var buf []byte
	for i := range rows {
		if ndjson {
			line, err := json.Marshal(x.line(rows[i]))
			if err != nil {
				return err
			}
			buf = append(append(buf[:0], line...), '\n')
		} else {
			buf = csvRow(buf[:0], columns, reflect.ValueOf(&rows[i]).Elem(), x.raw)
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
		text, _ := x.MarshalText() // never fails
		return append(b, text...)
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
	if s == "" {
		return false
	}
	if slices.Contains([]byte("\t\r\n"), s[0]) {
		return true
	}
	s = strings.TrimLeft(s, " \u00a0")
	return s != "" && (strings.IndexByte("=+-@", s[0]) >= 0 || strings.HasPrefix(s, "＝") || strings.HasPrefix(s, "＋") ||
		strings.HasPrefix(s, "－") || strings.HasPrefix(s, "＠"))
}
