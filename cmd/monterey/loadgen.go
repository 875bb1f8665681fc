package main

import (
	"context"
	"errors"
	"strings"
	"time"

	"monterey/internal/loadgen"
)

type loadgenCommand struct {
	URL         string        `name:"url" help:"The webhook." default:"http://127.0.0.1:8000/campaign-events/webhook" placeholder:"URL"`
	Key         string        `required:"" help:"The webhook key." placeholder:"KEY"`
	Events      int           `help:"Events to post." default:"100000" placeholder:"N"`
	Rate        float64       `help:"Events a second; 0 is as many as the server takes." default:"0" placeholder:"R"`
	Connections int           `help:"Connections that post at once." default:"64" placeholder:"N"`
	Batch       int           `help:"Events a request." default:"1" placeholder:"N"`
	Seed        uint64        `help:"The same seed makes the same bytes." default:"1" placeholder:"N"`
	Campaigns   int           `help:"Campaigns." default:"200" placeholder:"N"`
	Recipients  int           `help:"Recipients of the biggest campaign." default:"500000" placeholder:"N"`
	Days        int           `help:"Days that the events are spread over." default:"90" placeholder:"N"`
	Lifetime    time.Duration `help:"How long after its start a campaign is busy; 0 is always." placeholder:"DURATION"`
	Duplicates  float64       `help:"Share of the events that are posted again, from 0 to 1." placeholder:"SHARE"`
}

func (c *loadgenCommand) Run(ctx context.Context, p *program) error {
	if err := usage(c.mistakes()...); err != nil {
		return err
	}
	report, err := loadgen.Run(ctx, loadgen.Options{
		URL: c.URL, Connections: c.Connections, Batch: c.Batch, Rate: c.Rate,
		Workload: loadgen.Workload{
			Seed: c.Seed, Key: c.Key, Events: c.Events, Campaigns: c.Campaigns, Recipients: c.Recipients, Days: c.Days,
			Lifetime: c.Lifetime, Duplicates: c.Duplicates,
		},
	})
	if err != nil {
		return err
	}
	if err := p.result(report, report.String()+"\n"); err != nil {
		return err
	}
	if len(report.NotOK) > 0 {
		return errors.New("not everything was acknowledged")
	}
	return nil
}

func (c *loadgenCommand) mistakes() (wrong []string) {
	if !isWebURL(c.URL) {
		wrong = append(wrong, "--url must be an address as http://127.0.0.1:8000/campaign-events/webhook")
	}
	if c.Key == "" || strings.ContainsAny(c.Key, `"\`) || strings.ContainsFunc(c.Key, func(r rune) bool { return r < ' ' || r > '~' }) {
		wrong = append(wrong, "--key must be printable ASCII without quotes and backslashes")
	}
	for _, f := range []struct {
		name string
		n    int
	}{{"--events", c.Events}, {"--connections", c.Connections}, {"--batch", c.Batch}, {"--campaigns", c.Campaigns}, {"--recipients", c.Recipients}, {"--days", c.Days}} {
		if f.n < 1 {
			wrong = append(wrong, f.name+" must be 1 or more")
		}
	}
	if !(c.Rate >= 0) {
		wrong = append(wrong, "--rate must be 0 or more")
	}
	if !(c.Duplicates >= 0 && c.Duplicates <= 1) {
		wrong = append(wrong, "--duplicates must be from 0 to 1")
	}
	if c.Lifetime < 0 {
		wrong = append(wrong, "--lifetime must be 0 or more")
	}
	return wrong
}
