// Package storetest is what a database must pass to be a store of Monterey. It asks through the nouns' interfaces alone, so
// that the same suite runs on every database.
package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/uuid"

	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/store"
	"monterey/internal/workspace"
)

// Run checks a store. open gives an empty one, which it closes when the test ends.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for name, test := range map[string]func(*testing.T, store.Store){
		"Workspace":         testWorkspace,
		"ListWorkspaces":    testListWorkspaces,
		"DeletedWorkspace":  testDeletedWorkspace,
		"User":              testUser,
		"Member":            testMember,
		"ListMembers":       testListMembers,
		"Candidates":        testCandidates,
		"Key":               testKey,
		"ListKeys":          testListKeys,
		"RevokeKey":         testRevokeKey,
		"TouchKeys":         testTouchKeys,
		"Connection":        testConnection,
		"ConnectionFaults":  testConnectionFaults,
		"Campaign":          testCampaign,
		"UpdateCampaign":    testUpdateCampaign,
		"ListCampaigns":     testListCampaigns,
		"CampaignFilter":    testCampaignFilter,
		"ManyIDs":           testManyIDs,
		"CampaignsAtOnce":   testCampaignsAtOnce,
		"Run":               testRun,
		"ListRuns":          testListRuns,
		"Reported":          testReported,
		"ReportedFails":     testReportedFails,
		"CampaignsAfter":    testCampaignsAfter,
		"OnlyRun":           testOnlyRun,
		"UnknownSort":       testUnknownSort,
		"AnotherWorkspace":  testAnotherWorkspace,
		"MissingWorkspace":  testMissingWorkspace,
		"CancelledContext":  testCancelledContext,
		"TextsComeBackSame": testTexts,
		"Events":            testEvents,
		"CountAfterDelete":  testCountAfterDelete,
		"CountFails":        testCountFails,
		"Inbox":             testInbox,
		"Deliveries":        testDeliveries,
		"Suppressions":      testSuppressions,
		"Task":              testTask,
		"TaskEnded":         testTaskEnded,
		"Comparisons":       testComparisons,
		"ListTasks":         testListTasks,
		"Schedules":         testSchedules,
		"AccountSchedule":   testAccountSchedule,
		"History":           testHistory,
		"HistoryChanges":    testHistoryChanges,
		"HistoryFaults":     testHistoryFaults,
		"HistorySuppresses": testHistorySuppresses,
		"ImportAccounts":    testImportAccounts,
		"ImportFails":       testImportAccountsFails,
		"ManyAccounts":      testManyAccounts,
		"ListAccounts":      testListAccounts,
		"AccountNumbers":    testAccountNumbers,
		"AccountSource":     testAccountSource,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

// day is the time that the tests begin at; it has microseconds, which a store must keep.
var day = time.Date(2026, 3, 5, 12, 30, 15, 123_456_000, time.UTC)

// at is n seconds after day.
func at(n int) time.Time { return day.Add(time.Duration(n) * time.Second) }

// everything is the first page, as large as can be.
var everything = page.Params{Number: 1, Size: page.MaxSize}

// sorted is everything, sorted.
func sorted(field string, desc bool) page.Params {
	p := everything
	p.Sort, p.Desc = field, desc
	return p
}

// id is a UUID that sorts by its first and last bytes. Ids with a first byte above 0x7f show who compares them signed.
func id(first, last byte) (u uuid.UUID) {
	u[0], u[6], u[8], u[15] = first, 0x70, 0x80, last
	return u
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// must is the value of a call that has to succeed.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		ok(t, err)
		return v
	}
}

func wantFault(t *testing.T, what string, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("%s: got %v, want the fault %s", what, err, code)
	}
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// names are what name says of each item.
func names[T any](items []T, name func(T) string) []string {
	var out []string
	for _, i := range items {
		out = append(out, name(i))
	}
	return out
}

// walk reads a list page by page, checks every page's size and total against the whole, and gives the whole.
func walk[T any](t *testing.T, size int, p page.Params, get func(page.Params) (page.Of[T], error)) []T {
	t.Helper()
	whole := must(get(p))(t)
	if int64(len(whole.Items)) != whole.Total {
		t.Fatalf("%d items on the one page of %d", len(whole.Items), whole.Total)
	}
	var out []T
	p.Size = size
	for p.Number = 1; ; p.Number++ {
		part := must(get(p))(t)
		if part.Total != whole.Total {
			t.Fatalf("page %d of size %d: total %d, want %d", p.Number, size, part.Total, whole.Total)
		}
		if want := min(size, max(0, len(whole.Items)-len(out))); len(part.Items) != want {
			t.Fatalf("page %d of size %d has %d items, want %d", p.Number, size, len(part.Items), want)
		}
		if len(part.Items) == 0 {
			break
		}
		out = append(out, part.Items...)
	}
	same(t, "the pages together", out, whole.Items)
	return out
}

// addWorkspace makes a workspace.
func addWorkspace(t *testing.T, s workspace.Store, name string) workspace.Workspace {
	t.Helper()
	w := workspace.Workspace{ID: workspace.NewID(), Name: name, Timezone: "Europe/Paris", CreatedAt: day, UpdatedAt: at(1)}
	ok(t, s.CreateWorkspace(t.Context(), w))
	return w
}

// addCaller makes a workspace and who may do everything there.
func addCaller(t *testing.T, s workspace.Store, name string) workspace.Caller {
	t.Helper()
	return workspace.System(addWorkspace(t, s, name).ID)
}

// addUser makes a user.
func addUser(t *testing.T, s workspace.Store, u uuid.UUID, name, email string) workspace.User {
	t.Helper()
	user := workspace.User{ID: workspace.UserID{UUID: u}, DisplayName: name, Email: email, CreatedAt: day}
	ok(t, s.PutUser(t.Context(), user))
	return user
}
