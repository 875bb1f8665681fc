package rollup

import (
	"context"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/provider"
)

// counted are the metrics whose distinct recipients statistics show.
const counted = 1<<Open | 1<<HumanOpen | 1<<Click | 1<<HumanClick | 1<<Bounce | 1<<HardBounce | 1<<SoftBounce |
	1<<Unsubscribe | 1<<Complaint

// reports are the metrics that a provider's webhooks bring without being asked.
func reports(p provider.Name) Metrics {
	if p == provider.Campaigner {
		return MetricsOf(Open, HumanOpen, Click, HumanClick, Bounce, HardBounce, Unsubscribe)
	}
	return 0
}

// subject is a campaign with what is needed of it whatever the range.
type subject struct {
	campaign.Campaign
	runs []campaign.Run
	life life
	// known are the metrics that a source which has been read for the campaign reports. What was ever counted is known.
	known Metrics
}

// sourceMetrics are the metrics that the provider's reports of each kind bring.
var sourceMetrics = [...]struct {
	source  campaign.Sources
	metrics Metrics
}{
	{campaign.Opens, 1<<Open | 1<<HumanOpen},
	{campaign.Clicks, 1<<Click | 1<<HumanClick},
	{campaign.HardBounces, 1<<Bounce | 1<<HardBounce},
	{campaign.SoftBounces, 1<<Bounce | 1<<SoftBounce},
	{campaign.Unsubscribes, 1 << Unsubscribe},
	{campaign.Complaints, 1 << Complaint},
}

// setKnown. The provider's webhooks have been read, for all campaigns of the workspace, once they brought anything: heard
// says that an event came. A run that was derived from them says so too. What webhooks do not bring is known where the
// provider's reports have been read, and where its own figure says that there is none.
func (s *subject) setKnown(heard bool) {
	for _, k := range sourceMetrics {
		if s.Sources.Has(k.source) {
			s.known |= k.metrics
		}
	}
	if f := s.Figures; f != nil {
		if isNone(f.SoftBounces) {
			s.known |= 1 << SoftBounce
		}
		if isNone(f.Complaints) {
			s.known |= 1 << Complaint
		}
	}
	for m := range NumMetrics {
		if s.life.count[m] > 0 {
			s.known |= 1 << m
		}
	}
	for _, r := range s.runs {
		heard = heard || r.Derived
	}
	if heard {
		s.known |= reports(s.Provider)
	}
}

func isNone(figure *int64) bool { return figure != nil && *figure == 0 }

// sent is the sum of the known figures of the runs that started in the range; nil if none says so.
func (s *subject) sent(r Range) (n *int64) {
	for _, run := range s.runs {
		if r.has(run.StartedAt) {
			n = add(n, run.Sent)
		}
	}
	return n
}

// delivered is what is known without deriving it: the events in the range if the provider sends them, else the sum of the
// figures of the runs that started in the range.
func (s *subject) delivered(r Range, events uint64) (n *int64, source string) {
	if s.life.count[Delivered] > 0 {
		return new(int64(events)), FromEvents
	}
	for _, run := range s.runs {
		if r.has(run.StartedAt) {
			n = add(n, run.Delivered)
		}
	}
	return n, FromRuns
}

// fillSent sets sent and delivered; whole says that the whole of a send is counted, so that delivered may be derived.
func (s *subject) fillSent(c *Counts, r Range, delivered uint64, whole bool) {
	c.Sent = s.sent(r)
	n, source := s.delivered(r, delivered)
	if n == nil && whole && c.Sent != nil && c.Bounces != nil {
		n, source = new(*c.Sent-*c.Bounces), Derived
	}
	if n != nil {
		c.Delivered, c.DeliveredSource = n, &source
	}
}

// question works statistics out, of one campaign after another, from one snapshot.
type question struct {
	v         View
	asOf      time.Time
	humanAsOf time.Time
	acc       Accumulator // of the campaign worked out last
	until     Accumulator // its bounces until the range's end
}

func newQuestion(ctx context.Context, v View) (*question, error) {
	human, err := v.HumanAsOf(ctx)
	if err != nil {
		return nil, err
	}
	asOf, err := v.AsOf(ctx)
	if human.After(asOf) { // the rules can have judged no more than is counted
		human = asOf
	}
	return &question{v: v, asOf: asOf, humanAsOf: human}, err
}

// subjects reads what is needed of each campaign.
func (q *question) subjects(ctx context.Context, cs []campaign.Campaign) ([]subject, error) {
	ids := make([]campaign.ID, len(cs))
	at := make(map[campaign.ID]int, len(cs))
	out := make([]subject, len(cs))
	for i, c := range cs {
		ids[i], at[c.ID], out[i].Campaign = c.ID, i, c
	}
	if len(cs) == 0 {
		return out, nil
	}
	runs, err := q.v.Runs(ctx, ids)
	if err != nil {
		return nil, err
	}
	for _, r := range runs {
		if i, ok := at[r.Campaign]; ok {
			out[i].runs = append(out[i].runs, r)
		}
	}
	lives, err := readLives(ctx, q.v, append(ids, Workspace))
	if err != nil {
		return nil, err
	}
	all := lives[len(cs)]
	for i := range out {
		out[i].life = lives[i]
		out[i].setKnown(!all.empty() || !out[i].life.empty())
	}
	return out, nil
}

// asked is a campaign and the range in which it is counted.
type asked struct {
	*subject
	in Range
}

// statistics counts what happened to campaigns, one after another; q.acc holds a campaign's sets while f is called.
func (q *question) statistics(ctx context.Context, of []asked, f func(*subject, Statistics)) error {
	var asks []ask // two for each campaign
	for _, a := range of {
		from, to := a.life.widen(a.in.seconds())
		want := Metrics(counted)
		if a.life.within(a.in) {
			want = a.life.spread&counted | 1<<Open | 1<<Click
		}
		asks = append(asks, ask{a.life.stretches(a.ID, from, to), &q.acc, want}, ask{a.bouncesUntil(a.in), &q.until, 1 << Bounce})
	}
	return collect(ctx, q.v, asks, func(i int) {
		if i%2 == 1 {
			a := of[i/2]
			f(a.subject, q.answer(a.subject, a.in))
		}
	})
}

// one is the statistics of one campaign.
func (q *question) one(ctx context.Context, s *subject, r Range) (st Statistics, err error) {
	err = q.statistics(ctx, []asked{{s, r}}, func(_ *subject, of Statistics) { st = of })
	return st, err
}

// answer is the statistics of a campaign of which q.acc and q.until hold what was asked for.
func (q *question) answer(s *subject, r Range) Statistics {
	st := q.blank(r)
	st.CampaignID, st.CampaignName = &s.ID, &s.Name
	st.ProviderName, st.ProviderCampaignID = &s.Provider, &s.ProviderCampaignID
	if !s.life.empty() {
		st.FirstEventAt, st.LastEventAt = timeOf(s.life.first), timeOf(s.life.last)
	}
	t := q.acc.tally()
	if s.life.within(r) {
		t = s.life.tally(t)
	}
	st.Counts = t.counts(s.known)
	s.fillSent(&st.Counts, r, q.acc.Count[Delivered], r.open())
	st.ProviderReported = reportedOf(s.Figures)
	st.clickedOpeners = int64(q.acc.Set(Open).AndLen(q.acc.Set(Click)))
	st.RateBase = q.rateBase(s, r)
	st.setRates()
	return st
}

// blank has what is the same for every campaign.
func (q *question) blank(r Range) Statistics {
	return Statistics{
		DateFrom: timePtr(r.From), DateTo: timePtr(r.To), Basis: ByEvent, AsOf: q.asOf.UTC(), HumanAsOf: timePtr(q.humanAsOf),
	}
}

// rateBase is of all the runs that started before the range's end, with the events until then.
func (q *question) rateBase(s *subject, r Range) RateBase {
	var t tally
	if s.needsBounces(r) {
		t = q.tallyUntil(s, r)
	}
	c := Counts{Bounces: t.counts(s.known).Bounces}
	s.fillSent(&c, Range{To: r.To}, t.count[Delivered], true)
	return RateBase{c.Sent, c.Delivered}
}

// tallyUntil counts delivered mails and bounces until the range's end.
func (q *question) tallyUntil(s *subject, r Range) (t tally) {
	_, to := s.life.widen(r.seconds())
	if to == noLast && !s.life.spread.Has(Bounce) {
		return s.life.tally(t)
	}
	t.count[Delivered] = q.until.Count[Delivered] + q.acc.Count[Delivered]
	if to == noLast {
		t.count = s.life.count
	}
	q.until.Set(Bounce).Or(q.acc.Set(Bounce))
	t.unique[Bounce] = q.until.Set(Bounce).Len()
	return t
}

// needsBounces says whether the rate base of the range needs the bounces, and the counts, until the range's end.
func (s *subject) needsBounces(r Range) bool {
	n, source := s.delivered(Range{To: r.To}, 0)
	return (n == nil || source != FromRuns) && s.life.count[Delivered]+s.life.count[Bounce] > 0
}

// bouncesUntil are the stretches that the rate base of the range needs beside the range itself.
func (s *subject) bouncesUntil(r Range) []Stretch {
	from, to := s.life.widen(r.seconds())
	switch {
	case from == open || !s.needsBounces(r):
		return nil
	case to != noLast:
		return s.life.stretches(s.ID, open, from)
	case !s.life.spread.Has(Bounce):
		return nil
	}
	return s.life.stretches(s.ID, open, noLast) // the lifetime row is less to read than what comes before the range
}
