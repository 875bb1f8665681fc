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

// Row is a row of the table that is to be written. Its span is never Quarter.
type Row struct {
	Campaign int64 // its number
	id       campaign.ID
	Span     rollup.Span
	Bucket   int64
	row      *rollup.Row    // nil = what is stored stays
	quarters [4]*rollup.Row // of an hour; likewise
	stays    rollup.StoredHour
}

// Sorted are the rows in the order of the table's key; num finds a campaign's number.
func Sorted(rows map[rollup.Key]*rollup.Row, num func(campaign.ID) (int64, error)) ([]Row, error) {
	all := make([]Row, 0, len(rows))
	for k, r := range rows {
		n, err := num(k.Campaign)
		if err != nil {
			return nil, err
		}
		one := Row{Campaign: n, id: k.Campaign, Span: k.Span, Bucket: k.Bucket, row: r}
		if k.Span == rollup.Quarter {
			one.Span, one.Bucket, one.row = rollup.Hour, rollup.Hour.Bucket(k.Bucket), nil
			one.quarters[(k.Bucket-one.Bucket)/rollup.QuarterSeconds] = r
		}
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.Campaign, b.Campaign), cmp.Compare(a.Span, b.Span), cmp.Compare(a.Bucket, b.Bucket))
	})
	out := all[:0]
	for _, r := range all {
		if n := len(out); n > 0 && out[n-1].place() == r.place() {
			out[n-1].take(&r)
		} else {
			out = append(out, r)
		}
	}
	return out, nil
}

func (r *Row) place() place { return place{r.Campaign, int64(r.Span), r.Bucket} }

// take takes what o has of the same row.
func (r *Row) take(o *Row) {
	r.row = cmp.Or(r.row, o.row)
	for i, q := range o.quarters {
		r.quarters[i] = cmp.Or(r.quarters[i], q)
	}
}

// Stored is what is stored of rows that others are going to be joined with.
type Stored struct {
	Rows    []Row // those to be read, in the order of the table's key; then lifetimes, which days may join that they hold already
	nums    map[campaign.ID]int64
	through map[int64]int64 // the lifetimes', by campaign
	parts   map[place]*[3][]byte
}

// place is a row's campaign, span and bucket.
type place [3]int64

// NewStored is for the rows with these keys, none of Quarter or Lifetime. Src says through which day lifetimes go, num finds a campaign's number.
func NewStored(ctx context.Context, src rollup.Source, keys []rollup.Key, num func(campaign.ID) (int64, error)) (*Stored, error) {
	rows := make(map[rollup.Key]*rollup.Row, len(keys))
	for _, k := range keys {
		rows[k] = nil
	}
	s := &Stored{nums: map[campaign.ID]int64{}, through: map[int64]int64{}, parts: make(map[place]*[3][]byte, len(keys))}
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
		s.parts[s.Rows[i].place()] = nil
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
			out = append(out, Row{Campaign: r.Campaign, id: r.id, Span: rollup.Lifetime, row: rollup.NewRow()})
		}
		if r.row != nil {
			out[len(out)-1].row.Or(r.row)
		}
	}
	return out
}

// Read takes in what is stored of one of the rows. The parts are its own from then on.
func (s *Stored) Read(r *Row, counts, sets, quarters []byte) error {
	s.parts[r.place()] = &[3][]byte{counts, sets, quarters}
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
		parts, ok := s.parts[r.place()]
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
	Campaign               int64
	Span                   rollup.Span
	Bucket                 int64
	Counts, Sets, Quarters []byte
	Nothing                bool // nothing happened: the row is to be removed
}

// Pack packs rows.
func Pack(rows []Row) []Packed {
	out := make([]Packed, len(rows))
	for i := range rows {
		p := &out[i]
		p.Campaign, p.Span, p.Bucket = rows[i].Campaign, rows[i].Span, rows[i].Bucket
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
