package backfill_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"monterey/internal/campaigner"
	"monterey/internal/campaigner/campaignersim"
	"monterey/internal/page"
	"monterey/internal/provider"
	"monterey/internal/store/testdb"
	"monterey/internal/task"
)

// rowsOf are the rows of a page, or the one row that an answer is.
func rowsOf(o map[string]any) (rows []map[string]any) {
	items, paged := o["Items"].([]any)
	if !paged {
		return []map[string]any{o}
	}
	for _, i := range items {
		rows = append(rows, i.(map[string]any))
	}
	return rows
}

func idOf(row map[string]any) string { return fmt.Sprintf("%.0f", row["BounceID"]) }

// The next backfill reads what is new since the provider's clock of the one before, and a bit more; full_backfill everything.
func TestSinceTheLastMark(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.Open(t), 1, 3000)
	total := int64(len(r.truth()))
	if g := r.succeeds(task.Params{}).Progress; g.Inserted != total || *g.Total != total {
		t.Errorf("the first time %+v, want %d", g, total)
	}
	if asked := r.requests(); strings.Contains(asked[0], "Since") {
		t.Error(asked[0])
	}
	mark := r.clock.now()
	_ = r.clock.sleep(t.Context(), 30*24*time.Hour)
	if g := r.succeeds(task.Params{}).Progress; g.Inserted+g.Updated != 0 || g.Unchanged == 0 || g.Unchanged > total/2 {
		t.Errorf("since the mark %+v", g)
	}
	if asked, want := r.requests()[0], "Since="+mark.Add(-campaigner.SinceOverlap).Format("2006-01-02T15"); !strings.Contains(asked, want) {
		t.Errorf("%s, want %s", asked, want)
	}
	since := mark.AddDate(-1, 0, 0)
	r.succeeds(task.Params{Since: since}) // leaves no gap, so the next one goes on from it
	if asked := r.requests()[0]; !strings.Contains(asked, "Since="+since.Format("2006-01-02T15")) {
		t.Error(asked)
	}
	mark = r.clock.now()
	_ = r.clock.sleep(t.Context(), 24*time.Hour)
	r.succeeds(task.Params{Since: mark.Add(-time.Hour)}) // may leave one
	r.requests()
	r.succeeds(task.Params{})
	if asked, want := r.requests()[0], "Since="+mark.Add(-campaigner.SinceOverlap).Format("2006-01-02T15"); !strings.Contains(asked, want) {
		t.Errorf("after a backfill that left a gap %s, want %s", asked, want)
	}
	if g := r.succeeds(task.Params{Full: true}).Progress; g.Unchanged < total || g.Inserted+g.Updated != 0 {
		t.Errorf("everything again %+v", g)
	}
	r.exact(false)
}

// Without the provider's clock there is no mark: everything is read each time.
func TestNoDate(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.Open(t), 2, 300)
	r.replace = func(w http.ResponseWriter, req *http.Request) bool {
		r.sim.ServeHTTP(undated{w}, req)
		return true
	}
	for range 2 {
		r.succeeds(task.Params{})
		if asked := r.requests(); strings.Contains(asked[0], "Since") {
			t.Error(asked[0])
		}
	}
	r.exact(false)
}

// undated answers without the header Date.
type undated struct{ http.ResponseWriter }

func (w undated) Write(b []byte) (int, error) {
	w.Header()["Date"] = nil
	return w.ResponseWriter.Write(b)
}

// A task that was cancelled or failed is taken up where it stood, by one that was asked for the same.
func TestGoesOnWhereItStood(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.Open(t), 3, 4000)
	if err := r.sim.SetFaults(campaignersim.SmallPages); err != nil {
		t.Fatal(err)
	}
	cancel := func(id task.ID) {
		if _, err := r.store.CancelTask(t.Context(), r.caller, id, r.clock.now()); err != nil {
			t.Fatal(err)
		}
	}
	id := r.create(task.Params{Full: true})
	r.once(id, 30)
	stood := r.task(id).Progress
	cancel(id)
	cancel(r.create(task.Params{Full: true})) // before anything was done
	id = r.create(task.Params{Full: true})
	r.requests()
	r.once(id, 3)
	if asked := r.requests(); stood.Pages < 20 || !strings.Contains(asked[0], fmt.Sprintf("PageNumber=%d&", stood.Pages)) {
		t.Errorf("cancelled behind page %d, it goes on with %s", stood.Pages, asked[0])
	}
	if got := r.task(id).Progress; got.Pages <= stood.Pages || got.Inserted < stood.Inserted {
		t.Errorf("the progress %+v goes on as %+v", stood, got)
	}
	cancel(id)

	other := r.create(task.Params{Since: r.clock.now().AddDate(-1, 0, 0)})
	r.once(other, 2)
	if got := r.task(other).Progress; got.Pages > 1 {
		t.Errorf("what was asked for something else goes on at page %d", got.Pages)
	}
	cancel(other)
	r.requests()
	r.succeeds(task.Params{Full: true})
	if asked := r.requests(); !strings.Contains(asked[0], "PageNumber=1&") {
		t.Errorf("with another in between it begins with %s", asked[0])
	}

	id = r.create(task.Params{Full: true})
	r.once(id, 30)
	r.sim.LimitRate(time.Hour) // longer than a call waits
	for !r.once(id, 0) {
	}
	if got := r.ended(id); got.Status != task.Failed || !strings.Contains(got.Error, "429") && !strings.Contains(got.Error, "limit") || len(r.notes) == 0 {
		t.Errorf("%s: %s, notes %q", got.Status, got.Error, r.notes)
	}
	r.sim.LiftRateLimit()
	_ = r.clock.sleep(t.Context(), time.Hour)
	next := r.create(task.Params{Full: true})
	r.requests()
	r.once(next, 2)
	if asked := r.requests(); strings.Contains(asked[0], "PageNumber=1&") {
		t.Errorf("after a rate limit the next one began with %s", asked[0])
	}
	cancel(next)
	_ = r.clock.sleep(t.Context(), 25*time.Hour)
	r.succeeds(task.Params{Full: true})
	if asked := r.requests(); !strings.Contains(asked[0], "PageNumber=1&") {
		t.Errorf("a day later the next one began with %s", asked[0])
	}
	r.exact(false)
}

// Each slice gets further by a page at least, however slow the provider is.
func TestSlicesGetFurther(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.Open(t), 4, 400)
	if err := r.sim.SetFaults(campaignersim.SmallPages); err != nil {
		t.Fatal(err)
	}
	r.tamper = func(string, map[string]any) { _ = r.clock.sleep(t.Context(), time.Minute) }
	r.work.Slice = time.Second
	id, calls := r.create(task.Params{}), 0
	for !r.once(id, 0) {
		if calls++; calls > 100 {
			t.Fatalf("after %d slices it is on page %d", calls, r.task(id).Progress.Pages)
		}
	}
	if calls < 3 {
		t.Errorf("%d slices", calls)
	}
	r.ended(id)
	r.exact(false)
}

// What the list of all bounces leaves open, the lists of hard and of soft ones say.
func TestListsOfAClass(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.Open(t), 5, 1500)
	r.tamper = func(path string, o map[string]any) {
		for _, row := range rowsOf(o) {
			delete(row, "BounceType")
			delete(row, "Status")
		}
	}
	r.succeeds(task.Params{})
	r.exact(false)
	r.requests()
	if g := r.succeeds(task.Params{Full: true}).Progress; g.Inserted+g.Updated != 0 {
		t.Errorf("a class was taken away and given back: %+v", g)
	}
	all := strings.Join(r.requests(), "\n")
	if !strings.Contains(all, "/Hard?") || !strings.Contains(all, "/Soft?") {
		t.Error(all)
	}
	r.tamper = nil
	r.succeeds(task.Params{Full: true})
	if all := strings.Join(r.requests(), "\n"); strings.Contains(all, "/Hard?") || strings.Contains(all, "/Soft?") {
		t.Errorf("the lists are read without need:\n%s", all)
	}
	r.exact(false)
}

// A row that cannot be read is asked for once more; if it still cannot, it is counted and costs nothing else.
func TestUnreadableRows(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.Open(t), 6, 400)
	truth := r.truth()
	healed, broken, nameless := map[string]bool{}, map[string]bool{}, map[string]bool{}
	r.tamper = func(path string, o map[string]any) {
		for _, row := range rowsOf(o) {
			id, listed := idOf(row), path == "/v1/Bounces"
			switch n, _ := strconv.Atoi(id); {
			case n%59 == 0:
				broken[id] = true
				row["BouncedAt"] = "yesterday"
			case n%61 == 0 && listed:
				healed[id] = true
				row["EmailAddress"] = nil
			case n%127 == 0 && listed:
				nameless[id] = true
				row["BounceID"] = 1.5
			}
		}
	}
	got := r.succeeds(task.Params{})
	for id := range broken {
		delete(truth, id)
	}
	for id := range nameless {
		delete(truth, id)
	}
	if n := int64(len(broken) + len(nameless)); got.Progress.Unreadable != n || len(healed) == 0 || len(nameless) == 0 || len(broken) == 0 {
		t.Errorf("%d unreadable, want %d; %d were healed", got.Progress.Unreadable, n, len(healed))
	}
	if held := r.held(); len(held) != len(truth) {
		t.Errorf("%d are stored, want %d", len(held), len(truth))
	}
	for id := range healed {
		if _, ok := r.held()[id]; !ok {
			t.Errorf("%s was not asked for again", id)
		}
	}
	if len(r.notes) != 1 || !strings.Contains(r.notes[0], "unreadable; the first: BounceID ") || !strings.Contains(r.notes[0], "BouncedAt") && !strings.Contains(r.notes[0], "BounceID: ") {
		t.Errorf("notes %q", r.notes)
	}
	r.tamper = nil
	if g := r.succeeds(task.Params{Full: true}).Progress; g.Inserted != got.Progress.Unreadable {
		t.Errorf("once they can be read: %+v", g)
	}
	r.exact(false)
}

// A page of nothing but unreadable rows asks for few of them again.
func TestFewAreAskedForAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.Open(t), 7, 600)
	r.tamper = func(_ string, o map[string]any) {
		for _, row := range rowsOf(o) {
			row["EmailAddress"] = nil
		}
	}
	if g := r.succeeds(task.Params{}).Progress; g.Unreadable != g.Fetched || g.Fetched == 0 {
		t.Errorf("%+v", g)
	}
	if n := len(r.requests()); n > 25 {
		t.Errorf("%d requests", n)
	}
}

// The provider counts rows that it does not give: the task fails, and the next one begins anew.
func TestRowsThatAreNotGiven(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.Open(t), 8, 2500)
	r.tamper = func(_ string, o map[string]any) {
		if items, ok := o["Items"].([]any); ok && len(items) > 500 {
			o["Items"] = items[3:]
		}
	}
	got := r.backfill(task.Params{})
	if got.Status != task.Failed || !strings.Contains(got.Error, "rows more than it gives") {
		t.Fatalf("%s: %s", got.Status, got.Error)
	}
	r.tamper = nil
	r.requests()
	g := r.succeeds(task.Params{}).Progress
	if asked := r.requests(); !strings.Contains(asked[0], "PageNumber=1&") || g.Inserted == 0 || g.Pages > 8 {
		t.Errorf("the next one began with %s: %+v", asked[0], g)
	}
	r.exact(false)
}

// Refusals fail the task with the provider's words; a page that is refused in the middle does not stop the next backfill.
func TestRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.Open(t), 9, 2500)
	refuse := func(status int, part string) {
		r.replace = func(w http.ResponseWriter, req *http.Request) bool {
			if !strings.Contains(req.URL.RequestURI(), part) {
				return false
			}
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{"ErrorCode": 7, "Message": "not today"})
			return true
		}
	}
	for _, tt := range []struct {
		status int
		part   string
		next   string
	}{
		{http.StatusUnauthorized, "PageNumber=3", "PageNumber=2&"},
		{http.StatusBadRequest, "PageNumber=3", "PageNumber=1&"},
		{http.StatusNotFound, "PageNumber=1", "PageNumber=1&"},
	} {
		refuse(tt.status, tt.part)
		got := r.backfill(task.Params{Full: true})
		if got.Status != task.Failed || !strings.Contains(got.Error, strconv.Itoa(tt.status)) || !strings.Contains(got.Error, "not today") {
			t.Errorf("%d: %s: %s", tt.status, got.Status, got.Error)
		}
		r.replace = nil
		id := r.create(task.Params{Full: true})
		r.requests()
		r.once(id, 3)
		if asked := r.requests(); !strings.Contains(asked[0], tt.next) {
			t.Errorf("after %d the next one began with %s", tt.status, asked[0])
		}
		for !r.once(id, 0) {
		}
		r.ended(id)
		r.exact(false)
	}
}

// Another connection in the place of the one that a task began with ends it, and the next begins at the beginning.
func TestConnectionReplaced(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.Open(t), 10, 2500)
	r.succeeds(task.Params{})
	id := r.create(task.Params{Full: true})
	r.once(id, 3)
	old := r.conn
	if err := r.store.DeleteConnection(t.Context(), r.caller, old.ID); err != nil {
		t.Fatal(err)
	}
	for !r.once(id, 0) {
	}
	if got := r.ended(id); got.Status != task.Failed || !strings.Contains(got.Error, "no provider connection") {
		t.Errorf("%s: %s", got.Status, got.Error)
	}
	r.conn.ID = provider.ID{UUID: uuid.New()}
	if err := r.store.CreateConnection(t.Context(), r.caller, r.conn); err != nil {
		t.Fatal(err)
	}
	r.requests()
	if g := r.succeeds(task.Params{}).Progress; g.Unchanged != g.Fetched || strings.Contains(r.requests()[0], "Since") {
		t.Errorf("the mark of another connection was taken: %+v", g)
	}
	r.exact(false)
}

// A task that is cancelled while its page is stored keeps nothing of that page.
func TestCancelledMeanwhile(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.Open(t), 11, 2500)
	id := r.create(task.Params{})
	r.tamper = func(_ string, o map[string]any) {
		if o["PageNumber"] == 2.0 {
			if _, err := r.store.CancelTask(t.Context(), r.caller, id, r.clock.now()); err != nil {
				t.Error(err)
			}
		}
	}
	for !r.once(id, 0) {
	}
	if got := r.ended(id); got.Status != task.Cancelled || got.Progress.Pages != 1 || int64(len(r.held())) != got.Progress.Inserted || got.Error != "" {
		t.Errorf("%s after page %d: %d rows are stored, progress %+v, error %q", got.Status, got.Progress.Pages, len(r.held()), got.Progress, got.Error)
	}
	r.tamper = nil
	r.succeeds(task.Params{})
	r.exact(false)
}

// A schedule makes a backfill, and River runs it.
func TestScheduled(t *testing.T) {
	t.Parallel()
	r := newRig(t, testdb.Open(t), 12, 1200)
	r.conn.SyncSchedule = "15 3 * * *"
	if err := r.store.UpdateConnection(t.Context(), r.caller, r.conn); err != nil {
		t.Fatal(err)
	}
	day := time.Date(2026, 3, 2, 0, 0, 0, 0, time.FixedZone(zone, 5*3600+45*60))
	for _, at := range []time.Time{day, day.Add(3 * time.Hour), day.Add(3*time.Hour + 20*time.Minute), day.Add(4 * time.Hour)} {
		if err := task.Tick(t.Context(), r.store, at); err != nil {
			t.Fatal(err)
		}
	}
	got := r.runScheduled()
	if got.Status != task.Succeeded || got.RequestedBy != "schedule" {
		t.Errorf("%s of %s: %s", got.Status, got.RequestedBy, got.Error)
	}
	r.exact(false)
}

// runScheduled runs River until the only backfill has ended.
func (r *rig) runScheduled() task.Task {
	r.Helper()
	ctx, stop := context.WithCancel(r.Context())
	done := make(chan error, 1)
	go func() { done <- r.store.RunTasks(ctx, r.runner, slog.New(slog.DiscardHandler)) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			r.Error(err)
		}
	}()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		list, err := r.store.ListTasks(ctx, r.caller, task.Filter{Kinds: []task.Kind{task.Backfill}}, page.Params{Number: 1, Size: 10})
		if err != nil {
			r.Fatal(err)
		}
		if list.Total != 1 || time.Now().After(end) {
			r.Fatalf("there are %d backfills: %+v", list.Total, list.Items)
		}
		if list.Items[0].Status.Ended() {
			return list.Items[0]
		}
	}
}
