package rollup

import (
	"monterey/internal/bounce"
	"monterey/internal/event"
	"monterey/internal/recipient"
)

// Metric is something counted: the events, and the recipients who had at least one of them.
type Metric uint8

// The metrics. Human ones are of their own because "at least one human click" cannot be worked out by subtracting.
const (
	Sent Metric = iota
	Delivered
	Open
	HumanOpen
	Click
	HumanClick
	Bounce
	HardBounce
	SoftBounce
	BlockBounce
	UnknownBounce
	Unsubscribe
	Complaint
	NumMetrics
)

// Fact is what of an event counts.
type Fact struct {
	At        int64 // Unix seconds (events are stored to the second)
	Recipient recipient.Ordinal
	Type      event.Type
	Class     bounce.Class
	Actor     event.Actor
}

// Metrics calls f for each metric that an event counts in.
func (e Fact) Metrics(f func(Metric)) {
	switch e.Type {
	case event.Sent:
		f(Sent)
	case event.Delivered:
		f(Delivered)
	case event.Open:
		f(Open)
		if e.Actor == event.Human {
			f(HumanOpen)
		}
	case event.Click:
		f(Click)
		if e.Actor == event.Human {
			f(HumanClick)
		}
	case event.Bounce:
		f(Bounce)
		switch e.Class {
		case bounce.Hard:
			f(HardBounce)
		case bounce.Soft:
			f(SoftBounce)
		case bounce.Block:
			f(BlockBounce)
		default:
			f(UnknownBounce)
		}
	case event.Unsubscribe:
		f(Unsubscribe)
	case event.Complaint:
		f(Complaint)
	}
}
