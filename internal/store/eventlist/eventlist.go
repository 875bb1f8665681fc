// Package eventlist works out what is on a page of a list of events, whatever database the events are in: what the filter leaves
// to choose from, the order, where a cursor or a page's number leads. The drivers read the keys and the rows that it names.
package eventlist

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/rollup"
)

// FewKeys are collected and sorted rather than looked for in an index that has the order but not the filter.
const FewKeys = 20_000

// SeekFrom is the offset from which seeking costs less than reading the keys before the page.
const SeekFrom = 500

// Key is the place of an event in a list.
type Key struct {
	ID      event.ID
	Updated int64 // updated_at in microseconds, where the order or a filter needs it
	Removed bool
}

// Query is a list of events. Its bounds hold the filter's times, and further narrow to where the page begins.
type Query struct {
	event.ListParams
	Nothing     bool         // the filter can choose nothing
	Types       []event.Type // that may be chosen; nil = all
	Actor       event.Actor  // of those chosen, where OneActor
	OneActor    bool
	First, Last event.ID // First <= id < Last
	Since       int64    // updated_at >= Since, in microseconds
	Until       int64    // updated_at < Until
}

// New is the list that p asks for.
func New(p event.ListParams) Query {
	q := Query{ListParams: p, Last: event.ID{UUID: uuid.Max}, Until: math.MaxInt64}
	if !p.From.IsZero() {
		q.First = event.FirstAt(p.From)
	}
	if !p.To.IsZero() {
		q.Last = event.FirstAt(p.To)
	}
	if !p.UpdatedFrom.IsZero() {
		q.Since = CeilMicros(p.UpdatedFrom)
	}
	q.chooseTypes()
	q.Nothing = q.Nothing || q.Empty()
	return q
}

// chooseTypes narrows the types by what only some types can have.
func (q *Query) chooseTypes() {
	types := event.Types
	narrow := func(to []event.Type) {
		types = slices.DeleteFunc(slices.Clone(types), func(t event.Type) bool { return !slices.Contains(to, t) })
	}
	if len(q.ListParams.Types) > 0 {
		narrow(q.ListParams.Types)
	}
	human, machine := slices.Contains(q.ListParams.Actor, event.Human), slices.Contains(q.ListParams.Actor, event.Machine)
	switch {
	case machine && !human:
		narrow([]event.Type{event.Open, event.Click})
		q.OneActor, q.Actor = true, event.Machine
	case human && !machine:
		q.OneActor, q.Actor = true, event.Human
	}
	if len(q.Classes) > 0 {
		narrow([]event.Type{event.Bounce})
	}
	if len(types) < len(event.Types) {
		q.Types = types
	}
	q.Nothing = len(types) == 0
}

// Empty says whether the bounds leave nothing.
func (q *Query) Empty() bool { return q.First.Compare(q.Last) >= 0 }

// Changes says whether what changed since some time is asked for, and so what was taken back too.
func (q *Query) Changes() bool { return !q.UpdatedFrom.IsZero() }

// ByUpdate says whether the order is that of the updates.
func (q *Query) ByUpdate() bool {
	return q.Order == event.UpdatedFirst || q.Order == event.UpdatedLatest
}

// Desc says whether the order descends.
func (q *Query) Desc() bool {
	return q.Order == event.NewestFirst || q.Order == event.UpdatedLatest
}

// Compare is the order asked for.
func (q *Query) Compare(a, b Key) int {
	d := 0
	if q.ByUpdate() {
		d = cmp.Compare(a.Updated, b.Updated)
	}
	if d == 0 {
		d = a.ID.Compare(b.ID)
	}
	if q.Desc() {
		return -d
	}
	return d
}

// Cut is the page, and one key more if there is more, of all keys chosen, sorted.
func (q *Query) Cut(all []Key) []Key {
	from := q.Offset
	if q.After != nil {
		after := Key{ID: q.After.ID, Updated: q.After.UpdatedAt.UnixMicro()}
		var found bool
		if from, found = slices.BinarySearchFunc(all, after, q.Compare); found {
			from++
		}
		from += q.Offset
	}
	from = min(from, len(all))
	return all[from:min(from+q.Limit+1, len(all))]
}

// Narrow moves the bounds to where the page begins, and says how many keys come before it from there. The counts of c in src
// are those of the campaigns chosen.
func (q *Query) Narrow(ctx context.Context, src rollup.Source, c campaign.ID) (skip int, err error) {
	if q.After != nil {
		q.NarrowBehind(Key{ID: q.After.ID, Updated: q.After.UpdatedAt.UnixMicro()})
		return q.Offset, nil
	}
	if q.Offset < SeekFrom || q.ByUpdate() || q.Changes() {
		return q.Offset, nil
	}
	return q.seek(ctx, src, c)
}

func (q *Query) seek(ctx context.Context, src rollup.Source, c campaign.ID) (skip int, err error) {
	from, to := q.seconds()
	from, to, rest, err := rollup.Seek(ctx, src, c, q.selection(), from, to, int64(q.Offset), q.Desc())
	if err != nil {
		return 0, err
	}
	q.First, q.Last = later(q.First, event.FirstIn(from)), earlier(q.Last, event.FirstIn(to))
	return int(rest), nil
}

// NarrowAround is Narrow for who may have to read all that is between the bounds: it moves that behind the page too, to a quarter
// hour. The order must be by time, and no change asked for.
func (q *Query) NarrowAround(ctx context.Context, src rollup.Source, c campaign.ID) (skip int, err error) {
	from, to := q.seconds()
	more := q.Offset + q.Limit
	if q.After == nil {
		skip, err = q.seek(ctx, src, c)
	} else {
		skip, err = q.Narrow(ctx, src, c)
		from, to = q.secondsBehind(from, to)
	}
	if err != nil || from >= to {
		return skip, err
	}
	from, to, _, err = rollup.Seek(ctx, src, c, q.selection(), from, to, int64(more), q.Desc())
	switch quarter := rollup.Quarter.Seconds(); {
	case err != nil || from >= to: // there are not so many
	case q.Desc():
		q.First = later(q.First, event.FirstIn(to-quarter))
	default:
		q.Last = earlier(q.Last, event.FirstIn(from+quarter))
	}
	return skip, err
}

// secondsBehind narrows the range to the quarter hours behind that of the cursor: events need not be counted to see how far a
// page reaches at the most.
func (q *Query) secondsBehind(from, to int64) (int64, int64) {
	at := rollup.Quarter.Bucket(q.After.ID.Time().Unix())
	if q.Desc() {
		return from, min(to, at)
	}
	return max(from, at+rollup.Quarter.Seconds()), to
}

// NarrowBehind makes a key a bound of those that come behind it: a database does not seek on a pair of columns with another
// bound.
func (q *Query) NarrowBehind(k Key) {
	switch q.Order {
	case event.NewestFirst:
		q.Last = earlier(q.Last, k.ID)
	case event.OldestFirst:
		q.First = later(q.First, k.ID.Next())
	case event.UpdatedFirst:
		q.Since = max(q.Since, k.Updated+1)
	case event.UpdatedLatest:
		q.Until = min(q.Until, k.Updated)
	}
}

// Total is the exact number of the events chosen, where no change is asked for. The counts of c in src are those of the
// campaigns chosen.
func (q *Query) Total(ctx context.Context, src rollup.Source, c campaign.ID) (int64, error) {
	from, to := q.seconds()
	return rollup.CountEvents(ctx, src, c, q.selection(), from, to)
}

// selection is the filter as far as rollups know it.
func (q *Query) selection() rollup.Selection {
	return rollup.Selection{Types: q.ListParams.Types, Actors: q.ListParams.Actor, Classes: q.Classes}
}

// seconds are the ends of the range for rollups.
func (q *Query) seconds() (from, to int64) {
	from, to = math.MinInt64, math.MaxInt64
	if !q.From.IsZero() {
		from = ceilSecond(q.From)
	}
	if !q.To.IsZero() {
		to = ceilSecond(q.To)
	}
	return from, to
}

func ceilSecond(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

// CeilMicros is the first microsecond that is not before t.
func CeilMicros(t time.Time) int64 {
	if t.Nanosecond()%int(time.Microsecond) != 0 {
		return t.UnixMicro() + 1
	}
	return t.UnixMicro()
}

func later(a, b event.ID) event.ID {
	if a.Compare(b) > 0 {
		return a
	}
	return b
}

func earlier(a, b event.ID) event.ID {
	if a.Compare(b) < 0 {
		return a
	}
	return b
}

// Newest leaves the newest removal of each event: sorted by time, two of one event could not be told apart by a cursor.
func Newest(removals []Key) []Key {
	slices.SortFunc(removals, func(a, b Key) int {
		return cmp.Or(a.ID.Compare(b.ID), cmp.Compare(b.Updated, a.Updated))
	})
	return slices.CompactFunc(removals, func(a, b Key) bool { return a.ID == b.ID })
}

// WithRemoved are the events of the keys, in their order: those that were read, in that order too, and those taken back.
// Keys of events that were not read are left out.
func WithRemoved(read []event.Event, keys []Key) []event.Event {
	out := make([]event.Event, 0, len(keys))
	for _, k := range keys {
		switch {
		case k.Removed:
			out = append(out, event.Event{ID: k.ID, UpdatedAt: time.UnixMicro(k.Updated).UTC(), Removed: true})
		case len(read) > 0 && read[0].ID == k.ID:
			out, read = append(out, read[0]), read[1:]
		}
	}
	return out
}
