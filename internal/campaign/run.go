package campaign

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"monterey/internal/fault"
)

// RunID names a run.
type RunID struct{ uuid.UUID }

// Run is one send of a campaign.
type Run struct {
	ID            RunID
	Campaign      ID
	ProviderRunID string // "" = unknown
	// StartedAt is when it began. A derived run of which only the end was reported starts at its end.
	StartedAt  time.Time
	FinishedAt time.Time // zero = not known to have finished
	// Sent is the number of mails; nil = unknown. Where nobody said it of the run, and the campaign has no other, it is what
	// the provider says of the campaign (Figures.Sent), if it was asked after the run and nothing was being sent. The store
	// works that out at each reading and keeps it with no run, so that it goes when a second run comes.
	Sent      *int64
	Delivered *int64 // nil = unknown
	Derived   bool   // worked out from marks, not registered
	CreatedAt time.Time
	UpdatedAt time.Time
}

// MaxMails bounds the figures of a run, so that the sum over 900 runs of that size still fits.
const MaxMails = 10_000_000_000_000_000

// Validate names every bad field at once.
func (r Run) Validate() error {
	var bad []fault.Field
	if r.StartedAt.IsZero() {
		bad = append(bad, fault.Field{Loc: []string{"body", "started_at"}, Msg: "is needed: when the run began", Type: "missing"})
	}
	if !r.FinishedAt.IsZero() && r.FinishedAt.Before(r.StartedAt) {
		bad = append(bad, fault.Field{Loc: []string{"body", "finished_at"}, Msg: "must not lie before started_at", Type: "range"})
	}
	for name, n := range map[string]*int64{"sent": r.Sent, "delivered": r.Delivered} {
		if n != nil && (*n < 0 || *n > MaxMails) {
			bad = append(bad, fault.Field{Loc: []string{"body", name}, Msg: fmt.Sprintf("must be from 0 to %d", int64(MaxMails)), Type: "range"})
		}
	}
	return fault.Fields(bad...)
}

// MarkKind is what a provider reports of a run.
type MarkKind uint8

// The kinds of mark.
const (
	Started MarkKind = 1 // the run began
	Sent    MarkKind = 2 // all of the run has been sent
)

// Mark is one report about a run. (campaign, kind, second) is its identity: the same again is a duplicate.
type Mark struct {
	Kind MarkKind
	At   time.Time // UTC, to the second
	Sent *int64    // of Sent: the number of mails, where the provider says it
}

// DeriveRuns works a campaign's runs out from all its marks, whatever order they arrived in: a run begins at each Started
// and ends at the first Sent from then on and before the next Started; a Sent that belongs to no Started, and every
// further Sent, is a run of its own, begun and ended at its time. Runs come back by start. Only StartedAt, FinishedAt and
// Sent are set; ids are the store's (see MatchRuns).
func DeriveRuns(marks []Mark) []Run {
	marks = slices.Clone(marks)
	slices.SortStableFunc(marks, func(a, b Mark) int {
		if d := a.At.Compare(b.At); d != 0 {
			return d
		}
		return int(a.Kind) - int(b.Kind)
	})
	var runs []Run
	open := -1 // index of the run that has begun and not ended
	for _, m := range marks {
		switch {
		case m.Kind == Started:
			runs = append(runs, Run{StartedAt: m.At, Derived: true})
			open = len(runs) - 1
		case open >= 0:
			runs[open].FinishedAt, runs[open].Sent = m.At, m.Sent
			open = -1
		default:
			runs = append(runs, Run{StartedAt: m.At, FinishedAt: m.At, Sent: m.Sent, Derived: true})
		}
	}
	return runs
}

// RunAt is the latest of runs, by start, that had begun at a time; zero = none.
func RunAt(runs []Run, at time.Time) RunID {
	after, _ := slices.BinarySearchFunc(runs, at, func(r Run, at time.Time) int {
		if r.StartedAt.After(at) {
			return 1
		}
		return -1
	})
	if after == 0 {
		return RunID{}
	}
	return runs[after-1].ID
}

// MatchRuns gives each derived run the id, and the creation time, of the old derived run that began or ended when it did,
// so that a run keeps its id when more marks of it arrive; the others get new ids. Old runs that match nothing are gone.
func MatchRuns(old, derived []Run, now time.Time) []Run {
	used := make([]bool, len(old))
	out := slices.Clone(derived)
	for i := range out {
		r := &out[i]
		r.ID, r.CreatedAt, r.UpdatedAt = RunID{uuid.Must(uuid.NewV7())}, now, now
		for j, o := range old {
			if used[j] || !(o.StartedAt.Equal(r.StartedAt) || !o.FinishedAt.IsZero() && o.FinishedAt.Equal(r.FinishedAt)) {
				continue
			}
			used[j] = true
			r.ID, r.Campaign, r.CreatedAt, r.ProviderRunID = o.ID, o.Campaign, o.CreatedAt, o.ProviderRunID
			break
		}
	}
	return out
}
