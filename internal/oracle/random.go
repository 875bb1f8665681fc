package oracle

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// zoneNames are those that a random world is asked about: odd offsets, clocks that change at midnight, by half an hour, in the
// southern half of the world, and UTC.
var zoneNames = [...]string{"UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns",
	"Pacific/Chatham", "America/Santiago", "Africa/Cairo", "Asia/Kolkata", "Pacific/Apia", "America/Havana"}

// RandomZone is one of the nasty zones. Granularity hour is refused where the contract does not say what an hour is: where
// clocks change by less than one.
func RandomZone(rng *rand.Rand, granularity string) *time.Location {
	for {
		name := zoneNames[rng.IntN(len(zoneNames))]
		if granularity == "hour" && name == "Australia/Lord_Howe" {
			continue
		}
		zone, err := time.LoadLocation(name)
		if err != nil {
			panic("oracle: " + err.Error())
		}
		return zone
	}
}

// anchors are the times around which things happen: clock changes of the zones, ends of months and years, leap days.
var anchors = [...]string{"2025-03-30T01:00:00Z", "2025-10-26T01:00:00Z", "2025-11-02T06:00:00Z", "2025-04-05T15:00:00Z",
	"2025-10-04T15:30:00Z", "2025-04-06T03:00:00Z", "2025-04-24T22:00:00Z", "2024-02-29T23:59:55Z", "2024-12-31T23:59:59Z",
	"2025-06-15T18:15:00Z", "2025-07-31T18:30:00Z", "2025-03-09T05:00:00Z"}

// maker makes a world up.
type maker struct {
	*rand.Rand
	w         World
	campaigns []string
	people    []string
	anchor    int64
	marks     map[Mark]bool
	starts    map[string]bool // campaign and second of every run or mark
}

// Random makes a world of about size reports: all that happens to webhooks, and times that meet the edges of calendars.
func Random(rng *rand.Rand, size int) World {
	at, err := time.Parse(time.RFC3339, anchors[rng.IntN(len(anchors))])
	if err != nil {
		panic("oracle: " + err.Error())
	}
	m := &maker{Rand: rng, anchor: at.Unix(), marks: map[Mark]bool{}, starts: map[string]bool{}}
	m.campaigns = []string{"1001", "1002", "9007199254740993", "spring sale/7", "0042"}[:1+rng.IntN(5)]
	for i := range 3 + size/12 {
		m.people = append(m.people, fmt.Sprintf("reader.%d+tag@%s", i, pick(rng, "example.com", "example.org", "mail.example.co.uk", "süd.example")))
	}
	for _, c := range m.campaigns {
		m.sends(c)
	}
	for len(m.w.Events) < size {
		m.something()
	}
	m.w.Ignored = rng.IntN(5)
	m.again(size / 6)
	rng.Shuffle(len(m.w.Events), func(i, j int) { m.w.Events[i], m.w.Events[j] = m.w.Events[j], m.w.Events[i] })
	rng.Shuffle(len(m.w.Marks), func(i, j int) { m.w.Marks[i], m.w.Marks[j] = m.w.Marks[j], m.w.Marks[i] })
	return m.w
}

// time is near the anchor mostly, often on a round second, or on one of an event before; rarely years away.
func (m *maker) time() int64 {
	switch n := m.IntN(20); {
	case n < 2 && len(m.w.Events) > 0:
		return m.w.Events[m.IntN(len(m.w.Events))].At
	case n < 5: // an edge of a quarter of an hour, or one second beside it
		return m.anchor + 900*int64(m.IntN(500)-200) + int64(m.IntN(3)-1)
	case n < 8:
		return m.anchor + int64(m.IntN(7)-3)
	case n < 15:
		return m.anchor + int64(m.IntN(4*86400)-86400)
	case n < 19:
		return m.anchor + int64(m.IntN(90*86400)-20*86400)
	default:
		return m.anchor - int64(m.IntN(3*365*86400))
	}
}

func (m *maker) something() {
	c, who, at := pick(m.Rand, m.campaigns...), pick(m.Rand, m.people...), m.time()
	switch n := m.IntN(20); {
	case n < 7:
		m.add(Event{Campaign: c, Type: "open", Address: who, At: at})
	case n < 12:
		m.add(m.click(c, who, at, m.IntN(8)))
	case n < 15:
		m.burst(who, at)
	case n < 18:
		m.add(Event{Campaign: m.maybeNone(c), Type: "bounce", Address: who, At: at})
	default:
		m.add(Event{Campaign: m.maybeNone(c), Type: "unsubscribe", Address: who, At: at})
	}
}

// burst is some clicks of one recipient around the edges of the rule about machines: two, three or four links, in this or
// in two campaigns, in windows of exactly 10 or 11 seconds, and some lone click just beside.
func (m *maker) burst(who string, at int64) {
	length := int64(pick(m.Rand, 0, 9, 10, 10, 11, 11, 21))
	links := 2 + m.IntN(3)
	for i := range links {
		t := at + length*int64(i)/int64(links-1)
		m.add(m.click(pick(m.Rand, m.campaigns[0], pick(m.Rand, m.campaigns...)), who, t, i+m.IntN(2)))
	}
	if m.IntN(2) == 0 {
		m.add(m.click(m.campaigns[0], who, at-1-int64(m.IntN(3)), 0))
	}
}

// click on the n-th link: what is known of a link is always the same.
func (m *maker) click(campaign, who string, at int64, n int) Event {
	e := Event{Campaign: campaign, Type: "click", Address: who, At: at}
	if n%3 != 1 {
		e.LinkID = fmt.Sprint(70 + n)
	}
	if n%3 != 2 {
		e.URL = fmt.Sprintf("https://shop.example/%s?n=%d&ü=%%20", campaign[:1], n)
	}
	return e
}

func (m *maker) add(e Event) { m.w.Events = append(m.w.Events, e) }

func (m *maker) maybeNone(campaign string) string {
	if m.IntN(4) == 0 {
		return ""
	}
	return campaign
}

// again reports some events once more, the address in another case and with spaces.
func (m *maker) again(n int) {
	for range n {
		e := m.w.Events[m.IntN(len(m.w.Events))]
		e.Address = respell(m.Rand, e.Address)
		m.add(e)
	}
	for i := range m.w.Events {
		if m.IntN(5) == 0 {
			m.w.Events[i].Address = respell(m.Rand, m.w.Events[i].Address)
		}
	}
}

func respell(rng *rand.Rand, address string) string {
	b := []rune(address)
	for i, r := range b {
		if 'a' <= r && r <= 'z' && rng.IntN(3) == 0 {
			b[i] = r - 'a' + 'A'
		}
	}
	return pick(rng, "", " ", "\t") + string(b) + pick(rng, "", "  ", "\n")
}

// sends of a campaign: none, some with only one of both marks, marks in the same second, runs by hand. A figure is never
// below the number of people, so that what is derived from it is no negative number of mails.
func (m *maker) sends(campaign string) {
	figure := func(odds int) *int64 {
		if m.IntN(4) >= odds {
			return nil
		}
		n := int64(len(m.people) + m.IntN(50))
		return &n
	}
	for range m.IntN(4) {
		at := m.time()
		end := at + int64(pick(m.Rand, 0, 1, 60, 900, 7200))
		if m.IntN(4) > 0 {
			m.mark(Mark{Campaign: campaign, Kind: Started, At: at})
		}
		if m.IntN(4) > 0 {
			m.mark(Mark{Campaign: campaign, Kind: Sent, At: end, Sent: figure(3)})
		}
	}
	for range m.IntN(3) {
		run := Run{Campaign: campaign, Start: m.time(), Sent: figure(3), Delivered: figure(1)}
		key := campaign + "\n" + stamp(run.Start)
		if run.Delivered != nil && run.Sent != nil && *run.Delivered > *run.Sent {
			run.Delivered = run.Sent
		}
		if m.starts[key] {
			continue
		}
		m.starts[key] = true
		m.w.Runs = append(m.w.Runs, run)
	}
}

// mark keeps a mark, and sometimes once more, unless another report of the same says something else.
func (m *maker) mark(k Mark) {
	id := Mark{Campaign: k.Campaign, Kind: k.Kind, At: k.At}
	if m.marks[id] {
		return
	}
	m.marks[id] = true
	m.starts[k.Campaign+"\n"+stamp(k.At)] = true
	m.w.Marks = append(m.w.Marks, k)
	if m.IntN(3) == 0 {
		m.w.Marks = append(m.w.Marks, k)
	}
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// WithFigures is the world after the provider was asked for its figures: of all campaigns or only some, and of one of which
// nobody heard before. They have nothing to do with what happened, and are often 0 or unknown. Sent is never below the number
// of people (see sends).
func WithFigures(w World, rng *rand.Rand) World {
	w.Figures = map[string]map[string]int64{"770077": {}}
	all := rng.IntN(2) == 0
	for _, c := range New(w).Campaigns() {
		if !all && rng.IntN(2) == 0 && c != "770077" || strings.ContainsAny(c, " /") { // which is no id that can be asked for
			continue
		}
		w.Figures[c] = map[string]int64{}
		for _, name := range figureNames {
			if rng.IntN(8) > 0 {
				w.Figures[c][name] = int64(rng.IntN(3))
			}
		}
		if _, ok := w.Figures[c]["sent"]; ok {
			w.Figures[c]["sent"] = int64(len(w.Events) + rng.IntN(100))
		}
	}
	return w
}
