// Package campaign owns campaigns and their runs: one campaign may be sent several times, each time a run. A campaign is
// discovered by its first event, registered by hand, or read from the provider.
package campaign

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/workspace"
)

// ID names a campaign. The zero ID (the nil UUID) is "no campaign", never NULL: SQLite lets a key with NULL repeat.
type ID struct{ uuid.UUID }

// NewID makes an id that no other campaign has.
func NewID() ID { return ID{uuid.Must(uuid.NewV7())} }

// ParseID reads an id in its usual form; the fault is Invalid.
func ParseID(s string) (ID, error) {
	u, err := uuid.Parse(s)
	if err != nil {
		return ID{}, fault.New(fault.Invalid, "%q is not a campaign id (a UUID)", s)
	}
	return ID{u}, nil
}

// Campaign is one mailing as marketing thinks of it.
type Campaign struct {
	ID                 ID
	Name               string // a discovered campaign is named after its provider's id
	Provider           provider.Name
	ProviderCampaignID string // unique by workspace and provider
	Tags               []string
	Status             string // free text: the provider's or the user's; "" = unknown
	Discovered         bool   // made by its first event, and named by nobody yet
	Archived           bool   // deleted: hidden, its events kept
	CreatedAt          time.Time
	UpdatedAt          time.Time
}

// Validate names every bad field at once.
func (c Campaign) Validate() error {
	var bad []fault.Field
	if strings.TrimSpace(c.Name) == "" || len(c.Name) > 500 {
		bad = append(bad, fault.Field{Loc: []string{"body", "name"}, Msg: "must have 1 to 500 characters", Type: "length"})
	}
	if c.Provider != provider.Campaigner {
		bad = append(bad, fault.Field{Loc: []string{"body", "provider_name"}, Msg: "must be campaigner", Type: "enum"})
	}
	if strings.TrimSpace(c.ProviderCampaignID) == "" || len(c.ProviderCampaignID) > 200 {
		bad = append(bad, fault.Field{Loc: []string{"body", "provider_campaign_id"}, Msg: "must have 1 to 200 characters", Type: "length"})
	}
	if len(c.Tags) > 50 {
		bad = append(bad, fault.Field{Loc: []string{"body", "tags"}, Msg: "must be 50 at most", Type: "length"})
	}
	return fault.Fields(bad...)
}

// Filter chooses campaigns. Empty fields choose all.
type Filter struct {
	IDs             []ID
	ProviderIDs     []string
	Providers       []provider.Name
	Search          string // part of the name or of the provider's id, case ignored
	Tags            []string
	Status          []string
	IncludeArchived bool // always true where IDs name the campaign
}

// Store keeps campaigns and runs. Faults: NotFound, and Conflict for a provider's campaign id that is taken.
type Store interface {
	CreateCampaign(ctx context.Context, c workspace.Caller, cm Campaign) error
	GetCampaign(ctx context.Context, c workspace.Caller, id ID) (Campaign, error)
	// ListCampaigns sorts by name, created_at, updated_at, status or provider_campaign_id (default -created_at).
	ListCampaigns(ctx context.Context, c workspace.Caller, f Filter, p page.Params) (page.Of[Campaign], error)
	// UpdateCampaign overwrites all but id, provider and creation.
	UpdateCampaign(ctx context.Context, c workspace.Caller, cm Campaign) error

	// CreateRun keeps a run that somebody registered. Conflict for a provider's run id that is taken in the campaign.
	CreateRun(ctx context.Context, c workspace.Caller, r Run) error
	GetRun(ctx context.Context, c workspace.Caller, id RunID) (Run, error)
	// ListRuns sorts by started_at (default, descending) or created_at. campaigns = nil means all.
	ListRuns(ctx context.Context, c workspace.Caller, campaigns []ID, p page.Params) (page.Of[Run], error)
}
