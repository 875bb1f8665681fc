package rollup

import (
	"math"

	"github.com/RoaringBitmap/roaring/v2"

	"monterey/internal/campaign"
)

// Span is the length of a bucket.
type Span uint8

// The spans. Every real offset from UTC is a multiple of a quarter hour, so quarters add up to the days of every zone.
const (
	Quarter  Span = 1
	Hour     Span = 2
	Day      Span = 3 // of UTC
	Lifetime Span = 4 // the closed days; its bucket is 0 and Row.Through says how far it goes
	Week     Span = 5 // of UTC, from Monday: long ranges are read from fewer rows
)

// Finer is the span whose rows make up a row of s; 0 for Quarter, which is made of events. Lifetime has none.
func (s Span) Finer() Span {
	return [...]Span{Week: Day, Day: Hour, Hour: Quarter, Quarter: 0, Lifetime: 0}[s]
}

// Spans in seconds.
const (
	QuarterSeconds int64 = 15 * 60
	HourSeconds    int64 = 60 * 60
	DaySeconds     int64 = 24 * 60 * 60
	WeekSeconds    int64 = 7 * DaySeconds
)

// firstMonday is where the first week after 1970 begins.
const firstMonday = 4 * DaySeconds

// Seconds is the length of a bucket of the span; 0 for Lifetime.
func (s Span) Seconds() int64 {
	return [...]int64{Quarter: QuarterSeconds, Hour: HourSeconds, Day: DaySeconds, Lifetime: 0, Week: WeekSeconds}[s]
}

// Bucket is the start of the bucket that the time lies in; 0 for Lifetime. Times before 1970 count too.
func (s Span) Bucket(at int64) int64 {
	switch s {
	case Lifetime:
		return 0
	case Week:
		return floor(at-firstMonday, WeekSeconds) + firstMonday
	}
	return floor(at, s.Seconds())
}

// floor is the largest multiple of n that is not above t.
func floor(t, n int64) int64 {
	r := t % n
	if r < 0 {
		r += n
	}
	return t - r
}

// Workspace is the campaign under which a workspace's own counts are kept: of all campaigns together, without sets.
var Workspace = campaign.ID{UUID: [16]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}

// Key names a row: one bucket of one campaign.
type Key struct {
	Campaign campaign.ID
	Span     Span
	Bucket   int64 // its start in Unix seconds; 0 for Lifetime
}

// Row holds what happened in one bucket: for every metric the number of events and the set of recipients. The zero Row is
// not empty (see NewRow). Sets that are empty may be nil; a row of Workspace has none.
type Row struct {
	Count       [NumMetrics]uint64
	Set         [NumMetrics]*roaring.Bitmap
	First, Last int64 // Unix seconds of the first and the last event; First > Last when there is none
	Through     int64 // of Lifetime: the first day (Unix seconds) that is not in it
}

// NewRow is a row of nothing.
func NewRow() *Row { return &Row{First: math.MaxInt64, Last: math.MinInt64} }

// Add counts one event with its recipient.
func (r *Row) Add(f Fact) {
	r.AddCount(f)
	f.Metrics(func(m Metric) {
		if r.Set[m] == nil {
			r.Set[m] = roaring.New()
		}
		r.Set[m].Add(uint32(f.Recipient))
	})
}

// AddCount counts one event without its recipient, as the rows of Workspace do.
func (r *Row) AddCount(f Fact) {
	r.First, r.Last = min(r.First, f.At), max(r.Last, f.At)
	f.Metrics(func(m Metric) { r.Count[m]++ })
}

// Or joins o into r: counts are added, sets united, First and Last widened. The events of the two must be different ones.
// Through is r's own affair. o does not change, and nothing of it is shared with r afterwards.
func (r *Row) Or(o *Row) {
	r.First, r.Last = min(r.First, o.First), max(r.Last, o.Last)
	for m := range NumMetrics {
		r.Count[m] += o.Count[m]
		switch {
		case o.Set[m] == nil:
		case r.Set[m] == nil:
			r.Set[m] = o.Set[m].Clone()
			r.Set[m].CloneCopyOnWriteContainers() // else they stay those that o was read from
		default:
			r.Set[m].Or(o.Set[m])
			r.Set[m].CloneCopyOnWriteContainers()
		}
	}
}
