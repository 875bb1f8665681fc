package main

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one line of the table.
type row struct {
	what, must, hoped, measured string
	yardstick                   yardstick
	ratio                       float64 // measured by yardstick
	verdict                     string
}

// yardstick is something simpler that was measured in the same run.
type yardstick struct{ what, measured string }

type table struct {
	rows  []row
	notes []string
}

func (t *table) add(r row) { t.rows = append(t.rows, r) }

func (t *table) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

const (
	short = "SHORT"
	pass  = "pass"
	hoped = "pass, as hoped"
)

// atLeast judges a figure that must reach one value and is hoped to reach another.
func atLeast(got, must, hope float64) string {
	switch {
	case got < must:
		return short
	case got < hope || hope <= must:
		return pass
	}
	return hoped
}

// judged is the row with what a figure must reach, and whether it did.
func (r row) judged(l limits, got float64, text func(float64) string) row {
	if l.must == 0 {
		return r
	}
	r.must, r.verdict = text(l.must), atLeast(got, l.must, l.hope)
	if l.hope > l.must {
		r.hoped = text(l.hope)
	}
	return r
}

// rateRow is a row of so many a second.
func rateRow(what string, l limits, got float64, y yardstick) row {
	r := row{what: what, measured: rate(got), yardstick: y}
	var of float64
	if _, err := fmt.Sscanf(strings.ReplaceAll(y.measured, ",", ""), "%g", &of); err == nil && of > 0 {
		r.ratio = got / of
	}
	return r.judged(l, got, func(n float64) string { return "≥ " + rate(n) })
}

// withinRow is a row of how long something takes that may take so many times as long as something else.
func withinRow(what string, times float64, got time.Duration, what2 string, of time.Duration) row {
	r := row{what: what, must: fmt.Sprintf("≤ %.0f ×", times), measured: duration(got), yardstick: yardstick{what2, duration(of)}, ratio: got.Seconds() / of.Seconds()}
	r.verdict = atLeast(-r.ratio, -times, -times)
	return r
}

// timeRow is a row of how long something takes.
func timeRow(what string, must, hope, got time.Duration, what2 string, of time.Duration) row {
	r := row{what: what, must: "< " + duration(must), measured: duration(got), yardstick: yardstick{what2, duration(of)},
		ratio: got.Seconds() / of.Seconds(), verdict: atLeast(-got.Seconds(), -must.Seconds(), -hope.Seconds())}
	if got == must {
		r.verdict = short
	}
	if hope < must {
		r.hoped = "< " + duration(hope)
	}
	return r
}

// rate is a number a second with its thousands apart.
func rate(n float64) string {
	text := fmt.Sprintf("%.0f", n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text + "/s"
}

func duration(d time.Duration) string {
	if d >= time.Second {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return fmt.Sprintf("%.2f ms", float64(d)/1e6)
}

func mib(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }

func (t *table) print(out io.Writer, shape string) error {
	fmt.Fprintf(out, "%s stored; %d processors, shared with the generator\n\n", shape, runtime.NumCPU())
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT\tMUST\tHOPED\tMEASURED\tYARDSTICK\t\tRATIO\t")
	missed := 0
	for _, r := range t.rows {
		ratio := ""
		if r.ratio > 0 {
			ratio = fmt.Sprintf("%.2f ×", r.ratio)
		}
		if r.verdict == short {
			missed++
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.what, r.must, r.hoped, r.measured, r.yardstick.what, r.yardstick.measured, ratio, r.verdict)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out)
	for _, n := range t.notes {
		fmt.Fprintln(out, n)
	}
	_, err := fmt.Fprintf(out, "%d of %d rows fall short.\n", missed, len(t.rows))
	return err
}
