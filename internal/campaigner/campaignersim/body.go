package campaignersim

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand/v2"
)

// BodyForm is a way to put objects into the body of a post.
type BodyForm uint8

// The forms of bodies.
const (
	Lines      BodyForm = iota + 1 // objects ended by LF, the last one too
	LinesCRLF                      // objects ended by CRLF
	BlankLines                     // objects with blank lines before, between and after them
	Array                          // one JSON array
	Single                         // one object and nothing else; only a body of one object has it
)

var bodyForms = [...]BodyForm{Lines, LinesCRLF, BlankLines, Array}

// contentTypes are those that the server must not care about; "" = none is sent.
var contentTypes = [...]string{"application/json", "application/x-ndjson", "text/plain; charset=utf-8", ""}

// post is what is sent in one request.
type post struct {
	events      []int // the indices, in the order of the body
	body        []byte
	gzip        bool
	contentType string
}

// pack puts objects into a body of a form.
func pack(objects [][]byte, form BodyForm) []byte {
	var b bytes.Buffer
	switch form {
	case Lines:
		for _, o := range objects {
			fmt.Fprintf(&b, "%s\n", o)
		}
	case LinesCRLF:
		for _, o := range objects {
			fmt.Fprintf(&b, "%s\r\n", o)
		}
	case BlankLines:
		b.WriteByte('\n')
		for _, o := range objects {
			fmt.Fprintf(&b, "%s\n\r\n\n", o)
		}
	case Array:
		b.WriteByte('[')
		b.Write(bytes.Join(objects, []byte(",\n")))
		b.WriteByte(']')
	case Single:
		b.Write(objects[0])
	}
	return b.Bytes()
}

// compress writes to memory, which cannot fail.
func compress(body []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	_, _ = w.Write(body)
	_ = w.Close()
	return b.Bytes()
}

// formOf chooses a form for a body of so many objects.
func formOf(rng *rand.Rand, objects int) BodyForm {
	if objects == 1 && rng.IntN(2) == 0 {
		return Single
	}
	return pick(rng, bodyForms[:])
}
