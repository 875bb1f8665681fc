package oracle

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Webhooks are the objects that the provider posts for a world, one a report and some of them twice, shuffled, in every
// form that it is known or feared to use. They have no "key" yet; see Bodies.
func Webhooks(w World, rng *rand.Rand) []json.RawMessage {
	f := former{rng}
	var out []json.RawMessage
	add := func(again func() map[string]any) {
		out = append(out, f.encode(again()))
		if rng.IntN(12) == 0 {
			out = append(out, f.encode(again()))
		}
	}
	for _, e := range w.Events {
		add(func() map[string]any { return f.event(e) })
	}
	for _, m := range w.Marks {
		add(func() map[string]any { return f.mark(m) })
	}
	for range w.Ignored { // never twice, so that they can be counted
		kind := pick(rng, "List Subscribe", "Contact E-mail Changed", "Something Of Next Year")
		out = append(out, f.encode(map[string]any{"type": kind, "email": "someone@example.com", "timestamp": f.time(1760000000)}))
	}
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// former chooses forms.
type former struct{ *rand.Rand }

func (f former) event(e Event) map[string]any {
	m := f.common()
	m["email"] = e.Address
	m["status"] = pick(f.Rand, "Active", "Hard Bounced", "Unsubscribed", "")
	m["custom_fields"] = map[string]any{"first name": "Zoë \"Z\" \u2028", "n": 12, "list": []any{nil, true, map[string]any{"email": "x@y"}}}
	switch {
	case e.Campaign != "":
		m["campaign_id"] = f.id(e.Campaign)
	case f.IntN(2) == 0:
		m["campaign_id"] = nil
	}
	at, other := f.time(e.At), f.time(e.At+int64(f.IntN(100000)))
	switch e.Type {
	case "open":
		m["type"], m["opened_at"], m["timestamp"] = f.kind("Campaign Opened"), at, other
		m["ip_created"] = "192.0.2.7"
	case "click":
		m["type"], m["clicked_on"], m["timestamp"] = f.kind("Campaign Clicked"), at, other
		m["ip_created"] = "192.0.2.7"
		if e.URL != "" {
			m["click_url"] = e.URL
		}
		if e.LinkID != "" {
			m["url_id"] = f.id(e.LinkID)
		}
	case "bounce":
		m["type"], m["timestamp"] = f.kind("Contact Bounced"), at
		m["reason"] = pick(f.Rand, "550 5.1.1 <x>: no such user", "smtp; 554 delivery error", "")
	case "unsubscribe":
		m["type"], m["timestamp"] = f.kind("List-Unsubscribe"), at
	default:
		panic(fmt.Sprintf("oracle: no webhook brings %q", e.Type))
	}
	return m
}

func (f former) mark(k Mark) map[string]any {
	m := f.common()
	m["campaign_id"] = f.id(k.Campaign)
	switch {
	case k.Kind == Started:
		m["type"], m["sending_started"] = f.kind("Campaign Sending Started"), f.time(k.At)
		m["timestamp"] = f.time(k.At + 3)
	case k.Sent != nil: // a count, so the time is the other field
		m["type"], m["sent"], m["timestamp"] = f.kind("Campaign Sent"), *k.Sent, f.time(k.At)
	default:
		m["type"], m["sent"], m["timestamp"] = f.kind("Campaign Sent"), f.time(k.At), f.time(k.At+5)
	}
	return m
}

// common are the fields that say nothing about what counts.
func (f former) common() map[string]any {
	return map[string]any{"id": f.id(strconv.Itoa(f.IntN(1 << 30))), "updated_via": "web", "ip": "198.51.100.3",
		pick(f.Rand, "queuedWhen", "queued_when", "queued when"): "2025-01-01T00:00:00Z"}
}

// id is a number or text; what would not survive as a number stays text.
func (f former) id(id string) any {
	n, err := strconv.ParseInt(id, 10, 64)
	if err == nil && strconv.FormatInt(n, 10) == id && f.IntN(2) == 0 {
		return n
	}
	return id
}

// kind is the name of a type in some spelling: case, spaces, hyphens and underscores do not matter.
func (f former) kind(name string) string {
	switch f.IntN(6) {
	case 0:
		return strings.ToUpper(name)
	case 1:
		return strings.ToLower(strings.NewReplacer(" ", "_", "-", "_").Replace(name))
	case 2:
		return strings.NewReplacer(" ", "", "-", "").Replace(name)
	case 3:
		return strings.ToLower(strings.ReplaceAll(name, " ", "-"))
	}
	return name
}

// time writes a second in one of the accepted forms, with a fraction that is to be cut off.
func (f former) time(at int64) any {
	t := time.Unix(at, 0).UTC()
	fraction := ""
	if digits := f.IntN(8); digits > 0 {
		fraction = fmt.Sprintf(".%0*d", digits, f.IntN(pow10(digits)))
	}
	between := pick(f.Rand, "T", " ")
	switch f.IntN(7) {
	case 0:
		return at
	case 1:
		return at*1000 + int64(f.IntN(1000))
	case 2:
		return t.Format(time.RFC3339)
	case 3: // without a zone: the connection's, which is UTC
		return t.Format("2006-01-02"+between+"15:04:05") + fraction
	case 4:
		return t.Format("2006-01-02"+between+"15:04:05") + fraction + "Z"
	default:
		zone := time.FixedZone("", pick(f.Rand, -43200, -12600, 0, 3600, 20700, 45900, 50400))
		t = t.In(zone)
		return t.Format("2006-01-02"+between+"15:04:05") + fraction + t.Format("-07:00")
	}
}

func pow10(n int) int {
	p := 1
	for range n {
		p *= 10
	}
	return p
}

// encode writes an object with its fields in random order, spaced or not, which encoding/json would not do.
func (f former) encode(m map[string]any) json.RawMessage {
	keys := sorted(m)
	f.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	space := pick(f.Rand, "", " ")
	parts := make([]string, len(keys))
	for i, k := range keys {
		parts[i] = quote(k) + ":" + space + quote(m[k])
	}
	return json.RawMessage("{" + strings.Join(parts, ","+space) + "}")
}

func quote(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic("oracle: " + err.Error())
	}
	return string(b)
}

// WithKey adds the webhook key to an object, first or last.
func WithKey(object json.RawMessage, key string, rng *rand.Rand) json.RawMessage {
	inner := string(object[1 : len(object)-1])
	if rng.IntN(2) == 0 {
		return json.RawMessage(`{"key":` + quote(key) + "," + inner + "}")
	}
	return json.RawMessage("{" + inner + `,"key": ` + quote(key) + "}")
}

// Bodies packs objects, with the key, into the bodies of posts of random size and form: one object, lines ended by LF or CRLF
// with blank ones between, or an array.
func Bodies(objects []json.RawMessage, key string, rng *rand.Rand) [][]byte {
	var bodies [][]byte
	for len(objects) > 0 {
		n := min(len(objects), pick(rng, 1, 1, 2, 5, 40, 200))
		var parts []string
		for _, o := range objects[:n] {
			parts = append(parts, string(WithKey(o, key, rng)))
		}
		objects = objects[n:]
		bodies = append(bodies, []byte(body(parts, rng)))
	}
	return bodies
}

func body(objects []string, rng *rand.Rand) string {
	switch rng.IntN(4) {
	case 0:
		return "[" + strings.Join(objects, ", \n") + "]"
	case 1:
		return strings.Join(objects, "\r\n") + "\r\n"
	case 2:
		return "\n" + strings.Join(objects, "\n\n") + "\n"
	}
	return strings.Join(objects, "\n")
}
