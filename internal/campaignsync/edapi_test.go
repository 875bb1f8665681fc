package campaignsync

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"monterey/internal/campaign"
	"monterey/internal/campaigner"
	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/store"
	"monterey/internal/store/testdb"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

type object = map[string]any

// edapi is an account at the provider.
type edapi struct {
	*httptest.Server
	mu     sync.Mutex
	list   []object          // rows of /Campaigns/All
	one    map[string]object // answers of /Campaigns/{id}
	status map[string]int    // refusals, by path
	most   int               // rows of a page; 0 = as many as asked for
	asked  map[string]int    // by path
}

func newEDAPI(t *testing.T) *edapi {
	e := &edapi{one: map[string]object{}, status: map[string]int{}, asked: map[string]int{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/Campaigns/All", func(w http.ResponseWriter, r *http.Request) {
		number, size := atoi(r.FormValue("PageNumber")), atoi(r.FormValue("PageSize"))
		if e.most > 0 {
			size = e.most
		}
		from := min((number-1)*size, len(e.list))
		answer(w, object{"PageSize": size, "PageNumber": number, "TotalRecords": len(e.list), "TotalPages": (len(e.list) + size - 1) / size,
			"Items": e.list[from:min(from+size, len(e.list))]})
	})
	mux.HandleFunc("GET /v1/Campaigns/{id}", func(w http.ResponseWriter, r *http.Request) {
		if o := e.one[r.PathValue("id")]; o != nil {
			answer(w, o)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	})
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.asked[r.URL.Path]++
		if r.Header.Get("ApiKey") != "the-key" {
			w.WriteHeader(http.StatusUnauthorized)
		} else if s := e.status[r.URL.Path]; s != 0 {
			w.WriteHeader(s)
		} else {
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(e.Close)
	return e
}

func atoi(s string) int { n, _ := strconv.Atoi(s); return n }

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a client that went away notices by itself
}

// counts are all figures, each another number from n on.
func counts(n int) object {
	return object{"EmailsSent": n, "Delivered": n + 1, "Opens": n + 2, "TotalClicks": n + 3, "UniqueClicks": n + 4, "HardBounces": n + 5,
		"SoftBounces": n + 6, "Complaints": n + 7, "Removes": n + 8}
}

func with(a object, more ...object) object {
	out := object{}
	for _, m := range append([]object{a}, more...) {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// add gives the account a campaign that the list shows without figures.
func (e *edapi) add(id int, name, status string, figures object) {
	row := object{"CampaignID": id, "Name": name, "Status": status}
	e.list = append(e.list, row)
	e.one[strconv.Itoa(id)] = with(row, figures)
}

// rig is a store with a workspace that is connected to an account.
type rig struct {
	*testing.T
	edapi *edapi
	store store.Database
	ws    workspace.Caller
	conn  provider.Connection
	sync  *Sync
	now   time.Time // one second later each time that the sync looks
}

func newRig(t *testing.T) *rig {
	t.Helper()
	s := testdb.Open(t)
	r := &rig{T: t, edapi: newEDAPI(t), store: s, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	w := workspace.Workspace{ID: workspace.NewID(), Name: "Test", Timezone: "UTC", CreatedAt: r.now, UpdatedAt: r.now}
	keys, err := provider.NewKeys(provider.NewSecret())
	if err == nil {
		err = s.CreateWorkspace(t.Context(), w)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.ws = workspace.System(w.ID)
	r.conn = provider.Connection{ID: provider.ID{UUID: uuid.New()}, Workspace: w.ID, Provider: provider.Campaigner, Timezone: "America/New_York",
		BaseURL: r.edapi.URL + "/v1", APIKey: keys.Seal("the-key"), CreatedAt: r.now, UpdatedAt: r.now}
	if err := s.CreateConnection(t.Context(), r.ws, r.conn); err != nil {
		t.Fatal(err)
	}
	r.sync = &Sync{Campaigns: s, Tasks: s, Slice: time.Hour, Now: func() time.Time { r.now = r.now.Add(time.Second); return r.now },
		Accounts: &campaigner.Accounts{Connections: s, Keys: keys, Limits: campaigner.NewLimits(10_000, 2), AllowPrivate: true,
			Sleep: func(context.Context, time.Duration) error { return nil }}}
	return r
}

// start makes a running task.
func (r *rig) start() task.Task {
	r.Helper()
	t := task.New(task.Campaigns, task.Params{}, "test", r.now)
	if err := r.store.CreateTask(r.Context(), r.ws, t); err != nil {
		r.Fatal(err)
	}
	t, err := r.store.StartTask(r.Context(), r.ws, t.ID, r.now)
	if err != nil {
		r.Fatal(err)
	}
	return t
}

// work does what one call does of a task, as it stands.
func (r *rig) work(id task.ID) error {
	r.Helper()
	return r.sync.Work(r.Context(), r.ws, r.task(id))
}

func (r *rig) task(id task.ID) task.Task {
	r.Helper()
	t, err := r.store.GetTask(r.Context(), r.ws, id)
	if err != nil {
		r.Fatal(err)
	}
	return t
}

// run does a whole sync.
func (r *rig) run() task.Task {
	r.Helper()
	t := r.start()
	if err := r.work(t.ID); err != nil {
		r.Fatal(err)
	}
	if err := r.store.FinishTask(r.Context(), r.ws, t.ID, "", r.now); err != nil {
		r.Fatal(err)
	}
	return r.task(t.ID)
}

// campaigns by the provider's id.
func (r *rig) campaigns() map[string]campaign.Campaign {
	r.Helper()
	out := map[string]campaign.Campaign{}
	l, err := r.store.ListCampaigns(r.Context(), r.ws, campaign.Filter{IncludeArchived: true}, page.Params{Number: 1, Size: page.MaxSize})
	if err != nil {
		r.Fatal(err)
	}
	for _, c := range l.Items {
		out[c.ProviderCampaignID] = c
	}
	return out
}

func (r *rig) create(cm campaign.Campaign) campaign.Campaign {
	r.Helper()
	cm.ID, cm.Provider, cm.CreatedAt, cm.UpdatedAt = campaign.NewID(), provider.Campaigner, r.now, r.now
	if err := r.store.CreateCampaign(r.Context(), r.ws, cm); err != nil {
		r.Fatal(err)
	}
	return cm
}

// figures are what of counts a campaign has.
func figures(c campaign.Campaign) string {
	if c.Figures == nil {
		return "none"
	}
	text := ""
	c.Figures.Each(func(p **int64) {
		if *p == nil {
			text += "- "
		} else {
			text += fmt.Sprint(**p, " ")
		}
	})
	return text
}
