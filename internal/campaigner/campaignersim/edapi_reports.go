package campaignersim

import (
	"slices"
	"strconv"
	"time"
)

// reportKinds are the reports of a campaign that are of events.
var reportKinds = map[string]Kind{"Opens": Open, "Clicks": Click, "HardBounces": HardBounce, "SoftBounces": SoftBounce,
	"Removes": Unsubscribe, "Complaints": Complaint}

// report lists a campaign's events of a kind, or who was mailed.
func (s *Server) report(r *request) {
	name := r.PathValue("report")
	kind, ok := reportKinds[name]
	if !ok && name != "Recipients" {
		r.notFound()
		return
	}
	c, ok := s.find(r)
	if !ok {
		return
	}
	p, ok := r.page()
	switch {
	case !ok:
	case c.index < 0:
		r.list(p, listing{})
	case name == "Recipients":
		s.recipients(r, p, c)
	default:
		events := s.account.Events()
		r.events(p, events, s.index.of(events, report{c.index, kind}), true)
	}
}

// recipients lists who was mailed, once for each run.
func (s *Server) recipients(r *request, p page, c campaignRow) {
	type mail struct {
		contact int
		at      time.Time
	}
	var mails []mail
	now := s.account.until()
	for _, run := range c.Runs {
		for n := range run.mailed(now) {
			if at := run.mailedAt(n); !at.Before(p.since) {
				mails = append(mails, mail{run.Recipients[n], at})
			}
		}
	}
	contacts := s.account.Contacts()
	r.list(p, listing{n: len(mails), row: func(o *object, i int) {
		r.contactRow(o, int64(i), contacts[mails[i].contact], "Active", mails[i].at)
	}})
}

// events lists those of the chosen indices that are not before p.since; dated = each with its ActionDate.
func (r *request) events(p page, events []Event, chosen []int32, dated bool) {
	some := slices.DeleteFunc(slices.Clone(chosen), func(i int32) bool { return events[i].Reported.Before(p.since) })
	contacts := r.s.account.Contacts()
	r.list(p, listing{n: len(some), row: func(o *object, i int) {
		e := events[some[i]]
		at := time.Time{}
		if dated {
			at = e.Reported
		}
		r.contactRow(o, e.ID, contacts[e.Contact], statusAfter[e.Kind], at)
	}})
}

var statusAfter = [...]string{Open: "Active", Click: "Active", HardBounce: "Hard Bounced", SoftBounce: "Soft Bounced", Unsubscribe: "Unsubscribed",
	Complaint: "Complained"}

// contactRow appends what a report says of a contact; a zero time is left out.
func (r *request) contactRow(o *object, chance int64, c Contact, status string, at time.Time) {
	r.open(o, chance)
	if !at.IsZero() {
		o.moment("ActionDate", at)
	}
	if o.some() {
		o.number("EmailID", c.EmailID)
	}
	o.text("EmailAddress", c.Address)
	if o.some() {
		o.moment("Created", c.Joined)
	}
	if o.some() {
		o.text("Status", status)
	}
	if o.some() {
		o.null("CustomFields")
	}
	if o.some() {
		o.links([]string{"self", r.base + "Subscribers/" + strconv.FormatInt(c.EmailID, 10)})
	}
	o.b = append(o.b, '}')
}

// subscribers lists who complained or unsubscribed, of all campaigns and none.
func (s *Server) subscribers(r *request, kind Kind) {
	if p, ok := r.page(); ok {
		events := s.account.Events()
		r.events(p, events, s.index.of(events, report{everywhere, kind}), false)
	}
}

// links gives a campaign's links with their clicks, as one object without pages.
func (s *Server) links(r *request) {
	c, ok := s.find(r)
	if !ok {
		return
	}
	o := r.object()
	o.name("TrackedLinks")
	o.b = append(o.b, '[')
	for i := range c.Links {
		if i > 0 {
			o.b = append(o.b, ',')
		}
		s.linkRow(r, o, c, i)
	}
	r.answer(append(o.b, ']', '}'))
}

func (s *Server) linkRow(r *request, o *object, c campaignRow, i int) {
	events := s.account.Events()
	clicks := s.index.ofLink(events, c.index, i)
	people := map[int]bool{}
	for _, n := range clicks {
		people[events[n].Contact] = true
	}
	l := c.Links[i]
	r.open(o, l.ID)
	o.number("LinkID", l.ID)
	o.text("URL", l.URL)
	if o.some() {
		o.text("FriendlyName", l.Name)
	}
	o.number("TotalClicks", int64(len(clicks)))
	o.number("UniqueClicks", int64(len(people)))
	if o.some() {
		o.links([]string{"self", r.campaignURL(c) + "/Links/" + strconv.FormatInt(l.ID, 10)})
	}
	o.b = append(o.b, '}')
}

// findLink is the link of the path; ok is false where there is none, and that has been answered.
func (s *Server) findLink(r *request) (c campaignRow, link int, ok bool) {
	if c, ok = s.find(r); !ok {
		return c, 0, false
	}
	id, ok := r.id("link")
	if !ok {
		return c, 0, false
	}
	if link = slices.IndexFunc(c.Links, func(l Link) bool { return l.ID == id }); link < 0 {
		r.notFound()
	}
	return c, link, link >= 0
}

func (s *Server) link(r *request) {
	if c, link, ok := s.findLink(r); ok {
		o := r.object()
		o.b = o.b[:0]
		s.linkRow(r, o, c, link)
		r.answer(o.b)
	}
}

func (s *Server) linkClicks(r *request) {
	c, link, ok := s.findLink(r)
	if !ok {
		return
	}
	if p, ok := r.page(); ok {
		events := s.account.Events()
		r.events(p, events, s.index.ofLink(events, c.index, link), true)
	}
}
