package campaignersim

import (
	"math/rand/v2"
	"time"
)

// report tells when the events of the campaign at work happened by the clock of the API, which is that of the webhooks but
// for some rows.
//
// Who matches rows to webhooks by nearness must have one answer, whichever webhooks were dropped. So a row is moved by at
// most Skew, and only if every other event that could be meant (same campaign, type, contact and link) is more than twice as
// far away: then its own event is nearer to it than any other, it is nearer to its event than any other row, and it takes
// nobody's second. Two clicks on a link within some seconds therefore keep their times.
func (m *maker) report(c Campaign) {
	rng := rand.New(rand.NewPCG(m.a.options.Seed^0x5e3, uint64(m.number)))
	limit := int64((m.a.options.Skew + time.Second - 1) / time.Second)
	apart := func(a, b Event) bool { return b.At.Unix()-a.At.Unix() > 2*limit }
	for _, like := range m.alike() {
		for n, i := range like {
			e := &m.out[i]
			e.Reported = e.At
			move := time.Duration(rng.Int64N(2*int64(m.a.options.Skew/time.Millisecond)+1))*time.Millisecond - m.a.options.Skew
			switch {
			case rng.IntN(10) >= 4 || e.Kind == SendingStarted || e.Kind == Sent:
				continue
			case n > 0 && !apart(m.out[like[n-1]], *e), n < len(like)-1 && !apart(*e, m.out[like[n+1]]):
				continue
			case e.Run >= 0 && e.At.Add(move).Before(c.Runs[e.Run].Started): // nothing happens before its cause
				move = -move
			}
			e.Reported = e.At.Add(move)
		}
	}
}

// alike are the events of the campaign at work, as indices by time, those together that only their time tells apart.
func (m *maker) alike() (groups [][]int) {
	type group struct {
		kind                    Kind
		campaign, contact, link int
	}
	place := map[group]int{}
	for i, e := range m.out {
		g := group{e.Kind, e.Campaign, e.Contact, e.Link}
		if e.Kind == SoftBounce {
			g.kind = HardBounce // both are bounces
		}
		if _, ok := place[g]; !ok {
			place[g] = len(groups)
			groups = append(groups, nil)
		}
		groups[place[g]] = append(groups[place[g]], i)
	}
	return groups
}
