package campaignersim

import (
	"strconv"
	"time"
)

// isActive: the provider calls what is being sent, or still to be, active.
func isActive(status string) bool { return status == "Sending" || status == "Scheduled" }

func isStatus(wanted string) func(string) bool {
	return func(status string) bool { return status == wanted }
}

// campaignRow is a campaign as the API shows it.
type campaignRow struct {
	Campaign
	index  int // -1 = was never sent
	status string
	due    time.Time // of the latest run; zero = none
}

// all campaigns, in the order of their ids.
func (s *Server) all() (all []campaignRow) {
	for _, u := range s.account.Unsent() {
		all = append(all, campaignRow{u.Campaign, -1, u.status(), u.Scheduled})
	}
	now := s.account.until()
	for i, c := range s.account.Campaigns() {
		row := campaignRow{c, i, c.Status(now), time.Time{}}
		if len(c.Runs) > 0 {
			row.due = c.Runs[len(c.Runs)-1].Started
		}
		all = append(all, row)
	}
	return all
}

// campaigns lists those of a status. Since is compared with the latest run, or else with when they were created.
func (s *Server) campaigns(r *request, chosen func(status string) bool) {
	p, ok := r.page()
	if !ok {
		return
	}
	var some []campaignRow
	for _, c := range s.all() {
		if chosen(c.status) && (!c.Created.Before(p.since) || !c.due.Before(p.since)) {
			some = append(some, c)
		}
	}
	r.list(p, listing{n: len(some), row: func(o *object, i int) {
		c := some[i]
		r.open(o, c.ID)
		r.campaignHead(o, c)
		o.links([]string{"self", r.campaignURL(c)})
		o.b = append(o.b, '}')
	}})
}

// campaignHead writes what a list of campaigns and a single one have both. Lists of some accounts spell the date's name
// otherwise.
func (r *request) campaignHead(o *object, c campaignRow) {
	o.number("CampaignID", c.ID)
	o.text("Name", c.Name)
	o.text("Status", c.status)
	if o.some() {
		o.bool("IsActive", isActive(c.status))
	}
	if o.some() {
		o.moment("Created", c.Created)
	}
	name := "ScheduleDate"
	if r.PathValue("campaign") == "" && !r.s.account.options.Forms.Plain && c.ID%2 == 0 {
		name = "ScheduledDate"
	}
	if !c.due.IsZero() && o.some() {
		o.moment(name, c.due)
	}
	if o.some() {
		o.text("FromName", c.FromName)
	}
	if o.some() {
		o.text("FromEmail", c.FromEmail)
	}
	if o.some() {
		o.text("Subject", c.Subject)
	}
}

func (r *request) campaignURL(c campaignRow) string {
	return r.base + "Campaigns/" + strconv.FormatInt(c.ID, 10)
}

// find is the campaign of the path; ok is false where there is none, and that has been answered.
func (s *Server) find(r *request) (c campaignRow, ok bool) {
	id, ok := r.id("campaign")
	if !ok {
		return c, false
	}
	for _, c := range s.all() {
		if c.ID == id {
			return c, true
		}
	}
	r.notFound()
	return c, false
}

// campaign gives one with its counts.
func (s *Server) campaign(r *request) {
	c, ok := s.find(r)
	if !ok {
		return
	}
	o := r.object()
	o.b = o.b[:0]
	r.open(o, c.ID)
	r.campaignHead(o, c)
	if o.some() {
		o.text("ToName", "{{First Name}} {{Last Name}}")
	}
	if o.some() {
		r.part(o, "Creative", func() {
			o.number("CreativeID", c.ID+5_000_000)
			o.moment("Created", c.Created)
			o.moment("LastUpdated", c.Created)
			o.text("CreativeName", c.Name)
		})
	}
	if o.some() {
		o.text("Target", "All subscribers")
	}
	if o.some() {
		o.text("ArchiveURL", "https://archive."+s.account.Domain+"/"+strconv.FormatInt(c.ID, 10))
	}
	counts := Summary{}
	if c.index >= 0 {
		counts = s.account.Summary(c.index)
	}
	counts.write(o)
	if o.some() {
		r.part(o, "Publication", func() {
			o.number("PublicationID", 4711)
			o.text("Name", "Newsletter")
		})
	}
	if o.some() {
		o.links([]string{"self", r.campaignURL(c)})
	}
	r.answer(append(o.b, '}'))
}

// part writes an inner object, without links.
func (r *request) part(o *object, name string, fields func()) {
	o.name(name)
	o.b = append(o.b, '{')
	fields()
	o.links(nil)
	o.b = append(o.b, '}')
}

// write writes the counts and, in per cent, the rates. Counts are always there.
func (c Summary) write(o *object) {
	for _, count := range []struct {
		name string
		n    int
	}{{"EmailsSent", c.EmailsSent}, {"Opens", c.Opens}, {"UniqueClicks", c.UniqueClicks}, {"TotalClicks", c.TotalClicks}, {"Removes", c.Removes},
		{"Forwards", 0}, {"ForwardsFrom", 0}, {"HardBounces", c.HardBounces}, {"SoftBounces", c.SoftBounces}, {"Complaints", c.Complaints},
		{"Delivered", c.Delivered}} {
		o.number(count.name, int64(count.n))
	}
	for _, rate := range []struct {
		name        string
		part, whole int
	}{{"DeliveryRate", c.Delivered, c.EmailsSent}, {"OpenRate", c.Opens, c.Delivered}, {"UniqueRate", c.UniqueClicks, c.Delivered},
		{"CTR", c.UniqueClicks, c.Opens}, {"RemoveRate", c.Removes, c.Delivered}, {"BounceRate", c.HardBounces, c.EmailsSent},
		{"SoftBounceRate", c.SoftBounces, c.EmailsSent}, {"ComplaintRate", c.Complaints, c.Delivered}} {
		if o.some() {
			o.percent(rate.name, rate.part, rate.whole)
		}
	}
}
