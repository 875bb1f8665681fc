package campaigner

import (
	"strconv"
	"strings"
	"time"

	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/recipient"
)

// Decode reads a body that Open has taken, with or without its keys: one Object for each object, in order. zone is where
// times without a zone were read off a clock (nil = UTC), see inZone for its changes; receivedAt is when the body arrived.
//
// Only the address and the time are needed for an event: without a campaign it is the workspace's, without a link it is a
// click all the same. A mark needs its campaign. What cannot be read, a time before 2000 or more than a day after
// receivedAt too, is a Fault with every wrong field of the object and its text. The same arguments give the same objects.
//
// What a Recovery has made is read likewise.
//
// Of a body that Open refuses, the objects before the fault are followed by one Object with that fault.
func (Webhook) Decode(body []byte, zone *time.Location, receivedAt time.Time) []delivery.Object {
	if len(body) > 0 && body[0] == recoveryMark {
		return decodeRecovery(body, zone, receivedAt)
	}
	var objects []delivery.Object
	r := newReader(body)
	for {
		ok, err := r.next()
		if err == nil && !ok {
			return objects
		}
		var o object
		if err == nil {
			o, err = readObject(r)
		}
		if err != nil {
			return append(objects, delivery.Object{Fault: err.Error()})
		}
		in := reading{object: o, zone: zone, receivedAt: receivedAt}
		objects = append(objects, in.decode())
	}
}

// decode knows the types of webhooks by their folded names.
func (r *reading) decode() delivery.Object {
	name := r.text(fType, maxText)
	var buf [24]byte
	switch folded := fold(buf[:0], []byte(name)); string(folded) {
	case "campaignopened":
		return r.event(event.Open, fOpenedAt)
	case "campaignclicked":
		return r.event(event.Click, fClickedOn)
	case "contactbounced":
		return r.event(event.Bounce, fTimestamp)
	case "listunsubscribe":
		return r.event(event.Unsubscribe, fTimestamp)
	case "campaignsendingstarted":
		return r.started()
	case "campaignsent":
		return r.sent()
	}
	if strings.TrimSpace(name) == "" && len(r.faults) == 0 {
		r.missing(fType)
	}
	if fault := r.fault(); fault != "" {
		return delivery.Object{Fault: fault}
	}
	return delivery.Object{Ignored: bounded([]byte(name))}
}

// event reads a report of an event of type t whose time is in the field at.
func (r *reading) event(t event.Type, at field) delivery.Object {
	report := event.Report{
		Type:        t,
		CampaignRef: r.id(fCampaignID),
		Address:     r.address(),
		OccurredAt:  r.time(at),
		Source:      event.Webhook,
		Facts:       event.Facts{ProviderEventID: r.id(fID), IP: strings.TrimSpace(r.text(fIP, maxID))},
	}
	switch t {
	case event.Click:
		report.Link = event.Link{ID: r.id(fURLID), URL: strings.TrimSpace(r.text(fClickURL, maxText))}
	case event.Bounce:
		report.Class, report.Facts.Bounce = r.bounce()
	}
	if fault := r.fault(); fault != "" {
		return delivery.Object{Fault: fault}
	}
	report.Identity = Identity(&report)
	return delivery.Object{Report: &report}
}

// address is the recipient's, normalised. One that holds U+FFFD was damaged before it was sent to us: two persons may have
// become one.
func (r *reading) address() string {
	known := len(r.faults)
	address := recipient.Normalise(r.text(fEmail, maxAddress))
	switch {
	case len(r.faults) > known:
	case address == "":
		r.missing(fEmail)
	case strings.ContainsRune(address, '\ufffd'):
		r.bad(fEmail, "damaged text")
	}
	return address
}

// bounce reads what the webhook says of the bounce beside its time.
func (r *reading) bounce() (bounce.Class, bounce.Detail) {
	kind, status := r.text(fBounceType, maxText), r.text(fStatus, maxText)
	detail := bounce.Detail{Label: kind, Reason: r.text(fReason, maxText)}
	if detail.Label == "" {
		detail.Label = status
	}
	detail.SMTPCode, detail.EnhancedCode = bounce.Codes(detail.Reason)
	return bounce.ClassOf(kind, "", status, true), detail
}

func (r *reading) started() delivery.Object {
	return r.mark(campaign.Mark{Kind: campaign.Started, At: r.time(fSendingStarted)})
}

// sent reads the end of a run. Its field sent is the time, or the number of mails, and then the time is timestamp.
func (r *reading) sent() delivery.Object {
	m := campaign.Mark{Kind: campaign.Sent}
	n, isCount := r.count(fSent)
	if isCount {
		m.Sent = &n
	}
	if isCount || r.absent(fSent) {
		m.At = r.time(fTimestamp)
	} else {
		m.At = r.time(fSent)
	}
	return r.mark(m)
}

func (r *reading) mark(m campaign.Mark) delivery.Object {
	known := len(r.faults)
	ref := r.id(fCampaignID)
	if ref == "" && len(r.faults) == known {
		r.missing(fCampaignID)
	}
	if fault := r.fault(); fault != "" {
		return delivery.Object{Fault: fault}
	}
	return delivery.Object{Mark: &delivery.Mark{CampaignRef: ref, Mark: m}}
}

// Identity is what makes two of Campaigner's reports, by webhook or by its API, the same event: the campaign, the type, the
// recipient, the second, and for clicks the link. The provider's "id" is no part of it: it may name the contact.
func Identity(r *event.Report) string {
	second := strconv.FormatInt(r.OccurredAt.Unix(), 10)
	if r.Type == event.Click {
		return event.Identity(r.CampaignRef, r.Type.String(), r.Address, second, r.Link.Key())
	}
	return event.Identity(r.CampaignRef, r.Type.String(), r.Address, second)
}
