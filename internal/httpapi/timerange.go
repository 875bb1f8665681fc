package httpapi

import (
	"slices"
	"strings"
	"time"

	"monterey/internal/fault"
	"monterey/internal/workspace"
)

// RangeParams are the parameters of everything that is asked over a range of time. The range is half-open.
type RangeParams struct {
	DateFrom moment `query:"date_from" doc:"Start of the range, included: a date-time, one without a zone, or a date (its first instant in the zone)" example:"2026-01-01"`
	DateTo   moment `query:"date_to" doc:"End of the range, excluded; but a plain date includes its day" example:"2026-01-31"`
	Timezone string `query:"timezone" doc:"IANA time zone of dates and of times without a zone; default the workspace's" example:"Europe/Paris"`

	from, to time.Time      // resolved, in UTC; zero = open
	loc      *time.Location // nil = was not needed
	own      func() (*time.Location, error)
}

func (p *RangeParams) check(e env) (bad []fault.Field, err error) {
	p.own = e.zone
	if p.loc, bad, err = zoneParam(p.Timezone, e, p.DateFrom, p.DateTo); err != nil {
		return nil, err
	}
	if p.DateFrom.given() {
		p.from = p.DateFrom.start(p.loc)
	}
	if p.DateTo.given() {
		p.to = p.DateTo.end(p.loc)
	}
	if !p.DateFrom.given() || !p.DateTo.given() || len(bad) > 0 {
		return bad, nil
	}
	if p.to.Before(p.from) || p.DateFrom.day && p.DateTo.day && p.DateTo.wall.Before(p.DateFrom.wall) {
		bad = append(bad, fault.Field{Loc: []string{"query", "date_to"}, Msg: "must not lie before date_from", Type: "range"})
	}
	return bad, nil
}

// zone is what the times of the range are in, whether it has any or not.
func (p *RangeParams) zone() (*time.Location, error) {
	if p.loc != nil {
		return p.loc, nil
	}
	return p.own()
}

// zoneParam is the zone named by the parameter timezone, or else the workspace's, which is read only where a moment needs it: nil
// where none does. A blank is a "+" that was not encoded.
func zoneParam(name string, e env, of ...moment) (*time.Location, []fault.Field, error) {
	if name == "" {
		if !slices.ContainsFunc(of, moment.needsZone) {
			return nil, nil, nil
		}
		loc, err := e.zone()
		return loc, nil, err
	}
	name = strings.ReplaceAll(name, " ", "+")
	if workspace.ValidZone(name) {
		if loc, err := time.LoadLocation(name); err == nil {
			return loc, nil, nil
		}
	}
	return time.UTC, []fault.Field{{Loc: []string{"query", "timezone"}, Msg: "must be an IANA time zone, as Europe/Paris or UTC", Type: "timezone"}}, nil
}

// resolved tells in an answer which range was meant.
func (p *RangeParams) resolved() RangeWire {
	return RangeWire{DateFrom: instant(p.from), DateTo: instant(p.to)}
}

// RangeWire is the range that an answer is over; null = open.
type RangeWire struct {
	DateFrom *time.Time `json:"date_from" doc:"Start of the range that the answer is over, included; null = open" example:"2026-01-01T00:00:00Z"`
	DateTo   *time.Time `json:"date_to" doc:"End of the range that the answer is over, excluded; null = open" example:"2026-02-01T00:00:00Z"`
}

// instant is t in answers: null when it is unknown.
func instant(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
