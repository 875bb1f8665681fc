package main

import (
	"fmt"
	"io"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"monterey/internal/task"
)

// progress shows how far a task is.
type progress interface {
	at(task.Task)
	say(line string) // something beside; from any goroutine, until end
	end()
}

// lines is progress for what is no terminal: a line when there is something new, but not more than one in a while.
type lines struct {
	p    *program
	last task.Progress
	next time.Time
}

const lineEvery = 2 * time.Second

func (l *lines) at(t task.Task) {
	g := t.Progress
	if g.Pages == l.last.Pages || l.p.now().Before(l.next) && !t.Status.Ended() {
		return
	}
	l.last, l.next = g, l.p.now().Add(lineEvery)
	total := "?"
	if g.Total != nil {
		total = fmt.Sprint(*g.Total)
	}
	l.p.say("page %d: %d of %s", g.Pages, g.Fetched, total)
}

func (l *lines) say(line string) { l.p.say("%s", line) }

func (l *lines) end() {}

// bar is progress on a terminal.
type bar struct {
	all    *mpb.Progress
	bar    *mpb.Bar
	page   int64
	looked time.Time
	done   bool
}

func newBar(w io.Writer) *bar {
	b := &bar{all: mpb.New(mpb.WithOutput(w), mpb.WithWidth(40)), looked: time.Now()}
	b.bar = b.all.AddBar(0,
		mpb.PrependDecorators(decor.CountersNoUnit("%d of %d ")),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return fmt.Sprintf("page %d  ", b.page) }),
			decor.EwmaSpeed(0, "%.0f rows/s  ", 30), decor.Name("left "), decor.EwmaETA(decor.ET_STYLE_MMSS, 30)),
	)
	return b
}

func (b *bar) at(t task.Task) {
	g := t.Progress
	b.page, b.done = g.Pages, t.Status == task.Succeeded
	if g.Total != nil {
		b.bar.SetTotal(max(*g.Total, g.Fetched), false)
	}
	now := time.Now()
	switch current := b.bar.Current(); {
	case g.Fetched == current:
	case current == 0: // a backfill that goes on has most of it from before
		b.bar.SetCurrent(g.Fetched)
		b.looked = now
	default:
		b.bar.EwmaSetCurrent(g.Fetched, now.Sub(b.looked))
		b.looked = now
	}
}

func (b *bar) say(line string) { fmt.Fprintln(b.all, line) }

func (b *bar) end() {
	if b.done {
		b.bar.SetTotal(-1, true)
	} else {
		b.bar.Abort(false)
	}
	b.all.Wait()
}
