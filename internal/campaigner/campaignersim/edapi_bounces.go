package campaignersim

import (
	"slices"
	"sort"
	"strconv"
)

// bounces lists those of some kinds.
func (s *Server) bounces(r *request, kinds ...Kind) {
	p, ok := r.page()
	if !ok {
		return
	}
	events, contacts := s.account.Events(), s.account.Contacts()
	recent := slices.DeleteFunc(slices.Clone(s.index.ofBounces(events)), func(i int32) bool {
		return !slices.Contains(kinds, events[i].Kind) || events[i].Reported.Before(p.since)
	})
	h := s.account.history
	old, row := h.n-h.since(p.since), func(i int) int { return h.n - i }
	if len(kinds) == 1 {
		of := h.ofKind(kinds[0])
		old = len(of) - sort.Search(len(of), func(i int) bool { return !h.at(int(of[i])).Before(p.since) })
		row = func(i int) int { return int(of[len(of)-i]) }
	}
	r.list(p, listing{n: old + len(recent), row: func(o *object, i int) {
		if i < old {
			r.bounceRow(o, h.row(row(old-i)))
			return
		}
		r.bounceRow(o, bounceOf(events[recent[i-old]], contacts))
	}})
}

// bounce gives one.
func (s *Server) bounce(r *request) {
	id, ok := r.id("bounce")
	if !ok {
		return
	}
	b, ok := s.account.Bounce(id)
	if !ok {
		r.notFound()
		return
	}
	o := r.object()
	o.b = o.b[:0]
	r.bounceRow(o, b)
	r.answer(o.b)
}

var bounceTypes = map[Kind][]string{HardBounce: {"Hard", "HardBounce", "hard_bounced"}, SoftBounce: {"Soft", "SoftBounce", "soft_bounced"}}

// bounceRow appends a bounce. Its class stands in BounceType, in a spelling that the account's Forms mix, and in Status; at
// least one of them is always there.
func (r *request) bounceRow(o *object, b Bounce) {
	r.open(o, b.ID)
	status, spelling := "Hard Bounced", 0
	if b.Kind == SoftBounce {
		status = "Soft Bounced"
	}
	if !r.s.account.options.Forms.Plain {
		spelling = int(b.ID % 3)
	}
	if o.some() {
		o.number("EmailID", b.EmailID)
	}
	o.text("EmailAddress", b.Address)
	typed := o.some()
	if !typed || o.some() {
		o.text("Status", status)
	}
	if o.some() {
		o.text("SendType", b.SendType)
	}
	o.number("BounceID", b.ID)
	o.moment("BouncedAt", b.At)
	if o.some() {
		o.number("NDRCode", int64(b.NDRCode))
	}
	if typed {
		o.text("BounceType", bounceTypes[b.Kind][spelling])
	}
	if o.some() {
		o.text("Reason", b.Reason)
	}
	if o.some() {
		o.links([]string{"self", r.base + "Bounces/" + strconv.FormatInt(b.ID, 10)})
	}
	o.b = append(o.b, '}')
}
