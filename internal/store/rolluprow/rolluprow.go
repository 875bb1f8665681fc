// Package rolluprow is what both databases do with rows of rollups between the worker and SQL: it puts them in the order of the
// table's key, joins them with what is stored, and puts the quarters of an hour into the hour's row.
package rolluprow

import (
	"cmp"
	"context"
	"slices"

	"monterey/internal/campaign"
	"monterey/internal/fault"
	"monterey/internal/rollup"
)

// Place is the key of a row.
type Place struct {
	Campaign int64 // its number
	Span     rollup.Span
	Bucket   int64
}

func (p Place) compare(o Place) int {
	return cmp.Or(cmp.Compare(p.Campaign, o.Campaign), cmp.Compare(p.Span, o.Span), cmp.Compare(p.Bucket, o.Bucket))
}

// Row is a row of the table that is to be written. Its span is never Quarter.
type Row struct {
	Place
	id       campaign.ID
	row      *rollup.Row    // nil = what is stored stays
	quarters [4]*rollup.Row // of an hour; likewise
	stays    rollup.StoredHour
}

// Sorted are the rows in the order of the table's key; num finds a campaign's number.
func Sorted(rows map[rollup.Key]*rollup.Row, num func(campaign.ID) (int64, error)) ([]Row, error) {
	type part struct {
		Place
		id      campaign.ID
		quarter int64 // of the hour; -1 = it is the row
		row     *rollup.Row
	}
	parts := make([]part, 0, len(rows))
	for k, r := range rows {
		n, err := num(k.Campaign)
		if err != nil {
			return nil, err
		}
		one := part{Place{n, k.Span, k.Bucket}, k.Campaign, -1, r}
		if k.Span == rollup.Quarter {
			one.Span, one.Bucket = rollup.Hour, rollup.Hour.Bucket(k.Bucket)
			one.quarter = (k.Bucket - one.Bucket) / rollup.QuarterSeconds
		}
		parts = append(parts, one)
	}
	slices.SortFunc(parts, func(a, b part) int { return a.compare(b.Place) })
	n := 0
	for i := range parts {
		if i == 0 || parts[i].Place != parts[i-1].Place {
			n++
		}
	}
	out := make([]Row, 0, n) // each is large
	for i := range parts {
		p := &parts[i]
		if i == 0 || p.Place != parts[i-1].Place {
			out = append(out, Row{Place: p.Place, id: p.id})
		}
		r := &out[len(out)-1]
		if p.quarter < 0 {
			r.row = p.row
		} else {
			r.quarters[p.quarter] = p.row
		}
	}
	return out, nil
}

// Stored is what is stored of rows that others are going to be joined with.
type Stored struct {
	Rows    []Row // those to be read, in the order of the table's key; then lifetimes, which days may join that they hold already
	nums    map[campaign.ID]int64
	through map[int64]int64 // the lifetimes', by campaign
	parts   map[Place]*[3][]byte
}

// NewStored is for the rows with these keys, none of Quarter or Lifetime. Src says through which day lifetimes go, num finds a campaign's number.
func NewStored(ctx context.Context, src rollup.Source, keys []rollup.Key, num func(campaign.ID) (int64, error)) (*Stored, error) {
	rows := make(map[rollup.Key]*rollup.Row, len(keys))
	for _, k := range keys {
		rows[k] = nil
	}
	s := &Stored{nums: map[campaign.ID]int64{}, through: map[int64]int64{}, parts: make(map[Place]*[3][]byte, len(keys))}
	var err error
	if s.Rows, err = Sorted(rows, func(id campaign.ID) (n int64, err error) {
		if n, ok := s.nums[id]; ok {
			return n, nil
		}
		n, err = num(id)
		s.nums[id] = n
		return n, err
	}); err != nil {
		return nil, err
	}
	if err := s.readThrough(ctx, src); err != nil {
		return nil, err
	}
	s.Rows = append(s.Rows, s.late(s.Rows)...)
	for i := range s.Rows {
		s.parts[s.Rows[i].Place] = nil
	}
	return s, nil
}

// readThrough finds through which day the lifetimes of the rows' campaigns go.
func (s *Stored) readThrough(ctx context.Context, src rollup.Source) error {
	var lives []rollup.Stretch
	var of []int64 // their campaigns
	for _, r := range s.Rows {
		if n := len(of); r.Span == rollup.Day && (n == 0 || of[n-1] != r.Campaign) {
			lives, of = append(lives, rollup.Stretch{Campaign: r.id, Span: rollup.Lifetime, To: 1, Bare: true}), append(of, r.Campaign)
		}
	}
	return src.Rows(ctx, lives, func(n int, _ int64, counts, _ []byte) error {
		life, err := rollup.UnmarshalCounts(counts)
		if err == nil {
			s.through[of[n]] = life.Through
		}
		return err
	})
}

// late are the rows of lifetimes that days join which they hold already. rows are sorted.
func (s *Stored) late(rows []Row) (out []Row) {
	for _, r := range rows {
		if r.Span != rollup.Day || r.Bucket >= s.through[r.Campaign] {
			continue
		}
		if n := len(out); n == 0 || out[n-1].Campaign != r.Campaign {
			out = append(out, Row{Place: Place{Campaign: r.Campaign, Span: rollup.Lifetime}, id: r.id, row: rollup.NewRow()})
		}
		if r.row != nil {
			out[len(out)-1].row.Or(r.row)
		}
	}
	return out
}

// Read takes in what is stored of one of the rows. The parts are its own from then on.
func (s *Stored) Read(r *Row, counts, sets, quarters []byte) error {
	s.parts[r.Place] = &[3][]byte{counts, sets, quarters}
	return nil
}

// Join joins rows with what is stored: some of those with the keys, their quarters, and the lifetimes that days join late. It may be called often.
func (s *Stored) Join(rows map[rollup.Key]*rollup.Row) ([]Packed, error) {
	all, err := Sorted(rows, func(id campaign.ID) (int64, error) {
		n, ok := s.nums[id]
		if !ok {
			return 0, errNotRead
		}
		return n, nil
	})
	if err != nil {
		return nil, err
	}
	all = append(all, s.late(all)...)
	for i := range all {
		r := &all[i]
		parts, ok := s.parts[r.Place]
		if !ok {
			return nil, errNotRead
		}
		if parts == nil {
			continue
		}
		if err := r.join(parts[0], parts[1], parts[2]); err != nil {
			return nil, err
		}
	}
	return Pack(all), nil
}

// errNotRead is a mistake in the program: to go on would lose what is stored.
var errNotRead = fault.New(fault.Internal, "rows of rollups are joined that were not read")

// Packed is a row as it is written.
type Packed struct {
	Place
	Counts, Sets, Quarters []byte
	Nothing                bool // nothing happened: the row is to be removed
}

// Pack packs rows.
func Pack(rows []Row) []Packed {
	out := make([]Packed, len(rows))
	for i := range rows {
		p := &out[i]
		p.Place = rows[i].Place
		p.Counts, p.Sets, p.Quarters, p.Nothing = rows[i].parts()
	}
	return out
}

// join adds what is stored to the row, which refers to it from then on. Where quarters are to be written, so must be their hour.
func (r *Row) join(counts, sets, quarters []byte) error {
	h, err := rollup.ReadHour(counts, sets, quarters)
	if err != nil {
		return err
	}
	if r.row, err = joined(r.row, h.Parts); err != nil {
		return err
	}
	for i, stored := range h.Quarters {
		switch {
		case stored.Counts == nil:
		case r.quarters[i] == nil:
			r.stays.Quarters[i] = stored
		default:
			if r.quarters[i], err = joined(r.quarters[i], stored); err != nil {
				return err
			}
		}
	}
	return nil
}

func joined(r *rollup.Row, stored rollup.Parts) (*rollup.Row, error) {
	old, err := rollup.Unmarshal(stored.Counts, stored.Sets)
	if err != nil {
		return nil, err
	}
	sum := rollup.NewRow()
	sum.Through = old.Through
	sum.Or(old)
	sum.Or(r)
	return sum, nil
}

// Whole says whether all that can be stored of it is to be written, so that nothing need be kept of what is.
func (r *Row) Whole() bool {
	return r.Span != rollup.Hour || r.row != nil && !slices.Contains(r.quarters[:], nil)
}

// Keep keeps of what is stored whatever is not to be written; the row refers to it from then on.
func (r *Row) Keep(counts, sets, quarters []byte) error {
	h, err := rollup.ReadHour(counts, sets, quarters)
	if err != nil && slices.Contains(r.quarters[:], nil) {
		return err
	}
	r.stays = h
	r.stays.Parts = rollup.Parts{Counts: counts, Sets: sets}
	return nil
}

// parts are the three to be stored. Where nothing is, because nothing happened, the row is to be removed.
func (r *Row) parts() (counts, sets, quarters []byte, nothing bool) {
	h := r.stays
	nothing = r.Span != rollup.Lifetime
	if r.row != nil {
		h.Counts, h.Sets = r.row.Marshal()
		nothing = nothing && none(r.row)
	} else if h.Counts == nil {
		h.Counts, h.Sets = rollup.NewRow().Marshal()
	} else {
		nothing = false
	}
	for i, q := range r.quarters {
		switch {
		case q == nil:
		case none(q):
			h.Quarters[i] = rollup.Parts{}
		default:
			h.Quarters[i].Counts, h.Quarters[i].Sets = q.Marshal()
		}
		nothing = nothing && h.Quarters[i].Counts == nil
	}
	if h.Sets == nil {
		h.Sets = []byte{}
	}
	return h.Counts, h.Sets, h.Stored(), nothing
}

func none(r *rollup.Row) bool { return r.Count == [rollup.NumMetrics]uint64{} }
