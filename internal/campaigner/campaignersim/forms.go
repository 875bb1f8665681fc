package campaignersim

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Forms chooses among the ways to write one thing, of which the provider's documents do not say which it uses. The zero
// Forms mixes all of them, by the account's seed.
type Forms struct {
	// Plain: ids are numbers, names are spelled as in the documents, Campaign Sent says the number of mails, times are as
	// Times says, RFC 3339 by default.
	Plain bool
	// Times are the forms of times to mix; none = all, or RFC3339 when Plain.
	Times []TimeForm
	// Zone is that of times without a zone, and so the connection's provider_timezone must be it; nil = UTC.
	Zone *time.Location
}

// TimeForm is a way to write a time.
type TimeForm uint8

// The forms of times.
const (
	RFC3339        TimeForm = iota + 1 // 2026-03-01T10:15:31Z
	RFC3339Ticks                       // 2026-03-01T10:15:31.1234567Z; 1 to 7 digits
	Offset                             // 2026-03-01T05:15:31-05:00
	Spaced                             // 2026-03-01 10:15:31Z
	Zoneless                           // 2026-03-01T10:15:31.123, in Forms.Zone
	SpacedZoneless                     // 2026-03-01 10:15:31, in Forms.Zone
	UnixSeconds                        // 1772360131
	UnixMillis                         // 1772360131123
)

var timeForms = [...]TimeForm{RFC3339, RFC3339Ticks, Offset, Spaced, Zoneless, SpacedZoneless, UnixSeconds, UnixMillis}

// appendTime appends a time as a JSON value.
func (f Forms) appendTime(b []byte, rng *rand.Rand, t time.Time) []byte {
	form := RFC3339
	switch {
	case len(f.Times) > 0:
		form = pick(rng, f.Times)
	case !f.Plain:
		form = pick(rng, timeForms[:])
	}
	quoted := func(t time.Time, layout string) []byte { return append(t.AppendFormat(append(b, '"'), layout), '"') }
	switch form {
	case RFC3339Ticks:
		return quoted(t.UTC(), "2006-01-02T15:04:05."+"0000000"[:1+rng.IntN(7)]+"Z")
	case Offset:
		return quoted(t.In(time.FixedZone("", (rng.IntN(27)-12)*3600)), "2006-01-02T15:04:05-07:00")
	case Spaced:
		return quoted(t.UTC(), "2006-01-02 15:04:05Z")
	case Zoneless, SpacedZoneless:
		local := t.In(f.Zone)
		if ambiguous(local) {
			break
		}
		if form == Zoneless {
			return quoted(local, "2006-01-02T15:04:05.000")
		}
		return quoted(local, "2006-01-02 15:04:05")
	case UnixSeconds:
		return strconv.AppendInt(b, t.Unix(), 10)
	case UnixMillis:
		return strconv.AppendInt(b, t.UnixMilli(), 10)
	}
	return quoted(t.UTC(), time.RFC3339)
}

// ambiguous tells whether the clocks of the zone show the time twice, as when they are set back; then only a time with its
// offset says which is meant.
func ambiguous(t time.Time) bool {
	wall := t.Format(time.DateTime)
	for _, d := range [...]time.Duration{30 * time.Minute, time.Hour, 2 * time.Hour} {
		if t.Add(d).Format(time.DateTime) == wall || t.Add(-d).Format(time.DateTime) == wall {
			return true
		}
	}
	return false
}

// saysCount tells whether a run's Campaign Sent brings the number of mails.
func (f Forms) saysCount(rng *rand.Rand) bool { return f.Plain || rng.IntN(4) > 0 }

var typeNames = [...]string{SendingStarted: "Campaign Sending Started", Sent: "Campaign Sent", Open: "Campaign Opened",
	Click: "Campaign Clicked", HardBounce: "Contact Bounced", Unsubscribe: "List-Unsubscribe", Subscribe: "List Subscribe",
	AddressChanged: "Contact E-mail Changed"}

// typeName is the name of a kind: case, spaces, hyphens and underscores do not matter.
func (o *object) typeName(k Kind) string {
	name := typeNames[k]
	if o.form.Plain {
		return name
	}
	switch o.IntN(8) {
	case 0:
		return strings.NewReplacer(" ", "", "-", "").Replace(name)
	case 1:
		return strings.ToLower(strings.NewReplacer(" ", "_", "-", "_").Replace(name))
	case 2:
		return strings.ToLower(strings.ReplaceAll(name, " ", "-"))
	case 3:
		return strings.ToUpper(name)
	}
	return name
}

func (o *object) queuedName() string {
	if o.form.Plain {
		return "queuedWhen"
	}
	return pick(o.Rand, []string{"queuedWhen", "queuedWhen", "queued_when", "queued when"})
}
