package campaignsync

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/fault"
	"monterey/internal/page"
	"monterey/internal/task"
)

func TestSync(t *testing.T) {
	r := newRig(t)
	e := r.edapi
	e.add(1, " Spring sale ", "Sent", counts(100))
	e.add(2, "Summer", "Sent", object{"EmailsSent": 7, "Opens": nil, "Delivered": "6", "TotalClicks": "many"})
	e.add(3, "Autumn", "Draft", counts(300))
	e.add(4, "Winter", "Scheduled", counts(400))
	e.add(5, "Running", "Sending", counts(500))
	e.add(6, "", "Sent", counts(600))
	e.list = append(e.list, with(object{"CampaignID": 7, "Name": "All in the list", "Status": "Sent"}, counts(700)), object{"Name": "without an id"})
	e.list[0]["Created"], e.list[0]["ScheduledDate"] = "2026-01-02T03:04:05", "2026-01-03T04:05:06Z"
	e.add(10, strings.Repeat("é", 300), strings.Repeat("s", 300), counts(0))
	found := r.create(campaign.Campaign{Name: "1", ProviderCampaignID: "1", Discovered: true})
	r.create(campaign.Campaign{Name: "My own name", ProviderCampaignID: "2", Named: true, Archived: true, Tags: []string{"a"}})
	r.create(campaign.Campaign{Name: "8", ProviderCampaignID: "8", Discovered: true})                          // of which only a webhook knows
	e.one["9"] = with(object{"CampaignID": 9, "Name": "Old", "Status": "Sent"}, counts(900))                   // not in the list
	r.create(campaign.Campaign{Name: "9", ProviderCampaignID: "9", Discovered: true})                          //
	r.create(campaign.Campaign{Name: "spring/7", ProviderCampaignID: "../Bounces/spring 7", Discovered: true}) // no id of the provider
	r.create(campaign.Campaign{Name: "0010", ProviderCampaignID: "0010", Discovered: true})                    // another than 10
	e.one["0010"] = e.one["10"]

	before := r.now
	k := r.run()
	got := r.campaigns()
	for id, want := range map[string]string{
		"1": "Spring sale | Sent | 100 101 102 103 104 105 106 107 108 ", "2": "My own name | Sent | 7 6 - - - - - - - ",
		"3": "Autumn | Draft | none", "4": "Winter | Scheduled | none", "5": "Running | Sending | 500 501 502 503 504 505 506 507 508 ",
		"6": "6 | Sent | 600 601 602 603 604 605 606 607 608 ", "7": "All in the list | Sent | 700 701 702 703 704 705 706 707 708 ",
		"8": "8 |  | none", "9": "Old | Sent | 900 901 902 903 904 905 906 907 908 ", "../Bounces/spring 7": "spring/7 |  | none",
		"0010": "0010 |  | none",
		"10":   strings.Repeat("é", 250) + " | " + strings.Repeat("s", 200) + " | 0 1 2 3 4 5 6 7 8 ",
	} {
		c := got[id]
		if text := c.Name + " | " + c.Status + " | " + figures(c); text != want {
			t.Errorf("campaign %s: %q, want %q", id, text, want)
		}
		delete(got, id)
		known := id == "8" || id == "0010" || id == "../Bounces/spring 7"
		if c.Discovered != known || c.Archived != (id == "2") || len(c.Tags) > 0 != (id == "2") {
			t.Errorf("campaign %s: discovered %v, archived %v, tags %v", id, c.Discovered, c.Archived, c.Tags)
		}
		if f := c.Figures; f != nil && (f.Sending != (id == "5") || f.AsOf.Before(before) || f.AsOf.After(r.now)) {
			t.Errorf("campaign %s: figures as of %s, sending %v", id, f.AsOf, f.Sending)
		}
	}
	if len(got) > 0 {
		t.Errorf("more campaigns: %v", got)
	}
	one := r.campaigns()["1"]
	if one.ID != found.ID || !one.ProviderCreatedAt.Equal(time.Date(2026, 1, 2, 8, 4, 5, 0, time.UTC)) ||
		!one.ScheduledAt.Equal(time.Date(2026, 1, 3, 4, 5, 6, 0, time.UTC)) {
		t.Errorf("campaign 1: %+v", one)
	}
	for path, want := range map[string]int{"/v1/Campaigns/1": 1, "/v1/Campaigns/3": 0, "/v1/Campaigns/4": 0, "/v1/Campaigns/7": 0, "/v1/Campaigns/8": 1} {
		if e.asked[path] != want {
			t.Errorf("%s was asked for %d times, want %d", path, e.asked[path], want)
		}
	}
	total := int64(12)
	want := task.Progress{Fetched: 12, Inserted: 6, Updated: 3, Unreadable: 4, Total: &total, Pages: 1} // 9 was renamed too
	if text(k.Progress) != text(want) || *k.Progress.Percent() != 100 {
		t.Errorf("progress %s, want %s", text(k.Progress), text(want))
	}
	if !strings.Contains(string(k.State), "CampaignID: missing") {
		t.Errorf("what could not be read is not noted: %s", k.State)
	}
}

func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// A second sync follows what changed, asks for all figures anew, and leaves what is the same.
func TestSyncAgain(t *testing.T) {
	r := newRig(t)
	r.edapi.add(1, "Spring", "Sent", counts(10))
	r.edapi.add(2, "Summer", "Draft", nil)
	r.run()
	first := r.campaigns()
	renamed := first["2"]
	renamed.Rename("Mine")
	if err := r.store.UpdateCampaign(t.Context(), r.ws, renamed); err != nil {
		t.Fatal(err)
	}
	r.edapi.list[1]["Name"] = "Summer sale"
	r.edapi.one["1"]["Opens"] = 99
	k := r.run()
	got := r.campaigns()
	if k.Progress.Unchanged != 2 || k.Progress.Inserted+k.Progress.Updated != 0 || !got["1"].UpdatedAt.Equal(first["1"].UpdatedAt) {
		t.Errorf("progress %s", text(k.Progress))
	}
	if got["2"].Name != "Mine" || *got["1"].Figures.Opens != 99 || !got["1"].Figures.AsOf.After(first["1"].Figures.AsOf) {
		t.Errorf("got %+v, and figures %+v", got["2"], got["1"].Figures)
	}
	r.edapi.list[0]["Name"], r.edapi.list[1]["Name"] = "Spring sale", "Mine" // from now on it is the provider's name
	r.edapi.one["1"]["Name"] = "Spring sale"
	r.run()
	r.edapi.list[1]["Name"] = "Yours"
	if k = r.run(); r.campaigns()["1"].Name != "Spring sale" || r.campaigns()["2"].Name != "Yours" || k.Progress.Updated != 1 {
		t.Errorf("got %v", r.campaigns())
	}
}

// Whatever happens between two steps, the sync goes on behind the last one and asks for no campaign twice.
func TestSyncInSlices(t *testing.T) {
	r := newRig(t)
	for i := range 12 {
		r.edapi.add(100+i, fmt.Sprint("c", i), "Sent", counts(10*i))
	}
	r.edapi.most = 5
	r.sync.Slice = 0 // one step a call
	k := r.start()
	calls := 0
	for ; ; calls++ {
		err := r.work(k.ID)
		if err == nil {
			break
		}
		if later, ok := errors.AsType[*task.Later](err); !ok || later.Err != nil || calls > 100 {
			t.Fatalf("call %d: %v", calls, err)
		}
	}
	if calls < 12 {
		t.Errorf("%d calls for 12 campaigns", calls)
	}
	for i := range 12 {
		id := strconv.Itoa(100 + i)
		if n := r.edapi.asked["/v1/Campaigns/"+id]; n != 1 {
			t.Errorf("campaign %s was asked for %d times", id, n)
		}
		if f := figures(r.campaigns()[id]); !strings.HasPrefix(f, fmt.Sprint(10*i, " ")) {
			t.Errorf("campaign %s has %s", id, f)
		}
	}
	if p := r.task(k.ID).Progress; p.Fetched != 12 || p.Inserted != 12 || p.Unchanged != 0 || *p.Total != 12 {
		t.Errorf("progress %s", text(p))
	}
}

// A provider that ignores the size of pages gives more than one transaction takes.
func TestPageOfMany(t *testing.T) {
	r := newRig(t)
	const n = 2*campaign.MaxReported + 3
	for i := range n {
		r.edapi.list = append(r.edapi.list, with(object{"CampaignID": i + 1, "Name": "x", "Status": "Draft"}))
	}
	r.edapi.most = n
	k := r.run()
	if p := k.Progress; p.Inserted != n || p.Fetched != n || *p.Total != n {
		t.Errorf("progress %s", text(p))
	}
	l, err := r.store.ListCampaigns(t.Context(), r.ws, campaign.Filter{}, page.Params{Number: 1, Size: 1})
	if err != nil || l.Total != n {
		t.Errorf("%d campaigns: %v", l.Total, err)
	}
}

func TestWhatStopsASync(t *testing.T) {
	r := newRig(t)
	r.edapi.add(1, "a", "Sent", counts(10))
	r.edapi.add(2, "b", "Sent", counts(20))
	r.edapi.status["/v1/Campaigns/2"] = 401
	k := r.start()
	if err := r.work(k.ID); !fault.Is(err, fault.Data) || !strings.Contains(err.Error(), "/Campaigns/2: status 401") {
		t.Errorf("a key that does not work any more: %v", err)
	}
	r.edapi.status["/v1/Campaigns/2"] = 503
	if later, ok := errors.AsType[*task.Later](r.work(k.ID)); !ok || later.Err == nil || later.After <= 0 {
		t.Error("a provider that is busy does not make the task wait")
	}
	if n := r.edapi.asked["/v1/Campaigns/1"]; n != 1 {
		t.Errorf("campaign 1 was asked for %d times", n)
	}
	r.edapi.status["/v1/Campaigns/2"] = 0

	if _, err := r.store.CancelTask(t.Context(), r.ws, k.ID, r.now); err != nil {
		t.Fatal(err)
	}
	if err := r.work(k.ID); !fault.Is(err, fault.Conflict) || r.campaigns()["2"].Figures != nil {
		t.Errorf("a cancelled task: %v, figures %s", err, figures(r.campaigns()["2"]))
	}
	k = r.start()
	r.sync.Slice = 0
	if _, ok := errors.AsType[*task.Later](r.work(k.ID)); !ok {
		t.Error("the task did not give way")
	}
	if err := r.store.DeleteConnection(t.Context(), r.ws, r.conn.ID); err != nil {
		t.Fatal(err)
	}
	if err := r.work(k.ID); !fault.Is(err, fault.Conflict) {
		t.Errorf("without a connection: %v", err)
	}
	r.conn.ID.UUID[0]++
	if err := r.store.CreateConnection(t.Context(), r.ws, r.conn); err != nil {
		t.Fatal(err)
	}
	if err := r.work(k.ID); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("with another connection: %v", err)
	}
}
