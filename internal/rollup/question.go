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
	acc       *Accumulator // of the campaign worked out last
	until     *Accumulator // its bounces until the range's end
}

func newQuestion(ctx context.Context, v View, asOf time.Time) (*question, error) {
	human, err := v.HumanAsOf(ctx)
	if human.After(asOf) { // the rules can have judged no more than is counted
		human = asOf
	}
	return &question{v: v, asOf: asOf, humanAsOf: human, acc: NewAccumulator(counted), until: NewAccumulator(1 << Bounce)}, err
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
	all, err := readLife(ctx, q.v, Workspace)
	if err != nil {
		return nil, err
	}
	for i := range out {
		if out[i].life, err = readLife(ctx, q.v, out[i].ID); err != nil {
			return nil, err
		}
		out[i].setKnown(!all.empty() || !out[i].life.empty())
	}
	return out, nil
}

// statistics counts what happened to the campaign in the range; q.acc holds the sets afterwards.
func (q *question) statistics(ctx context.Context, s *subject, r Range) (Statistics, error) {
	from, to := s.life.widen(r.seconds())
	q.acc.Reset()
	begin := from
	if from == open {
		begin = s.life.begin(to)
	}
	if err := q.acc.Collect(ctx, q.v, s.ID, begin, to); err != nil {
		return Statistics{}, err
	}
	st := q.blank(r)
	st.CampaignID, st.CampaignName = &s.ID, &s.Name
	st.ProviderName, st.ProviderCampaignID = &s.Provider, &s.ProviderCampaignID
	if !s.life.empty() {
		st.FirstEventAt, st.LastEventAt = timeOf(s.life.first), timeOf(s.life.last)
	}
	st.Counts = q.acc.tally().counts(s.known)
	s.fillSent(&st.Counts, r, q.acc.Count[Delivered], r.open())
	st.ProviderReported = reportedOf(s.Figures)
	st.clickedOpeners = int64(q.acc.Set(Open).AndLen(q.acc.Set(Click)))
	var err error
	if st.RateBase, err = q.rateBase(ctx, s, r); err != nil {
		return Statistics{}, err
	}
	st.setRates()
	return st, nil
}

// blank has what is the same for every campaign.
func (q *question) blank(r Range) Statistics {
	return Statistics{
		DateFrom: timePtr(r.From), DateTo: timePtr(r.To), Basis: ByEvent, AsOf: q.asOf.UTC(), HumanAsOf: timePtr(q.humanAsOf),
	}
}

// rateBase is of all the runs that started before the range's end, with the events until then. q.acc holds the range.
func (q *question) rateBase(ctx context.Context, s *subject, r Range) (RateBase, error) {
	until := Range{To: r.To}
	if err := q.bouncesUntil(ctx, s, r); err != nil {
		return RateBase{}, err
	}
	c := Counts{Bounces: q.until.tally().counts(s.known).Bounces}
	s.fillSent(&c, until, q.until.Count[Delivered], true)
	return RateBase{c.Sent, c.Delivered}, nil
}

// bouncesUntil makes q.until hold the bounces, and the counts, until the range's end, where the rate base needs them.
func (q *question) bouncesUntil(ctx context.Context, s *subject, r Range) error {
	from, to := s.life.widen(r.seconds())
	q.until.Reset()
	if n, source := s.delivered(Range{To: r.To}, 0); n != nil && source == FromRuns || s.life.count[Delivered]+s.life.count[Bounce] == 0 {
		return nil
	}
	switch {
	case from == open: // the range is all there is until its end
	case to == noLast: // the lifetime row is less to read than what comes before the range
		return q.until.Collect(ctx, q.v, s.ID, open, noLast)
	default:
		if err := q.until.Collect(ctx, q.v, s.ID, s.life.begin(from), from); err != nil {
			return err
		}
	}
	q.until.Count[Delivered] += q.acc.Count[Delivered]
	q.until.Set(Bounce).Or(q.acc.Set(Bounce))
	return nil
}
