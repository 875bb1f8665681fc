package sqlite

import (
	"container/heap"
	"context"

	"monterey/internal/store/eventlist"
)

// The number of keys that a stream reads ahead, one of several that are merged: it doubles with each time.
const (
	minAhead = 16
	maxAhead = 4096
)

// merge reads the keys of the page, and one more, from sorted streams.
func (q *eventQuery) merge(ctx context.Context, streams []*stream, skip int) (out []eventlist.Key, err error) {
	if len(streams) == 1 {
		err := streams[0].fill(ctx, q, q.Limit+1, skip)
		return streams[0].keys, err
	}
	m := merging{compare: q.Compare}
	for _, s := range streams {
		s.ahead = max(minAhead, min((skip+q.Limit)/len(streams), maxAhead))
		if err := s.more(ctx, q); err != nil {
			return nil, err
		}
		if len(s.keys) > 0 {
			m.streams = append(m.streams, s)
		}
	}
	heap.Init(&m)
	for len(m.streams) > 0 && len(out) <= q.Limit {
		s := m.streams[0]
		if skip--; skip < 0 {
			out = append(out, s.keys[0])
		}
		s.keys = s.keys[1:]
		if err := s.more(ctx, q); err != nil {
			return nil, err
		}
		if len(s.keys) > 0 {
			heap.Fix(&m, 0)
		} else {
			heap.Pop(&m)
		}
	}
	return out, nil
}

// more reads on where no key is left.
func (s *stream) more(ctx context.Context, q *eventQuery) error {
	if len(s.keys) > 0 || s.done {
		return nil
	}
	n := s.ahead
	s.ahead = min(2*n, maxAhead)
	return s.fill(ctx, q, n, 0)
}

// merging is a heap of streams that have keys, the one with the first key on top.
type merging struct {
	streams []*stream
	compare func(a, b eventlist.Key) int
}

func (m *merging) Len() int { return len(m.streams) }
func (m *merging) Less(i, j int) bool {
	return m.compare(m.streams[i].keys[0], m.streams[j].keys[0]) < 0
}
func (m *merging) Swap(i, j int) { m.streams[i], m.streams[j] = m.streams[j], m.streams[i] }
func (m *merging) Push(s any)    { m.streams = append(m.streams, s.(*stream)) }

func (m *merging) Pop() any {
	last := len(m.streams) - 1
	s := m.streams[last]
	m.streams = m.streams[:last]
	return s
}
