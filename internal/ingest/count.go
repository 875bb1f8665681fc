package ingest

import (
	"bytes"
	"context"
	"slices"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/delivery"
	"monterey/internal/event"
	"monterey/internal/fault"
	"monterey/internal/provider"
	"monterey/internal/recipient"
	"monterey/internal/rollup"
	"monterey/internal/suppression"
)

// count counts a batch: all that belongs to one workspace together. It may be called again where it failed.
func count(ctx context.Context, tx Tx, b *batch, now time.Time) error {
	b.counts = b.counts[:0]
	for _, p := range b.parts {
		wtx, err := tx.Workspace(ctx, p.workspace)
		if err != nil {
			return err
		}
		save := wtx.Archive(p.raw) // while the events are counted
		for _, c := range p.countings {
			if err := c.run(ctx, wtx, now); err != nil {
				return err
			}
		}
		for i := range p.deliveries {
			tally(&p.deliveries[i])
			b.counts = append(b.counts, p.deliveries[i].Counts)
		}
		if err := save(ctx, p.deliveries); err != nil {
			return err
		}
	}
	return nil
}

// tally works a delivery's counts and state out from its results.
func tally(d *delivery.Delivery) {
	d.Counts = delivery.Counts{}
	for _, r := range d.Results {
		d.Counts.Add(r.Outcome, 1)
	}
	d.State = d.Counts.State()
}

// counting is the objects of one workspace that are counted together; their reports are of one source.
type counting struct {
	source  event.Source
	reports []counted // once ready, sorted by id
	marks   []counted

	// What ready makes of them.
	refs []string    // the campaigns of all
	who  []Recipient // of the reports, each once, in the order of arrival, in which new ones get their ordinals
}

// counted is an object and the delivery whose result it becomes.
type counted struct {
	d     *delivery.Delivery
	index int
	*readObject
	id      event.ID // of a report: its own, or that of the stored event that it is of (see identify)
	who     int      // the place of a report's recipient in who of its counting
	ordinal recipient.Ordinal
	aliased bool       // id is not its own
	settled bool       // it has its result
	same    []*counted // further reports of its id (see groups)
}

func (c counted) set(r delivery.Result) { c.d.Results[c.index] = r }

// add takes an object of d in; what needs no counting has its result at once.
func (c *counting) add(d *delivery.Delivery, index int, o *readObject) {
	one := counted{d: d, index: index, readObject: o, id: o.id}
	switch {
	case o.Report != nil:
		c.reports = append(c.reports, one)
	case o.Mark != nil:
		c.marks = append(c.marks, one)
	case o.Ignored != "":
		one.set(delivery.Result{Outcome: delivery.Ignored, Reason: clip(o.Ignored)})
	default:
		one.set(delivery.Result{Outcome: delivery.Held, Reason: clip(o.Fault)})
	}
}

// ready makes out what is to be looked up, and sorts the reports: once, when all were added.
func (c *counting) ready() {
	campaigns, people := map[string]bool{"": true}, make(map[recipient.Hash]int, len(c.reports))
	see := func(ref string) {
		if !campaigns[ref] {
			campaigns[ref], c.refs = true, append(c.refs, ref)
		}
	}
	for i := range c.reports {
		o := &c.reports[i]
		see(o.Report.CampaignRef)
		n, ok := people[o.hash]
		if !ok {
			n = len(c.who)
			people[o.hash], c.who = n, append(c.who, Recipient{Hash: o.hash, Address: o.Report.Address})
		}
		o.who = n
	}
	for _, o := range c.marks {
		see(o.Mark.CampaignRef)
	}
	slices.Sort(c.refs)
	c.sort()
}

// sort sorts the reports by id, which makes inserts land side by side. Of several of one id the first in the inbox's order stands; where
// identify has changed ids they are those of stored events, so that none of them is inserted.
func (c *counting) sort() {
	slices.SortStableFunc(c.reports, func(a, b counted) int { return bytes.Compare(a.id.UUID[:], b.id.UUID[:]) })
}

// run counts what is ready. It may be called again where it failed, so it works on a copy.
func (c counting) run(ctx context.Context, tx WorkspaceTx, now time.Time) error {
	if len(c.reports)+len(c.marks) == 0 {
		return nil
	}
	c.reports = slices.Clone(c.reports)
	var campaigns map[string]campaign.ID
	if len(c.refs) > 0 {
		var err error
		if campaigns, err = tx.Campaigns(ctx, provider.Campaigner, c.refs); err != nil { // a second provider will make this a lookup for each of them
			return err
		}
	}
	if err := c.countMarks(ctx, tx, campaigns, now); err != nil {
		return err
	}
	events, write, err := c.insert(ctx, tx, campaigns)
	if err != nil || len(events) == 0 {
		return err
	}
	if err := write(ctx); err != nil {
		return err
	}
	return tx.Suppress(ctx, causes(events))
}

// insert stores the events that are new and says what became of each report. The new events come back with what writes their rollups.
func (c *counting) insert(ctx context.Context, tx WorkspaceTx, campaigns map[string]campaign.ID) ([]event.Event, Write, error) {
	if err := c.recipients(ctx, tx); err != nil {
		return nil, nil, err
	}
	if err := c.identify(ctx, tx, campaigns); err != nil || len(c.reports) == 0 {
		return nil, nil, err
	}
	firsts := make([]int, 0, len(c.reports))
	for i, o := range c.reports {
		if i == 0 || o.id != c.reports[i-1].id {
			firsts = append(firsts, i)
		}
	}
	stamp, err := tx.Stamps(ctx, len(firsts))
	if err != nil {
		return nil, nil, err
	}
	events := make([]event.Event, len(firsts))
	from := make([]delivery.ID, len(firsts))
	for i, n := range firsts {
		events[i] = newEvent(c.reports[n], campaigns, stamp.Add(time.Duration(i)*time.Microsecond))
		from[i] = c.reports[n].d.ID
	}
	join, err := tx.JoinRollups(ctx, keysOf(events))
	if err != nil {
		return nil, nil, err
	}
	guess := guessRollups(join, events)
	inserted, err := tx.InsertEvents(ctx, events, from)
	write := <-guess
	if err != nil {
		return nil, nil, err
	}
	if err := c.settle(ctx, tx, firsts, inserted); err != nil {
		return nil, nil, err
	}
	fresh := events[:0]
	var recoveries []event.Recovery // of fresh, where they were recovered
	for i, e := range events {
		if !inserted[i] {
			continue
		}
		fresh = append(fresh, e)
		if r := c.reports[firsts[i]].Report.Recovery; r != nil {
			recoveries = append(recoveries, *r)
		}
	}
	if write == nil || len(fresh) < len(inserted) {
		if write, err = join(rollups(fresh)); err != nil {
			return nil, nil, err
		}
	}
	if len(recoveries) > 0 {
		return fresh, write, tx.AddRecovered(ctx, fresh, recoveries)
	}
	return fresh, write, nil
}

// guessRollups works the rows of all these events out while they are stored: most often all of them are new. It sends none if it
// fails; who works them out again sees why.
func guessRollups(join Join, events []event.Event) <-chan Write {
	guess := make(chan Write, 1)
	go func() {
		defer close(guess)
		defer func() { _ = recover() }()
		if write, err := join(rollups(events)); err == nil {
			guess <- write
		}
	}()
	return guess
}

// recipients finds the ordinal of each report's recipient. Who is not known gets one, and that is right also before the
// insert: an event that is there already has a recipient that is known.
func (c *counting) recipients(ctx context.Context, tx WorkspaceTx) error {
	if len(c.who) == 0 {
		return nil
	}
	found, err := tx.Recipients(ctx, c.who)
	if err != nil {
		return err
	}
	for i := range c.reports {
		c.reports[i].ordinal = found[c.reports[i].who]
	}
	return nil
}

// settle sets the result of every report and keeps which deliveries reported what was there already.
func (c *counting) settle(ctx context.Context, tx WorkspaceTx, firsts []int, inserted []bool) error {
	var again []Report
	for i, n := range firsts {
		end := len(c.reports)
		if i+1 < len(firsts) {
			end = firsts[i+1]
		}
		for j := n; j < end; j++ {
			o := c.reports[j]
			outcome := delivery.Duplicate
			if j == n && inserted[i] {
				outcome = delivery.Inserted
			} else if !(inserted[i] && o.d.ID == c.reports[n].d.ID) {
				again = append(again, Report{Event: o.id, Delivery: o.d.ID})
			}
			o.set(delivery.Result{Outcome: outcome, Event: o.id})
		}
	}
	if len(again) == 0 {
		return nil
	}
	return tx.AddReports(ctx, again)
}

func newEvent(o counted, campaigns map[string]campaign.ID, stamp time.Time) event.Event {
	rep := o.Report
	return event.Event{
		ID: o.id, Campaign: campaigns[rep.CampaignRef], Type: rep.Type, Recipient: o.ordinal, Address: rep.Address,
		OccurredAt: rep.OccurredAt, ReceivedAt: o.d.ReceivedAt, UpdatedAt: stamp, Provider: o.d.Provider, Source: rep.Source,
		Link: rep.Link, Class: rep.Class, Facts: rep.Facts,
	}
}

// countMarks stores marks and works the runs of their campaigns out anew.
func (c *counting) countMarks(ctx context.Context, tx WorkspaceTx, campaigns map[string]campaign.ID, now time.Time) error {
	if len(c.marks) == 0 {
		return nil
	}
	marks := make([]Mark, len(c.marks))
	for i, o := range c.marks {
		marks[i] = Mark{Mark: o.Mark.Mark, Campaign: campaigns[o.Mark.CampaignRef], Delivery: o.d.ID}
	}
	inserted, err := tx.AddMarks(ctx, marks)
	if err != nil {
		return err
	}
	changed := map[campaign.ID]bool{}
	for i, o := range c.marks {
		outcome := delivery.Duplicate
		if inserted[i] {
			outcome = delivery.Inserted
			changed[marks[i].Campaign] = true
		}
		o.set(delivery.Result{Outcome: outcome})
	}
	for id := range changed {
		if err := deriveRuns(ctx, tx, id, now); err != nil {
			return err
		}
	}
	return nil
}

func deriveRuns(ctx context.Context, tx WorkspaceTx, id campaign.ID, now time.Time) error {
	marks, old, err := tx.DerivedRuns(ctx, id)
	if err != nil {
		return err
	}
	runs := campaign.MatchRuns(old, campaign.DeriveRuns(marks), now)
	for i := range runs {
		runs[i].Campaign = id
	}
	return tx.PutDerivedRuns(ctx, id, runs)
}

// causes are the reasons that events give for suppressing their recipients.
func causes(events []event.Event) []Suppression {
	var out []Suppression
	for _, e := range events {
		if r := suppression.ReasonOf(e.Type, e.Class); r != 0 {
			out = append(out, Suppression{Recipient: e.Recipient, UpdatedAt: e.UpdatedAt,
				Cause: suppression.Cause{Reason: r, OccurredAt: e.OccurredAt, Source: suppression.Source(e.Source), ID: e.ID.UUID}})
		}
	}
	return out
}

// rollups are the rows that these events make, of every span but Lifetime.
func rollups(events []event.Event) map[rollup.Key]*rollup.Row {
	rows := make(map[rollup.Key]*rollup.Row, len(events)/4)
	for i := range events {
		addQuarter(rows, events[i].Campaign, factOf(&events[i]))
	}
	widen(rows, rollup.Quarter, rollup.Hour)
	widen(rows, rollup.Hour, rollup.Day)
	widen(rows, rollup.Day, rollup.Week)
	return rows
}

// keysOf are the keys of the rows that these events make, but for quarters.
func keysOf(events []event.Event) []rollup.Key {
	seen := map[rollup.Key]bool{}
	var keys []rollup.Key
	add := func(k rollup.Key) {
		if !seen[k] {
			seen[k], keys = true, append(keys, k)
		}
	}
	for i := range events {
		at := events[i].OccurredAt.Unix()
		for _, c := range [...]campaign.ID{events[i].Campaign, rollup.Workspace} {
			add(rollup.Key{Campaign: c, Span: rollup.Hour, Bucket: rollup.Hour.Bucket(at)})
		}
	}
	for _, span := range [...]rollup.Span{rollup.Day, rollup.Week} {
		for _, k := range keys {
			add(rollup.Key{Campaign: k.Campaign, Span: span, Bucket: span.Bucket(k.Bucket)})
		}
	}
	return keys
}

// addQuarter counts an event in its campaign's quarter hour and in the workspace's.
func addQuarter(rows map[rollup.Key]*rollup.Row, c campaign.ID, f rollup.Fact) {
	quarter := rollup.Quarter.Bucket(f.At)
	row(rows, rollup.Key{Campaign: c, Span: rollup.Quarter, Bucket: quarter}).Add(f)
	row(rows, rollup.Key{Campaign: rollup.Workspace, Span: rollup.Quarter, Bucket: quarter}).AddCount(f)
}

// widen joins the rows of one span into rows of the next.
func widen(rows map[rollup.Key]*rollup.Row, from, to rollup.Span) {
	for k, r := range rows {
		if k.Span == from {
			row(rows, rollup.Key{Campaign: k.Campaign, Span: to, Bucket: to.Bucket(k.Bucket)}).Or(r)
		}
	}
}

func row(rows map[rollup.Key]*rollup.Row, k rollup.Key) *rollup.Row {
	r := rows[k]
	if r == nil {
		r = rollup.NewRow()
		rows[k] = r
	}
	return r
}

// factOf is what of a stored event counts.
func factOf(e *event.Event) rollup.Fact {
	return rollup.Fact{At: e.OccurredAt.Unix(), Recipient: e.Recipient, Type: e.Type, Class: e.Class, Actor: e.Actor}
}

// isData says whether an error comes from the data itself.
func isData(err error) bool { return fault.Is(err, fault.Data) || fault.Is(err, fault.Conflict) }
