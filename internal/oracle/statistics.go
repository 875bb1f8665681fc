package oracle

import (
	"cmp"
	"slices"
)

// The bases of a count.
const (
	ByEvent = "event"
	BySend  = "send"
)

// tally counts events. A person of the sets is whatever the counter says it is.
type tally struct {
	opens, clicks, humanOpens, humanClicks, delivered int
	opened, clicked, humanOpened, humanClicked        set
	bounced, hard, soft, unsubscribed, complained     set
	anyone                                            set
}

type set map[string]bool

func (o *Oracle) tally(events []happened, person func(happened) string) tally {
	t := tally{opened: set{}, clicked: set{}, humanOpened: set{}, humanClicked: set{}, bounced: set{}, hard: set{}, soft: set{},
		unsubscribed: set{}, complained: set{}, anyone: set{}}
	for _, e := range events {
		p := person(e)
		t.anyone[p] = true
		switch e.Type {
		case "open":
			t.opens++
			t.opened[p] = true
			if !e.machine {
				t.humanOpens++
				t.humanOpened[p] = true
			}
		case "click":
			t.clicks++
			t.clicked[p] = true
			if !e.machine {
				t.humanClicks++
				t.humanClicked[p] = true
			}
		case "bounce":
			t.bounced[p] = true
			switch e.Class {
			case "hard":
				t.hard[p] = true
			case "soft":
				t.soft[p] = true
			}
		case "unsubscribe":
			t.unsubscribed[p] = true
		case "complaint":
			t.complained[p] = true
		case "delivered":
			t.delivered++
		}
	}
	return t
}

// people are the fields that count distinct recipients, of campaigns.
func (o *Oracle) people(campaigns []string, t tally) map[string]any {
	return map[string]any{
		"unique_opens": num(len(t.opened)), "unique_human_opens": num(len(t.humanOpened)),
		"unique_clicks": num(len(t.clicked)), "unique_human_clicks": num(len(t.humanClicked)),
		"bounces": num(len(t.bounced)), "hard_bounces": num(len(t.hard)),
		"soft_bounces": known(o.world.SoftBounces || o.reported(campaigns, "soft_bounces", func(e happened) bool { return e.Class == "soft" }), len(t.soft)),
		"unsubscribes": num(len(t.unsubscribed)),
		"complaints":   known(o.world.Complaints || o.reported(campaigns, "complaints", func(e happened) bool { return e.Type == "complaint" }), len(t.complained)),
	}
}

// reported tells whether it is known of any of the campaigns what the field counts: the provider's reports of it were read,
// or its figure says that there is none, or there is one.
func (o *Oracle) reported(campaigns []string, field string, counts func(happened) bool) bool {
	return slices.ContainsFunc(campaigns, func(c string) bool {
		n, said := o.world.Figures[c][field]
		return slices.Contains(o.world.Read[c], field) || said && n == 0 ||
			slices.ContainsFunc(o.events, func(e happened) bool { return e.Campaign == c && counts(e) })
	})
}

// figureNames are the fields of provider_reported but as_of.
var figureNames = []string{"sent", "delivered", "opens", "clicks", "unique_clicks", "hard_bounces", "soft_bounces", "complaints", "unsubscribes"}

// providerReported is the sum of the provider's figures of the campaigns: nil where something happened to one of which it was
// never asked; each of them nil where one campaign's is unknown.
func (o *Oracle) providerReported(campaigns []string) any {
	var asked []map[string]int64
	for _, c := range campaigns {
		figures, ok := o.world.Figures[c]
		if ok {
			asked = append(asked, figures)
		} else if len(o.Runs(c)) > 0 || len(o.counted([]string{c}, nil, nil, ByEvent)) > 0 {
			return nil
		}
	}
	if len(asked) == 0 {
		return nil
	}
	sums := map[string]any{}
	for _, name := range figureNames {
		sum, all := 0, true
		for _, figures := range asked {
			n, ok := figures[name]
			sum, all = sum+int(n), all && ok
		}
		sums[name] = known(all, sum)
	}
	return sums
}

// counts are all the counting fields but sent and delivered.
func (o *Oracle) counts(campaigns []string, t tally) map[string]any {
	m := o.people(campaigns, t)
	m["opens"], m["human_opens"] = num(t.opens), num(t.humanOpens)
	m["clicks"], m["human_clicks"] = num(t.clicks), num(t.humanClicks)
	return m
}

// mailed is what is known of how many mails went out. nil = unknown.
type mailed struct {
	sent, delivered *int64
	source          any // delivered_source
}

// mailed of a campaign's runs that start in [from, to); bounced is how many recipients to take off for want of a better
// figure, nil = that would not be sound.
func (o *Oracle) mailed(campaign string, from, to *int64, bounced *int) (m mailed) {
	var reports bool
	var delivered int64
	for _, e := range o.events {
		if e.Campaign == campaign && e.Type == "delivered" {
			reports = true
			if within(e.At, from, to) {
				delivered++
			}
		}
	}
	var said *int64
	for _, r := range o.Runs(campaign) {
		if within(r.Start, from, to) {
			m.sent, said = plus(m.sent, r.Sent), plus(said, r.Delivered)
		}
	}
	switch {
	case reports:
		m.delivered, m.source = &delivered, "events"
	case said != nil:
		m.delivered, m.source = said, "runs"
	case m.sent != nil && bounced != nil:
		d := *m.sent - int64(*bounced)
		m.delivered, m.source = &d, "derived"
	}
	return m
}

// Statistics is the statistics object of one campaign, counted by event, over [from, to); nil = open.
func (o *Oracle) Statistics(campaign string, from, to *int64) map[string]any {
	return o.statistics([]string{campaign}, from, to, ByEvent)
}

// List is the statistics of all campaigns that the basis takes, by the provider's id.
func (o *Oracle) List(from, to *int64, basis string) map[string]map[string]any {
	list := map[string]map[string]any{}
	for _, c := range o.taken(from, to, basis) {
		list[c] = o.statistics([]string{c}, from, to, basis)
	}
	return list
}

// Overview is the whole workspace as one, with the period before.
func (o *Oracle) Overview(from, to *int64, basis string) map[string]any {
	m := o.overview(from, to, basis)
	m["previous"] = nil
	if from != nil && to != nil {
		before := *from - (*to - *from)
		m["previous"] = o.overview(&before, from, basis)
	}
	return m
}

func (o *Oracle) overview(from, to *int64, basis string) map[string]any {
	campaigns := o.taken(from, to, basis)
	m := o.statistics(campaigns, from, to, basis)
	t := o.tally(o.counted(campaigns, from, to, basis), func(e happened) string { return e.person })
	m["distinct_openers"], m["distinct_clickers"] = num(len(t.opened)), num(len(t.clicked))
	delete(m, "provider_campaign_id")
	return m
}

// taken are the campaigns of which a basis counts anything.
func (o *Oracle) taken(from, to *int64, basis string) []string {
	all := o.Campaigns()
	if basis == ByEvent {
		return all
	}
	return slices.DeleteFunc(all, func(c string) bool {
		runs := o.Runs(c)
		return len(runs) == 0 || !within(runs[0].Start, from, to)
	})
}

// counted are the events of campaigns that a basis counts.
func (o *Oracle) counted(campaigns []string, from, to *int64, basis string) (in []happened) {
	for _, e := range o.events {
		if slices.Contains(campaigns, e.Campaign) && (basis == BySend || within(e.At, from, to)) {
			in = append(in, e)
		}
	}
	return in
}

func perCampaign(e happened) string { return e.Campaign + "\n" + e.person }

// statistics of some campaigns as one, where a recipient counts once a campaign.
func (o *Oracle) statistics(campaigns []string, from, to *int64, basis string) map[string]any {
	t := o.tally(o.counted(campaigns, from, to, basis), perCampaign)
	m := o.counts(campaigns, t)
	m["provider_reported"] = o.providerReported(campaigns)
	if len(campaigns) == 1 {
		m["provider_campaign_id"] = campaigns[0]
	}
	m["date_from"], m["date_to"], m["basis"] = stampOf(from), stampOf(to), basis
	m["first_event_at"], m["last_event_at"] = nil, nil
	if ever := o.counted(campaigns, nil, nil, basis); len(ever) > 0 {
		m["first_event_at"], m["last_event_at"] = stamp(ever[0].At), stamp(ever[len(ever)-1].At)
	}
	sum, base := mailed{}, mailed{}
	for _, c := range campaigns {
		sum = sum.and(o.inRange(c, from, to, basis))
		base = base.and(o.rateBase(c, to, basis))
	}
	m["sent"], m["delivered"], m["delivered_source"] = float(sum.sent), float(sum.delivered), sum.source
	m["rate_base"] = map[string]any{"sent": float(base.sent), "delivered": float(base.delivered)}
	both := 0
	for p := range t.opened {
		if t.clicked[p] {
			both++
		}
	}
	for name, rate := range map[string][2]any{
		"delivery_rate":      {float(base.delivered), float(base.sent)},
		"open_rate":          {m["unique_opens"], float(base.delivered)},
		"human_open_rate":    {m["unique_human_opens"], float(base.delivered)},
		"click_rate":         {m["unique_clicks"], float(base.delivered)},
		"human_click_rate":   {m["unique_human_clicks"], float(base.delivered)},
		"click_to_open_rate": {num(both), m["unique_opens"]},
		"bounce_rate":        {m["bounces"], float(base.sent)},
		"unsubscribe_rate":   {m["unsubscribes"], float(base.delivered)},
		"complaint_rate":     {m["complaints"], float(base.delivered)},
	} {
		m[name] = ratio(rate[0], rate[1])
	}
	return m
}

// inRange is what was mailed by the runs that the basis counts; what was delivered is derived only for whole sends.
func (o *Oracle) inRange(c string, from, to *int64, basis string) mailed {
	if basis == BySend {
		from, to = nil, nil
	}
	if from != nil || to != nil {
		return o.mailed(c, from, to, nil)
	}
	return o.mailed(c, nil, nil, o.bouncedBefore(c, nil))
}

// rateBase is what rates divide by: all that was mailed before the end of the range.
func (o *Oracle) rateBase(c string, to *int64, basis string) mailed {
	if basis == BySend {
		to = nil
	}
	return o.mailed(c, nil, to, o.bouncedBefore(c, to))
}

func (o *Oracle) bouncedBefore(c string, to *int64) *int {
	n := len(o.tally(o.counted([]string{c}, nil, to, ByEvent), perCampaign).bounced)
	return &n
}

// and adds what is known of another campaign.
func (m mailed) and(n mailed) mailed {
	switch {
	case m.source == nil:
		m.source = n.source
	case n.source != nil && n.source != m.source:
		m.source = "mixed"
	}
	m.sent, m.delivered = plus(m.sent, n.sent), plus(m.delivered, n.delivered)
	return m
}

// plus adds what is known; nil = neither is.
func plus(a, b *int64) *int64 {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	sum := *a + *b
	return &sum
}

// ratio is nil where either is unknown or nothing can be divided by.
func ratio(above, below any) any {
	a, okA := above.(float64)
	b, okB := below.(float64)
	if !okA || !okB || b == 0 {
		return nil
	}
	return a / b
}

func num(n int) any { return float64(n) }

func float(n *int64) any {
	if n == nil {
		return nil
	}
	return float64(*n)
}

func known(is bool, n int) any {
	if !is {
		return nil
	}
	return num(n)
}
