package loadgen

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

func small() Workload {
	return Workload{Seed: 7, Key: "whk", Events: 20_000, Campaigns: 20, Recipients: 5000, Days: 30}
}

func all(w Workload, batch int) []byte {
	var out []byte
	for _, b := range NewGenerator(w).Bodies(batch) {
		out = append(out, b...)
	}
	return out
}

func TestSameSeedSameBytes(t *testing.T) {
	one := all(small(), 100)
	if !bytes.Equal(one, all(small(), 7)) {
		t.Error("the size of bodies changes the events")
	}
	other := small()
	other.Seed = 8
	if bytes.Equal(one, all(other, 100)) {
		t.Error("another seed makes the same events")
	}
	if n := bytes.Count(one, []byte("\n")); n != 20_000 {
		t.Errorf("%d events, want 20000", n)
	}
}

// The bytes say what Event says: whoever counts events need not parse bodies.
func TestObjectsSayWhatEventsAre(t *testing.T) {
	for name, w := range map[string]Workload{"even": small(), "decaying": decaying(), "doubled": doubled()} {
		t.Run(name, func(t *testing.T) {
			g := NewGenerator(w)
			for i, line := range bytes.Split(bytes.TrimSpace(all(w, 1000)), []byte("\n")) {
				var o struct {
					Key, Type, Email, Timestamp, Reason                 string
					Clicked                                             string `json:"clicked_on"`
					Opened                                              string `json:"opened_at"`
					Started                                             string `json:"sending_started"`
					Campaign                                            *int   `json:"campaign_id"`
					Link                                                *int   `json:"url_id"`
					Sent                                                *int
					ID, Status, IP, IPCreated, CustomFields, QueuedWhen any
				}
				if err := json.Unmarshal(line, &o); err != nil {
					t.Fatalf("%s: %v", line, err)
				}
				e := g.Event(i)
				at := map[Kind]string{Click: o.Clicked, Open: o.Opened, SendingStart: o.Started}[e.Kind]
				if at == "" {
					at = o.Timestamp
				}
				got, err := time.Parse(time.RFC3339, at)
				if err != nil || got.Unix() != e.At {
					t.Fatalf("event %d is at %d, its object at %q (%v)", i, e.At, at, err)
				}
				address := ""
				if e.Recipient >= 0 {
					address = string(AppendAddress(nil, e.Recipient))
				}
				if o.Key != "whk" || o.Type != typeNames[e.Kind] || o.Email != address {
					t.Fatalf("event %d is %+v, its object %s", i, e, line)
				}
				if e.Kind != Subscribe && (o.Campaign == nil || *o.Campaign != CampaignID(e.Campaign)) {
					t.Fatalf("event %d: campaign of %s", i, line)
				}
				if (e.Kind == Click) != (o.Link != nil) || (e.Kind == Sent) != (o.Sent != nil) || (e.Kind == Bounce) != (o.Reason != "") {
					t.Fatalf("event %d: fields of %s", i, line)
				}
			}
		})
	}
}

func decaying() Workload {
	w := small()
	w.Lifetime = 48 * time.Hour
	return w
}

func doubled() Workload {
	w := small()
	w.Duplicates = 0.2
	return w
}

func TestShapeOfAWorkload(t *testing.T) {
	for name, w := range map[string]Workload{"even": small(), "decaying": decaying()} {
		t.Run(name, func(t *testing.T) {
			g := NewGenerator(w)
			w := g.Workload()
			kinds, campaigns := map[Kind]int{}, make([]int, w.Campaigns)
			people := map[int]bool{}
			last, behind := int64(0), int64(60)
			if w.Lifetime > 0 {
				behind += 3 * 3600
			}
			for i := range w.Events {
				e := g.Event(i)
				kinds[e.Kind]++
				if e.Recipient < 0 {
					continue
				}
				campaigns[e.Campaign]++
				if e.Campaign == 0 {
					people[e.Recipient] = true
				}
				if e.At < last-behind {
					t.Fatalf("event %d is %d s before one before it", i, last-e.At)
				}
				last = max(last, e.At)
				if e.At < w.End.Add(-30*24*time.Hour).Unix() || e.At >= w.End.Unix() {
					t.Fatalf("event %d is at %s", i, time.Unix(e.At, 0))
				}
			}
			for kind, share := range map[Kind]int{Open: 700, Click: 240, Bounce: 30, Unsubscribe: 20, Subscribe: 10} {
				if got := kinds[kind] * 1000 / w.Events; got < share*8/10-2 || got > share*12/10+2 {
					t.Errorf("%d of 1000 are of kind %d, want about %d", got, kind, share)
				}
			}
			if kinds[SendingStart] != w.Campaigns || kinds[Sent] != w.Campaigns {
				t.Errorf("marks: %v", kinds)
			}
			for k, n := range campaigns {
				want := campaigns[0] / (k + 1)
				if n < want*7/10 || n > want*13/10 {
					t.Errorf("campaign %d has %d events, the biggest %d", k, n, campaigns[0])
				}
			}
			if len(people) < w.Recipients/2 {
				t.Errorf("the biggest campaign met %d of %d recipients", len(people), w.Recipients)
			}
		})
	}
}

func TestDuplicates(t *testing.T) {
	for _, share := range []float64{0, 0.2} {
		w := small()
		w.Duplicates = share
		g := NewGenerator(w)
		seen, again := map[Event]bool{}, 0
		for i := range w.Events {
			e := g.Event(i)
			if e.Kind == Subscribe {
				continue
			}
			if seen[e] {
				again++
			}
			seen[e] = true
		}
		got := float64(again) / float64(w.Events)
		if got < share-0.02 || got > share+0.02 {
			t.Errorf("%.3f of the events are duplicates, want %.1f", got, share)
		}
	}
}

func TestPutTime(t *testing.T) {
	for _, at := range []int64{0, 951_782_399, 951_782_400, 951_868_800, 1_709_164_800, 1_735_689_599, 1_772_360_131, 4_107_542_400} {
		var b [19]byte
		putTime(&b, at)
		if want := time.Unix(at, 0).UTC().Format("2006-01-02T15:04:05"); string(b[:]) != want {
			t.Errorf("%d is %s, want %s", at, b, want)
		}
	}
	for i := range 100_000 {
		at := int64(mix(1, i) % 4_000_000_000)
		var b [19]byte
		putTime(&b, at)
		if want := time.Unix(at, 0).UTC().Format("2006-01-02T15:04:05"); string(b[:]) != want {
			t.Fatalf("%d is %s, want %s", at, b, want)
		}
	}
}

func TestDefaultsAreTheBenchmarks(t *testing.T) {
	w := NewGenerator(Workload{}).Workload()
	got := fmt.Sprint(w.Events, w.Campaigns, w.Recipients, w.Days)
	if want := "5000000 200 500000 90"; got != want {
		t.Errorf("events, campaigns, recipients, days: %s, want %s", got, want)
	}
}

// One body costs less than a microsecond or two an event; the report of the allocations must stay 0.
func BenchmarkGenerate(b *testing.B) {
	g := NewGenerator(Workload{Key: strings.Repeat("k", 24)})
	var body []byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		body = g.AppendBody(body[:0], i%4_000_000, 1)
	}
	b.SetBytes(int64(len(body)))
}
