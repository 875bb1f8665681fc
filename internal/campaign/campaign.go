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
	"monterey/internal/task"
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
	Named              bool   // by somebody here: the provider's name does not replace it (see Follow)
	Archived           bool   // deleted: hidden, its events kept
	CreatedAt          time.Time
	UpdatedAt          time.Time

	// What follows is the provider's, as it was last read; zero and nil = unknown.
	ScheduledAt       time.Time // when it is, or was, to be sent
	ProviderCreatedAt time.Time // when it was made there
	Figures           *Figures
	Sources           Sources // of which the reports of this campaign have been read
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
	// UpdateCampaign overwrites all but id, provider, creation and what is the provider's; with another id of the provider's
	// it forgets the latter.
	UpdateCampaign(ctx context.Context, c workspace.Caller, cm Campaign) error
	// PutReported lets the provider's campaigns follow what it says of them (see Campaign.Follow), and makes those that are
	// not there, named as the provider says or else after its id. It does so together with the step that a task makes by it,
	// which step works out from what became of the rows; step may be called twice. Nothing is stored when step fails, or the
	// task has ended (Conflict). The last one counts of rows with the same id. Data for a row without an id, or more than
	// MaxReported.
	PutReported(ctx context.Context, c workspace.Caller, p provider.Name, rows []Reported, now time.Time,
		step func(Upserted) (task.Step, error)) error
	// CampaignsAfter are the first of the provider's campaigns whose ids are behind after, bytewise and in this order,
	// archived ones too.
	CampaignsAfter(ctx context.Context, c workspace.Caller, p provider.Name, after string, limit int) ([]Campaign, error)
	// AddSources notes that reports of these kinds have been read for a campaign.
	AddSources(ctx context.Context, c workspace.Caller, id ID, s Sources) error

	// CreateRun keeps a run that somebody registered. Conflict for a provider's run id that is taken in the campaign.
	CreateRun(ctx context.Context, c workspace.Caller, r Run) error
	GetRun(ctx context.Context, c workspace.Caller, id RunID) (Run, error)
	// ListRuns sorts by started_at (default, descending) or created_at. campaigns = nil means all.
	ListRuns(ctx context.Context, c workspace.Caller, campaigns []ID, p page.Params) (page.Of[Run], error)
}
