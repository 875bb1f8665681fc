package ingest

import (
	"cmp"
	"context"
	"slices"
	"time"

	"monterey/internal/event"
	"monterey/internal/recipient"
	"monterey/internal/rollup"
	"monterey/internal/workspace"
)

// judgeChunk is how many changed events one transaction of the rules looks at.
const judgeChunk = 5_000

// judge applies the rules that look at several events to the clicks that came or went since it last did, and says whether
// more are left. The clicks around each of them are judged anew, so that the answer does not depend on the order in which
// events arrive. What changes is counted anew.
func (w *Worker) judge(ctx context.Context, c workspace.Caller) (more bool, err error) {
	asOf, err := w.store.AsOf(ctx, c) // before the transaction: all that was received until then is in it
	if err != nil {
		return false, err
	}
	err = w.store.TryRewrite(ctx, c, func(tx WorkspaceTx) error {
		more = false
		seen, newest, err := tx.HumanMark(ctx)
		if err != nil || !seen.Before(newest) {
			return err
		}
		at, read, err := tx.ClicksChanged(ctx, seen, newest, judgeChunk)
		if err != nil {
			return err
		}
		more = read.Before(newest)
		changed, err := judgeAround(ctx, tx, at)
		if err != nil {
			return err
		}
		if err := recount(ctx, tx, changed); err != nil {
			return err
		}
		if more {
			return tx.SetHumanMark(ctx, read, time.Time{})
		}
		// What was rewritten just now has newer stamps and needs no second look.
		_, newest, err = tx.HumanMark(ctx)
		if err != nil {
			return err
		}
		return tx.SetHumanMark(ctx, newest, asOf)
	})
	return more, err
}

// judgeAround judges all clicks that can share a burst with a click at one of these times, and returns the quarter hours
// in which something changed.
func judgeAround(ctx context.Context, tx WorkspaceTx, at []int64) (map[rollup.Key]bool, error) {
	changed := map[rollup.Key]bool{}
	if len(at) == 0 {
		return changed, nil
	}
	slices.Sort(at)
	within := int64(event.BurstWithin / time.Second)
	// A click at t has a say over the clicks in [t-10, t+10], and so have those within 10 s of these.
	judged, read := around(at, within), around(at, 2*within)
	byRecipient := map[recipient.Ordinal][]Click{}
	err := tx.Clicks(ctx, read, func(c Click) error {
		byRecipient[c.Recipient] = append(byRecipient[c.Recipient], c)
		return nil
	})
	if err != nil {
		return nil, err
	}
	var ids []event.ID
	var rules []event.Rule
	for _, clicks := range byRecipient {
		times := make([]event.ClickAt, len(clicks))
		for i, c := range clicks {
			times[i] = event.ClickAt{At: c.At, Link: c.Link}
		}
		for i, burst := range event.Bursts(times) {
			c := clicks[i]
			if !contains(judged, c.At) {
				continue // its own surroundings are not all here
			}
			rule := event.Rule(0)
			if burst {
				rule = event.ClickBurst
			}
			if rule != c.Rule {
				ids, rules = append(ids, c.ID), append(rules, rule)
				changed[rollup.Key{Campaign: c.Campaign, Span: rollup.Quarter, Bucket: rollup.Quarter.Bucket(c.At)}] = true
			}
		}
	}
	if len(ids) == 0 {
		return changed, nil
	}
	return changed, tx.SetRules(ctx, ids, rules)
}

// around are the ranges of all seconds that are at most so far from one of these times, which are sorted.
func around(at []int64, within int64) (out []Range) {
	for _, t := range at {
		if n := len(out); n > 0 && t-within <= out[n-1].To {
			out[n-1].To = t + within
			continue
		}
		out = append(out, Range{t - within, t + within})
	}
	return out
}

// contains says whether a time lies in one of the ranges, which are sorted.
func contains(in []Range, at int64) bool {
	i, _ := slices.BinarySearchFunc(in, at, func(r Range, at int64) int { return cmp.Compare(r.To, at) })
	return i < len(in) && in[i].From <= at
}
