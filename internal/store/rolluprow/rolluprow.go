// Package rolluprow is what both databases do with rows of rollups between the worker and SQL: it puts them in the order of the
// table's key, joins them with what is stored, and puts the quarters of an hour into the hour's row.
package rolluprow

import (
	"cmp"
	"context"
	"slices"

	"monterey/internal/campaign"
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

func (r *Row) place() [3]int64 { return [3]int64{r.Campaign, int64(r.Span), r.Bucket} }

// take takes what o has of the same row.
func (r *Row) take(o *Row) {
	r.row = cmp.Or(r.row, o.row)
	for i, q := range o.quarters {
		r.quarters[i] = cmp.Or(r.quarters[i], q)
	}
}

// Late are the rows of lifetimes that days join which they hold already, as what is stored tells. rows are sorted.
func Late(ctx context.Context, src rollup.Source, rows []Row) (out []Row, err error) {
	var lives []rollup.Stretch
	var of []int64 // their campaigns
	for _, r := range rows {
		if n := len(of); r.Span == rollup.Day && (n == 0 || of[n-1] != r.Campaign) {
			lives, of = append(lives, rollup.Stretch{Campaign: r.id, Span: rollup.Lifetime, To: 1, Bare: true}), append(of, r.Campaign)
		}
	}
	through := map[int64]int64{}
	err = src.Rows(ctx, lives, func(n int, _ int64, counts, _ []byte) error {
		life, err := rollup.UnmarshalCounts(counts)
		if err == nil {
			through[of[n]] = life.Through
		}
		return err
	})
	for _, r := range rows {
		if r.Span != rollup.Day || r.Bucket >= through[r.Campaign] {
			continue
		}
		if n := len(out); n == 0 || out[n-1].Campaign != r.Campaign {
			out = append(out, Row{Campaign: r.Campaign, id: r.id, Span: rollup.Lifetime, row: rollup.NewRow()})
		}
		out[len(out)-1].row.Or(r.row)
	}
	return out, err
}

// Join adds what is stored to the row, which refers to it from then on. Where quarters are to be written, so must be their hour.
func (r *Row) Join(counts, sets, quarters []byte) error {
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

// Parts are the three parts to be stored. Where nothing is, because nothing happened, the row is to be removed.
func (r *Row) Parts() (counts, sets, quarters []byte, nothing bool) {
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
