package rollup

import (
	"context"
	"slices"

	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/event"
)

// Selection chooses events by what rows count apart; an empty field chooses all. A class chooses bounces of it. Only opens
// and clicks are ever a machine's.
type Selection struct {
	Types   []event.Type
	Actors  []event.Actor
	Classes []bounce.Class
}

func chosen[T comparable](of []T, v T) bool { return len(of) == 0 || slices.Contains(of, v) }

// weights are how often each metric's count goes into the number of events chosen.
func (s Selection) weights() (w [NumMetrics]int64) {
	human, machine := chosen(s.Actors, event.Human), chosen(s.Actors, event.Machine)
	if len(s.Classes) == 0 {
		for t, m := range map[event.Type]Metric{
			event.Sent: Sent, event.Delivered: Delivered, event.Unsubscribe: Unsubscribe, event.Complaint: Complaint,
		} {
			if chosen(s.Types, t) && human {
				w[m] = 1
			}
		}
		for t, m := range map[event.Type][2]Metric{event.Open: {Open, HumanOpen}, event.Click: {Click, HumanClick}} {
			if !chosen(s.Types, t) {
				continue
			}
			if machine {
				w[m[0]], w[m[1]] = 1, -1
			}
			if human {
				w[m[1]]++
			}
		}
	}
	for c, m := range map[bounce.Class]Metric{
		bounce.Hard: HardBounce, bounce.Soft: SoftBounce, bounce.Block: BlockBounce, bounce.Unknown: UnknownBounce,
	} {
		if chosen(s.Types, event.Bounce) && chosen(s.Classes, c) && human {
			w[m] = 1
		}
	}
	return w
}

// counter counts the events that a selection chooses, in stretches of time.
type counter struct {
	ctx     context.Context
	src     Source
	weights [NumMetrics]int64
	row     header
}

// part is a stretch of time and how many of the events chosen are in it.
type part struct {
	Stretch
	n int64
}

// parts are the rows of the stretch, or the stretch itself if it is of events; empty ones are left out.
func (c *counter) parts(s Stretch) (out []part, err error) {
	err = c.each([]Stretch{s}, func(bucket, n int64) {
		p := part{s, n}
		if s.Span > 0 {
			p.From, p.To = bucket, bucket+s.Span.Seconds()
		}
		if n > 0 {
			out = append(out, p)
		}
	})
	return out, err
}

// each calls f with how many of the events chosen are in each row of the stretches.
func (c *counter) each(stretches []Stretch, f func(bucket, n int64)) error {
	for i := range stretches {
		stretches[i].Bare = true
	}
	return eachRow(c.ctx, c.src, stretches, func(_ int, bucket int64, counts, _ []byte) error {
		if err := c.row.read(counts); err != nil {
			return err
		}
		n := int64(0)
		for m, w := range c.weights {
			n += w * int64(c.row.count[m])
		}
		f(bucket, n)
		return nil
	})
}

// CountEvents is how many events of the campaign, or of the Workspace, are chosen in [from, to), Unix seconds (see Source
// for open ends). It reads counts alone, and events where the range cuts a quarter hour.
func CountEvents(ctx context.Context, src Source, c campaign.ID, s Selection, from, to int64) (int64, error) {
	k := counter{ctx: ctx, src: src, weights: s.weights()}
	total := int64(0)
	return total, k.each(cover(nil, c, from, to), func(_, n int64) { total += n })
}

// Seek narrows [from, to) so that the row at offset (from 0) of the list of the events chosen, by time, lies in the quarter
// hour at the near end of what is left: newest first at its end, else at its beginning. skip is how many rows of that
// quarter hour come before it. Where there are not so many rows, what is left is empty.
func Seek(ctx context.Context, src Source, c campaign.ID, s Selection, from, to, offset int64, newestFirst bool) (
	nearFrom, nearTo, skip int64, err error,
) {
	k := counter{ctx: ctx, src: src, weights: s.weights()}
	stretches := cover(nil, c, from, to)
	for skip = offset; ; {
		at, rest, err := k.find(stretches, skip, newestFirst)
		if err != nil {
			return 0, 0, 0, err
		}
		if skip = rest; at.From == at.To {
			return to, to, 0, nil
		}
		switch {
		case at.Span > Quarter:
			at.Span = at.Span.Finer()
			stretches = []Stretch{at}
		case newestFirst:
			return from, at.To, skip, nil
		default:
			return at.From, to, skip, nil
		}
	}
}

// find is the part of the stretches in which the row at offset lies, and how many rows of it come before; an empty one if
// there is none.
func (c *counter) find(stretches []Stretch, offset int64, newestFirst bool) (Stretch, int64, error) {
	stretches = slices.Clone(stretches)
	if newestFirst {
		slices.Reverse(stretches)
	}
	for _, s := range stretches {
		parts, err := c.parts(s)
		if err != nil {
			return Stretch{}, 0, err
		}
		if newestFirst {
			slices.Reverse(parts)
		}
		for _, p := range parts {
			if offset < p.n {
				return p.Stretch, offset, nil
			}
			offset -= p.n
		}
	}
	return Stretch{}, 0, nil
}
