package campaigner

import (
	"context"
	"time"
)

// CampaignList is one of the account's lists of campaigns, as its path.
type CampaignList string

// The lists.
const (
	AllCampaigns       CampaignList = "/Campaigns/All"
	ActiveCampaigns    CampaignList = "/Campaigns"
	SentCampaigns      CampaignList = "/Campaigns/Sent"
	SendingCampaigns   CampaignList = "/Campaigns/Sending"
	ScheduledCampaigns CampaignList = "/Campaigns/Scheduled"
	DraftCampaigns     CampaignList = "/Campaigns/Drafts"
)

// Campaign as the provider describes it, in a list or by itself; in a list much may be absent. Texts are verbatim. Counts
// are the provider's own figures, nil = unknown; its rates are left in Raw, since their scale is not known.
type Campaign struct {
	ID, Name, Status                                  string
	Active                                            *bool
	Created, Scheduled                                time.Time // zero = not said
	FromName, FromEmail, ToName, Subject              string
	ArchiveURL, Target                                string
	Sent, Delivered, Opens, UniqueClicks, TotalClicks *int64
	HardBounces, SoftBounces, Complaints, Removes     *int64
	Forwards, ForwardsFrom                            *int64
	Fault                                             string // what could not be read; "" = nothing. Such fields are empty
	Raw                                               []byte // as written
}

func readCampaign(r *row, raw []byte) Campaign {
	c := Campaign{
		ID: r.needID("CampaignID"), Name: r.label("Name"), Status: r.label("Status"), Active: r.flag("IsActive"),
		Created: r.time("Created"), Scheduled: r.time("ScheduleDate", "ScheduledDate"),
		FromName: r.label("FromName"), FromEmail: r.label("FromEmail"), ToName: r.label("ToName"), Subject: r.label("Subject"),
		ArchiveURL: r.label("ArchiveURL"), Target: r.label("Target"),
		Sent: r.count("EmailsSent"), Delivered: r.count("Delivered"), Opens: r.count("Opens"), UniqueClicks: r.count("UniqueClicks"),
		TotalClicks: r.count("TotalClicks"), HardBounces: r.count("HardBounces"), SoftBounces: r.count("SoftBounces"),
		Complaints: r.count("Complaints"), Removes: r.count("Removes"), Forwards: r.count("Forwards"), ForwardsFrom: r.count("ForwardsFrom"),
		Raw: raw,
	}
	c.Fault = r.fault()
	return c
}

func (c Campaign) key() string { return keyOf(c.ID, c.Raw) }

// Campaigns is a page of the account's campaigns.
func (c *Client) Campaigns(ctx context.Context, from CampaignList, p ListParams) (Page[Campaign], error) {
	return list(ctx, c, string(from), p, readCampaign)
}

// Campaign is one of the account's campaigns with its figures; an *Error of status 404 when there is none of this id.
func (c *Client) Campaign(ctx context.Context, id string) (Campaign, error) {
	if err := segment("/Campaigns", id); err != nil {
		return Campaign{}, err
	}
	return one(ctx, c, "/Campaigns/"+id, readCampaign)
}

// TrackedLink is a link of a campaign. Its counts are the provider's, nil = unknown.
type TrackedLink struct {
	ID, URL, FriendlyName     string
	TotalClicks, UniqueClicks *int64
	Fault                     string // as of a Campaign
	Raw                       []byte
}

func readLink(r *row, raw []byte) TrackedLink {
	l := TrackedLink{
		ID: r.needID("LinkID"), URL: r.label("URL"), FriendlyName: r.label("FriendlyName"), TotalClicks: r.count("TotalClicks"),
		UniqueClicks: r.count("UniqueClicks"), Raw: raw,
	}
	l.Fault = r.fault()
	return l
}

// Links are all tracked links of a campaign.
func (c *Client) Links(ctx context.Context, campaignID string) ([]TrackedLink, error) {
	if err := segment("/Campaigns", campaignID); err != nil {
		return nil, err
	}
	return call(ctx, c, "/Campaigns/"+campaignID+"/Links", nil, func(a answer) ([]TrackedLink, error) {
		value, err := wholeValue(a.body)
		if err != nil {
			return nil, err
		}
		items := notNull(value)
		if value[0] == '{' {
			r := row{fields: objectFields(value)}
			if items = r.find("TrackedLinks"); items == nil {
				items = r.find("Items")
			}
		}
		return readItems(items, c.config.Zone, c.config.APIKey, readLink)
	})
}

// Ping says whether the key works, and the account's name where the provider tells it. A key that does not is an *Error
// of status 401 or 403.
func (c *Client) Ping(ctx context.Context) (accountName string, err error) {
	return call(ctx, c, "/Ping", nil, func(a answer) (string, error) {
		if len(a.body) == 0 {
			return "", nil
		}
		value, err := wholeValue(a.body)
		if err != nil || value[0] != '{' {
			return "", err
		}
		r := row{fields: objectFields(value), key: c.config.APIKey}
		return r.label("AccountName"), nil
	})
}
