package campaignersim

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

// tiny is an account with all that there is in one, and little of it.
func tiny(seed uint64) Options {
	return Options{Seed: seed, Campaigns: 8, Recipients: 400, Days: 20}
}

func webhooks(a *Account) []byte {
	var all []byte
	for _, b := range a.Webhooks("whk") {
		all = append(append(all, b...), '\n')
	}
	return all
}

func TestSameSeedSameAccount(t *testing.T) {
	one := webhooks(NewAccount(tiny(1)))
	if !bytes.Equal(one, webhooks(NewAccount(tiny(1)))) {
		t.Error("the same options make another account")
	}
	if bytes.Equal(one, webhooks(NewAccount(tiny(2)))) {
		t.Error("another seed makes the same account")
	}
}

func TestAccountLooksReal(t *testing.T) {
	a := NewAccount(Options{Seed: 5})
	events, campaigns, contacts := a.Events(), a.Campaigns(), a.Contacts()
	if !slices.IsSortedFunc(events, func(x, y Event) int { return x.At.Compare(y.At) }) {
		t.Error("events are not by time")
	}
	if n := len(campaigns); n != 24 {
		t.Errorf("%d campaigns, want 24", n)
	}
	kinds, bounceID := map[Kind]int{}, int64(0)
	opened := map[[2]int]bool{}
	early, withoutCampaign := 0, 0
	for i, e := range events {
		kinds[e.Kind]++
		if e.At.After(a.Options().Now) {
			t.Fatalf("event %d is at %s, after now", i, e.At)
		}
		switch e.Kind {
		case Open:
			if opened[[2]int{e.Campaign, e.Contact}] {
				t.Fatalf("event %d is a second open of a contact in a campaign", i)
			}
			opened[[2]int{e.Campaign, e.Contact}] = true
			if e.At.Sub(campaigns[e.Campaign].Runs[e.Run].Started) < 12*time.Hour {
				early++
			}
		case HardBounce, SoftBounce:
			if e.BounceID <= bounceID || e.NDRCode == 0 || e.Reason == "" || strings.Contains(e.Reason, "%") {
				t.Errorf("bounce %+v", e)
			}
			bounceID = e.BounceID
			if e.Campaign < 0 {
				withoutCampaign++
			}
		}
	}
	for k := SendingStarted; k <= AddressChanged; k++ {
		if kinds[k] == 0 {
			t.Errorf("no event of kind %d", k)
		}
	}
	if early < kinds[Open]/2 || early > kinds[Open]*9/10 {
		t.Errorf("%d of %d opens came in the first half day", early, kinds[Open])
	}
	truth := a.Truth()
	if truth.Duplicates < 10 {
		t.Errorf("%d double clicks", truth.Duplicates)
	}
	checkContacts(t, contacts)
	checkMachines(t, truth)
	checkMailing(t, a)
}

func checkContacts(t *testing.T, contacts []Contact) {
	t.Helper()
	domains, addresses := map[string]int{}, map[string]bool{}
	for _, c := range contacts {
		domains[domainOf(c.Address)]++
		if low := strings.ToLower(c.Address); addresses[low] {
			t.Errorf("%s is on the list twice", low)
		} else {
			addresses[low] = true
		}
	}
	for _, d := range []string{"gmail.com", "outlook.com", "yahoo.com"} {
		if domains[d] < len(contacts)/20 {
			t.Errorf("%d of %d contacts are at %s", domains[d], len(contacts), d)
		}
	}
	if len(domains) < 20 {
		t.Errorf("contacts are at %d domains", len(domains))
	}
}

// checkMachines looks for clicks of machines, for clicks that are not, and for two links in one second.
func checkMachines(t *testing.T, truth *Truth) {
	t.Helper()
	machine, human, same := 0, 0, 0
	for _, facts := range truth.campaigns {
		for i, f := range facts {
			if f.kind != Click {
				continue
			}
			if f.machine {
				machine++
				continue
			}
			human++
			for _, g := range facts[i+1:] {
				if g.kind == Click && g.at == f.at && g.person == f.person && g.link != f.link {
					same++
				}
			}
		}
	}
	if machine < 100 || human < machine || same < 10 {
		t.Errorf("%d clicks of machines, %d of people, %d on two links in one second", machine, human, same)
	}
}

// checkMailing: nobody is mailed before joining or after leaving, bouncing hard or unsubscribing.
func checkMailing(t *testing.T, a *Account) {
	t.Helper()
	lost := map[int]time.Time{}
	for _, e := range a.Events() {
		if e.Kind == HardBounce || e.Kind == Unsubscribe || e.Kind == Complaint {
			if _, ok := lost[e.Contact]; !ok {
				lost[e.Contact] = e.At
			}
		}
	}
	runs := 0
	for _, c := range a.Campaigns() {
		for _, r := range c.Runs {
			runs++
			for _, i := range r.Recipients {
				contact := a.Contacts()[i]
				gone, left := lost[i], contact.Left
				if contact.Joined.After(r.Started) || !left.IsZero() && left.Before(r.Started) || !gone.IsZero() && gone.Before(r.Started) {
					t.Errorf("%s was mailed at %s: joined %s, left %s, lost %s", contact.Address, r.Started, contact.Joined, left, gone)
				}
			}
		}
	}
	if runs <= len(a.Campaigns()) {
		t.Errorf("%d runs of %d campaigns: none has two", runs, len(a.Campaigns()))
	}
}

func TestStatusOfACampaign(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	c := Campaign{Runs: []Run{{Started: day(2), Finished: day(3)}, {Started: day(5), Finished: day(6)}}}
	for n, want := range map[int]string{1: "Scheduled", 2: "Sending", 3: "Sent", 4: "Sent", 5: "Sending", 6: "Sent"} {
		if got := c.Status(day(n)); got != want {
			t.Errorf("on day %d the campaign is %s, want %s", n, got, want)
		}
	}
}
