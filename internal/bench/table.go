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

// rate adds a row of so many a second.
func (t *table) rate(what string, must, hope, got float64, y yardstick) {
	r := row{what: what, must: "≥ " + rate(must), measured: rate(got), yardstick: y, verdict: atLeast(got, must, hope)}
	if hope > must {
		r.hoped = "≥ " + rate(hope)
	}
	var of float64
	if _, err := fmt.Sscanf(strings.ReplaceAll(y.measured, ",", ""), "%g", &of); err == nil && of > 0 {
		r.ratio = got / of
	}
	t.add(r)
}

// time adds a row of how long something takes.
func (t *table) time(what string, must, hope, got time.Duration, what2 string, of time.Duration) {
	r := row{what: what, must: "< " + duration(must), measured: duration(got), yardstick: yardstick{what2, duration(of)},
		ratio: got.Seconds() / of.Seconds(), verdict: atLeast(-got.Seconds(), -must.Seconds(), -hope.Seconds())}
	if got == must {
		r.verdict = short
	}
	if hope < must {
		r.hoped = "< " + duration(hope)
	}
	t.add(r)
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

func (t *table) print(out io.Writer, set *dataset) error {
	fmt.Fprintf(out, "%s stored; made %s; %d processors, shared with the generator\n\n", set.Shape, set.Made.Format(time.RFC3339), runtime.NumCPU())
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
