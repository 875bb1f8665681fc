package rollup

import (
	"context"
	"maps"
	"slices"

	"monterey/internal/campaign"
)

// several is a Source that is several campaigns as one, whichever is asked for, without sets.
type several struct {
	src Source
	ids []campaign.ID
}

// Several is the campaigns as one, without sets: whichever campaign is asked for, the counts of all are added up.
func Several(src Source, ids []campaign.ID) Source { return several{src, ids} }

// Rows implements Source: the counts of a bucket are added up.
func (s several) Rows(ctx context.Context, stretches []Stretch, f func(int, int64, []byte, []byte) error) error {
	sums := make([]map[int64]*Row, len(stretches))
	err := s.src.Rows(ctx, s.each(stretches), func(n int, bucket int64, counts, _ []byte) error {
		row, err := UnmarshalCounts(counts)
		if err != nil {
			return err
		}
		n /= len(s.ids)
		switch sum := sums[n]; {
		case sum == nil:
			sums[n] = map[int64]*Row{bucket: row}
		case sum[bucket] == nil:
			sum[bucket] = row
		default:
			sum[bucket].Or(row)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for n, sum := range sums {
		for _, bucket := range slices.Sorted(maps.Keys(sum)) {
			counts, _ := sum[bucket].Marshal()
			if err := f(n, bucket, counts, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// Facts implements Source.
func (s several) Facts(ctx context.Context, stretches []Stretch, f func(int, Fact)) error {
	return s.src.Facts(ctx, s.each(stretches), func(n int, e Fact) { f(n/len(s.ids), e) })
}

// each are the stretches of each of the campaigns: those of one stretch are neighbours.
func (s several) each(stretches []Stretch) (out []Stretch) {
	for _, of := range stretches {
		for _, of.Campaign = range s.ids {
			of.Bare = true
			out = append(out, of)
		}
	}
	return out
}
