// Package reconciliation owns what a comparison of our counts with the provider's says of a campaign: ours, theirs, what
// was recovered, and what nobody can explain. Comparing, and fetching what is missing, is internal/recovery's.
package reconciliation

import (
	"context"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/page"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// Counts of a campaign as a whole, nil = unknown. Bounces, unsubscribes and complaints are distinct recipients.
type Counts struct {
	Opens        *int64 `json:"opens"`
	UniqueOpens  *int64 `json:"unique_opens"`
	Clicks       *int64 `json:"clicks"`
	UniqueClicks *int64 `json:"unique_clicks"`
	HardBounces  *int64 `json:"hard_bounces"`
	SoftBounces  *int64 `json:"soft_bounces"`
	Unsubscribes *int64 `json:"unsubscribes"`
	Complaints   *int64 `json:"complaints"`
}

// Each calls f with every count, in the order of the fields.
func (c *Counts) Each(f func(count **int64)) {
	for _, p := range []**int64{&c.Opens, &c.UniqueOpens, &c.Clicks, &c.UniqueClicks, &c.HardBounces, &c.SoftBounces, &c.Unsubscribes, &c.Complaints} {
		f(p)
	}
}

// Minus is what c counts more than o; nil where either is unknown.
func (c Counts) Minus(o Counts) Counts {
	var other []*int64
	o.Each(func(p **int64) { other = append(other, *p) })
	i := 0
	c.Each(func(p **int64) {
		if *p != nil && other[i] != nil {
			d := **p - *other[i]
			*p = &d
		} else {
			*p = nil
		}
		i++
	})
	return c
}

// Equal says whether both know the same and count the same.
func (c Counts) Equal(o Counts) bool {
	var other []*int64
	o.Each(func(p **int64) { other = append(other, *p) })
	equal, i := true, 0
	c.Each(func(p **int64) {
		equal = equal && (*p == nil) == (other[i] == nil) && (*p == nil || **p == *other[i])
		i++
	})
	return equal
}

// Comparison is the last one of a campaign. Unexplained is theirs minus ours; the provider's opens count any activity of a
// recipient, so they are often more.
type Comparison struct {
	Campaign           campaign.ID
	CampaignName       string // filled by the store when read
	ProviderCampaignID string // likewise
	At                 time.Time
	Ours               Counts // after what was missing was fetched
	Theirs             Counts
	Fetched            Counts // theirs when the reports were last fetched; all nil = never
	Recovered          Counts // events that we hold from the provider's reports alone; filled by the store
	Fault              string // why the provider's figures could not be had; then Theirs is of the last time that they could
}

// Store keeps the last comparison of each campaign.
type Store interface {
	// PutComparison replaces the campaign's, counts what was recovered, and saves the step that a task makes by it. Conflict
	// when the task has ended: then nothing is stored.
	PutComparison(ctx context.Context, c workspace.Caller, cmp Comparison, step task.Step) error
	// GetComparison: NotFound where the campaign was never compared.
	GetComparison(ctx context.Context, c workspace.Caller, id campaign.ID) (Comparison, error)
	// ListComparisons sorts by compared_at (default, descending) or campaign_name. campaigns = nil means all.
	ListComparisons(ctx context.Context, c workspace.Caller, campaigns []campaign.ID, p page.Params) (page.Of[Comparison], error)
}
