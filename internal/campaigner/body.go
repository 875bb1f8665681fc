package campaigner

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json/jsontext"

	"monterey/internal/fault"
)

var byteOrderMark = []byte("\ufeff")

// reader walks the objects of a body, and the fields of each, in their order. Its faults are Malformed and say where.
// Nesting is bounded by the decoder, at 10 000 levels.
type reader struct {
	body    []byte
	start   int // of the JSON in body: behind a byte order mark
	dec     *jsontext.Decoder
	objects int // entered so far
}

func newReader(body []byte) *reader {
	r := &reader{body: body}
	if bytes.HasPrefix(body, byteOrderMark) {
		r.start = len(byteOrderMark)
	}
	// A bytes.Buffer is read where it lies, without copying or changing it.
	r.dec = jsontext.NewDecoder(bytes.NewBuffer(body[r.start:]), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	return r
}

// next enters the next object; false when there is none. All fields of the one before must have been read.
func (r *reader) next() (bool, error) {
	kind := r.dec.PeekKind()
	if kind == '[' && r.objects == 0 {
		_, _ = r.dec.ReadToken() // was peeked at
		kind = r.dec.PeekKind()
	}
	at := r.at()
	_, err := r.dec.ReadToken()
	switch {
	case err == io.EOF && r.objects == 0:
		return false, fault.New(fault.Malformed, "the body is empty")
	case err == io.EOF:
		return false, nil
	case err != nil:
		return false, r.malformed(err)
	case kind == '{':
		r.objects++
		return true, nil
	case kind == ']' && r.objects == 0:
		return false, fault.New(fault.Malformed, "the body is an array without objects")
	case kind == ']':
		return false, r.end()
	}
	return false, fault.New(fault.Malformed, "the body holds something other than an object, behind byte %d (after %d objects)", at, r.objects)
}

// end makes sure that nothing follows the array.
func (r *reader) end() error {
	at := r.at()
	switch _, err := r.dec.ReadToken(); err {
	case io.EOF:
		return nil
	case nil:
		return fault.New(fault.Malformed, "something follows the array that ends at byte %d", at)
	default:
		return r.malformed(err)
	}
}

// field is the next field of the object entered: its name as written, quotes and all, and the extent of its value in
// the body. The name is nil, and the object left, when there are no more.
func (r *reader) field() (name []byte, from, to int, err error) {
	if r.dec.PeekKind() == '}' {
		_, _ = r.dec.ReadToken() // was peeked at
		return nil, 0, 0, nil
	}
	v, err := r.dec.ReadValue()
	if err != nil {
		return nil, 0, 0, r.malformed(err)
	}
	to = r.at()
	name = r.body[to-len(v) : to]
	if v, err = r.dec.ReadValue(); err != nil {
		return nil, 0, 0, r.malformed(err)
	}
	to = r.at()
	return name, to - len(v), to, nil
}

// at is how far the body has been read, in bytes.
func (r *reader) at() int { return r.start + int(r.dec.InputOffset()) }

func (r *reader) malformed(err error) error {
	at, what := r.at(), err
	if s, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		at, what = r.start+int(s.ByteOffset), s.Err
	}
	if errors.Is(what, io.ErrUnexpectedEOF) {
		return fault.New(fault.Malformed, "the body ends inside its JSON, at byte %d (object %d)", at, r.objects)
	}
	return fault.New(fault.Malformed, "the body is not JSON at byte %d (object %d): %v", at, r.objects, what)
}
