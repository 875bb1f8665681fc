package campaignersim

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"monterey/internal/oracle"
)

// The truth must be what who reads the posted bytes, and nothing else, finds by counting on other paths.
func TestTruthIsWhatTheWebhooksSay(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 4, 4, 9, 30, 0, 0, time.UTC) // six days after clocks were set ahead
	for name, forms := range map[string]Forms{"mixed": {}, "plain": {Plain: true}, "without a zone": {Times: []TimeForm{Zoneless, SpacedZoneless}, Zone: berlin},
		"ticks": {Plain: true, Times: []TimeForm{RFC3339Ticks}}} {
		t.Run(name, func(t *testing.T) {
			o := tiny(3)
			o.Now, o.Forms = now, forms
			a := NewAccount(o)
			var objects []map[string]any
			for _, b := range a.Webhooks("whk") {
				objects = append(objects, parse(t, b))
			}
			world := worldOf(t, objects, a.Options().Forms.Zone)
			compare(t, a.Truth(), oracle.New(world), now)
		})
	}
}

// compare asks both the same questions.
func compare(t *testing.T, truth *Truth, recount *oracle.Oracle, now time.Time) {
	t.Helper()
	if truth.Inserted != recount.Inserted() || truth.Objects != recount.Received() {
		t.Errorf("%d of %d inserted, recounted %d of %d", truth.Inserted, truth.Objects, recount.Inserted(), recount.Received())
	}
	if truth.Inserted+truth.Duplicates+truth.Ignored != truth.Objects {
		t.Errorf("%d + %d + %d is not %d", truth.Inserted, truth.Duplicates, truth.Ignored, truth.Objects)
	}
	if diff := cmp.Diff(recount.Campaigns(), truth.CampaignIDs()); diff != "" {
		t.Fatalf("campaigns (-recount +truth):\n%s", diff)
	}
	cut := now.Add(-7*24*time.Hour - 17*time.Second)
	for _, id := range truth.CampaignIDs() {
		for _, r := range [][2]time.Time{{}, {cut, now}, {{}, cut}, {cut, {}}} {
			got := truth.Statistics(id, r[0], r[1])
			want := recount.Statistics(id, unix(r[0]), unix(r[1]))
			same(t, fmt.Sprintf("campaign %s over %s", id, r), want, got)
			if rate, ok := want["click_to_open_rate"].(float64); ok && rate != float64(got.OpenedAndClicked)/float64(got.UniqueOpens) {
				t.Errorf("campaign %s over %s: %d opened and clicked, want %v of %d", id, r, got.OpenedAndClicked, rate, got.UniqueOpens)
			}
		}
		for _, p := range []SeriesParams{{Granularity: "day", Zone: zone(t, "Europe/Berlin"), AsOf: now},
			{Granularity: "week", Zone: zone(t, "Asia/Kathmandu"), WeekStart: time.Sunday, From: cut, AsOf: now},
			{Granularity: "month", Zone: zone(t, "America/New_York"), WeekStart: time.Monday, AsOf: now},
			{Granularity: "hour", Zone: zone(t, "Europe/Berlin"), From: cut, To: now}} {
			series, ok := recount.Series(oracle.SeriesParams{Campaign: id, Granularity: p.Granularity, Zone: p.Zone, WeekStart: p.WeekStart,
				From: unix(p.From), To: unix(p.To), AsOf: p.AsOf.Unix()})
			points := truth.Series(id, p)
			want := series["points"].([]any)
			if !ok || len(points) != len(want) {
				t.Fatalf("campaign %s by %s: %d points, recounted %d", id, p.Granularity, len(points), len(want))
			}
			for i := range points {
				same(t, fmt.Sprintf("campaign %s by %s, point %d", id, p.Granularity, i), want[i].(map[string]any), points[i])
			}
		}
	}
}

// same compares the fields that got has.
func same(t *testing.T, what string, want map[string]any, got any) {
	t.Helper()
	b, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]any
	if err = json.Unmarshal(b, &fields); err != nil {
		t.Fatal(err)
	}
	known := map[string]any{}
	for k := range fields {
		known[k] = want[k]
	}
	if diff := cmp.Diff(known, fields); diff != "" {
		t.Errorf("%s (-recount +truth):\n%s", what, diff)
	}
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func unix(t time.Time) *int64 {
	if t.IsZero() {
		return nil
	}
	n := t.Unix()
	return &n
}

func parse(t *testing.T, b []byte) (o map[string]any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.UseNumber()
	if err := d.Decode(&o); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return o
}

// documented are the fields of each type, and which says when it happened; spelling of types and queuedWhen aside.
var documented = map[string]struct{ fields, at string }{
	"campaignclicked":        {"id key type updated_via queuedWhen timestamp email status custom_fields click_url clicked_on campaign_id ip ip_created url_id", "clicked_on"},
	"campaignopened":         {"id key type updated_via queuedWhen timestamp email status custom_fields opened_at campaign_id ip ip_created", "opened_at"},
	"campaignsendingstarted": {"id key type updated_via queuedWhen timestamp sending_started campaign_id ip", "sending_started"},
	"campaignsent":           {"id key type updated_via queuedWhen timestamp sent campaign_id ip", "sent"},
	"contactbounced":         {"id key type updated_via queuedWhen timestamp email status custom_fields campaign_id reason ip", "timestamp"},
	"listunsubscribe":        {"id key type updated_via queuedWhen timestamp email status custom_fields campaign_id ip", "timestamp"},
	"listsubscribe":          {"id key type updated_via queuedWhen timestamp email status custom_fields ip", "timestamp"},
	"contactemailchanged":    {"id key type updated_via queuedWhen timestamp email status custom_fields ip", "timestamp"},
}

// worldOf reads objects as their documentation says, and fails for fields that are not as documented.
func worldOf(t *testing.T, objects []map[string]any, z *time.Location) (w oracle.World) {
	t.Helper()
	for _, o := range objects {
		kind := strings.ToLower(strings.NewReplacer(" ", "", "-", "", "_", "").Replace(o["type"].(string)))
		doc, ok := documented[kind]
		if !ok {
			t.Fatalf("type of %v", o)
		}
		var names []string
		for name := range o {
			if strings.NewReplacer("_", "", " ", "").Replace(strings.ToLower(name)) == "queuedwhen" {
				name = "queuedWhen"
			}
			names = append(names, name)
		}
		want := strings.Fields(doc.fields)
		if kind == "contactbounced" && o["campaign_id"] == nil {
			want = slices.DeleteFunc(want, func(n string) bool { return n == "campaign_id" })
		}
		slices.Sort(names)
		slices.Sort(want)
		if diff := cmp.Diff(want, names); diff != "" {
			t.Fatalf("fields of a %s (-documented +posted):\n%s", kind, diff)
		}
		if o["key"] != "whk" {
			t.Fatalf("key of %v", o)
		}
		campaign := ""
		if o["campaign_id"] != nil {
			campaign = fmt.Sprint(o["campaign_id"])
		}
		at, count := o[doc.at], (*int64)(nil)
		if n, err := strconv.ParseInt(fmt.Sprint(at), 10, 64); kind == "campaignsent" && err == nil && n < 1e9 {
			at, count = o["timestamp"], &n
		}
		e := oracle.Event{Campaign: campaign, At: readTime(t, at, z)}
		e.Address, _ = o["email"].(string)
		switch kind {
		case "campaignclicked":
			e.Type, e.LinkID, e.URL = "click", fmt.Sprint(o["url_id"]), o["click_url"].(string)
		case "campaignopened":
			e.Type = "open"
		case "contactbounced":
			e.Type = "bounce"
		case "listunsubscribe":
			e.Type = "unsubscribe"
		case "campaignsendingstarted":
			w.Marks = append(w.Marks, oracle.Mark{Campaign: campaign, Kind: oracle.Started, At: e.At})
			continue
		case "campaignsent":
			w.Marks = append(w.Marks, oracle.Mark{Campaign: campaign, Kind: oracle.Sent, At: e.At, Sent: count})
			continue
		default:
			w.Ignored++
			continue
		}
		w.Events = append(w.Events, e)
	}
	return w
}

// readTime reads any documented form of a time.
func readTime(t *testing.T, v any, z *time.Location) int64 {
	t.Helper()
	if n, ok := v.(json.Number); ok {
		at, err := n.Int64()
		if err != nil {
			t.Fatal(err)
		}
		if at > 1e11 {
			at /= 1000
		}
		return at
	}
	text := strings.Replace(v.(string), " ", "T", 1)
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.Unix()
	}
	at, err := time.ParseInLocation("2006-01-02T15:04:05", text, z)
	if err != nil {
		t.Fatal(err)
	}
	return at.Unix()
}

// A few events by hand, with the numbers that anybody can count on two hands.
func TestTruthByHand(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 1, 1, 12, 0, s, 300, time.UTC) }
	click := func(s, link int) Event { return Event{Kind: Click, At: at(s), Contact: 0, Link: link} }
	a := &Account{
		campaigns: []Campaign{{ID: 9, Links: []Link{{ID: 1}, {ID: 2}, {ID: 3}},
			Runs: []Run{{Started: at(0), Finished: at(1), Recipients: []int{0, 1, 2}, SaysCount: true}, {Started: at(2), Finished: at(3)}}}},
		contacts: []Contact{{Address: "A@x.example"}, {Address: "b@x.example"}, {Address: "a@X.example"}},
		events: []Event{
			{Kind: SendingStarted, At: at(0), Contact: -1}, {Kind: Sent, At: at(1), Contact: -1},
			{Kind: SendingStarted, At: at(2), Run: 1, Contact: -1}, {Kind: Sent, At: at(3), Run: 1, Contact: -1},
			{Kind: Open, At: at(4)}, {Kind: Open, At: at(5), Contact: 2}, {Kind: Open, At: at(5), Contact: 1},
			click(10, 0), click(10, 0), click(14, 1), click(20, 2), // three links in ten seconds
			click(25, 0), click(31, 1), click(36, 2), // never three in ten
			{Kind: HardBounce, At: at(40), Contact: 1}, {Kind: Unsubscribe, At: at(41), Contact: 1}, {Kind: Unsubscribe, At: at(42), Contact: 1},
			{Kind: HardBounce, At: at(43), Campaign: -1, Contact: 2}, {Kind: Subscribe, At: at(44), Campaign: -1, Contact: 1},
			{Kind: SoftBounce, At: at(45), Contact: 0},
		},
	}
	truth := a.Truth()
	if got := [4]int{truth.Objects, truth.Inserted, truth.Duplicates, truth.Ignored}; got != [4]int{19, 17, 1, 1} {
		t.Errorf("objects, inserted, duplicates, ignored: %v", got)
	}
	three := int64(3)
	first, last := at(4).Truncate(time.Second), at(42).Truncate(time.Second)
	want := Statistics{FirstEventAt: &first, LastEventAt: &last, OpenedAndClicked: 1, Counts: Counts{Sent: &three, Opens: 3, UniqueOpens: 2,
		HumanOpens: 3, UniqueHumanOpens: 2, Clicks: 6, UniqueClicks: 1, HumanClicks: 3, UniqueHumanClicks: 1, Bounces: 1, HardBounces: 1, Unsubscribes: 1}}
	if diff := cmp.Diff(want, truth.Statistics("9", time.Time{}, time.Time{})); diff != "" {
		t.Errorf("statistics (-want +got):\n%s", diff)
	}
	if got := truth.Statistics("9", first.Add(time.Second), last).Counts; got.Opens != 2 || got.Unsubscribes != 1 || got.Sent != nil {
		t.Errorf("over a range: %+v", got)
	}
	if got := truth.Statistics("9", at(0).Truncate(time.Second), at(1).Truncate(time.Second)).Sent; got == nil || *got != 3 {
		t.Errorf("a run's mails do not count when it started: %v", got)
	}
	links := truth.Links("9", time.Time{}, time.Time{})
	if len(links) != 3 || links[0].LinkID != "1" || links[0].Clicks != 2 || links[0].HumanClicks != 1 || links[0].UniqueClicks != 1 {
		t.Errorf("links: %+v", links)
	}
	if dropped := a.TruthOf([]int{3, 7, 7}); dropped.Inserted != 2 || dropped.Duplicates != 1 || dropped.Statistics("9", time.Time{}, time.Time{}).Clicks != 1 {
		t.Errorf("of three posts: %+v", dropped)
	}
}

// What the clocks show twice is written with its offset, however much times without a zone are wanted.
func TestTimesShownTwiceKeepTheirOffset(t *testing.T) {
	f := Forms{Times: []TimeForm{SpacedZoneless}, Zone: zone(t, "Europe/Berlin")}
	for at, want := range map[time.Time]string{
		time.Date(2025, 10, 25, 23, 59, 59, 0, time.UTC): `"2025-10-26 01:59:59"`,
		time.Date(2025, 10, 26, 0, 0, 0, 0, time.UTC):    `"2025-10-26T00:00:00Z"`,
		time.Date(2025, 10, 26, 1, 59, 59, 0, time.UTC):  `"2025-10-26T01:59:59Z"`,
		time.Date(2025, 10, 26, 2, 0, 0, 0, time.UTC):    `"2025-10-26 03:00:00"`,
	} {
		if got := string(f.appendTime(nil, rand.New(rand.NewPCG(1, 1)), at)); got != want {
			t.Errorf("%s is written %s, want %s", at, got, want)
		}
	}
}
