package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"monterey/internal/bounce"
)

// ordinalsTogether is of how many recipients the places are read together: those of so many must fit into memory.
const ordinalsTogether = 100

// ofRecipients is the total of what recipients have, and the page. To look for each of many takes longer than all else, so it is
// done once for both, and a second reader helps where one is to be had.
func (q *bounceQuery) ofRecipients(ctx context.Context, s *Store) (total int64, rows []bounce.Historical, err error) {
	parts := slices.Collect(slices.Chunk(q.ordinals, ordinalsTogether))
	var taken atomic.Int64
	next := func() (part []int64, ok bool) {
		n := int(taken.Add(1)) - 1
		if n >= len(parts) {
			return nil, false
		}
		return parts[n], true
	}
	var g errgroup.Group
	second := &picked{}
	if len(parts) > 1 && s.second.TryAcquire(1) {
		defer s.second.Release(1)
		s.readBeside(ctx, &g, "list bounces", func(tx *sql.Tx) error {
			other := *q
			other.view = s.newView(tx, q.ws, time.Time{})
			stamp, err := other.view.stamp(ctx)
			if err == nil && stamp == q.stamp { // else it sees what this reader does not
				second, err = other.pick(ctx, next)
			}
			return err
		})
	}
	all, err := q.pick(ctx, next)
	if err = cmp.Or(g.Wait(), err); err != nil {
		return 0, nil, err
	}
	all.total += second.total
	all.found = append(all.found, second.found...)
	all.shorten()
	var places []byte
	for _, p := range all.found[min(len(all.found), q.Offset):] {
		places = append(places, p[:]...)
	}
	b := newBounceBatch(len(places) / placeSize)
	if len(places) > 0 {
		err = q.each(ctx, b.scan, bouncesAtSQL, len(places)/placeSize, q.ws, places)
	}
	return all.total, b.rows, err
}

// bouncesAtSQL reads bounces by their places, which stand one after another in a blob, in that order.
const bouncesAtSQL = `WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
	SELECT ` + bounceColumns + ` FROM n CROSS JOIN ` + bounceTable + ` ON b.workspace = ? AND b.place = substr(?, n.i * 24 + 1, 24)` + bounceAddress + ` ORDER BY n.i`

// picked are the places up to the end of a page, picked out of all that recipients have.
type picked struct {
	total int64
	most  int                            // wanted
	order func(a, b [placeSize]byte) int // the page's
	found [][placeSize]byte              // the first of all, in order, and behind them some that may be
	last  *[placeSize]byte               // of the first; nil = they are fewer than wanted
}

// pick goes through parts of the recipients until there is none left.
func (q *bounceQuery) pick(ctx context.Context, next func() (part []int64, ok bool)) (*picked, error) {
	behind := *q
	if q.After != nil {
		behind.narrowBehind(*q.After)
	}
	p := &picked{most: q.Offset + q.Limit + 1, order: func(a, b [placeSize]byte) int { return bytes.Compare(a[:], b[:]) }}
	if q.desc() {
		p.order = func(a, b [placeSize]byte) int { return bytes.Compare(b[:], a[:]) }
	}
	var places []byte
	for part, ok := next(); ok; part, ok = next() {
		var err error
		if places, err = q.placesOf(ctx, part, places[:0]); err != nil {
			return nil, err
		}
		for place := range slices.Chunk(places, placeSize) {
			p.total++
			if bytes.Compare(place, behind.first) >= 0 && bytes.Compare(place, behind.last) < 0 {
				p.add([placeSize]byte(place))
			}
		}
	}
	p.shorten()
	return p, nil
}

func (p *picked) add(place [placeSize]byte) {
	if p.last != nil && p.order(place, *p.last) > 0 {
		return
	}
	if p.found = append(p.found, place); len(p.found) > 2*p.most {
		p.shorten()
	}
}

func (p *picked) shorten() {
	slices.SortFunc(p.found, p.order)
	if len(p.found) >= p.most {
		p.found = p.found[:p.most]
		p.last = new(p.found[p.most-1])
	}
}

// placesOf appends the places of what recipients have, one after another: a row for each would cost more than finding it.
func (q *bounceQuery) placesOf(ctx context.Context, ordinals []int64, b []byte) ([]byte, error) {
	part := *q
	part.ordinals = ordinals
	table, w := part.source()
	if q.classes != nil {
		w.add("b.class IN (SELECT value FROM json_each(?))", listJSON(q.classes))
	}
	err := q.each(ctx, func(r row) error {
		var text sql.RawBytes
		err := r.Scan(&text)
		b = append(b, text...)
		return err
	}, "SELECT CAST(group_concat(b.place, '') AS BLOB) FROM "+table+" WHERE "+w.sql(), w.args...)
	return b, err
}
