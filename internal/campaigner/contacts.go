package campaigner

import (
	"context"
	"time"

	"monterey/internal/bounce"
)

// Report is one of a campaign's lists of contacts, as its path below the campaign.
type Report string

// The reports. Opens may hold every open, or the first of each contact only.
const (
	OpensReport      Report = "/Opens"
	ClicksReport     Report = "/Clicks"
	HardBounceReport Report = "/HardBounces"
	SoftBounceReport Report = "/SoftBounces"
	RemovesReport    Report = "/Removes"
	ComplaintsReport Report = "/Complaints"
	RecipientsReport Report = "/Recipients"
)

// SubscriberList is one of the account's lists of contacts, as its path.
type SubscriberList string

// The lists.
const (
	ComplaintSubscribers SubscriberList = "/Subscribers/Complaints"
	RemovedSubscribers   SubscriberList = "/Subscribers/Removes"
)

// Contact is a row that names a contact and, in the reports of a campaign, when it did what the report is of. Texts are
// verbatim. Bounce reports may hold the fields of a Bounce as well.
type Contact struct {
	EmailID string
	Address string    // normalised
	At      time.Time // ActionDate; zero = not said
	Created time.Time // zero = not said
	Status  string
	NDRCode string
	Type    string // BounceType
	Reason  string
	Fault   string // what of the row could not be read; "" = nothing. Such fields are empty
	Raw     []byte // the row as written, its CustomFields too
}

func readContact(r *row, raw []byte) Contact {
	c := Contact{
		EmailID: r.id("EmailID"), Address: r.address(), At: r.time("ActionDate", "BouncedAt"), Created: r.time("Created"),
		Status: r.label("Status"), NDRCode: r.label("NDRCode"), Type: r.label("BounceType"), Reason: r.label("Reason"), Raw: raw,
	}
	c.Fault = r.fault()
	return c
}

func (c Contact) key() string {
	if c.Address == "" {
		return string(c.Raw)
	}
	return c.Address + " " + c.EmailID + " " + c.At.Format(time.RFC3339)
}

// Class is as Bounce.Class, for a row of a report of bounces.
func (c Contact) Class(from Report) (bounce.Class, bounce.Detail) {
	return classOf(c.Type, string(from), c.Status, c.Reason, c.NDRCode)
}

// Report is a page of a campaign's report.
func (c *Client) Report(ctx context.Context, campaignID string, of Report, p ListParams) (Page[Contact], error) {
	if err := segment("/Campaigns", campaignID); err != nil {
		return Page[Contact]{}, err
	}
	return list(ctx, c, "/Campaigns/"+campaignID+string(of), p, readContact)
}

// LinkClicks is a page of the clicks on one link of a campaign.
func (c *Client) LinkClicks(ctx context.Context, campaignID, linkID string, p ListParams) (Page[Contact], error) {
	if err := segment("/Campaigns", campaignID); err != nil {
		return Page[Contact]{}, err
	}
	if err := segment("/Campaigns/"+campaignID+"/Links", linkID); err != nil {
		return Page[Contact]{}, err
	}
	return list(ctx, c, "/Campaigns/"+campaignID+"/Links/"+linkID+"/Clicks", p, readContact)
}

// Subscribers is a page of the account's contacts who complained or unsubscribed.
func (c *Client) Subscribers(ctx context.Context, of SubscriberList, p ListParams) (Page[Contact], error) {
	return list(ctx, c, string(of), p, readContact)
}
