// Package provider owns a workspace's connections to those who send its mail: which provider, the shared key that its
// webhooks carry, the key that opens its API, and how its times are read. Speaking with a provider is the business of the
// provider's own package (internal/campaigner).
package provider

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/robfig/cron/v3"

	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/workspace"
)

// ID names a connection.
type ID struct{ uuid.UUID }

// Name of a provider, as in answers.
type Name string

// Campaigner is the first provider.
const Campaigner Name = "campaigner"

// Names are all providers that a connection may be to.
var Names = []Name{Campaigner}

// Connection is a workspace's account at a provider; there is one a provider.
type Connection struct {
	ID           ID
	Workspace    workspace.ID
	Provider     Name
	BaseURL      string // of the provider's API; "" = the provider's own
	Timezone     string // how the provider's times without a zone are meant; IANA name, default UTC
	SyncSchedule string // cron expression of five fields, or @daily, @every 6h, in Timezone; "" = never
	// RecoverOpens says which of the opens that the provider lists are events: FirstOpens ("" too) or AllOpens.
	RecoverOpens string
	// WebhookMAC is the HMAC of the webhook key under the server's secret (see Keys), nil while none is set. It finds the
	// connection of a webhook; the key itself is not kept.
	WebhookMAC []byte
	// APIKey is sealed with the server's secret, nil while none is set.
	APIKey    []byte
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Values of Connection.RecoverOpens.
const (
	FirstOpens = "first" // one alone a recipient, as the webhooks report it
	AllOpens   = "all"
)

// Validate names every bad field at once.
func (c Connection) Validate() error {
	var bad []fault.Field
	if c.Provider != Campaigner {
		bad = append(bad, fault.Field{Loc: []string{"body", "provider"}, Msg: "must be campaigner", Type: "enum"})
	}
	if !workspace.ValidZone(c.Timezone) {
		bad = append(bad, fault.Field{Loc: []string{"body", "provider_timezone"}, Msg: "must be an IANA time zone, as America/New_York or UTC", Type: "timezone"})
	}
	if c.RecoverOpens != "" && c.RecoverOpens != FirstOpens && c.RecoverOpens != AllOpens {
		bad = append(bad, fault.Field{Loc: []string{"body", "recover_opens"}, Msg: "must be first or all", Type: "enum"})
	}
	if _, err := cron.ParseStandard(c.SyncSchedule); c.SyncSchedule != "" && err != nil {
		bad = append(bad, fault.Field{Loc: []string{"body", "sync_schedule"}, Type: "cron",
			Msg: "must be a cron expression of five fields, as 0 3 * * *, or @hourly, @daily or @every 6h"})
	}
	return fault.Fields(bad...)
}

// Store keeps connections. Faults: NotFound, and Conflict for a second connection to one provider or a webhook key that
// another connection of any workspace has (it could not tell whose a webhook is).
type Store interface {
	CreateConnection(ctx context.Context, c workspace.Caller, conn Connection) error
	GetConnection(ctx context.Context, c workspace.Caller, id ID) (Connection, error)
	ListConnections(ctx context.Context, c workspace.Caller, p page.Params) (page.Of[Connection], error)
	UpdateConnection(ctx context.Context, c workspace.Caller, conn Connection) error
	DeleteConnection(ctx context.Context, c workspace.Caller, id ID) error
	// ConnectionByWebhook finds the connection whose webhook key has this MAC, in any workspace that was not deleted.
	ConnectionByWebhook(ctx context.Context, mac []byte) (Connection, error)
}

// Turns lets several processes that ask one account do so in turns.
type Turns interface {
	// TakeTurn takes the next turn at the account of a connection, of which there is one every so often, and says how long it is
	// until then. While requests are held back it takes none, and held is for how long they still are.
	TakeTurn(ctx context.Context, id ID, every time.Duration) (wait, held time.Duration, err error)
	// HoldTurns lets no turn be taken for so long from now; it shortens nothing.
	HoldTurns(ctx context.Context, id ID, during time.Duration) error
}
