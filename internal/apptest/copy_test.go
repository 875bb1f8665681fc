package apptest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"monterey/internal/apptest"
	"monterey/internal/campaigner/campaignersim"
	"monterey/internal/oracle"
)

// copyOf copies an App that is stopped, with SIGKILL at so many random moments, and is the App on the copy, not running.
func copyOf(t *testing.T, app *apptest.App, o apptest.Options, kills int, rng *rand.Rand) (on *apptest.App, report map[string]any) {
	t.Helper()
	args := []string{"copy", "--from", "sqlite:" + filepath.Join(app.Dir, "monterey.db"), "--to", o.Database, "--json"}
	for killed := 0; ; {
		cmd := app.Command(args...)
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		var err error
		limit := time.Minute
		if killed < kills {
			limit = time.Duration(rng.IntN(1500)) * time.Millisecond
		}
		select {
		case err = <-ended:
		case <-time.After(limit):
			killed++
			_ = cmd.Process.Kill() // it may have ended meanwhile
			err = <-ended
		}
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == -1 {
			continue // by the signal
		}
		if err != nil {
			t.Fatalf("%v: %s", err, errs.String())
		}
		if err := json.Unmarshal(out.Bytes(), &report); err != nil {
			t.Fatalf("it printed %q: %v", out.String(), err)
		}
		if !strings.Contains(errs.String(), filepath.Join(app.Dir, "secret.key")) {
			t.Errorf("it says nothing of the secret key: %s", errs.String())
		}
		t.Logf("killed %d times", killed)
		break
	}
	o.Dir = app.Dir
	on = apptest.New(t, o)
	on.Workspace, on.Token = app.Workspace, app.Token
	return on, report
}

// TestCopy counts a part of a random world on SQLite and lets the rest wait, copies everything while it is killed, and asks the
// copy for what the source has answered; then the copy counts the rest, and must know all of the world.
func TestCopy(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			apptest.OnPostgres(t, func(t *testing.T, o apptest.Options) { testCopy(t, o, seed) })
		})
	}
}

func testCopy(t *testing.T, o apptest.Options, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 11))
	world := oracle.Random(rng, 300)
	s := &site{T: t, app: apptest.Start(t, apptest.Options{})}
	first, rest := world, oracle.World{Events: world.Events[len(world.Events)/2:]}
	first.Events = world.Events[:len(world.Events)/2]
	x := newExam(s, world, rng)
	x.report(first)
	ask(t, s.app, http.StatusOK, http.MethodPost, "/accounts/import?partial=true", "account_number,email\n1,a@x.test\n2,a@x.test\n")
	s.app.Stop()

	paused := apptest.New(t, apptest.Options{Dir: s.app.Dir, Args: []string{"--pause-drain"}})
	paused.Workspace, paused.Token = s.app.Workspace, s.app.Token
	s.app = paused
	s.app.Serve()
	var last time.Time
	waiting := 0
	for _, b := range oracle.Bodies(oracle.Webhooks(rest, rng), apptest.WebhookKey, rng) {
		at, err := x.post(b, false)
		if err != nil {
			t.Fatal(err)
		}
		last = at
		waiting++
	}
	want := answers(s)
	s.app.Stop()

	o.Args = []string{"--pause-drain"}
	on, report := copyOf(t, s.app, o, 6, rng)
	if report["waiting"] != float64(waiting) || report["drifted"] != 0.0 || report["altered_texts"] != 0.0 {
		t.Errorf("it reports %v; %d wait", report, waiting)
	}
	s.app = on
	s.app.Serve()
	if diff := cmp.Diff(want, answers(s)); diff != "" {
		t.Errorf("the copy answers otherwise (-source +copy):\n%.3000s", diff)
	}
	s.app.Stop()

	o.Args = nil
	counting := apptest.New(t, apptest.Options{Dir: on.Dir, Database: o.Database})
	counting.Workspace, counting.Token = on.Workspace, on.Token
	s.app = counting
	s.app.Serve()
	x.counted(last)
	for _, id := range pendingOf(want) {
		if d := s.get("/webhook-deliveries/"+id, nil); d["state"] == "pending" {
			t.Errorf("the delivery %s still waits", id)
		}
	}
	x.compare()
	s.app.Stop()
}

// answers are what a server says to questions about everything, but for how late it is.
func answers(s *site) map[string]any {
	s.Helper()
	out := map[string]any{}
	var paths []string
	for _, path := range []string{"/email-campaigns/", "/campaign-statistics/", "/campaign-events/", "/bounce-events/", "/campaign-runs/", "/suppressions/",
		"/webhook-deliveries/", "/accounts/", "/historical-bounces/", "/provider-connections/", "/tasks/", "/reconciliation/", "/api-keys/",
		"/workspaces/", "/workspace-memberships/"} {
		paths = append(paths, path+"?page_size=500")
	}
	for _, c := range s.rows(s.get("/email-campaigns/", url.Values{"page_size": {"500"}})) {
		of := "/campaign-statistics/" + c["id"].(string)
		paths = append(paths, of+"/links", of+"/domains", of+"/time-series?granularity=day&timezone=Asia%2FKathmandu")
	}
	for _, zone := range []string{"UTC", "Asia/Kathmandu", "America/New_York"} {
		q := "?" + url.Values{"timezone": {zone}, "date_from": {"2025-01-01"}}.Encode()
		paths = append(paths, "/campaign-statistics/overview"+q, "/campaign-statistics/"+q)
	}
	for _, path := range paths {
		got, err := s.app.Ask(http.MethodGet, path, nil)
		if err != nil {
			s.Fatal(err)
		}
		var answer map[string]any
		if err := json.Unmarshal(got.Body, &answer); err != nil || got.Status != http.StatusOK {
			s.Fatalf("%s: %d, %v: %s", path, got.Status, err, got.Body)
		}
		out[path] = timeless(answer)
	}
	for _, id := range pendingOf(out) {
		out[id] = s.get("/webhook-deliveries/"+id, nil)
	}
	return out
}

// timeless leaves out what moves with the clock.
func timeless(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range []string{"as_of", "human_as_of", "last_used_at", "request_id", "next_cursor", "ends_at"} {
			delete(v, k)
		}
		for k := range v {
			v[k] = timeless(v[k])
		}
	case []any:
		for i := range v {
			v[i] = timeless(v[i])
		}
	}
	return v
}

// pendingOf are the ids of deliveries that waited when the answers were given.
func pendingOf(answers map[string]any) (ids []string) {
	list := answers["/webhook-deliveries/?page_size=500"].(map[string]any)
	for _, d := range list["items"].([]any) {
		if d := d.(map[string]any); d["state"] == "pending" {
			ids = append(ids, d["id"].(string))
		}
	}
	return ids
}

// TestCopyTask copies a database in the middle of a backfill, which goes on where it stood.
func TestCopyTask(t *testing.T) {
	apptest.OnPostgres(t, func(t *testing.T, o apptest.Options) {
		e := newEDAPI(t, 3000, campaignersim.SmallPages)
		app := backfilled(t, apptest.Options{}, e, true)
		e.holdAfter(6)
		id := ask(t, app, 202, http.MethodPost, "/historical-bounces/backfill", `{"full_backfill": true}`)["task_id"].(string)
		waitTask(t, app, id, func(k taskOf) bool { return k.Progress.Pages >= 5 })
		copying := []string{"copy", "--from", "sqlite:" + filepath.Join(app.Dir, "monterey.db"), "--to", o.Database}
		if _, errs, code := app.Run("", copying...); code != 1 || !strings.Contains(errs, "server is running") {
			t.Errorf("beside a server: exit %d, %s", code, errs)
		}
		app.Kill()
		e.letGo()
		asked := e.asked.Load()
		o.Env = []string{"MONTEREY_ALLOW_PRIVATE_PROVIDERS=1", "MONTEREY_PROVIDER_RATE=0"}
		on, report := copyOf(t, app, o, 2, rand.New(rand.NewPCG(1, 1)))
		if report["tasks"] != 1.0 {
			t.Errorf("it reports %v", report)
		}
		if _, errs, code := app.Run("", copying...); code != 1 || !strings.Contains(errs, "holds data already") {
			t.Errorf("a second time: exit %d, %s", code, errs)
		}
		on.Serve()
		got := waitTask(t, on, id, hasEnded)
		if got.Status != "succeeded" || got.Progress.Pages <= 5 || e.asked.Load()-asked > got.Progress.Pages-4 {
			t.Errorf("%+v, %d requests since", got, e.asked.Load()-asked)
		}
		checkHistory(t, on, e)
		on.Stop()
	})
}
