package campaignersim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// publishedClient is what the script in testdata found.
type publishedClient struct {
	Ping                map[string]any
	Bounces, Hard, Soft []bounceItem
	Bounce              bounceItem
	Campaign            map[string]any
	Links               []linkItem
	Link                linkItem
	Clicks              []reportItem
	Complaints, Removes []reportItem
}

type bounceItem struct {
	EmailID, BounceID                                  int64
	NDRCode                                            int
	EmailAddress, Status, SendType, BounceType, Reason string
	BouncedAt                                          time.Time
}

type linkItem struct {
	LinkID                    int64
	URL, FriendlyName         string
	TotalClicks, UniqueClicks int
}

type reportItem struct {
	ActionDate           time.Time
	EmailID              int64
	EmailAddress, Status string
}

// The provider's published client reads the simulator unmodified, and finds the truth. It needs the virtual environment that
// scripts/setup makes; without it the test fails, as nothing else holds our understanding against what we did not write.
func TestPublishedClient(t *testing.T) {
	python, err := filepath.Abs("../../../.venv/bin/python")
	if err == nil {
		_, err = os.Stat(python)
	}
	if err != nil {
		t.Fatalf("the published client is not installed, run scripts/setup: %v", err)
	}
	a := NewAccount(Options{Seed: 1, Campaigns: 8, Recipients: 4000, Bounces: 4321})
	server := httptest.NewServer(NewServer(a, "sim-key"))
	defer server.Close()
	c := a.Campaigns()[1]
	var all []Bounce
	for b := range a.Bounces() {
		all = append(all, b)
	}
	one := all[len(all)/2]
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(t.Context(), python, "testdata/walk.py", server.URL+"/v1", "sim-key", fmt.Sprint(c.ID), fmt.Sprint(one.ID))
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err = cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, errs.Bytes())
	}
	var found publishedClient
	if err = json.Unmarshal(out.Bytes(), &found); err != nil {
		t.Fatal(err)
	}
	if found.Ping["AccountName"] != a.Company {
		t.Errorf("ping says %v", found.Ping)
	}
	checkBounceItems(t, "bounces", found.Bounces, all)
	checkBounceItems(t, "hard bounces", found.Hard, ofKind(all, HardBounce))
	checkBounceItems(t, "soft bounces", found.Soft, ofKind(all, SoftBounce))
	checkBounceItems(t, "one bounce", []bounceItem{found.Bounce}, []Bounce{one})
	s := a.Summary(1)
	for name, want := range map[string]int{"CampaignID": int(c.ID), "EmailsSent": s.EmailsSent, "Delivered": s.Delivered, "Opens": s.Opens,
		"UniqueClicks": s.UniqueClicks, "TotalClicks": s.TotalClicks, "HardBounces": s.HardBounces, "SoftBounces": s.SoftBounces,
		"Complaints": s.Complaints, "Removes": s.Removes} {
		if got := found.Campaign[name]; got != float64(want) {
			t.Errorf("the campaign's %s is %v, want %d", name, got, want)
		}
	}
	if found.Campaign["Name"] != c.Name || found.Campaign["Status"] != "Sent" {
		t.Errorf("the campaign is %v", found.Campaign)
	}
	checkClicksOf(t, a, c, found)
	for kind, items := range map[Kind][]reportItem{Complaint: found.Complaints, Unsubscribe: found.Removes} {
		var want, got []string
		for _, e := range a.Events() {
			if e.Kind == kind {
				want = append(want, a.Contacts()[e.Contact].Address)
			}
		}
		for _, i := range items {
			got = append(got, i.EmailAddress)
		}
		if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 {
			t.Errorf("%d who did %d (-truth +found):\n%s", len(want), kind, diff)
		}
	}
}

func ofKind(all []Bounce, k Kind) (some []Bounce) {
	for _, b := range all {
		if b.Kind == k {
			some = append(some, b)
		}
	}
	return some
}

func checkBounceItems(t *testing.T, what string, items []bounceItem, want []Bounce) {
	t.Helper()
	if len(items) != len(want) || len(want) == 0 {
		t.Errorf("%s: found %d of %d", what, len(items), len(want))
		return
	}
	for i, b := range want {
		it := items[i]
		got := Bounce{ID: it.BounceID, Kind: kindOf(it.BounceType), EmailID: it.EmailID, Address: it.EmailAddress, At: it.BouncedAt, SendType: it.SendType,
			NDRCode: it.NDRCode, Reason: it.Reason}
		b.At = b.At.Truncate(time.Millisecond)
		if diff := cmp.Diff(b, got); diff != "" || kindOf(it.Status) != b.Kind {
			t.Fatalf("%s: row %d, status %q (-truth +found):\n%s", what, i, it.Status, diff)
		}
	}
}

// kindOf reads a class in any spelling.
func kindOf(text string) Kind {
	switch text[0] {
	case 'h', 'H':
		return HardBounce
	case 's', 'S':
		return SoftBounce
	}
	return 0
}

func checkClicksOf(t *testing.T, a *Account, c Campaign, found publishedClient) {
	t.Helper()
	if len(found.Links) != len(c.Links) {
		t.Fatalf("found %d links of %d", len(found.Links), len(c.Links))
	}
	for i, l := range c.Links {
		want := linkItem{LinkID: l.ID, URL: l.URL, FriendlyName: l.Name}
		people := map[int]bool{}
		var rows []reportItem
		for _, e := range a.Events() {
			if e.Kind == Click && e.Campaign == 1 && e.Link == i {
				want.TotalClicks++
				people[e.Contact] = true
				contact := a.Contacts()[e.Contact]
				rows = append(rows, reportItem{e.Reported.Truncate(time.Millisecond), contact.EmailID, contact.Address, "Active"})
			}
		}
		want.UniqueClicks = len(people)
		if diff := cmp.Diff(want, found.Links[i]); diff != "" {
			t.Errorf("link %d (-truth +found):\n%s", i, diff)
		}
		if l.ID != found.Link.LinkID {
			continue
		}
		if diff := cmp.Diff(want, found.Link); diff != "" {
			t.Errorf("the link alone (-truth +found):\n%s", diff)
		}
		if diff := cmp.Diff(rows, found.Clicks); diff != "" || len(rows) == 0 {
			t.Errorf("%d clicks of link %s (-truth +found):\n%s", len(rows), strconv.FormatInt(l.ID, 10), diff)
		}
	}
}
