package campaignersim

import (
	"iter"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// Webhooks are the objects of the account's webhooks so far, by time, each with the index of its event. An object is valid
// until the next.
func (a *Account) Webhooks(key string) iter.Seq2[int, []byte] {
	return func(yield func(int, []byte) bool) {
		var b []byte
		for i, e := range a.Events() {
			if !e.Kind.HasWebhook() {
				continue
			}
			if b = a.AppendWebhook(b[:0], e, key); !yield(i, b) {
				return
			}
		}
	}
}

// AppendWebhook appends the object that is posted for an event, with the webhook key: the documented fields in their
// documented order. The same event gives the same bytes every time, as when a person queues it again. The kind must have a
// webhook.
func (a *Account) AppendWebhook(b []byte, e Event, key string) []byte {
	a.mu.RLock()
	campaigns, contacts := a.campaigns, a.contacts
	a.mu.RUnlock()
	o := object{b: append(b, '{'), form: a.options.Forms, Rand: rand.New(rand.NewPCG(a.options.Seed^0x77eb, uint64(e.ID)))}
	o.stringID = !o.form.Plain && o.IntN(3) == 0
	o.spaced = !o.form.Plain && o.IntN(3) == 0
	o.id("id", e.ID)
	o.text("key", key)
	o.text("type", o.typeName(e.Kind))
	o.text("updated_via", o.updatedVia(e.Kind))
	queued := e.At.Add(time.Duration(o.IntN(90_000)) * time.Millisecond)
	o.time(o.queuedName(), queued)
	stamp := e.At // of what has a field of its own, when the provider noted it
	if e.Kind == Open || e.Kind == Click || e.Kind == SendingStarted {
		stamp = e.At.Add(time.Duration(o.IntN(3000)) * time.Millisecond)
	}
	o.time("timestamp", stamp)
	if e.Contact >= 0 {
		o.contact(contacts[e.Contact], e.Kind)
	}
	o.particulars(e, campaigns, contacts)
	return append(o.b, '}')
}

// particulars are the fields that only some kinds have.
func (o *object) particulars(e Event, campaigns []Campaign, contacts []Contact) {
	campaign := func() {
		if e.Campaign >= 0 {
			o.id("campaign_id", campaigns[e.Campaign].ID)
		}
	}
	switch e.Kind {
	case SendingStarted:
		o.time("sending_started", e.At)
		campaign()
		o.text("ip", "")
		return
	case Sent:
		if r := campaigns[e.Campaign].Runs[e.Run]; r.SaysCount {
			o.number("sent", int64(len(r.Recipients)))
		} else {
			o.time("sent", e.At)
		}
		campaign()
		o.text("ip", "")
		return
	case Click:
		link := campaigns[e.Campaign].Links[e.Link]
		o.text("click_url", link.URL)
		o.time("clicked_on", e.At)
		campaign()
		o.text("ip", contacts[e.Contact].IP)
		o.text("ip_created", "")
		o.id("url_id", link.ID)
		return
	case Open:
		o.time("opened_at", e.At)
	}
	campaign()
	if e.Kind == HardBounce {
		o.text("reason", e.Reason)
	}
	o.text("ip", contacts[e.Contact].IP)
	if e.Kind == Open {
		o.text("ip_created", "")
	}
}

// contact writes the fields of who it happened to.
func (o *object) contact(c Contact, kind Kind) {
	address := c.Address
	if !o.form.Plain && o.IntN(50) == 0 {
		address = strings.ToUpper(address)
	}
	o.text("email", address)
	switch kind {
	case HardBounce:
		o.text("status", "Hard Bounced")
	case Unsubscribe:
		o.text("status", "Unsubscribed")
	default:
		o.text("status", "Active")
	}
	o.name("custom_fields")
	inner := object{b: append(o.b, '{'), form: o.form, Rand: o.Rand, spaced: o.spaced}
	inner.text("First Name", c.First)
	inner.text("Last Name", c.Last)
	inner.text("City", c.City)
	inner.number("Loyalty Points", c.EmailID%900)
	o.b = append(inner.b, '}')
}

// object is a JSON object in the making.
type object struct {
	*rand.Rand
	b        []byte
	form     Forms
	stringID bool
	spaced   bool
	sparse   bool // optional fields may be absent
}

func (o *object) name(name string) {
	if o.b[len(o.b)-1] != '{' {
		o.b = append(o.b, ',')
		if o.spaced {
			o.b = append(o.b, ' ')
		}
	}
	o.b = append(o.b, '"')
	o.b = append(o.b, name...)
	o.b = append(o.b, '"', ':')
	if o.spaced {
		o.b = append(o.b, ' ')
	}
}

func (o *object) text(name, value string) {
	o.name(name)
	// The error tells of invalid UTF-8 only, of which an account has none.
	o.b, _ = jsontext.AppendQuote(o.b, value)
}

func (o *object) number(name string, n int64) {
	o.name(name)
	o.b = strconv.AppendInt(o.b, n, 10)
}

func (o *object) id(name string, n int64) {
	if o.stringID {
		o.text(name, strconv.FormatInt(n, 10))
		return
	}
	o.number(name, n)
}

func (o *object) time(name string, t time.Time) {
	o.name(name)
	o.b = o.form.appendTime(o.b, o.Rand, t)
}

func (o *object) updatedVia(k Kind) string {
	switch k {
	case Subscribe, AddressChanged:
		return "Web"
	case SendingStarted, Sent:
		return "Campaign"
	}
	return "System"
}
