package rollup

import (
	"cmp"
	"context"
	"slices"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/event"
)

// Link is the row of a link that was clicked. LinkID and URL are nil where the provider did not say; an id that came with
// several URLs shows that of its last click.
type Link struct {
	LinkID            *string   `json:"link_id"`
	URL               *string   `json:"url"`
	Clicks            int64     `json:"clicks"`
	UniqueClicks      int64     `json:"unique_clicks"`
	HumanClicks       int64     `json:"human_clicks"`
	UniqueHumanClicks int64     `json:"unique_human_clicks"`
	FirstClickAt      time.Time `json:"first_click_at"`
	LastClickAt       time.Time `json:"last_click_at"`
}

// link is a Link while its clicks are being counted.
type link struct {
	event.Link
	urlAt         int64 // when URL was clicked
	clicks, human int64
	all, people   Set
	first, last   int64
}

// Links are the links of a campaign that were clicked in the range, most clicks first. NotFound for an id that is not
// there.
func Links(ctx context.Context, v View, id campaign.ID, r Range) ([]Link, error) {
	if _, err := v.Campaign(ctx, id); err != nil {
		return nil, err
	}
	links := map[string]*link{}
	from, to := r.seconds()
	err := v.Clicks(ctx, id, from, to, func(l event.Link, f Fact) error {
		k := links[l.Key()]
		if k == nil {
			k = &link{Link: l, urlAt: f.At, first: f.At, last: f.At}
			links[l.Key()] = k
		}
		k.add(l, f)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := []Link{}
	for _, k := range links {
		out = append(out, k.row())
	}
	slices.SortFunc(out, func(a, b Link) int {
		return cmp.Or(cmp.Compare(b.Clicks, a.Clicks), compare(a.LinkID, b.LinkID), compare(a.URL, b.URL))
	})
	return out, nil
}

func (k *link) add(l event.Link, f Fact) {
	if l.URL != "" && (k.URL == "" || f.At > k.urlAt || f.At == k.urlAt && l.URL < k.URL) {
		k.URL, k.urlAt = l.URL, f.At
	}
	k.first, k.last = min(k.first, f.At), max(k.last, f.At)
	k.clicks++
	k.all.Add(uint32(f.Recipient))
	if f.Actor == event.Human {
		k.human++
		k.people.Add(uint32(f.Recipient))
	}
}

func (k *link) row() Link {
	return Link{
		LinkID: textPtr(k.ID), URL: textPtr(k.URL), Clicks: k.clicks, UniqueClicks: int64(k.all.Len()),
		HumanClicks: k.human, UniqueHumanClicks: int64(k.people.Len()), FirstClickAt: *timeOf(k.first), LastClickAt: *timeOf(k.last),
	}
}

func textPtr(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// compare puts nil last.
func compare(a, b *string) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	}
	return cmp.Compare(*a, *b)
}
