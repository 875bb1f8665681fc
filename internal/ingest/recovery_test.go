package ingest_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"monterey/internal/campaigner"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/ingest"
	"monterey/internal/page"
)

// happened is an event as it truly was: at is the webhooks' clock, skew how much later the API's clock reads. Of a further
// open no webhook tells.
type happened struct {
	report  campaigner.Report
	address string
	link    int
	at      time.Time
	skew    time.Duration
	further bool
}

func (h happened) webhook(campaign int) string {
	at := h.at.Format(time.RFC3339)
	switch h.report {
	case campaigner.OpensReport:
		return open(campaign, h.address, at)
	case campaigner.ClicksReport:
		if h.link%2 == 1 { // a webhook that does not say which link it was but by its URL
			return fmt.Sprintf(`{"key":%q,"type":"Campaign Clicked","email":%q,"clicked_on":%q,"campaign_id":%d,"click_url":"https://x.test/%d"}`,
				webhookKey, h.address, at, campaign, h.link)
		}
		return click(campaign, h.address, at, h.link)
	case campaigner.RemovesReport:
		return fmt.Sprintf(`{"key":%q,"type":"List-Unsubscribe","email":%q,"timestamp":%q,"campaign_id":%d}`, webhookKey, h.address, at, campaign)
	}
	return fmt.Sprintf(`{"key":%q,"type":"Contact Bounced","email":%q,"timestamp":%q,"campaign_id":%d,"reason":"550 5.1.1 no such user"}`,
		webhookKey, h.address, at, campaign)
}

func (h happened) row() campaigner.RecoveredRow {
	at := h.at.Add(h.skew)
	r := campaigner.RecoveredRow{Report: h.report, Contact: campaigner.Contact{Address: h.address, At: at,
		Raw: fmt.Appendf(nil, `{"EmailAddress":%q, "ActionDate":%q}`, h.address, at.Format("2006-01-02T15:04:05"))}}
	if h.report == campaigner.ClicksReport {
		r.Link = event.Link{ID: fmt.Sprint(h.link), URL: fmt.Sprintf("https://x.test/%d", h.link)}
	}
	return r
}

// recover reads the provider's reports of a campaign as they were at the time fetched.
func (r *rig) recover(campaign int, fetched time.Time, allOpens bool, all []happened) {
	r.t.Helper()
	rec := campaigner.Recovery{Campaign: fmt.Sprint(campaign), Recovery: event.Recovery{Fetched: fetched, AllOpens: allOpens}}
	for _, h := range all {
		if h.at.Before(fetched) {
			rec.Rows = append(rec.Rows, h.row())
		}
	}
	conns, err := r.store.ListConnections(r.t.Context(), r.ws, page.Params{Number: 1, Size: 1})
	if err != nil {
		r.t.Fatal(err)
	}
	for body, objects := range rec.Bodies() {
		b := ingest.Body{Workspace: r.ws.Workspace(), Connection: conns.Items[0].ID, Raw: body, Objects: objects}
		if _, _, err := r.store.Append(r.t.Context(), b); err != nil {
			r.t.Fatal(err)
		}
	}
}

// counts of events of a campaign, by report.
type counts map[campaigner.Report]int64

func (r *rig) counts(campaign int) counts {
	s := r.statistics(fmt.Sprint(campaign))
	hard := int64(0)
	if s.HardBounces != nil {
		hard = *s.HardBounces
	}
	return counts{campaigner.OpensReport: s.Opens, campaigner.ClicksReport: s.Clicks, campaigner.RemovesReport: *s.Unsubscribes, campaigner.HardBounceReport: hard}
}

// truth counts what of the events a server should hold that has seen all until then.
func truth(all []happened, until time.Time, allOpens bool) counts {
	c := counts{campaigner.OpensReport: 0, campaigner.ClicksReport: 0, campaigner.RemovesReport: 0, campaigner.HardBounceReport: 0}
	for _, h := range all {
		if h.at.Before(until) && (allOpens || !h.further) {
			c[h.report]++
		}
	}
	return c
}

// invent makes up what happened: events of one recipient and link are minutes or many seconds apart, the clocks a few.
func invent(rnd *rand.Rand) (all []happened) {
	begin := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	for n := range 6 {
		address := fmt.Sprintf("p%d@x.test", n)
		add := func(of campaigner.Report, link int, at time.Time, further bool) {
			all = append(all, happened{of, address, link, at, time.Duration(rnd.IntN(7)-3) * time.Second, further})
		}
		if rnd.IntN(4) > 0 {
			at := begin.Add(time.Duration(rnd.IntN(3000)) * time.Second)
			add(campaigner.OpensReport, 0, at, false)
			for range rnd.IntN(3) {
				at = at.Add(time.Duration(20+rnd.IntN(300)) * time.Second)
				add(campaigner.OpensReport, 0, at, true)
			}
		}
		for link := range 3 {
			at := begin.Add(time.Duration(rnd.IntN(3000)) * time.Second)
			for range rnd.IntN(4) {
				add(campaigner.ClicksReport, link, at, false)
				at = at.Add(time.Duration(20+rnd.IntN(300)) * time.Second)
			}
		}
		if rnd.IntN(4) == 0 {
			add(campaigner.RemovesReport, 0, begin.Add(time.Duration(rnd.IntN(3000))*time.Second), false)
		}
		if rnd.IntN(4) == 0 {
			add(campaigner.HardBounceReport, 0, begin.Add(time.Duration(rnd.IntN(3000))*time.Second), false)
		}
	}
	slices.SortFunc(all, func(a, b happened) int { return a.at.Compare(b.at) })
	return all
}

// quiet is a time near t at which nothing happens by either clock: there a recovery is neither before nor behind an event.
func quiet(all []happened, t time.Time) time.Time {
	for slices.ContainsFunc(all, func(h happened) bool { return h.at.Sub(t).Abs() < 10*time.Second }) {
		t = t.Add(time.Second)
	}
	return t
}

// TestRecoveryInAnyOrder: webhooks that are dropped, doubled and late, and recoveries before, between and after them, never
// count an event twice; and once everything has been recovered all of it is counted, whatever is queued again later. Each batch is
// counted twice, the first time for nothing.
func TestRecoveryInAnyOrder(t *testing.T) {
	r := newRig(t)
	r.stop()
	r.open()
	r.worker = ingest.NewWorker(twice{r.store}, campaigner.Webhook{}, ingest.Options{Linger: 20 * time.Millisecond})
	r.start()
	seeds := 24
	if testing.Short() {
		seeds = 6
	}
	for seed := range seeds {
		rnd := rand.New(rand.NewPCG(uint64(seed), 1))
		campaign, allOpens := seed+1, seed%3 == 2
		all := invent(rnd)
		if len(all) == 0 {
			continue
		}
		check := func(when string, until time.Time, exact bool) {
			t.Helper()
			r.counted()
			got, want := r.counts(campaign), truth(all, until, allOpens)
			for of := range want {
				if got[of] > want[of] || exact && got[of] != want[of] {

					t.Fatalf("seed %d, %s: %d of %s, want %d", seed, when, got[of], of, want[of])
				}
			}
		}
		end, began := all[len(all)-1].at.Add(time.Hour), time.Now()
		var late []happened
		r.post(`{"key":"the-webhook-key","type":"Campaign Sending Started","sending_started":"2026-03-01T09:00:00Z","campaign_id":` + fmt.Sprint(campaign) + `}`)
		for i, h := range all {
			switch n := rnd.IntN(10); {
			case h.further:
			case n < 3:
				late = append(late, h) // or never
			default:
				for range 1 + n/9 {
					r.post(h.webhook(campaign))
				}
			}
			if len(late) > 0 && rnd.IntN(4) == 0 {
				n := rnd.IntN(len(late))
				r.post(late[n].webhook(campaign))
				late = slices.Delete(late, n, n+1)
			}
			if rnd.IntN(8) == 0 && i+1 < len(all) {
				at := quiet(all, h.at)
				if at.Before(all[i+1].at) {
					r.recover(campaign, at, allOpens, all)
				}
			}
			if rnd.IntN(10) == 0 {
				check(fmt.Sprintf("after %d events", i+1), h.at.Add(time.Second), false)
			}
		}
		r.recover(campaign, end, allOpens, all)
		check("recovered", end, true)
		for _, n := range rnd.Perm(len(all)) { // everything again, also what never came
			if !all[n].further {
				r.post(all[n].webhook(campaign))
			}
		}
		check("queued again", end, true)
		r.recover(campaign, end, allOpens, all)
		check("recovered again", end, true)
		if seed < 8 {
			r.redecode(began)
			check("redecoded", end, true)
		}
	}
	if d, err := ingest.Rebuild(t.Context(), r.store, r.ws); err != nil || d.Drifted > 0 {
		t.Errorf("drift %+v: %v", d, err)
	}
}

// redecode decodes all deliveries since then again, oldest first.
func (r *rig) redecode(since time.Time) {
	r.t.Helper()
	replayer := ingest.NewReplayer(r.store, campaigner.Webhook{}, time.Now)
	for p := (page.Params{Number: 1, Size: page.MaxSize, Sort: "received_at"}); ; p.Number++ {
		list, err := r.store.ListDeliveries(r.t.Context(), r.ws, []delivery.State{delivery.Done, delivery.Partial, delivery.Quarantined}, p)
		if err != nil {
			r.t.Fatal(err)
		}
		for _, d := range list.Items {
			if d.ReceivedAt.Before(since) {
				continue
			}
			if _, err := replayer.Redecode(r.t.Context(), r.ws, d.ID); err != nil {
				r.t.Fatal(err)
			}
		}
		if len(list.Items) < p.Size {
			return
		}
	}
}
