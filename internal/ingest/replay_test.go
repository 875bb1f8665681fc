package ingest_test

import (
	"strings"
	"testing"
	"time"

	"monterey/internal/campaigner"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/ingest"
	"monterey/internal/page"
	"monterey/internal/suppression"
)

// young is a decoder that cannot read unsubscribes yet and takes opens for no engagement.
type young struct{ campaigner.Webhook }

func (d young) Decode(body []byte, zone *time.Location, at time.Time) []delivery.Object {
	objects := d.Webhook.Decode(body, zone, at)
	for i, o := range objects {
		if o.Report == nil {
			continue
		}
		switch o.Report.Type.String() {
		case "unsubscribe":
			objects[i] = delivery.Object{Fault: "timestamp: unknown"}
		case "open":
			objects[i] = delivery.Object{Ignored: "Campaign Opened"}
		}
	}
	return objects
}

func unsubscribe(campaign, address, at string) string {
	return `{"key":"` + webhookKey + `","type":"List-Unsubscribe","email":"` + address + `","timestamp":"` + at + `","campaign_id":` + campaign + `}`
}

func (r *rig) postOne(objects ...string) delivery.ID {
	r.t.Helper()
	id, _, _, err := r.intake.Receive(r.t.Context(), []byte(strings.Join(objects, "\n")))
	if err != nil {
		r.t.Fatal(err)
	}
	return id
}

func TestReplayCountsWhatWasHeldAndIgnored(t *testing.T) {
	r := newRig(t)
	r.stop()
	r.open()
	r.worker = ingest.NewWorker(r.store, young{}, ingest.Options{Linger: 10 * time.Millisecond})
	r.start()
	id := r.postOne(open(1, "a@x.test", "2026-03-01T10:00:00Z"), unsubscribe("1", "b@x.test", "2026-03-01T11:00:00Z"), click(1, "c@x.test", "2026-03-01T12:00:00Z", 1))
	r.counted()
	if got := r.statistics("1"); got.Opens != 0 || got.Clicks != 1 {
		t.Fatalf("before: %d opens, %d clicks", got.Opens, got.Clicks)
	}
	replayer := ingest.NewReplayer(r.store, campaigner.Webhook{}, time.Now)
	for range 2 { // the second time there is nothing left to do
		d, err := replayer.Replay(t.Context(), r.ws, id)
		if err != nil {
			t.Fatal(err)
		}
		if want := (delivery.Counts{Inserted: 3}); d.Counts != want || d.State != delivery.Done {
			t.Errorf("replayed: %+v, %s", d.Counts, d.State)
		}
	}
	got := r.statistics("1")
	if got.Opens != 1 || got.Clicks != 1 || got.Unsubscribes == nil || *got.Unsubscribes != 1 {
		t.Errorf("after: %d opens, %d clicks, unsubscribes %v", got.Opens, got.Clicks, got.Unsubscribes)
	}
	if drift, err := ingest.Rebuild(t.Context(), r.store, r.ws); err != nil || drift.Drifted != 0 {
		t.Errorf("drift %+v, %v", drift, err)
	}
	if _, err := replayer.Replay(t.Context(), r.ws, delivery.IDOf(1, 1)); !fault.Is(err, fault.NotFound) {
		t.Errorf("a delivery that is not there: %v", err)
	}
}

// setZone changes how the connection's times without a zone are meant.
func (r *rig) setZone(zone string) {
	r.t.Helper()
	conns, err := r.store.ListConnections(r.t.Context(), r.ws, page.Params{Number: 1, Size: 1})
	if err != nil {
		r.t.Fatal(err)
	}
	conn := conns.Items[0]
	conn.Timezone = zone
	if err := r.store.UpdateConnection(r.t.Context(), r.ws, conn); err != nil {
		r.t.Fatal(err)
	}
}

func TestRedecodeMovesEventsAndKeepsWhatOthersReported(t *testing.T) {
	r := newRig(t)
	zoneless := open(1, "a@x.test", "2026-03-01T10:00:00")
	first := r.postOne(zoneless, open(1, "both@x.test", "2026-03-01T10:00:00"), unsubscribe("1", "u@x.test", "2026-03-01T10:00:00"))
	r.counted()
	r.postOne(open(1, "both@x.test", "2026-03-01T10:00:00Z"))
	r.judged()
	r.setZone("America/New_York") // five hours behind
	d, err := ingest.NewReplayer(r.store, campaigner.Webhook{}, time.Now).Redecode(t.Context(), r.ws, first)
	if err != nil || d.Counts != (delivery.Counts{Inserted: 3}) {
		t.Fatalf("redecoded: %+v, %v", d.Counts, err)
	}
	got := r.statistics("1")
	// a moved; both was reported by the second delivery at the old time and by the first at the new one.
	if got.Opens != 3 || got.UniqueOpens != 2 || *got.Unsubscribes != 1 {
		t.Errorf("%d opens, %d unique, %d unsubscribes", got.Opens, got.UniqueOpens, *got.Unsubscribes)
	}
	if want := time.Date(2026, 3, 1, 15, 0, 0, 0, time.UTC); !got.LastEventAt.Equal(want) {
		t.Errorf("last event at %s, want %s", got.LastEventAt, want)
	}
	if drift, err := ingest.Rebuild(t.Context(), r.store, r.ws); err != nil || drift.Drifted != 0 {
		t.Errorf("drift %+v, %v", drift, err)
	}
}

func TestRedecodeKeepsMarksThatOthersReported(t *testing.T) {
	r := newRig(t)
	started := `{"key":"` + webhookKey + `","type":"Campaign Sending Started","sending_started":"2026-03-01T10:00:00","campaign_id":1}`
	first := r.postOne(started)
	r.counted()
	r.postOne(strings.Replace(started, `00:00"`, `00:00Z"`, 1))
	r.counted()
	r.setZone("America/New_York")
	if _, err := ingest.NewReplayer(r.store, campaigner.Webhook{}, time.Now).Redecode(t.Context(), r.ws, first); err != nil {
		t.Fatal(err)
	}
	runs, err := r.store.ListRuns(t.Context(), r.ws, nil, page.Params{Number: 1, Size: 10})
	if err != nil || runs.Total != 2 {
		t.Errorf("%d runs, want the one of ten o'clock and the one of fifteen: %v", runs.Total, err)
	}
}

func TestRedecodeKeepsRuns(t *testing.T) {
	r := newRig(t)
	id := r.postOne(`{"key":"`+webhookKey+`","type":"Campaign Sending Started","sending_started":"2026-03-01T10:00:00Z","campaign_id":1}`,
		`{"key":"`+webhookKey+`","type":"Campaign Sent","sent":"2026-03-01T11:00:00Z","campaign_id":1}`)
	r.counted()
	runs := func() string {
		t.Helper()
		runs, err := r.store.ListRuns(t.Context(), r.ws, nil, page.Params{Number: 1, Size: 10})
		if err != nil || len(runs.Items) != 1 {
			t.Fatalf("%d runs: %v", len(runs.Items), err)
		}
		return runs.Items[0].ID.String()
	}
	before := runs()
	if _, err := ingest.NewReplayer(r.store, campaigner.Webhook{}, time.Now).Redecode(t.Context(), r.ws, id); err != nil {
		t.Fatal(err)
	}
	if after := runs(); after != before {
		t.Errorf("the run was %s and is %s", before, after)
	}
}

func TestAChangedZoneHoldsForWhatComesNext(t *testing.T) {
	r := newRig(t)
	r.postOne(open(1, "a@x.test", "2026-03-01T10:00:00"))
	r.counted()
	r.setZone("America/New_York")
	r.postOne(open(1, "b@x.test", "2026-03-01T10:00:00"))
	r.counted()
	if got, want := *r.statistics("1").LastEventAt, time.Date(2026, 3, 1, 15, 0, 0, 0, time.UTC); !got.Equal(want) {
		t.Errorf("received after the zone was changed, it is of %s, want %s", got, want)
	}
}

func TestRedecodeTellsWhomItSuppressesForAnotherReason(t *testing.T) {
	r := newRig(t)
	first := r.postOne(unsubscribe("1", "u@x.test", "2026-03-01T10:00:00"), unsubscribe("1", "v@x.test", "2026-03-01T10:00:00"))
	r.postOne(unsubscribe("1", "u@x.test", "2026-03-01T12:00:00Z"))
	r.counted()
	before := time.Now()
	r.setZone("America/New_York") // the first is of fifteen o'clock now
	if _, err := ingest.NewReplayer(r.store, campaigner.Webhook{}, time.Now).Redecode(t.Context(), r.ws, first); err != nil {
		t.Fatal(err)
	}
	got, err := r.store.ListSuppressions(t.Context(), r.ws, suppression.ListParams{Filter: suppression.Filter{UpdatedFrom: before},
		Params: page.Params{Number: 1, Size: 10, Sort: "email"}})
	if err != nil || len(got.Items) != 2 {
		t.Fatalf("%d suppressions changed, want 2: %v", len(got.Items), err)
	}
	for i, want := range []int{12, 15} {
		if at := got.Items[i].Since; at.Hour() != want {
			t.Errorf("%s is suppressed since %s, want %d o'clock", got.Items[i].Address, at, want)
		}
	}
}

func TestChangesTellEachEventOnce(t *testing.T) {
	r := newRig(t)
	id := r.postOne(open(1, "a@x.test", "2026-03-01T10:00:00"), open(1, "b@x.test", "2026-03-01T11:00:00"))
	r.counted()
	for range 2 { // there and back: taken back and inserted again, each twice
		for _, zone := range []string{"America/New_York", "UTC"} {
			r.setZone(zone)
			if _, err := ingest.NewReplayer(r.store, campaigner.Webhook{}, time.Now).Redecode(t.Context(), r.ws, id); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, order := range []event.Order{event.NewestFirst, event.OldestFirst} {
		p := event.ListParams{Filter: event.Filter{UpdatedFrom: time.Unix(1, 0)}, Order: order, Limit: 1}
		removed := map[event.ID]bool{}
		for n := 1; ; n++ {
			l, err := r.store.ListEvents(t.Context(), r.ws, p)
			if err != nil || len(l.Items) != 1 || l.Total != 4 {
				t.Fatalf("order %d: %d events of %d: %v", order, len(l.Items), l.Total, err)
			}
			e := l.Items[0]
			if _, twice := removed[e.ID]; twice {
				t.Fatalf("order %d: event %d, %s, comes twice", order, n, e.ID)
			}
			removed[e.ID] = e.Removed
			if p.After = (&event.Cursor{ID: e.ID, UpdatedAt: e.UpdatedAt}); !l.More {
				break
			}
		}
		for id, gone := range removed {
			if gone != (id.Time().Hour() > 11) {
				t.Errorf("order %d: the event of %s is removed: %t", order, id.Time(), gone)
			}
		}
	}
}
