package campaignsync

import (
	"strings"
	"time"
	"unicode/utf8"

	"monterey/internal/campaign"
	"monterey/internal/campaigner"
)

// Bounds of what a campaign may have, in bytes; what is longer is cut.
const (
	maxName   = 500
	maxStatus = 200
)

// reported is a row in the form of every provider, without figures.
func reported(row campaigner.Campaign) campaign.Reported {
	return campaign.Reported{ProviderCampaignID: row.ID, Name: cut(strings.TrimSpace(row.Name), maxName),
		Status: cut(strings.TrimSpace(row.Status), maxStatus), ScheduledAt: row.Scheduled, CreatedAt: row.Created}
}

// figuresOf are the figures of a row. status is the campaign's where the row does not say.
func figuresOf(row campaigner.Campaign, status string, asked time.Time) *campaign.Figures {
	if row.Status != "" {
		status = row.Status
	}
	return &campaign.Figures{AsOf: asked.UTC().Truncate(time.Microsecond), Sending: plain(status) == "sending", Sent: row.Sent,
		Delivered: row.Delivered, Opens: row.Opens, Clicks: row.TotalClicks, UniqueClicks: row.UniqueClicks, HardBounces: row.HardBounces,
		SoftBounces: row.SoftBounces, Complaints: row.Complaints, Unsubscribes: row.Removes}
}

// unsent says whether a status is one in which nothing has been sent, so that there are no figures. A campaign that is
// scheduled once more after it was sent has figures, and is read again when that was done.
func unsent(status string) bool {
	switch plain(status) {
	case "draft", "drafts", "scheduled":
		return true
	}
	return false
}

// plain is a status without case, spaces, hyphens and underscores: how the provider writes it is known for none.
func plain(status string) string {
	return strings.NewReplacer(" ", "", "-", "", "_", "").Replace(strings.ToLower(status))
}

func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	for !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most]
}
