package rollup

import (
	"context"
	"maps"
	"slices"
	"sort"
	"time"

	"github.com/RoaringBitmap/roaring/v2"

	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/fault"
)

// memory is a View in memory, stored as a driver would store it.
type memory struct {
	campaigns []campaign.Campaign
	runs      []campaign.Run
	asOf      time.Time
	human     time.Time
	facts     map[campaign.ID][]Fact
	links     map[Fact]event.Link // of clicks
	domains   map[uint32]string   // by ordinal
	rows      map[campaign.ID]map[Span][]stored
}

type stored struct {
	bucket       int64
	counts, sets []byte
}

func newMemory() *memory {
	return &memory{asOf: day(20), facts: map[campaign.ID][]Fact{}, rows: map[campaign.ID]map[Span][]stored{}}
}

// count stores a batch of a campaign's events: it joins them to the rows that are there.
func (m *memory) count(c campaign.ID, through int64, batch []Fact) {
	m.facts[c] = append(m.facts[c], batch...)
	fresh := map[Key]*Row{}
	for _, f := range batch {
		for _, id := range []campaign.ID{c, Workspace} {
			for s := Quarter; s <= Week; s++ {
				if s == Lifetime && Day.Bucket(f.At) >= through {
					continue
				}
				k := Key{id, s, s.Bucket(f.At)}
				if fresh[k] == nil {
					fresh[k] = NewRow()
				}
				if id == Workspace {
					fresh[k].AddCount(f)
				} else {
					fresh[k].Add(f)
				}
			}
		}
	}
	for k, r := range fresh {
		m.put(k, r, through)
	}
}

func (m *memory) put(k Key, r *Row, through int64) {
	if m.rows[k.Campaign] == nil {
		m.rows[k.Campaign] = map[Span][]stored{}
	}
	rows := m.rows[k.Campaign][k.Span]
	i := sort.Search(len(rows), func(i int) bool { return rows[i].bucket >= k.Bucket })
	if i == len(rows) || rows[i].bucket != k.Bucket {
		rows = slices.Insert(rows, i, stored{bucket: k.Bucket})
	} else {
		old, err := Unmarshal(rows[i].counts, rows[i].sets)
		if err != nil {
			panic(err)
		}
		old.Or(r)
		r = old
	}
	if k.Span == Lifetime {
		r.Through = through
	}
	rows[i].counts, rows[i].sets = r.Marshal()
	m.rows[k.Campaign][k.Span] = rows
}

func (m *memory) Rows(_ context.Context, stretches []Stretch, f func(int, int64, []byte, []byte) error) error {
	for n, s := range stretches {
		rows := m.rows[s.Campaign][s.Span]
		for i := sort.Search(len(rows), func(i int) bool { return rows[i].bucket >= s.From }); i < len(rows) && rows[i].bucket < s.To; i++ {
			sets := rows[i].sets
			if s.Bare {
				sets = nil
			}
			if err := f(n, rows[i].bucket, rows[i].counts, sets); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *memory) Facts(_ context.Context, stretches []Stretch, f func(int, Fact)) error {
	for n, s := range stretches {
		for id, facts := range m.facts {
			for _, e := range facts {
				if (id == s.Campaign || s.Campaign == Workspace) && s.From <= e.At && e.At < s.To {
					f(n, e)
				}
			}
		}
	}
	return nil
}

func (m *memory) Campaign(_ context.Context, id campaign.ID) (campaign.Campaign, error) {
	for _, c := range m.campaigns {
		if c.ID == id {
			return c, nil
		}
	}
	return campaign.Campaign{}, fault.New(fault.NotFound, "no such campaign")
}

func (m *memory) Campaigns(_ context.Context, f campaign.Filter) ([]campaign.Campaign, error) {
	return slices.DeleteFunc(slices.Clone(m.campaigns), func(c campaign.Campaign) bool {
		return len(f.IDs) > 0 && !slices.Contains(f.IDs, c.ID)
	}), nil
}

func (m *memory) Runs(_ context.Context, ids []campaign.ID) ([]campaign.Run, error) {
	return slices.DeleteFunc(slices.Clone(m.runs), func(r campaign.Run) bool {
		return ids != nil && !slices.Contains(ids, r.Campaign)
	}), nil
}

func (m *memory) AsOf(context.Context) (time.Time, error) { return m.asOf, nil }

func (m *memory) HumanAsOf(context.Context) (time.Time, error) { return m.human, nil }

func (m *memory) Clicks(_ context.Context, c campaign.ID, from, to int64, f func(event.Link, Fact) error) error {
	for _, e := range m.facts[c] {
		if e.Type == event.Click && from <= e.At && e.At < to {
			if err := f(m.links[e], e); err != nil {
				return err
			}
		}
	}
	return nil
}

// Domains gives each domain twice, the second time with all of its recipients, also those who were not asked for.
func (m *memory) Domains(_ context.Context, set *roaring.Bitmap, f func(string, *roaring.Bitmap) error) error {
	for _, part := range []bool{true, false} {
		by := map[string]*roaring.Bitmap{}
		for o, d := range m.domains {
			if by[d] == nil {
				by[d] = roaring.New()
			}
			if !part || o%2 == 0 && set.Contains(o) {
				by[d].Add(o)
			}
		}
		for _, d := range slices.Sorted(maps.Keys(by)) {
			if err := f(d, by[d]); err != nil {
				return err
			}
		}
	}
	return nil
}

// counting counts the rows that are read, and the questions.
type counting struct {
	*memory
	rows, questions *int
}

func (c counting) Rows(ctx context.Context, stretches []Stretch, f func(int, int64, []byte, []byte) error) error {
	*c.questions++
	return c.memory.Rows(ctx, stretches, func(n int, bucket int64, counts, sets []byte) error {
		*c.rows++
		return f(n, bucket, counts, sets)
	})
}

func (c counting) Facts(ctx context.Context, stretches []Stretch, f func(int, Fact)) error {
	*c.questions++
	return c.memory.Facts(ctx, stretches, f)
}
