package delivery

import (
	"encoding/binary"
	"errors"
)

// resultsVersion is the first byte of a delivery's results as they are stored. An object each follows, in the body's order: its
// outcome, then the 16 bytes of the event's id where it was inserted or a duplicate (zero of a mark of a run), else the reason,
// its length first (a uvarint).
const resultsVersion = 1

var errResults = errors.New("the results of a delivery are damaged")

// EncodeResults writes what became of a delivery's objects.
func EncodeResults(results []Result) []byte {
	size := 1
	for _, r := range results {
		size += 1 + len(r.Event.UUID) + len(r.Reason)
	}
	b := append(make([]byte, 0, size), resultsVersion)
	for _, r := range results {
		b = append(b, byte(r.Outcome))
		switch r.Outcome {
		case Inserted, Duplicate:
			b = append(b, r.Event.UUID[:]...)
		default:
			b = binary.AppendUvarint(b, uint64(len(r.Reason)))
			b = append(b, r.Reason...)
		}
	}
	return b
}

// DecodeResults is the inverse of EncodeResults; nothing at all is the results of no objects.
func DecodeResults(b []byte) ([]Result, error) {
	out := []Result{}
	if len(b) == 0 {
		return out, nil
	}
	if b[0] != resultsVersion {
		return nil, errResults
	}
	for b = b[1:]; len(b) > 0; {
		r := Result{Outcome: Outcome(b[0])}
		b = b[1:]
		switch r.Outcome {
		case Inserted, Duplicate:
			if len(b) < len(r.Event.UUID) {
				return nil, errResults
			}
			b = b[copy(r.Event.UUID[:], b):]
		case Ignored, Held:
			n, used := binary.Uvarint(b)
			if used <= 0 || n > uint64(len(b)-used) {
				return nil, errResults
			}
			b = b[used:]
			r.Reason, b = string(b[:n]), b[n:]
		default:
			return nil, errResults
		}
		out = append(out, r)
	}
	return out, nil
}
