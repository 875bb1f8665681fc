package campaigner

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// Webhook reads the bodies that Campaigner posts.
type Webhook struct{}

// maxKeys bounds the keys that Open tells, and so the look-ups that a stranger's body can cause. A body that may be kept
// has one.
const maxKeys = 8

// Open splits a body syntactically, whatever its content type.
//
// keys are the distinct values of the field "key" of the objects, in order of appearance: "" stands for an object without
// one and for a value that is no text or is damaged. Where an object names it twice, both values are told: each must be right.
// Of more than 8 the rest is left out: such a body is refused whichever they are. The field is found however its name is
// escaped, but only in this case and only at the top of an object. blanked is a copy of the body in which each such value
// is "", and all else is byte for byte as it was.
//
// The fault is Malformed and says where: for a syntax error, a body cut off, an element that is no object, no object at all.
func (Webhook) Open(body []byte) (objects int, keys []string, blanked []byte, err error) {
	r := newReader(body)
	blanked = make([]byte, 0, len(body))
	var last []byte // the key told last, as written: nearly always the next one too
	copied := 0     // how much of the body is in blanked
	for {
		ok, err := r.next()
		if err != nil {
			return 0, nil, nil, err
		}
		if !ok {
			return r.objects, keys, append(blanked, body[copied:]...), nil
		}
		found := false
		for {
			name, from, to, err := r.field()
			if err != nil {
				return 0, nil, nil, err
			}
			if name == nil {
				break
			}
			if !isKey(name) {
				continue
			}
			found = true
			if !bytes.Equal(last, body[from:to]) {
				last = body[from:to]
				keys = addKey(keys, keyText(last))
			}
			blanked = append(append(blanked, body[copied:from]...), `""`...)
			copied = to
		}
		if !found {
			keys = addKey(keys, "")
		}
	}
}

func isKey(name []byte) bool {
	if string(name) == `"key"` {
		return true
	}
	if bytes.IndexByte(name, '\\') < 0 {
		return false
	}
	plain, err := jsontext.AppendUnquote(nil, name)
	return err == nil && string(plain) == "key"
}

// keyText is "" for what is no text and for one with invalid UTF-8: two different ones would read the same.
func keyText(value []byte) string {
	if value[0] != '"' {
		return ""
	}
	plain, err := jsontext.AppendUnquote(nil, value)
	if err != nil {
		return ""
	}
	return string(plain)
}

func addKey(keys []string, key string) []string {
	if len(keys) >= maxKeys || slices.Contains(keys, key) {
		return keys
	}
	return append(keys, key)
}
