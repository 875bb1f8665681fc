package account

import (
	"context"

	"github.com/robfig/cron/v3"

	"monterey/internal/fault"
	"monterey/internal/workspace"
)

// Source is where the directory of a workspace is read from: a query on a database outside. The operator alone sets it, as
// it holds a password and may reach any address.
type Source struct {
	URL      []byte // sealed with the server's secret (provider.Keys); directory.Config says what it may be
	Query    string
	Schedule string // cron expression of five fields, or @daily, @every 6h, in the workspace's time zone; "" = never by itself
}

// Validate checks the schedule. What URL and query must be is for directory.New to say.
func (s Source) Validate() error {
	if _, err := cron.ParseStandard(s.Schedule); s.Schedule != "" && err != nil {
		return fault.Fields(fault.Field{Loc: []string{"body", "schedule"}, Type: "cron",
			Msg: "must be a cron expression of five fields, as 0 3 * * *, or @hourly, @daily or @every 6h"})
	}
	return nil
}

// Readable is where the directory of the caller's workspace is read from. The fault is Conflict when that was not set.
func Readable(ctx context.Context, s Store, c workspace.Caller) (Source, error) {
	src, err := s.GetSource(ctx, c)
	if fault.Is(err, fault.NotFound) {
		return src, fault.New(fault.Conflict, "the workspace has no outside directory to read; the operator sets one with monterey accounts set")
	}
	return src, err
}
