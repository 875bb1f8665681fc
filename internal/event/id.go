package event

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/google/uuid"

	"monterey/internal/fault"
	"monterey/internal/workspace"
)

// ID is the identity of an event, and so the key that deduplicates it: a UUIDv8 (RFC 9562, section 5.8) of which the
// first 48 bits are the event's time in milliseconds and the other 74 free bits an HMAC of what makes the event that
// event, under the workspace's own random key. Ids sort by time; who does not have the key cannot confirm a guess.
type ID struct{ uuid.UUID }

// ParseID reads an id in its usual form; the fault is Invalid.
func ParseID(s string) (ID, error) {
	u, err := uuid.Parse(s)
	if err != nil {
		return ID{}, fault.New(fault.Invalid, "%q is not an event id (a UUID)", s)
	}
	return ID{u}, nil
}

// Identity writes the parts of an identity so that different parts never give the same text.
func Identity(parts ...string) string {
	var b []byte
	for _, p := range parts {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = append(b, p...)
	}
	return string(b)
}

// Key is a workspace's identity key: 32 random bytes, kept in the database.
type Key []byte

// IDOf is the id of the event that a report is of.
func (k Key) IDOf(provider string, occurredAt time.Time, identity string) ID {
	return IDWith(workspace.NewMAC(k), provider, occurredAt, identity)
}

// IDWith is IDOf under the key of m.
func IDWith(m *workspace.MAC, provider string, occurredAt time.Time, identity string) (id ID) {
	copy(id.UUID[:], m.Sum("event", provider, identity))
	putMillis(&id, occurredAt.UnixMilli())
	id.UUID[6] = id.UUID[6]&0x0f | 0x80 // version 8
	id.UUID[8] = id.UUID[8]&0x3f | 0x80 // variant of RFC 9562
	return id
}

// Time is the event's time, in milliseconds, that the id begins with.
func (id ID) Time() time.Time {
	var b [8]byte
	copy(b[2:], id.UUID[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(b[:]))).UTC()
}

// FirstAt is the smallest id that an event at or after t can have: id ranges stand for time ranges. Times before 1970 are
// taken for 1970; t is rounded up to the millisecond.
func FirstAt(t time.Time) (id ID) {
	ms := t.UnixMilli()
	if t.Nanosecond()%int(time.Millisecond) != 0 {
		ms++
	}
	putMillis(&id, max(ms, 0))
	return id
}

// maxMillis is beyond every time that an id can begin with.
const maxMillis = 1 << 48

// FirstIn is FirstAt for a Unix second, however large: math.MinInt64 and math.MaxInt64 stand for ends that are open.
func FirstIn(second int64) ID {
	if second >= maxMillis/1000 {
		return ID{uuid.Max}
	}
	return FirstAt(time.Unix(max(second, 0), 0))
}

// Compare is the order of ids, which is that of their times.
func (id ID) Compare(o ID) int { return bytes.Compare(id.UUID[:], o.UUID[:]) }

// Next is the id that comes right behind.
func (id ID) Next() ID {
	for i := len(id.UUID) - 1; i >= 0; i-- {
		if id.UUID[i]++; id.UUID[i] != 0 {
			break
		}
	}
	return id
}

func putMillis(id *ID, ms int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(ms))
	copy(id.UUID[:6], b[2:])
}
