package campaignersim

import "time"

// rhythm is how likely somebody reads mail at an hour of the own day: little at night, most in the morning and at the end
// of work.
var rhythm = [24]float64{.10, .05, .03, .03, .05, .15, .45, .80, 1, 1, .95, .85, .80, .75, .70, .70, .75, .80, .75, .75, .80, .75, .50, .25}

// readingDelay is how long a mail lies before it is opened: mostly hours, some days, at an hour when people read.
func (m *maker) readingDelay(zone *time.Location, delivered time.Time) (d time.Duration) {
	for range 8 {
		switch n := m.IntN(100); {
		case n < 58:
			d = m.after(80 * time.Minute)
		case n < 85:
			d = m.after(9 * time.Hour)
		case n < 98:
			d = m.after(40 * time.Hour)
		default:
			d = m.after(12 * 24 * time.Hour)
		}
		if m.Float64() < rhythm[delivered.Add(d).In(zone).Hour()] {
			break
		}
	}
	return d + m.paced(4*time.Second)
}

// afterOpening is what a reader does next.
func (m *maker) afterOpening(e Event, links int, click float64) {
	e.At = e.At.Add(m.after(40*time.Second) + time.Second)
	if m.Float64() < click {
		m.clicks(e, links)
	}
	switch n := m.IntN(10_000); {
	case n < 55:
		e.At = e.At.Add(m.after(time.Minute))
		m.happen(e, Unsubscribe)
	case n < 60:
		e.At = e.At.Add(m.after(time.Minute))
		m.happen(e, Complaint)
	}
}

// clicks are a reader's: mostly one; some come back, some press twice, some browsers open two links in one second.
func (m *maker) clicks(e Event, links int) {
	count := 1
	for count < 5 && m.IntN(100) < 30 {
		count++
	}
	for range count {
		e.Link = min(m.IntN(links), m.IntN(links)) // what stands on top is pressed most
		m.happen(e, Click)
		switch n := m.IntN(100); {
		case n < 6: // a double click: the same second, or the next
			twice := e
			twice.At = e.At.Add(time.Duration(150+m.IntN(700)) * time.Millisecond)
			m.happen(twice, Click)
		case n < 9 && links > 1:
			other := e
			other.Link = (e.Link + 1) % links
			other.At = e.At.Truncate(time.Second).Add(time.Duration(m.IntN(10_000_000)) * 100)
			m.happen(other, Click)
		}
		e.At = e.At.Add(m.after(100 * time.Second))
	}
}

// burst is a gateway that looks at what it lets in: all or most links within seconds, some before the mail is in the inbox.
// The slow ones, and those that look at two links only, no rule of ten seconds finds.
func (m *maker) burst(e Event, links int) {
	e.At = e.At.Add(time.Duration(500+m.IntN(20_000)) * time.Millisecond)
	gap := 900
	switch m.IntN(10) {
	case 0:
		links = min(links, 2)
	case 1:
		gap = 7000
	}
	for e.Link = range links {
		if links > 3 && m.IntN(6) == 0 {
			continue
		}
		m.happen(e, Click)
		e.At = e.At.Add(time.Duration(20+m.IntN(2*gap)) * time.Millisecond)
	}
}

// bounce refuses a mail. One hard bounce in 40 comes without a campaign, as of a mail that was none of a campaign's.
func (m *maker) bounce(e Event, kind Kind) {
	address := m.a.contacts[e.Contact].Address
	e.At = e.At.Add(time.Second + m.after(20*time.Second))
	if kind == SoftBounce {
		e.NDRCode, e.Reason = softRefusal(m.Rand, address)
		m.happen(e, kind)
		return
	}
	e.NDRCode, e.Reason = hardRefusal(m.Rand, address)
	if m.IntN(40) == 0 {
		e.Campaign, e.Run = -1, -1
	}
	m.happen(e, kind)
}
