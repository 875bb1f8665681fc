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

// has says whether an event is chosen.
func (s Selection) has(f Fact) bool {
	return chosen(s.Types, f.Type) && chosen(s.Actors, f.Actor) && chosen(s.Classes, f.Class)
}

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
	c       campaign.ID
	s       Selection
	weights [NumMetrics]int64
	row     header
}

// part is a stretch of time and how many of the events chosen are in it.
type part struct {
	segment
	n int64
}

// parts are the rows of the segment, or the segment itself if it is of events; empty ones are left out.
func (c *counter) parts(seg segment) (out []part, err error) {
	if seg.span == 0 {
		n := int64(0)
		err = c.src.Facts(c.ctx, c.c, seg.from, seg.to, func(f Fact) {
			if c.s.has(f) {
				n++
			}
		})
		return []part{{seg, n}}, err
	}
	err = c.src.Counts(c.ctx, c.c, seg.span, seg.from, seg.to, func(bucket int64, counts, _ []byte) error {
		if err := c.row.read(counts); err != nil {
			return err
		}
		n := int64(0)
		for m, w := range c.weights {
			n += w * int64(c.row.count[m])
		}
		if n > 0 {
			out = append(out, part{segment{seg.span, bucket, bucket + seg.span.Seconds()}, n})
		}
		return nil
	})
	return out, err
}

// CountEvents is how many events of the campaign, or of the Workspace, are chosen in [from, to), Unix seconds (see Source
// for open ends). It reads counts alone, and events where the range cuts a quarter hour.
func CountEvents(ctx context.Context, src Source, c campaign.ID, s Selection, from, to int64) (int64, error) {
	k := counter{ctx: ctx, src: src, c: c, s: s, weights: s.weights()}
	total := int64(0)
	for _, seg := range cover(nil, from, to) {
		parts, err := k.parts(seg)
		if err != nil {
			return 0, err
		}
		for _, p := range parts {
			total += p.n
		}
	}
	return total, nil
}

// Seek narrows [from, to) so that the row at offset (from 0) of the list of the events chosen, by time, lies in the quarter
// hour at the near end of what is left: newest first at its end, else at its beginning. skip is how many rows of that
// quarter hour come before it. Where there are not so many rows, what is left is empty.
func Seek(ctx context.Context, src Source, c campaign.ID, s Selection, from, to, offset int64, newestFirst bool) (
	nearFrom, nearTo, skip int64, err error,
) {
	k := counter{ctx: ctx, src: src, c: c, s: s, weights: s.weights()}
	segs := cover(nil, from, to)
	for skip = offset; ; {
		at, rest, err := k.find(segs, skip, newestFirst)
		if err != nil {
			return 0, 0, 0, err
		}
		if skip = rest; at.from == at.to {
			return to, to, 0, nil
		}
		switch {
		case at.span > Quarter:
			segs = []segment{{at.span.Finer(), at.from, at.to}}
		case newestFirst:
			return from, at.to, skip, nil
		default:
			return at.from, to, skip, nil
		}
	}
}

// find is the part of the segments in which the row at offset lies, and how many rows of it come before; an empty segment
// if there is none.
func (c *counter) find(segs []segment, offset int64, newestFirst bool) (segment, int64, error) {
	segs = slices.Clone(segs)
	if newestFirst {
		slices.Reverse(segs)
	}
	for _, seg := range segs {
		parts, err := c.parts(seg)
		if err != nil {
			return segment{}, 0, err
		}
		if newestFirst {
			slices.Reverse(parts)
		}
		for _, p := range parts {
			if offset < p.n {
				return p.segment, offset, nil
			}
			offset -= p.n
		}
	}
	return segment{}, 0, nil
}
