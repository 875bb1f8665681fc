package campaignersim

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Truth is what Monterey must answer once it has counted some webhooks of an account. It is worked out from the account's
// own lists, in plain loops that walk every event for every number.
type Truth struct {
	// Objects were posted; of them Inserted were new, Duplicates were not, Ignored are no engagement.
	Objects, Inserted, Duplicates, Ignored int

	recovered bool              // the API was read too
	campaigns map[string][]fact // by time; "" = of no campaign
	marks     map[string][]mark // by time, SendingStarted before Sent
}

// fact is an event of a contact that counts once.
type fact struct {
	kind     Kind
	campaign string
	person   string // the address in lower case
	link     string // of clicks: the provider's id
	url      string
	at       int64 // Unix seconds: more is not kept of a time
	machine  bool
	sync     bool // the API told of it, no webhook did
}

// identity is what makes two reports the same event. Soft and hard bounces are of one type.
type identity struct {
	campaign, person, link string
	kind                   Kind
	at                     int64
}

func (f fact) identity() identity {
	kind := f.kind
	if kind == SoftBounce {
		kind = HardBounce
	}
	return identity{f.campaign, f.person, f.link, kind, f.at}
}

type mark struct {
	kind  Kind
	at    int64
	count *int64 // of Sent: the number of mails, where it is said
}

// Truth is that of every webhook of the account so far.
func (a *Account) Truth() *Truth {
	var all []int
	for i, e := range a.Events() {
		if e.Kind.HasWebhook() {
			all = append(all, i)
		}
	}
	return a.TruthOf(all)
}

// TruthOf is that of the events of these indices, which may be in any order and repeat: of what a Poster saw acknowledged.
func (a *Account) TruthOf(posted []int) *Truth {
	t := &Truth{Objects: len(posted), campaigns: map[string][]fact{}, marks: map[string][]mark{}}
	campaigns, contacts, events := a.Campaigns(), a.Contacts(), a.Events()
	seen := map[identity]bool{}
	for _, i := range posted {
		e := events[i]
		if e.Kind.Ignored() {
			t.Ignored++
			continue
		}
		f := factOf(e, campaigns, contacts)
		if seen[f.identity()] {
			t.Duplicates++
			continue
		}
		seen[f.identity()] = true
		t.Inserted++
		if e.Kind != SendingStarted && e.Kind != Sent {
			t.campaigns[f.campaign] = append(t.campaigns[f.campaign], f)
			continue
		}
		m := mark{kind: e.Kind, at: f.at}
		if r := campaigns[e.Campaign].Runs[e.Run]; e.Kind == Sent && r.SaysCount {
			n := int64(len(r.Recipients))
			m.count = &n
		}
		t.marks[f.campaign] = append(t.marks[f.campaign], m)
	}
	t.settle()
	return t
}

// factOf is what a webhook tells of an event.
func factOf(e Event, campaigns []Campaign, contacts []Contact) fact {
	f := fact{kind: e.Kind, at: e.At.Unix()}
	if e.Campaign >= 0 {
		f.campaign = strconv.FormatInt(campaigns[e.Campaign].ID, 10)
	}
	if e.Contact >= 0 {
		f.person = strings.ToLower(contacts[e.Contact].Address)
	}
	if e.Kind == Click {
		l := campaigns[e.Campaign].Links[e.Link]
		f.link, f.url = strconv.FormatInt(l.ID, 10), l.URL
	}
	return f
}

// settle puts everything in its order and finds the machines.
func (t *Truth) settle() {
	for _, facts := range t.campaigns {
		slices.SortStableFunc(facts, func(a, b fact) int { return cmp.Compare(a.at, b.at) })
	}
	for _, marks := range t.marks {
		slices.SortFunc(marks, func(a, b mark) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.kind, b.kind)) })
	}
	t.findMachines()
}

// findMachines applies the rule by trying every window: who clicked on three or more different links within ten seconds,
// from the first of the window's clicks to the last, did none of them by hand.
func (t *Truth) findMachines() {
	clicks := map[string][]*fact{}
	for _, facts := range t.campaigns {
		for i := range facts {
			if f := &facts[i]; f.kind == Click {
				clicks[f.person] = append(clicks[f.person], f)
			}
		}
	}
	for _, mine := range clicks {
		for _, first := range mine {
			links := map[string]bool{}
			for _, c := range mine {
				if c.at >= first.at && c.at <= first.at+10 {
					links[c.campaign+"/"+c.link] = true
				}
			}
			for _, c := range mine {
				if len(links) >= 3 && c.at >= first.at && c.at <= first.at+10 {
					c.machine = true
				}
			}
		}
	}
}

// CampaignIDs are the provider's ids of all campaigns that anything was posted of, sorted as text.
func (t *Truth) CampaignIDs() []string {
	var ids []string
	for id := range t.campaigns {
		ids = append(ids, id)
	}
	for id := range t.marks {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return id == "" })
}

// EventCount is the number of events of contacts, of all campaigns and none: the total of the server's list of events.
func (t *Truth) EventCount() (n int) {
	for _, facts := range t.campaigns {
		n += len(facts)
	}
	return n
}

// Counts are the counting fields of the statistics object, under its names.
type Counts struct {
	Sent              *int64 `json:"sent"` // nil = unknown
	Opens             int    `json:"opens"`
	UniqueOpens       int    `json:"unique_opens"`
	HumanOpens        int    `json:"human_opens"`
	UniqueHumanOpens  int    `json:"unique_human_opens"`
	Clicks            int    `json:"clicks"`
	UniqueClicks      int    `json:"unique_clicks"`
	HumanClicks       int    `json:"human_clicks"`
	UniqueHumanClicks int    `json:"unique_human_clicks"`
	Bounces           int    `json:"bounces"`
	HardBounces       int    `json:"hard_bounces"`
	SoftBounces       *int   `json:"soft_bounces"` // nil = unknown, as no webhook tells of any
	Unsubscribes      int    `json:"unsubscribes"`
	Complaints        *int   `json:"complaints"` // nil = unknown
}

// Statistics are a campaign's over a range.
type Statistics struct {
	Counts
	FirstEventAt     *time.Time `json:"first_event_at"` // ever, not in the range; nil = none
	LastEventAt      *time.Time `json:"last_event_at"`
	OpenedAndClicked int        `json:"-"` // recipients who did both: the click_to_open_rate times unique_opens
}

// Statistics are those of the campaign with the provider's id over [from, to); a zero time is open.
func (t *Truth) Statistics(campaign string, from, to time.Time) Statistics {
	facts := t.campaigns[campaign]
	s := Statistics{Counts: t.counts(campaign, from, to)}
	if len(facts) > 0 {
		first, last := time.Unix(facts[0].at, 0).UTC(), time.Unix(facts[len(facts)-1].at, 0).UTC()
		s.FirstEventAt, s.LastEventAt = &first, &last
	}
	opened, counted := map[string]bool{}, map[string]bool{}
	for _, f := range facts {
		if f.kind == Open && within(f.at, from, to) {
			opened[f.person] = true
		}
	}
	for _, f := range facts {
		if f.kind == Click && within(f.at, from, to) && opened[f.person] && !counted[f.person] {
			counted[f.person] = true
			s.OpenedAndClicked++
		}
	}
	return s
}

func (t *Truth) counts(campaign string, from, to time.Time) (c Counts) {
	type once struct {
		what, person string
	}
	seen := map[once]bool{}
	unique := func(n *int, what, person string) {
		if !seen[once{what, person}] {
			seen[once{what, person}] = true
			*n++
		}
	}
	if t.recovered {
		c.SoftBounces, c.Complaints = new(int), new(int)
	}
	for _, f := range t.campaigns[campaign] {
		if !within(f.at, from, to) {
			continue
		}
		switch f.kind {
		case Open: // no rule takes an open for a machine's by what these webhooks say
			c.Opens++
			c.HumanOpens++
			unique(&c.UniqueOpens, "open", f.person)
			c.UniqueHumanOpens = c.UniqueOpens
		case Click:
			c.Clicks++
			unique(&c.UniqueClicks, "click", f.person)
			if !f.machine {
				c.HumanClicks++
				unique(&c.UniqueHumanClicks, "human click", f.person)
			}
		case HardBounce:
			unique(&c.Bounces, "bounce", f.person)
			unique(&c.HardBounces, "hard bounce", f.person)
		case SoftBounce:
			unique(&c.Bounces, "bounce", f.person)
			unique(c.SoftBounces, "soft bounce", f.person)
		case Unsubscribe:
			unique(&c.Unsubscribes, "unsubscribe", f.person)
		case Complaint:
			unique(c.Complaints, "complaint", f.person)
		}
	}
	for _, r := range t.runs(campaign) {
		if r.count != nil && within(r.at, from, to) {
			sum := *r.count
			if c.Sent != nil {
				sum += *c.Sent
			}
			c.Sent = &sum
		}
	}
	return c
}

// runs of a campaign, each with its start and the number of mails: a Sent ends the run begun by the SendingStarted before
// it; without one, or after another Sent, it is a run of its own.
func (t *Truth) runs(campaign string) (runs []mark) {
	begun := false
	for _, m := range t.marks[campaign] {
		switch {
		case m.kind == SendingStarted:
			runs, begun = append(runs, m), true
		case begun:
			runs[len(runs)-1].count, begun = m.count, false
		default:
			runs = append(runs, m)
		}
	}
	return runs
}

// within tells whether a second lies in [from, to).
func within(at int64, from, to time.Time) bool {
	t := time.Unix(at, 0)
	return (from.IsZero() || !t.Before(from)) && (to.IsZero() || t.Before(to))
}
