package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sync/semaphore"

	"monterey/internal/account"
	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/provider"
	"monterey/internal/reconciliation"
	"monterey/internal/rollup"
	"monterey/internal/suppression"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// Authenticator says who sent a request. Faults: Unauthorized, or its store's.
type Authenticator interface {
	Authenticate(r *http.Request) (workspace.Identity, error)
	// Forget is told that a key was revoked or a workspace deleted: nothing that was remembered holds any more.
	Forget()
}

// Intake takes webhooks in.
type Intake interface {
	// Receive keeps the unpacked body of one request and returns once it is durable: the delivery's id, how many objects
	// the body has, and when it was received. Faults: Malformed, Unauthorized, Unavailable.
	Receive(ctx context.Context, body []byte) (id delivery.ID, events int, receivedAt time.Time, err error)
}

// Replayer takes what of a delivery is quarantined or was ignored in once more.
type Replayer interface {
	// Replay returns the delivery as it is afterwards. Faults: NotFound, Conflict (its raw body is gone), Unavailable.
	Replay(ctx context.Context, c workspace.Caller, id delivery.ID) (delivery.Delivery, error)
}

// Config of the API. The stores, Auth, Intake, Replayer and Keys are needed to serve; the rest has working zero values.
type Config struct {
	Auth         Authenticator
	Workspaces   workspace.Store
	Connections  provider.Store
	Campaigns    campaign.Store
	Events       event.Store
	Bounces      bounce.Store // the provider's history
	Deliveries   delivery.Store
	Suppressions suppression.Store
	Statistics   rollup.Store
	Tasks        task.Store
	Comparisons  reconciliation.Store
	Accounts     account.Store
	Intake       Intake
	Replayer     Replayer
	Keys         *provider.Keys

	Now     func() time.Time                // nil = time.Now
	Log     *slog.Logger                    // nil = silent
	Ready   func(ctx context.Context) error // nil = always ready; the error goes to the log, not to the client
	Version string                          // "" = "dev"
	// Observe is told of each request once it is answered: its operation id ("" = nothing at that path, or not that
	// method), status (0 = the client went away) and how long it took. nil = nobody counts.
	Observe func(operation, method string, status int, took time.Duration)

	CORSOrigins           []string // "*" = all
	AllowPrivateProviders bool     // base_url of a connection may be http, loopback or private
	MaxWebhookBytes       int64    // of a webhook's body, packed and unpacked; 0 = 10 MiB
	MaxImportBytes        int64    // of an imported file; 0 = 256 MiB
}

type api struct {
	Config
	huma        huma.API
	router      *router
	bodies      *semaphore.Weighted // bytes that large bodies of webhooks may take together
	document    []byte
	documentErr error
}

// New makes the handler of the whole API.
func New(cfg Config) http.Handler { return newAPI(cfg).handler() }

func (a *api) handler() http.Handler {
	return withRequestID(manners(observe(a.Config, cors(a.CORSOrigins, a.router))))
}

func newAPI(cfg Config) *api {
	now := cfg.Now
	if now == nil {
		now = time.Now
	}
	cfg.Now = func() time.Time { return now().Truncate(time.Microsecond) } // as exact as the stores keep it
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Version == "" {
		cfg.Version = "dev"
	}
	if cfg.MaxWebhookBytes == 0 {
		cfg.MaxWebhookBytes = 10 << 20
	}
	if cfg.MaxImportBytes == 0 {
		cfg.MaxImportBytes = 256 << 20
	}
	a := &api{Config: cfg, router: newRouter(cfg.Log), bodies: semaphore.NewWeighted(8 * cfg.MaxWebhookBytes)}
	a.huma = newHuma(a.router, cfg.Version)
	a.routes()
	a.writeDocument()
	return a
}

// routes declares every operation, a noun at a time.
func (a *api) routes() {
	a.systemRoutes()
	a.meRoutes()
	a.workspaceRoutes()
	a.membershipRoutes()
	a.apiKeyRoutes()
	a.connectionRoutes()
	a.campaignRoutes()
	a.runRoutes()
	a.eventRoutes()
	a.webhookRoutes()
	a.bounceRoutes()
	a.historicalRoutes()
	a.suppressionRoutes()
	a.deliveryRoutes()
	a.statisticsRoutes()
	a.taskRoutes()
	a.backfillRoutes()
	a.reconciliationRoutes()
	a.accountRoutes()
}
