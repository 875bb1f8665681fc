package campaigner

import (
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"monterey/internal/recipient"
)

// row takes values from one object of an answer and gathers every fault it meets. A value that cannot be read leaves its
// field empty and costs nothing else.
type row struct {
	fields []rowField
	zone   *time.Location
	key    Key
	faults []string
}

// rowField is one field as written: its name without quotes, and its value.
type rowField struct{ name, value []byte }

// find is the value of a field, nil where it is absent or null. The documented spelling goes before others, which are
// compared without case, spaces, hyphens and underscores; of a name given twice the last value holds.
func (r *row) find(name string) []byte {
	var other []byte
	var buf, folded [24]byte
	want := fold(buf[:0], []byte(name))
	for i := len(r.fields) - 1; i >= 0; i-- {
		f := r.fields[i]
		if string(f.name) == name {
			return notNull(f.value)
		}
		if other == nil && bytes.Equal(fold(folded[:0], f.name), want) {
			other = f.value
		}
	}
	return notNull(other)
}

func notNull(value []byte) []byte {
	if len(value) == 0 || value[0] == 'n' {
		return nil
	}
	return value
}

// bad notes what is wrong with a field, with its value as written.
func (r *row) bad(name, what string, value []byte) {
	r.faults = append(r.faults, name+": "+what+": "+r.key.clean(bounded(value)))
}

func (r *row) missing(name string) { r.faults = append(r.faults, name+": missing") }

// fault is all that is wrong, "" for nothing.
func (r *row) fault() string { return strings.Join(r.faults, "; ") }

// id is an id, whether a text or a whole number.
func (r *row) id(name string) string {
	value := r.find(name)
	id, wrong := idOf(value)
	if wrong != "" {
		r.bad(name, wrong, value)
	}
	return id
}

// needID is the id without which a row is none.
func (r *row) needID(name string) string {
	known := len(r.faults)
	id := r.id(name)
	if id == "" && len(r.faults) == known {
		r.missing(name)
	}
	return id
}

// address is the recipient's, normalised. It must be there.
func (r *row) address() string {
	const name = "EmailAddress"
	value := r.find(name)
	text, wrong := textOf(value, maxAddress)
	address := recipient.Normalise(text)
	switch {
	case wrong != "":
		r.bad(name, wrong, value)
	case address == "":
		r.missing(name)
	case strings.ContainsRune(address, '\ufffd'):
		r.bad(name, "damaged text", value) // two persons may have become one
		return ""
	}
	return address
}

// label is a value that is kept verbatim and decides nothing by itself: a text, or anything else as written. Damage to it
// costs no row: what is no UTF-8, and U+0000, which PostgreSQL keeps in no text, becomes U+FFFD, and too long a text is cut.
func (r *row) label(name string) string {
	value := r.find(name)
	if value == nil {
		return ""
	}
	plain := value
	if value[0] == '"' {
		plain, _ = jsontext.AppendUnquote(nil, value) // what is damaged is replaced
	}
	s := strings.ReplaceAll(strings.ToValidUTF8(string(plain), "\ufffd"), "\x00", "\ufffd")
	if len(s) <= maxText {
		return s
	}
	cut := maxText
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

// time is the first of the fields that is there, cut to the second, in UTC; zero for none. The year 1 is what their
// platform writes for none.
func (r *row) time(names ...string) time.Time {
	for _, name := range names {
		value := r.find(name)
		text, wrong := timeTextOf(value)
		if wrong == "" && text == "" {
			continue
		}
		t, ok := parseTime(text, r.zone)
		if wrong != "" || !ok {
			r.bad(name, "not a time", value)
			return time.Time{}
		}
		if t.Year() <= 1 {
			return time.Time{}
		}
		return t
	}
	return time.Time{}
}

func timeTextOf(value []byte) (text, wrong string) {
	if len(value) > 0 && (value[0] == '-' || isDigit(value[0])) {
		return string(value), ""
	}
	text, wrong = textOf(value, maxText)
	return strings.TrimSpace(text), wrong
}

// count is a number of something; nil = unknown.
func (r *row) count(name string) *int64 {
	value := r.find(name)
	text := strings.TrimSpace(strings.Trim(string(value), `"`))
	if text == "" {
		return nil
	}
	whole, fraction, _ := strings.Cut(text, ".")
	n, ok := parseDigits(whole)
	if !ok || strings.Trim(fraction, "0") != "" {
		r.bad(name, "not a count", value)
		return nil
	}
	return &n
}

// flag is a truth; nil = unknown.
func (r *row) flag(name string) *bool {
	value := r.find(name)
	text := strings.ToLower(strings.TrimSpace(strings.Trim(string(value), `"`)))
	if text == "" {
		return nil
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		r.bad(name, "neither true nor false", value)
		return nil
	}
	return &b
}

// wholeValue is the one value of a body, checked to the end. A body that ends inside it is a passing failure.
func wholeValue(body []byte) ([]byte, error) {
	body = bytes.TrimPrefix(body, byteOrderMark)
	dec := newValueDecoder(body)
	v, err := dec.ReadValue()
	at := int(dec.InputOffset())
	if err != nil {
		return nil, notJSON(err, at)
	}
	value := body[at-len(v) : at]
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, &Error{Message: "something follows the JSON that ends at byte " + strconv.Itoa(at)}
	}
	return value, nil
}

func newValueDecoder(value []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewBuffer(value), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
}

func notJSON(err error, at int) error {
	if errors.Is(err, io.EOF) {
		return &passing{text: "the answer is empty"}
	}
	if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		at, err = int(s.ByteOffset), s.Err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return &passing{text: "the answer ends inside its JSON, at byte " + strconv.Itoa(at)}
	}
	return &Error{Message: "the answer is not JSON at byte " + strconv.Itoa(at)} // the decoder would quote it
}

// objectFields are the fields of a checked object, in order.
func objectFields(object []byte) (fields []rowField) {
	dec := newValueDecoder(object)
	_, _ = dec.ReadToken() // here and below: the value was read before
	for dec.PeekKind() != '}' {
		name := next(dec, object)
		plain := name[1 : len(name)-1]
		if bytes.IndexByte(plain, '\\') >= 0 {
			plain, _ = jsontext.AppendUnquote(nil, name) // a damaged name matches none of ours
		}
		fields = append(fields, rowField{name: plain, value: next(dec, object)})
	}
	return fields
}

// arrayValues are the values of a checked array.
func arrayValues(array []byte) (values [][]byte) {
	dec := newValueDecoder(array)
	_, _ = dec.ReadToken() // as above
	for dec.PeekKind() != ']' {
		values = append(values, next(dec, array))
	}
	return values
}

// next is the next value of what dec decodes. It stays valid, which the decoder's own does not.
func next(dec *jsontext.Decoder, whole []byte) []byte {
	v, _ := dec.ReadValue() // as above
	at := int(dec.InputOffset())
	return whole[at-len(v) : at]
}
