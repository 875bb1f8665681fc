package campaignersim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// maker makes up what happens in an account. It goes through campaigns in the order of their start.
type maker struct {
	*rand.Rand
	a      *Account
	gone   []time.Time // when a contact was lost for good: bounced hard, unsubscribed or complained; zero = was not
	begin  time.Time
	number int            // of campaigns begun
	names  map[string]int // how many campaigns were named so
	pace   float64        // how long everything takes, compared with real life
	out    []Event        // of the campaign at work
	opened []bool         // by contact, in the campaign at work
}

func newMaker(a *Account) *maker {
	m := &maker{Rand: rand.New(rand.NewPCG(a.options.Seed, 2)), a: a, pace: 1, names: map[string]int{}}
	m.begin = a.options.Now.AddDate(0, 0, -a.options.Days)
	return m
}

// history is everything from the beginning, also what goes beyond the account's now, by time.
func (m *maker) history() []Event {
	all := m.people()
	o := m.a.options
	first := m.IntN(len(themes))
	step := o.Now.Sub(m.begin) / time.Duration(o.Campaigns)
	for k := range o.Campaigns {
		start := m.workingHour(m.begin.Add(time.Duration(k)*step), step)
		all = append(all, m.campaign(themes[(first+k)%len(themes)], start, 100)...)
	}
	slices.SortStableFunc(all, func(a, b Event) int { return a.At.Compare(b.At) })
	return all
}

// workingHour is a time in the next step when somebody is at work to press the button, and at least an hour before now.
func (m *maker) workingHour(from time.Time, step time.Duration) (t time.Time) {
	for range 20 {
		t = from.Add(time.Duration(m.Float64() * float64(step))).Truncate(5 * time.Minute)
		if t.Weekday() != time.Saturday && t.Weekday() != time.Sunday && t.Hour() >= 7 && t.Hour() < 18 {
			break
		}
	}
	t = t.Add(time.Duration(m.IntN(20_000)) * 100 * time.Microsecond)
	if last := m.a.options.Now.Add(-time.Hour); t.After(last) {
		return last
	}
	return t
}

// people makes the list of contacts up, and what of its own accord happens to it.
func (m *maker) people() (events []Event) {
	o := m.a.options
	cm := contactMaker{Rand: m.Rand, begin: m.begin, span: o.Now.Sub(m.begin), taken: map[string]bool{}}
	for i := range o.Recipients {
		m.a.contacts = append(m.a.contacts, cm.contact(i))
	}
	anyTime := func() time.Time {
		return tick(m.begin.Add(time.Duration(m.Float64() * float64(o.Now.Sub(m.begin)))))
	}
	join := func(kind Kind, at time.Time) int {
		i := len(m.a.contacts)
		c := cm.contact(i)
		c.Joined = at
		m.a.contacts = append(m.a.contacts, c)
		events = append(events, Event{Kind: kind, At: at, Reported: at, Campaign: -1, Run: -1, Contact: i, Link: -1})
		return i
	}
	for range max(2, o.Recipients/200) {
		join(Subscribe, anyTime())
	}
	for range max(1, o.Recipients/800) {
		old, at := m.IntN(o.Recipients), anyTime()
		if m.a.contacts[old].Successor >= 0 {
			continue
		}
		fresh := join(AddressChanged, at)
		m.a.contacts[old].Left, m.a.contacts[old].Successor = at, fresh
	}
	m.gone = make([]time.Time, len(m.a.contacts))
	return events
}

// onList tells whether a contact may be mailed at a time.
func (m *maker) onList(contact int, at time.Time) bool {
	c := &m.a.contacts[contact]
	return !c.Joined.After(at) && (c.Left.IsZero() || c.Left.After(at)) && (m.gone[contact].IsZero() || m.gone[contact].After(at))
}

// campaign adds a campaign begun at start, to at most so many per cent of the list, and tells all that will come of it, by
// time.
func (m *maker) campaign(th theme, start time.Time, percent int) []Event {
	m.number++
	c := m.a.campaign(m.Rand, m.number, th, start)
	if m.names[c.Name]++; m.names[c.Name] > 1 {
		c.Name = fmt.Sprintf("%s (%d)", c.Name, m.names[c.Name])
	}
	index := len(m.a.Campaigns())
	m.out, m.opened = nil, make([]bool, len(m.a.contacts))
	share := min(percent, th.share[0]+m.IntN(th.share[1]-th.share[0]+1))
	var chosen, rest []int
	for i := range m.a.contacts {
		switch {
		case !m.onList(i, start):
		case m.IntN(100) < share:
			chosen = append(chosen, i)
		default:
			rest = append(rest, i)
		}
	}
	m.Shuffle(len(chosen), func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	m.run(&c, index, th, start, chosen)
	second := tick(start.Add(m.paced(time.Duration(20+m.IntN(60)) * time.Hour)))
	switch th.second {
	case "again":
		m.run(&c, index, th, second, slices.DeleteFunc(slices.Clone(chosen), func(i int) bool { return m.opened[i] || !m.onList(i, second) }))
	case "rest":
		m.run(&c, index, th, second, slices.DeleteFunc(rest, func(i int) bool { return !m.onList(i, second) }))
	}
	m.a.addCampaign(c)
	slices.SortStableFunc(m.out, func(a, b Event) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Kind, b.Kind)) })
	m.report(c)
	return m.out
}

// run mails a campaign to contacts, some hundred a second.
func (m *maker) run(c *Campaign, index int, th theme, start time.Time, to []int) {
	if len(to) == 0 {
		return
	}
	start = tick(start)
	took := m.paced(time.Duration(30+len(to)/(60+m.IntN(120))) * time.Second)
	r := Run{Started: start, Finished: tick(start.Add(took)), Recipients: to, SaysCount: m.a.options.Forms.saysCount(m.Rand)}
	c.Runs = append(c.Runs, r)
	run := len(c.Runs) - 1
	m.out = append(m.out, Event{Kind: SendingStarted, At: r.Started, Campaign: index, Run: run, Contact: -1, Link: -1},
		Event{Kind: Sent, At: r.Finished, Campaign: index, Run: run, Contact: -1, Link: -1})
	for n, contact := range to {
		delivered := start.Add(took * time.Duration(n) / time.Duration(len(to)))
		m.mail(Event{Campaign: index, Run: run, Contact: contact, Link: -1, At: delivered}, len(c.Links), th.pull)
	}
}

// mail is what comes of one mail, delivered at e.At.
func (m *maker) mail(e Event, links int, pull float64) {
	contact := &m.a.contacts[e.Contact]
	p := contact.profile
	dead := !p.deadFrom.IsZero() && p.deadFrom.Before(e.At)
	switch n := m.IntN(1000); {
	case dead && n < 850:
		m.bounce(e, HardBounce)
		return
	case dead || n < 6:
		m.bounce(e, SoftBounce)
		return
	}
	if p.scanner && m.IntN(100) < 12 {
		m.burst(e, links)
	}
	opens := m.Float64() < min(0.97, p.open*pull)
	switch {
	case opens && !m.opened[e.Contact]:
		e.At = e.At.Add(m.readingDelay(p.zone, e.At))
		m.opened[e.Contact] = true
		m.happen(e, Open)
		m.afterOpening(e, links, p.click*pull)
	case !opens && m.IntN(1000) < 3: // pictures are off, so nothing tells of the open
		e.At = e.At.Add(m.readingDelay(p.zone, e.At))
		m.clicks(e, links)
	}
}

// happen adds an event of a kind at e.At.
func (m *maker) happen(e Event, kind Kind) {
	e.Kind, e.At = kind, tick(e.At)
	m.out = append(m.out, e)
	if kind == HardBounce || kind == Unsubscribe || kind == Complaint {
		m.gone[e.Contact] = e.At
	}
}

func (m *maker) paced(d time.Duration) time.Duration { return time.Duration(float64(d) * m.pace) }

// after is a random while of the given mean, never nothing.
func (m *maker) after(mean time.Duration) time.Duration {
	return m.paced(time.Duration(m.ExpFloat64()*float64(mean))) + time.Millisecond
}

// tick cuts a time to the provider's clock.
func tick(t time.Time) time.Time { return t.UTC().Truncate(100 * time.Nanosecond) }
