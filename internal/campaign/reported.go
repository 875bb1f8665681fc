package campaign

import (
	"time"
)

// MaxReported is how many campaigns PutReported takes at once: a transaction is short.
const MaxReported = 500

// Reported is what a provider says of one of its campaigns.
type Reported struct {
	ProviderCampaignID string
	Name, Status       string    // "" = not said
	ScheduledAt        time.Time // zero = not said
	CreatedAt          time.Time // zero = not said
	Figures            *Figures  // nil = not asked for
}

// Figures are a provider's own figures of a campaign as a whole, nil = unknown. They are shown beside ours and never mixed
// in, but for one: see Run.Sent.
type Figures struct {
	AsOf         time.Time // they were asked for then, by our clock
	Sending      bool      // the campaign was being sent just then, so that Sent was not all of it
	Sent         *int64
	Delivered    *int64
	Opens        *int64
	Clicks       *int64
	UniqueClicks *int64
	HardBounces  *int64
	SoftBounces  *int64
	Complaints   *int64
	Unsubscribes *int64
}

// Each calls f with every figure, in the order of the fields.
func (f *Figures) Each(fn func(figure **int64)) {
	for _, p := range []**int64{&f.Sent, &f.Delivered, &f.Opens, &f.Clicks, &f.UniqueClicks, &f.HardBounces, &f.SoftBounces,
		&f.Complaints, &f.Unsubscribes} {
		fn(p)
	}
}

// Whole says whether every figure is known.
func (f Figures) Whole() bool {
	whole := true
	f.Each(func(p **int64) { whole = whole && *p != nil })
	return whole
}

// Sources are kinds of event, a bit each, of which the provider's reports have been read for a campaign.
type Sources uint8

// The kinds.
const (
	Opens Sources = 1 << iota
	Clicks
	HardBounces
	SoftBounces
	Unsubscribes
	Complaints
)

// Has says whether all kinds of k are among them.
func (s Sources) Has(k Sources) bool { return s&k == k }

// Rename gives the campaign the name that somebody chose. Where it is another than before, the provider's does not replace
// it any more (see Follow).
func (c *Campaign) Rename(name string) {
	c.Named = c.Named || name != c.Name
	c.Name, c.Discovered = name, false
}

// Follow takes over what the provider says of the campaign, and tells whether anything changed but figures. What the
// provider does not say stays. A name that somebody chose stays too, until it is the provider's, or the provider's id;
// whether the campaign is archived is ours alone to say.
func (c *Campaign) Follow(r Reported) (changed bool) {
	if mine := c.Named && c.Name != c.ProviderCampaignID; r.Name != "" && (!mine || c.Name == r.Name) {
		changed = c.Name != r.Name || c.Discovered || c.Named
		c.Name, c.Discovered, c.Named = r.Name, false, false
	}
	if r.Status != "" && c.Status != r.Status {
		c.Status, changed = r.Status, true
	}
	if !r.ScheduledAt.IsZero() && !c.ScheduledAt.Equal(r.ScheduledAt) {
		c.ScheduledAt, changed = r.ScheduledAt, true
	}
	if !r.CreatedAt.IsZero() && !c.ProviderCreatedAt.Equal(r.CreatedAt) {
		c.ProviderCreatedAt, changed = r.CreatedAt, true
	}
	if r.Figures != nil {
		c.Figures = r.Figures
	}
	return changed
}

// Upserted is how many campaigns were new, changed or as they were known, figures aside.
type Upserted struct{ Inserted, Updated, Unchanged int }
