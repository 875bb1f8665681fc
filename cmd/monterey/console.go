package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"
)

// say tells people something. Standard output is for results.
func (p *program) say(format string, args ...any) { fmt.Fprintf(p.stderr, format+"\n", args...) }

// result prints what a command made: one JSON object with --json, else the plain text.
func (p *program) result(object any, plain string) error {
	if !p.common.JSON {
		_, err := io.WriteString(p.stdout, plain)
		return err
	}
	e := json.NewEncoder(p.stdout)
	e.SetEscapeHTML(false)
	return e.Encode(object)
}

// table is plain text in columns; the first row is the heading.
func table(rows [][]string) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(w, strings.Join(r, "\t"))
	}
	_ = w.Flush() // writing to a strings.Builder does not fail
	return b.String()
}

// readInput reads a whole FILE, of which "-" is standard input.
func (p *program) readInput(name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(p.stdin)
	}
	return os.ReadFile(name)
}

// readSecret reads a key from a FILE, without the line's end that editors put there.
func (p *program) readSecret(name string) (string, error) {
	b, err := p.readInput(name)
	if err != nil {
		return "", err
	}
	key := strings.TrimSpace(string(b))
	if key == "" {
		return "", errors.New(name + " is empty")
	}
	return key, nil
}

// parseExpiry reads a date, of which the whole day in UTC still counts, or a date-time.
func parseExpiry(s string) (time.Time, error) {
	t, err := parseMoment(s)
	if err == nil && len(s) == len(time.DateOnly) {
		t = t.AddDate(0, 0, 1)
	}
	return t, err
}

// parseMoment reads a date, which is its beginning in UTC, or a date-time.
func parseMoment(s string) (time.Time, error) {
	if day, err := time.Parse(time.DateOnly, s); err == nil {
		return day, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%q must be a date, as 2027-01-31, or a date-time, as 2027-01-31T12:00:00Z", s)
	}
	return t.UTC(), nil
}

// stamp writes a time for people and for JSON; the zero time is "".
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// logger makes the log of a server from settings that were checked.
func (p *program) logger() *slog.Logger {
	level, _ := logLevel(p.common.LogLevel) // checked with the other settings
	options := &slog.HandlerOptions{Level: level}
	format := p.common.LogFormat
	if f, ok := p.stderr.(*os.File); format == "" && ok && term.IsTerminal(int(f.Fd())) {
		format = "text"
	}
	if format == "text" {
		return slog.New(slog.NewTextHandler(p.stderr, options))
	}
	return slog.New(slog.NewJSONHandler(p.stderr, options))
}
