package httpapi

import (
	"io"
	"time"

	"golang.org/x/sync/semaphore"

	"monterey/internal/fault"
)

// freeBody is how much of a body is read whatever else is being read: few webhooks are larger.
const freeBody = 64 << 10

// lease is the memory that one request takes of what all large bodies may take together. It belongs to one goroutine.
type lease struct {
	of   *semaphore.Weighted
	held int64
}

func (l *lease) release() {
	l.of.Release(l.held)
	l.held = 0
}

// readAll is io.ReadAll, but what is larger than freeBody must fit in with all other bodies: else the fault is Unavailable.
func (l *lease) readAll(r io.Reader) ([]byte, error) {
	buf := make([]byte, 0, 512)
	for {
		if len(buf) == cap(buf) {
			grown := 2 * cap(buf)
			if grown > freeBody {
				more := int64(grown - cap(buf))
				if cap(buf) <= freeBody {
					more = int64(grown)
				}
				if !l.of.TryAcquire(more) {
					return nil, &fault.Error{Code: fault.Unavailable, Message: "too many large bodies are being read", RetryAfter: time.Second}
				}
				l.held += more
			}
			buf = append(make([]byte, 0, grown), buf...)
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return buf, err
		}
	}
}
