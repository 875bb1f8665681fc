package rollup

import (
	"cmp"
	"context"
	"slices"

	"github.com/RoaringBitmap/roaring/v2"

	"monterey/internal/campaign"
)

// OtherDomains is the name of the row of all the domains that have none of their own.
const OtherDomains = "other"

// Domain is the row of a recipient domain: distinct recipients. Of the pointers nil is "unknown", as in Counts.
type Domain struct {
	Domain            string `json:"domain"`
	Recipients        int64  `json:"recipients"` // with any event of the campaign in the range
	UniqueOpens       int64  `json:"unique_opens"`
	UniqueHumanOpens  int64  `json:"unique_human_opens"`
	UniqueClicks      int64  `json:"unique_clicks"`
	UniqueHumanClicks int64  `json:"unique_human_clicks"`
	Bounces           *int64 `json:"bounces"`
	HardBounces       *int64 `json:"hard_bounces"`
	SoftBounces       *int64 `json:"soft_bounces"`
	Unsubscribes      *int64 `json:"unsubscribes"`
	Complaints        *int64 `json:"complaints"`
}

// domain counts the distinct recipients of one domain.
type domain struct {
	name       string
	recipients uint64
	tally
}

// Domains are the domains of the campaign's recipients, most recipients first, then by name. What does not fit into limit
// rows is one more row, OtherDomains, and so are recipients whose domain is not known any more, as they were erased.
// NotFound for an id that is not there.
func Domains(ctx context.Context, v View, id campaign.ID, r Range, limit int) ([]Domain, error) {
	c, err := v.Campaign(ctx, id)
	if err != nil {
		return nil, err
	}
	q := &question{v: v}
	subjects, err := q.subjects(ctx, []campaign.Campaign{c})
	if err != nil {
		return nil, err
	}
	l, acc := &subjects[0].life, &Accumulator{}
	from, to := l.widen(r.seconds())
	if err := collect(ctx, v, []ask{{l.stretches(id, from, to), acc, AllMetrics}}, func(int) {}); err != nil {
		return nil, err
	}
	all, err := byDomain(ctx, v, acc)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all[1:], func(a, b *domain) int {
		return cmp.Or(cmp.Compare(b.recipients, a.recipients), cmp.Compare(a.name, b.name))
	})
	rest, named := all[0], all[1:]
	for len(named) > limit {
		last := named[len(named)-1]
		named = named[:len(named)-1]
		rest.recipients += last.recipients
		for m := range NumMetrics {
			rest.unique[m] += last.unique[m]
		}
	}
	if rest.recipients > 0 {
		named = append(named, rest)
	}
	out := []Domain{}
	for _, d := range named {
		out = append(out, d.row(subjects[0].known))
	}
	return out, nil
}

// byDomain counts every recipient in the one domain that it is in. The first of the domains is that of nobody's.
func byDomain(ctx context.Context, v View, acc *Accumulator) ([]*domain, error) {
	var sets [NumMetrics]*roaring.Bitmap
	left := roaring.New() // recipients not counted yet
	for m := range NumMetrics {
		sets[m] = acc.Set(m).Bitmap()
		left.Or(sets[m])
	}
	rest := &domain{name: OtherDomains}
	out, byName := []*domain{rest}, map[string]*domain{}
	if left.IsEmpty() {
		return out, nil
	}
	err := v.Domains(ctx, left.Clone(), func(name string, ordinals *roaring.Bitmap) error {
		mine := roaring.And(left, ordinals)
		if mine.IsEmpty() {
			return nil
		}
		left.AndNot(mine)
		d := byName[name]
		if d == nil {
			d = &domain{name: name}
			byName[name] = d
			out = append(out, d)
		}
		d.add(mine, &sets)
		return nil
	})
	rest.add(left, &sets)
	return out, err
}

func (d *domain) add(recipients *roaring.Bitmap, sets *[NumMetrics]*roaring.Bitmap) {
	d.recipients += recipients.GetCardinality()
	for m, set := range sets {
		d.unique[m] += set.AndCardinality(recipients)
	}
}

func (d *domain) row(known Metrics) Domain {
	c := d.counts(known)
	return Domain{
		Domain: d.name, Recipients: int64(d.recipients), UniqueOpens: c.UniqueOpens, UniqueHumanOpens: c.UniqueHumanOpens,
		UniqueClicks: c.UniqueClicks, UniqueHumanClicks: c.UniqueHumanClicks, Bounces: c.Bounces, HardBounces: c.HardBounces,
		SoftBounces: c.SoftBounces, Unsubscribes: c.Unsubscribes, Complaints: c.Complaints,
	}
}
