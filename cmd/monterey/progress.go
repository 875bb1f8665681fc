package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// stage is how far long work is.
type stage struct {
	what  string // is done at the moment
	done  int64
	total *int64 // nil: unknown
	last  bool   // the work has ended
}

// progress shows how far long work is.
type progress interface {
	at(stage)
	say(line string) // something beside; from any goroutine, until end
	end(well bool)
}

// progress is a bar on a terminal that says how wide it is, else lines.
func (p *program) progress() progress {
	if f, ok := p.stderr.(*os.File); ok {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width > 0 {
			return newBar(f)
		}
	}
	return &lines{p: p}
}

// lines is progress for what is no terminal: a line when there is something new, but not more than one in a while.
type lines struct {
	p    *program
	last stage
	next time.Time
}

const lineEvery = 2 * time.Second

func (l *lines) at(s stage) {
	if s.done == 0 && s.total == nil { // nothing is known yet
		return
	}
	if s.what == l.last.what && s.done == l.last.done || l.p.now().Before(l.next) && !s.last {
		return
	}
	l.last, l.next = s, l.p.now().Add(lineEvery)
	total := "?"
	if s.total != nil {
		total = fmt.Sprint(*s.total)
	}
	l.p.say("%s: %d of %s", s.what, s.done, total)
}

func (l *lines) say(line string) { l.p.say("%s", line) }

func (l *lines) end(bool) {}

// bar is progress on a terminal.
type bar struct {
	all    *mpb.Progress
	bar    *mpb.Bar
	looked time.Time

	mu   sync.Mutex
	what string
}

func newBar(w io.Writer) *bar {
	b := &bar{all: mpb.New(mpb.WithOutput(w), mpb.WithWidth(40)), looked: time.Now()}
	b.bar = b.all.AddBar(0,
		mpb.PrependDecorators(decor.CountersNoUnit("%d of %d ")),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return b.doing() + "  " }),
			decor.EwmaSpeed(0, "%.0f rows/s  ", 30), decor.Name("left "), decor.EwmaETA(decor.ET_STYLE_MMSS, 30)),
	)
	return b
}

// doing is asked for by the bar's own goroutine.
func (b *bar) doing() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.what
}

func (b *bar) at(s stage) {
	b.mu.Lock()
	b.what = s.what
	b.mu.Unlock()
	if s.total != nil {
		b.bar.SetTotal(max(*s.total, s.done), false)
	}
	now := time.Now()
	switch current := b.bar.Current(); {
	case s.done == current:
	case current == 0: // what goes on has most of it from before
		b.bar.SetCurrent(s.done)
		b.looked = now
	default:
		b.bar.EwmaSetCurrent(s.done, now.Sub(b.looked))
		b.looked = now
	}
}

func (b *bar) say(line string) { fmt.Fprintln(b.all, line) }

func (b *bar) end(well bool) {
	if well {
		b.bar.SetTotal(-1, true)
	} else {
		b.bar.Abort(false)
	}
	b.all.Wait()
}
