package campaignsync

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
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

// Ask reads one campaign with its figures; wrong says why there is none to be had.
func Ask(ctx context.Context, client *campaigner.Client, cm campaign.Campaign, now func() time.Time) (said campaign.Reported, wrong string, err error) {
	id := cm.ProviderCampaignID
	if !campaigner.IsID(id) {
		return said, fmt.Sprintf("campaign %s: this is no id of the provider", id), nil
	}
	asked := now()
	row, err := client.Campaign(ctx, id)
	if refused, ok := errors.AsType[*campaigner.Error](err); ok && slices.Contains(ofOne, refused.Status) {
		return said, refused.Error(), nil
	}
	if err == nil && row.ID != id {
		return said, fmt.Sprintf("campaign %s: the provider answers with another: %q", id, row.ID), nil
	}
	said = reported(row)
	said.ProviderCampaignID, said.Figures = id, figuresOf(row, cm.Status, asked)
	return said, "", err
}

// ofOne are the statuses of a refusal that is about the campaign asked for, not about all of them.
var ofOne = []int{http.StatusOK, http.StatusBadRequest, http.StatusNotFound, http.StatusGone, http.StatusUnprocessableEntity}

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

// Unsent says whether a status is one in which nothing has been sent, so that there are no figures. A campaign that is
// scheduled once more after it was sent has figures, and is read again when that was done.
func Unsent(status string) bool {
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
