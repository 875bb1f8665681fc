package campaignersim

import (
	"math/rand/v2"
	"time"
)

// Summary is what the provider counts of a campaign.
type Summary struct {
	EmailsSent   int // who was mailed in two runs counts two
	Delivered    int // sent and not bounced
	Opens        int // contacts with any activity: also who clicked and let no picture load
	UniqueClicks int // contacts
	TotalClicks  int
	HardBounces  int
	SoftBounces  int
	Complaints   int
	Removes      int
}

// Summary is that of the campaign of this index, so far.
func (a *Account) Summary(campaign int) (s Summary) {
	now := a.until()
	for _, r := range a.Campaigns()[campaign].Runs {
		s.EmailsSent += r.mailed(now)
	}
	active, clicked := map[int]bool{}, map[int]bool{}
	for _, e := range a.Events() {
		if e.Campaign != campaign {
			continue
		}
		switch e.Kind {
		case Open:
			active[e.Contact] = true
		case Click:
			active[e.Contact], clicked[e.Contact] = true, true
			s.TotalClicks++
		case HardBounce:
			s.HardBounces++
		case SoftBounce:
			s.SoftBounces++
		case Complaint:
			s.Complaints++
		case Unsubscribe:
			s.Removes++
		}
	}
	s.Opens, s.UniqueClicks = len(active), len(clicked)
	s.Delivered = s.EmailsSent - s.HardBounces - s.SoftBounces
	return s
}

// until is the time up to which everything has happened.
func (a *Account) until() time.Time {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.now
}

// mailed is how many of a run's mails had gone out at a time.
func (r Run) mailed(now time.Time) int {
	if now.Before(r.Started) {
		return 0
	}
	for n := range r.Recipients {
		if r.mailedAt(n).After(now) {
			return n
		}
	}
	return len(r.Recipients)
}

// mailedAt is when the n-th of a run's mails went out.
func (r Run) mailedAt(n int) time.Time {
	return r.Started.Add(r.Finished.Sub(r.Started) * time.Duration(n) / time.Duration(len(r.Recipients)))
}

// Unsent is a campaign that no event is of, and none will be: a draft, or planned for a day that the simulation does not
// reach.
type Unsent struct {
	Campaign
	Scheduled time.Time // zero = a draft
}

// Unsent are the account's campaigns that were never sent.
func (a *Account) Unsent() []Unsent { return a.unsent }

func (a *Account) plans() (all []Unsent) {
	rng := rand.New(rand.NewPCG(a.options.Seed, 5))
	for i := range 3 {
		u := Unsent{Campaign: a.campaign(rng, 900+i, themes[i], a.options.Now)}
		u.ID, u.Links = 777_000+int64(i), nil
		if i == 2 {
			u.Scheduled = a.options.Now.AddDate(1, 0, 0).Truncate(time.Hour)
		}
		all = append(all, u)
	}
	return all
}

func (u Unsent) status() string {
	if u.Scheduled.IsZero() {
		return "Draft"
	}
	return "Scheduled"
}
