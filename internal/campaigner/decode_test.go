package campaigner

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/event"
)

// arrival is when the bodies of the tests were received.
var arrival = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// at is a second of 1 March 2026.
func at(clock string) time.Time {
	t, err := time.Parse(time.DateTime, "2026-03-01 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

// reported completes a report as Decode does.
func reported(r event.Report) delivery.Object {
	r.Identity = Identity(&r)
	return delivery.Object{Report: &r}
}

func mark(ref string, m campaign.Mark) delivery.Object {
	return delivery.Object{Mark: &delivery.Mark{CampaignRef: ref, Mark: m}}
}

// documented is what each file of testdata holds: the forms that Campaigner documents, all types.
var documented = map[string][]delivery.Object{
	"click.json": {reported(event.Report{
		Type: event.Click, CampaignRef: "778812", Address: "anna.schmidt@example.com", OccurredAt: at("10:15:30"),
		Link:  event.Link{ID: "5512", URL: "https://shop.example.com/spring?utm_source=mail&n=1"},
		Facts: event.Facts{ProviderEventID: "93847561", IP: "203.0.113.9"},
	})},
	"open.json": {reported(event.Report{
		Type: event.Open, CampaignRef: "778812", Address: "anna.schmidt@example.com", OccurredAt: at("10:14:02"),
		Facts: event.Facts{ProviderEventID: "93847560", IP: "203.0.113.9"},
	})},
	"bounce.json": {reported(event.Report{
		Type: event.Bounce, CampaignRef: "778812", Address: "gone@example.org", OccurredAt: at("09:01:11"), Class: bounce.Hard,
		Facts: event.Facts{ProviderEventID: "93847001", IP: "198.51.100.20", Bounce: bounce.Detail{
			SMTPCode: 550, EnhancedCode: "5.1.1", Label: "Hard Bounced",
			Reason: "smtp;550 5.1.1 <gone@example.org>: Recipient address rejected: User unknown",
		}},
	})},
	"unsubscribe.json": {reported(event.Report{
		Type: event.Unsubscribe, CampaignRef: "778812", Address: "tired@example.net", OccurredAt: at("11:30:00"),
		Facts: event.Facts{ProviderEventID: "93847999", IP: "203.0.113.77"},
	})},
	"started.json":    {mark("778812", campaign.Mark{Kind: campaign.Started, At: at("09:00:00")})},
	"sent.json":       {mark("778812", campaign.Mark{Kind: campaign.Sent, At: at("09:20:45")})},
	"sent-count.json": {mark("778812", campaign.Mark{Kind: campaign.Sent, At: at("09:20:46"), Sent: new(int64(12500))})},
	"other.json":      {{Ignored: "List Subscribe"}, {Ignored: "Contact E-mail Changed"}},
}

func TestDecodeDocumented(t *testing.T) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) != len(documented) {
		t.Fatalf("testdata has the files %v (%v), expected are %d", files, err, len(documented))
	}
	for _, file := range files {
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		n, keys, blanked, err := Webhook{}.Open(body)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		want := documented[filepath.Base(file)]
		if n != len(want) || len(keys) != 1 || keys[0] != "whk_51f0a2b4c6d8e0f1" {
			t.Errorf("%s: %d objects, keys %q", file, n, keys)
		}
		if strings.Contains(string(blanked), "whk_") {
			t.Errorf("%s: the kept body holds the key:\n%s", file, blanked)
		}
		if d := cmp.Diff(want, Webhook{}.Decode(blanked, time.UTC, arrival)); d != "" {
			t.Errorf("%s: -want +got\n%s", file, d)
		}
	}
}

// The same objects behind each other, with whatever between them, and as an array decode alike.
func TestDecodeForms(t *testing.T) {
	var objects []string
	var want []delivery.Object
	for file, in := range documented {
		body, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, strings.TrimSpace(string(body)))
		want = append(want, in...)
	}
	concatenated := strings.Join(objects, "")
	forms := map[string]string{
		"ndjson":       strings.Join(objects, "\n") + "\n",
		"crlf":         strings.Join(objects, "\r\n\r\n") + "\r\n",
		"blank lines":  "\n \n" + strings.Join(objects, "\n\n \t\n") + "\n\n",
		"concatenated": concatenated,
		"one line":     strings.Join(objects, " "),
		"array":        "[" + strings.ReplaceAll(strings.Join(objects, ","), "}\n{", "},{") + "]",
		"bom":          "\ufeff" + strings.Join(objects, "\n"),
		"bom array":    "\ufeff[\r\n" + strings.ReplaceAll(strings.Join(objects, "\n,\n"), "}\n{", "},{") + "\r\n]\r\n",
	}
	for name, body := range forms {
		n, keys, blanked, err := Webhook{}.Open([]byte(body))
		if err != nil || n != len(want) || len(keys) != 1 {
			t.Errorf("%s: %d objects, keys %q, %v", name, n, keys, err)
			continue
		}
		for _, b := range [][]byte{[]byte(body), blanked} {
			if d := cmp.Diff(want, Webhook{}.Decode(b, time.UTC, arrival)); d != "" {
				t.Errorf("%s: -want +got\n%s", name, d)
			}
		}
	}
}

func TestDecodeFields(t *testing.T) {
	const open = `"type":"Campaign Opened","email":"a@example.com","opened_at":"2026-03-01T10:00:00Z"`
	const click = `"type":"Campaign Clicked","email":"a@example.com","clicked_on":"2026-03-01T10:00:00Z"`
	const hard = `"type":"Contact Bounced","email":"a@example.com","timestamp":"2026-03-01T10:00:00Z"`
	opened := func(change func(*event.Report)) delivery.Object {
		r := event.Report{Type: event.Open, Address: "a@example.com", OccurredAt: at("10:00:00")}
		change(&r)
		return reported(r)
	}
	clicked := func(l event.Link) delivery.Object {
		return opened(func(r *event.Report) { r.Type, r.Link = event.Click, l })
	}
	bounced := func(c bounce.Class, d bounce.Detail) delivery.Object {
		return opened(func(r *event.Report) { r.Type, r.Class, r.Facts.Bounce = event.Bounce, c, d })
	}
	plain := opened(func(*event.Report) {})
	campaignOf := func(ref string) delivery.Object { return opened(func(r *event.Report) { r.CampaignRef = ref }) }
	bad := func(fault string) delivery.Object { return delivery.Object{Fault: fault} }
	tests := map[string]struct {
		object string
		want   delivery.Object
	}{
		"no campaign":            {`{` + open + `}`, plain},
		"null is absent":         {`{` + open + `,"campaign_id":null,"id":null,"ip":null}`, plain},
		"empty is absent":        {`{` + open + `,"campaign_id":" ","id":"","ip":""}`, plain},
		"id number":              {`{` + open + `,"campaign_id":123}`, campaignOf("123")},
		"id text":                {`{` + open + `,"campaign_id":" 123 "}`, campaignOf("123")},
		"id beyond 2^53":         {`{` + open + `,"campaign_id":9007199254740993}`, campaignOf("9007199254740993")},
		"id of 40 digits":        {`{` + open + `,"campaign_id":1234567890123456789012345678901234567890}`, campaignOf("1234567890123456789012345678901234567890")},
		"id negative":            {`{` + open + `,"campaign_id":-7}`, campaignOf("-7")},
		"id fraction":            {`{` + open + `,"campaign_id":1.0}`, bad(`campaign_id: not a whole number: 1.0`)},
		"id exponent":            {`{` + open + `,"campaign_id":1e3}`, bad(`campaign_id: not a whole number: 1e3`)},
		"id boolean":             {`{` + open + `,"campaign_id":true}`, bad(`campaign_id: not a text: true`)},
		"id object":              {`{` + open + `,"id":{"a":[1]}}`, bad(`id: not a text: {"a":[1]}`)},
		"id too long":            {`{` + open + `,"campaign_id":"` + strings.Repeat("7", 201) + `"}`, bad(`campaign_id: too long: "` + strings.Repeat("7", 199) + "…")},
		"id number too long":     {`{` + open + `,"campaign_id":` + strings.Repeat("7", 201) + `}`, bad(`campaign_id: too long: ` + strings.Repeat("7", 200) + "…")},
		"address trimmed":        {`{` + open + `,"email":" A@Example.COM\t"}`, plain},
		"address missing":        {`{"type":"campaign opened","opened_at":"2026-03-01T10:00:00Z"}`, bad(`email: missing`)},
		"address null":           {`{` + open + `,"email":null}`, bad(`email: missing`)},
		"address blank":          {`{` + open + `,"email":"  "}`, bad(`email: missing`)},
		"address number":         {`{` + open + `,"email":5}`, bad(`email: not a text: 5`)},
		"address object":         {`{` + open + `,"email":{}}`, bad(`email: not a text: {}`)},
		"address Latin-1":        {"{" + open + ",\"email\":\"jos\xe9@example.com\"}", bad(`email: damaged text: "jos` + "\ufffd" + `@example.com"`)},
		"address U+FFFD":         {"{" + open + ",\"email\":\"jos\ufffd@example.com\"}", bad(`email: damaged text: "jos` + "\ufffd" + `@example.com"`)},
		"address half surrogate": {`{` + open + `,"email":"a\ud800@example.com"}`, bad(`email: damaged text: "a\ud800@example.com"`)},
		"address NUL":            {`{` + open + `,"email":"a\u0000@example.com"}`, bad(`email: damaged text: "a\u0000@example.com"`)},
		"address escaped":        {`{` + open + `,"email":"\u0061\u0040example.com"}`, plain},
		"address too long":       {`{` + open + `,"email":"` + strings.Repeat("é", 161) + `"}`, bad(`email: too long: "` + strings.Repeat("é", 99) + "…")},
		"unused field Latin-1":   {"{" + open + ",\"custom_fields\":{\"First\":\"Jos\xe9\"},\"Nam\xe9\":1}", plain},
		"unused field any kind":  {`{` + open + `,"status":5,"reason":[],"click_url":{},"url_id":1.5,"sent":true,"queued when":7}`, plain},
		"the last of two":        {`{"email":"b@example.com","email":5,` + open + `}`, plain},
		"another spelling":       {`{"Type":"open","TYPE":"CAMPAIGN-OPENED","E-Mail":"a@example.com","openedAt":"2026-03-01T10:00:00Z"}`, plain},
		"documented goes first":  {`{` + open + `,"EMail":"b@example.com"}`, plain},
		"documented goes first, whatever the order": {`{"EMail":"b@example.com",` + open + `}`, plain},
		"escaped name":       {`{"type":"Campaign Opened","\u0065mail":"a@example.com","opened_at":"2026-03-01T10:00:00Z"}`, plain},
		"facts":              {`{` + open + `,"id":"e-1","ip":" 2001:db8::1 "}`, opened(func(r *event.Report) { r.Facts = event.Facts{ProviderEventID: "e-1", IP: "2001:db8::1"} })},
		"ip of a wrong kind": {`{` + open + `,"ip":["203.0.113.9"]}`, bad(`ip: not a text: ["203.0.113.9"]`)},

		"type underscores": {`{` + open + `,"type":"campaign_opened"}`, plain},
		"type hyphens":     {`{` + open + `,"type":"CAMPAIGN-OpeneD "}`, plain},
		"type unknown":     {`{` + open + `,"type":"Campaign Forwarded"}`, delivery.Object{Ignored: "Campaign Forwarded"}},
		"type nearly":      {`{` + open + `,"type":"Campaign Opened!"}`, delivery.Object{Ignored: "Campaign Opened!"}},
		"type long":        {`{"type":"` + strings.Repeat("é", 150) + `"}`, delivery.Object{Ignored: strings.Repeat("é", 100) + "…"}},
		"type missing":     {`{}`, bad(`type: missing`)},
		"type null":        {`{"type":null}`, bad(`type: missing`)},
		"type blank":       {`{"type":" "}`, bad(`type: missing`)},
		"type number":      {`{"type":1}`, bad(`type: not a text: 1`)},
		"type damaged":     {"{\"type\":\"Campaign\xa0Opened\"}", bad("type: damaged text: \"Campaign\ufffdOpened\"")},

		"click without link": {`{` + click + `}`, clicked(event.Link{})},
		"click by id":        {`{` + click + `,"url_id":"9"}`, clicked(event.Link{ID: "9"})},
		"click by URL":       {`{` + click + `,"click_url":" https:\/\/example.com\/a "}`, clicked(event.Link{URL: "https://example.com/a"})},
		"click URL Latin-1":  {"{" + click + ",\"click_url\":\"https://example.com/\xe9\"}", bad("click_url: damaged text: \"https://example.com/\ufffd\"")},

		"bounce says soft":        {`{` + hard + `,"bounce_type":"SoftBounce","status":"Hard Bounced"}`, bounced(bounce.Soft, bounce.Detail{Label: "SoftBounce"})},
		"bounce says nothing":     {`{` + hard + `}`, bounced(bounce.Hard, bounce.Detail{})},
		"bounce reason verbatim":  {`{` + hard + `,"reason":" é\n452 4.2.2 full "}`, bounced(bounce.Hard, bounce.Detail{SMTPCode: 452, EnhancedCode: "4.2.2", Reason: " é\n452 4.2.2 full "})},
		"bounce reason wrong":     {`{` + hard + `,"reason":550,"status":[]}`, bad(`status: not a text: []; reason: not a text: 550`)},
		"bounce without time":     {`{"type":"Contact Bounced","email":"a@example.com"}`, bad(`timestamp: missing`)},
		"all faults at once":      {`{"type":"Campaign Clicked","email":7,"clicked_on":"31/12/2026","campaign_id":[]}`, bad(`campaign_id: not a text: []; email: not a text: 7; clicked_on: not a time: "31/12/2026"`)},
		"time of its own field":   {`{"type":"Campaign Opened","email":"a@example.com","timestamp":"2026-03-01T10:00:00Z"}`, bad(`opened_at: missing`)},
		"time null":               {`{` + open + `,"opened_at":null}`, bad(`opened_at: missing`)},
		"time blank":              {`{` + open + `,"opened_at":" "}`, bad(`opened_at: missing`)},
		"time boolean":            {`{` + open + `,"opened_at":false}`, bad(`opened_at: not a text: false`)},
		"time fraction of number": {`{` + open + `,"opened_at":1772359200.5}`, bad(`opened_at: not a time: 1772359200.5`)},
		"time seconds":            {`{` + open + `,"opened_at":1772359200}`, plain},
		"time milliseconds":       {`{` + open + `,"opened_at":1772359200999}`, plain},
		"time seconds as text":    {`{` + open + `,"opened_at":" 1772359200 "}`, plain},
		"time last of 1999":       {`{` + open + `,"opened_at":"1999-12-31T23:59:59Z"}`, bad(`opened_at: before 2000: "1999-12-31T23:59:59Z"`)},
		"time first of 2000":      {`{` + open + `,"opened_at":"2000-01-01T00:00:00Z"}`, opened(func(r *event.Report) { r.OccurredAt = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) })},
		"time a day ahead":        {`{` + open + `,"opened_at":"2026-03-03T12:00:00.9Z"}`, opened(func(r *event.Report) { r.OccurredAt = arrival.Add(24 * time.Hour) })},
		"time more than that":     {`{` + open + `,"opened_at":"2026-03-03T12:00:01Z"}`, bad(`opened_at: more than a day ahead: "2026-03-03T12:00:01Z"`)},

		"started without campaign":  {`{"type":"Campaign Sending Started","sending_started":"2026-03-01T10:00:00Z"}`, bad(`campaign_id: missing`)},
		"started without time":      {`{"type":"Campaign Sending Started","campaign_id":1,"timestamp":"2026-03-01T10:00:00Z"}`, bad(`sending_started: missing`)},
		"sent null":                 {`{"type":"Campaign Sent","campaign_id":1,"sent":null,"timestamp":"2026-03-01 10:00:00"}`, mark("1", campaign.Mark{Kind: campaign.Sent, At: at("10:00:00")})},
		"sent none":                 {`{"type":"Campaign Sent","campaign_id":1,"sent":0,"timestamp":"2026-03-01 10:00:00"}`, mark("1", campaign.Mark{Kind: campaign.Sent, At: at("10:00:00"), Sent: new(int64)})},
		"sent below a billion":      {`{"type":"Campaign Sent","campaign_id":1,"sent":"999999999","timestamp":"2026-03-01 10:00:00"}`, mark("1", campaign.Mark{Kind: campaign.Sent, At: at("10:00:00"), Sent: new(int64(999999999))})},
		"sent Unix time":            {`{"type":"Campaign Sent","campaign_id":1,"sent":1772359200}`, mark("1", campaign.Mark{Kind: campaign.Sent, At: at("10:00:00")})},
		"sent a billion":            {`{"type":"Campaign Sent","campaign_id":1,"sent":1000000000}`, mark("1", campaign.Mark{Kind: campaign.Sent, At: time.Unix(1e9, 0).UTC()})},
		"sent wrong":                {`{"type":"Campaign Sent","campaign_id":1,"sent":-5,"timestamp":"2026-03-01 10:00:00"}`, bad(`sent: not a time: -5`)},
		"sent a count without time": {`{"type":"Campaign Sent","sent":5}`, bad(`timestamp: missing; campaign_id: missing`)},
	}
	for name, tt := range tests {
		body := []byte(tt.object)
		if n, _, _, err := (Webhook{}).Open(body); err != nil || n != 1 {
			t.Errorf("%s: Open: %d objects, %v", name, n, err)
		}
		if d := cmp.Diff([]delivery.Object{tt.want}, Webhook{}.Decode(body, nil, arrival)); d != "" {
			t.Errorf("%s: %s: -want +got\n%s", name, body, d)
		}
	}
}

// What makes two reports one event, and what does not.
func TestIdentity(t *testing.T) {
	base := `"type":"Campaign Clicked","campaign_id":1,"email":"a@example.com","clicked_on":"2026-03-01T10:00:00Z","url_id":5,"click_url":"https://x/"`
	identity := func(object string) string {
		t.Helper()
		out := Webhook{}.Decode([]byte(object), time.UTC, arrival)
		if len(out) != 1 || out[0].Report == nil {
			t.Fatalf("%s decodes to %+v", object, out)
		}
		return out[0].Report.Identity
	}
	same := []string{`"id":77,"ip":"203.0.113.9"`, `"email":"A@EXAMPLE.com "`, `"clicked_on":"2026-03-01 12:00:00.9999999+02:00"`, `"campaign_id":"1"`, `"url_id":"5"`, `"click_url":"https://y/"`}
	for _, change := range same {
		if identity(`{`+base+`,`+change+`}`) != identity(`{`+base+`}`) {
			t.Errorf("%s makes another event", change)
		}
	}
	seen := map[string]string{identity(`{` + base + `}`): "nothing"}
	for _, change := range []string{`"campaign_id":2`, `"campaign_id":null`, `"email":"b@example.com"`, `"clicked_on":"2026-03-01T10:00:01Z"`, `"url_id":6`, `"url_id":null`,
		`"type":"Campaign Opened","opened_at":"2026-03-01T10:00:00Z"`, `"type":"List-Unsubscribe","timestamp":"2026-03-01T10:00:00Z"`} {
		id := identity(`{` + base + `,` + change + `}`)
		if other, ok := seen[id]; ok {
			t.Errorf("%s makes the same event as %s", change, other)
		}
		seen[id] = change
	}
}

// A body that Open refuses still loses nothing.
func TestDecodeRefused(t *testing.T) {
	for _, body := range []string{`{"type":"x"} {"type"`, `[{"type":"x"},5]`, `[{"type":"x"}`} {
		out := Webhook{}.Decode([]byte(body), time.UTC, arrival)
		if len(out) != 2 || out[0].Ignored != "x" || out[1].Fault == "" {
			t.Errorf("%s decodes to %+v", body, out)
		}
	}
}
