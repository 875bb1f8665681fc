package apptest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"monterey/internal/apptest"
	"monterey/internal/loadgen"
	"monterey/internal/oracle"
)

// TestSoakTwoOfEachOnTwoWorkspaces posts a workload to each of two workspaces through two APIs while two workers count, which are
// killed now and then. Both workspaces' statistics are what the generator says.
func TestSoakTwoOfEachOnTwoWorkspaces(t *testing.T) {
	apptest.OnPostgres(t, testSoakTwoOfEachOnTwoWorkspaces)
}

func testSoakTwoOfEachOnTwoWorkspaces(t *testing.T, o apptest.Options) {
	o.Args = []string{"--role", "api"}
	api := apptest.Start(t, o)
	other := api.Beside("api", apptest.Options{})
	far := newProxy(t, o.Database) // what the far worker begins to count, the other has often counted by then
	far.poison("latency", `"latency": 30`)
	workers := []*apptest.App{api.Beside("worker", apptest.Options{}), api.Beside("worker", apptest.Options{Database: far.url()})}
	const secondKey = "apptest-second-webhook-key"
	id := api.MustRun("workspace", "create", "Second")["id"].(string)
	second := api.In(id, api.MustRun("key", "create", "--workspace", id, "--name", "second", "--role", "admin")["key"].(string))
	api.MustRunInput(secondKey, "connection", "set", "--workspace", id, "--provider", "campaigner", "--webhook-key-file", "-")

	loads := []*load{newLoad(t, api, apptest.WebhookKey, 1), newLoad(t, second, secondKey, 2)}
	var posting sync.WaitGroup
	for _, l := range loads {
		for _, to := range []*apptest.App{api, other} {
			for range 4 {
				posting.Go(func() { l.postTo(to) })
			}
		}
	}
	posted := make(chan struct{})
	go func() { posting.Wait(); close(posted) }()
	for n := 0; !closed(posted); n++ {
		time.Sleep(time.Duration(500+rand.IntN(1000)) * time.Millisecond)
		workers[n%2].Kill()
		workers[n%2].Serve()
	}
	for _, l := range loads {
		t.Run(l.app.Workspace, func(t *testing.T) { l.check(t) })
	}
}

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// load is a workload, with the truth about it.
type load struct {
	app    *apptest.App // asks about its workspace
	world  oracle.World
	bodies chan []byte

	mu    sync.Mutex
	tally tally
	last  time.Time // received
}

func newLoad(t *testing.T, app *apptest.App, key string, seed uint64) *load {
	t.Helper()
	g := loadgen.NewGenerator(loadgen.Workload{Seed: seed, Key: key, Events: rounds(6000, 60_000), Campaigns: 4, Recipients: 2000, Days: 3, Duplicates: 0.05})
	l := &load{app: app, tally: tally{}}
	for i := range g.Workload().Events {
		l.report(t, g.Event(i), g.AppendBody(nil, i, 1))
	}
	const batch = 3
	l.bodies = make(chan []byte, g.Workload().Events/batch+1)
	for _, body := range g.Bodies(batch) {
		l.bodies <- bytes.Clone(body)
	}
	close(l.bodies)
	return l
}

// report adds an event to the truth.
func (l *load) report(t *testing.T, e loadgen.Event, object []byte) {
	t.Helper()
	w, c := &l.world, strconv.Itoa(loadgen.CampaignID(e.Campaign))
	event := oracle.Event{Campaign: c, At: e.At, Address: string(loadgen.AppendAddress(nil, e.Recipient))}
	switch e.Kind {
	case loadgen.Open:
		event.Type = "open"
	case loadgen.Click:
		event.Type, event.LinkID = "click", strconv.Itoa(e.Link)
	case loadgen.Bounce:
		event.Type = "bounce"
	case loadgen.Unsubscribe:
		event.Type = "unsubscribe"
	case loadgen.SendingStart:
		w.Marks = append(w.Marks, oracle.Mark{Campaign: c, Kind: oracle.Started, At: e.At})
		return
	case loadgen.Sent:
		var o struct{ Sent *int64 }
		if err := json.Unmarshal(object, &o); err != nil {
			t.Fatal(err)
		}
		w.Marks = append(w.Marks, oracle.Mark{Campaign: c, Kind: oracle.Sent, At: e.At, Sent: o.Sent})
		return
	default:
		w.Ignored++
		return
	}
	w.Events = append(w.Events, event)
}

// postTo posts to an API until there is nothing left.
func (l *load) postTo(api *apptest.App) {
	for body := range l.bodies {
		for try := 0; try < 100 && !l.post(api, body); try++ {
			time.Sleep(50 * time.Millisecond)
		}
	}
}

func (l *load) post(api *apptest.App, body []byte) bool {
	got, err := api.Ask(http.MethodPost, "/campaign-events/webhook", body, "Authorization", "", "workspace_id", "")
	var answer struct {
		ReceivedAt time.Time `json:"received_at"`
	}
	if err == nil {
		err = json.Unmarshal(got.Body, &answer)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tally.add(got, err)
	if answer.ReceivedAt.After(l.last) {
		l.last = answer.ReceivedAt
	}
	return err == nil && got.Status == http.StatusAccepted
}

// check compares what the API answers with the truth.
func (l *load) check(t *testing.T) {
	l.tally.check(t, "202")
	x := newExam(&site{T: t, app: l.app}, l.world, rand.New(rand.NewPCG(3, 7)))
	began := time.Now()
	x.counted(l.last)
	t.Logf("counted after %s", time.Since(began).Round(time.Millisecond))
	x.findCampaigns()
	x.intake()
	x.one()
	x.list()
	x.overview()
	if t.Failed() {
		t.Log(fmt.Sprint("answers to posts: ", l.tally))
	}
}
