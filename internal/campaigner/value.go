package campaigner

import (
	"bytes"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Bounds, in bytes, of what is stored. A longer value quarantines its object.
const (
	maxAddress = 320 // 64 + "@" + 255, RFC 5321
	maxID      = 200 // as a campaign's provider id
	maxText    = 64 << 10
	maxQuoted  = 200 // of a wrong value, in a fault
)

// reading takes values from one object and gathers every fault it meets.
type reading struct {
	object
	zone       *time.Location
	receivedAt time.Time
	faults     []string
}

// bad notes what is wrong with a field, with its value as written.
func (r *reading) bad(f field, what string) {
	r.faults = append(r.faults, f.name()+": "+what+": "+bounded(r.raw[f]))
}

func (r *reading) missing(f field) { r.faults = append(r.faults, f.name()+": missing") }

// fault is all that is wrong, "" for nothing.
func (r *reading) fault() string { return strings.Join(r.faults, "; ") }

// text is a field's text as sent; "" where it is absent or wrong.
func (r *reading) text(f field, most int) string {
	s, wrong := textOf(r.raw[f], most)
	if wrong != "" {
		r.bad(f, wrong)
	}
	return s
}

// textOf is the text that a value as written holds, "" for none, or what is wrong with it.
func textOf(raw []byte, most int) (s, wrong string) {
	if raw == nil || raw[0] == 'n' {
		return "", ""
	}
	if raw[0] != '"' {
		return "", "not a text"
	}
	plain := raw[1 : len(raw)-1]
	if bytes.IndexByte(plain, '\\') >= 0 || !utf8.Valid(plain) {
		var err error
		plain, err = jsontext.AppendUnquote(nil, raw)
		// PostgreSQL keeps no U+0000 in texts, so it would only fail later.
		if err != nil || bytes.IndexByte(plain, 0) >= 0 {
			return "", "damaged text"
		}
	}
	if len(plain) > most {
		return "", "too long"
	}
	return string(plain), ""
}

// id is a field's id, whether a text or a whole number.
func (r *reading) id(f field) string {
	s, wrong := idOf(r.raw[f])
	if wrong != "" {
		r.bad(f, wrong)
	}
	return s
}

func idOf(raw []byte) (id, wrong string) {
	if raw == nil || raw[0] != '-' && !isDigit(raw[0]) {
		s, wrong := textOf(raw, maxID)
		return strings.TrimSpace(s), wrong
	}
	switch {
	case bytes.ContainsAny(raw, ".eE"):
		return "", "not a whole number"
	case len(raw) > maxID:
		return "", "too long"
	}
	return string(raw), ""
}

// time is a field's time, cut to the second, in UTC. It must be there.
func (r *reading) time(f field) time.Time {
	s := r.timeText(f)
	if s == "" {
		return time.Time{}
	}
	t, ok := parseTime(s, r.zone)
	if !ok {
		r.bad(f, "not a time")
	} else if wrong := outOfRange(t, r.receivedAt); wrong != "" {
		r.bad(f, wrong)
	}
	return t
}

// outOfRange says why an event that was received then cannot have happened at t; "" = it can.
func outOfRange(t, receivedAt time.Time) string {
	switch {
	case t.Before(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)):
		return "before 2000"
	case t.After(receivedAt.Add(24 * time.Hour)):
		return "more than a day ahead"
	}
	return ""
}

// timeText is "" after a fault.
func (r *reading) timeText(f field) string {
	raw := r.raw[f]
	if raw != nil && (raw[0] == '-' || isDigit(raw[0])) {
		return string(raw)
	}
	known := len(r.faults)
	s := strings.TrimSpace(r.text(f, maxText))
	if s == "" && len(r.faults) == known {
		r.missing(f)
	}
	return s
}

// count reads sent as a number of mails: a bare integer below 10⁹. From there on it is a Unix time.
func (r *reading) count(f field) (n int64, ok bool) {
	raw := r.raw[f]
	if raw == nil {
		return 0, false
	}
	s := strings.TrimSpace(strings.Trim(string(raw), `"`))
	n, ok = parseDigits(s)
	return n, ok && n < 1e9
}

// absent says that a field is not there, or as good as that.
func (r *reading) absent(f field) bool {
	raw := r.raw[f]
	return raw == nil || raw[0] == 'n' || raw[0] == '"' && len(bytes.TrimSpace(raw[1:len(raw)-1])) == 0
}

// bounded is a value as written, cut where it is long, in valid UTF-8.
func bounded(raw []byte) string {
	if len(raw) <= maxQuoted {
		return strings.ToValidUTF8(string(raw), "\ufffd")
	}
	cut := maxQuoted
	for cut > maxQuoted-utf8.UTFMax && !utf8.RuneStart(raw[cut]) {
		cut--
	}
	return strings.ToValidUTF8(string(raw[:cut]), "\ufffd") + "…"
}
