package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"monterey/internal/account"
	"monterey/internal/campaigner/campaignersim"
	"monterey/internal/task"
)

const (
	demoAPIKey  = "demo-api-key"
	demoBounces = 6000 // from before the campaigns
)

// serveEDAPI answers the API of the simulated account on loopback until close is called. Its pages are small where somebody
// watches, so that there is something to see.
func serveEDAPI(a *campaignersim.Account, watched bool) (baseURL string, close func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, fmt.Errorf("serve the simulated account: %w", err)
	}
	api := campaignersim.NewServer(a, demoAPIKey)
	if watched {
		err = api.SetFaults(campaignersim.SmallPages)
	}
	server := &http.Server{Handler: api, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }() // it ends by close
	return "http://" + l.Addr().String() + "/v1", func() { _ = server.Close() }, err
}

// directory gives some of those who bounced an account number; a number has up to three addresses.
func (d demo) directory(ctx context.Context, s *server, a *campaignersim.Account) error {
	var csv strings.Builder
	csv.WriteString("account_number,email\n")
	n := 0
	for b := range a.Bounces() {
		if n++; n%2 == 0 {
			fmt.Fprintf(&csv, "AC-%05d,%s\n", 10_000+n/6, b.Address)
		}
	}
	_, err := account.Import(ctx, s.store, d.caller, strings.NewReader(csv.String()), account.ImportOptions{})
	return err
}

// backfill starts to read the account's history of bounces.
func (d demo) backfill(ctx context.Context, s *server) (task.ID, error) {
	t := task.New(task.Backfill, task.Params{Full: true}, "demo", s.now())
	return t.ID, s.store.CreateTask(ctx, d.caller, t)
}

// waitHistory returns once the backfill has ended, with how many bounces there are then.
func (d demo) waitHistory(ctx context.Context, s *server, id task.ID) (bounces int64, err error) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		t, err := s.store.GetTask(ctx, d.caller, id)
		if err != nil {
			return 0, err
		}
		switch t.Status {
		case task.Succeeded:
			var list struct{ Total int64 }
			err := d.get(ctx, "/historical-bounces/?page_size=1", &list)
			return list.Total, err
		case task.Failed, task.Cancelled:
			return 0, errors.New("the backfill did not succeed: " + t.Error)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
	}
}
