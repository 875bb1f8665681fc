package main

import (
	"context"
	"fmt"
	"net"
	"strings"

	"monterey/internal/campaigner/campaignersim"
)

type campaignerSimCommand struct {
	Addr       string   `help:"Where to listen; port 0 takes any." default:"127.0.0.1:8025" placeholder:"HOST:PORT"`
	Seed       uint64   `help:"The same seed makes the same account." default:"1" placeholder:"N"`
	APIKey     string   `name:"api-key" help:"The key that opens its API." default:"sim-key" placeholder:"KEY"`
	WebhookURL string   `name:"webhook-url" help:"Post the account's webhooks there, from the start." placeholder:"URL"`
	WebhookKey string   `help:"The key in each webhook." placeholder:"KEY"`
	Rate       float64  `help:"Live events a second, about." default:"3" placeholder:"R"`
	Fault      []string `help:"Something that goes wrong, by name; repeatable." placeholder:"NAME"`
	Bounces    int      `help:"Bounces from before its campaigns, 0 to 1000000." default:"20000" placeholder:"N"`
}

// Help names the faults.
func (c *campaignerSimCommand) Help() string {
	return "Faults of webhooks: " + strings.Join(campaignersim.WebhookFaults, ", ") + ".\nFaults of the API: " + strings.Join(campaignersim.APIFaults, ", ") + "."
}

func (c *campaignerSimCommand) Run(ctx context.Context, p *program) error {
	var wrong []string
	if err := checkAddr(c.Addr); err != nil {
		wrong = append(wrong, "--addr "+err.Error())
	}
	if err := campaignersim.CheckFaults(c.Fault); err != nil {
		wrong = append(wrong, "--fault: "+err.Error())
	}
	if c.WebhookURL != "" && c.WebhookKey == "" {
		wrong = append(wrong, "--webhook-key is needed with --webhook-url")
	}
	if c.WebhookURL != "" && !isWebURL(c.WebhookURL) {
		wrong = append(wrong, "--webhook-url must be an address as http://127.0.0.1:8000/campaign-events/webhook")
	}
	if !(c.Rate > 0) {
		wrong = append(wrong, "--rate must be more than 0")
	}
	if c.Bounces < 0 || c.Bounces > campaignersim.MaxBounces {
		wrong = append(wrong, fmt.Sprintf("--bounces must be from 0 to %d", campaignersim.MaxBounces))
	}
	if err := usage(wrong...); err != nil {
		return err
	}
	account := campaignersim.Options{Seed: c.Seed, Bounces: c.Bounces}
	if c.Bounces == 0 {
		account.Bounces = -1 // none; 0 would be the simulator's own number
	}
	printed := make(chan error, 1)
	err := campaignersim.Serve(ctx, campaignersim.ServeOptions{
		Addr: c.Addr, Account: account, APIKey: c.APIKey, WebhookURL: c.WebhookURL, WebhookKey: c.WebhookKey,
		Faults: c.Fault, Rate: c.Rate, Log: p.logger(),
		Listening: func(a net.Addr) {
			printed <- p.result(struct {
				Addr string `json:"addr"`
				URL  string `json:"url"`
			}{a.String(), "http://" + a.String() + "/v1"}, "A simulated Campaigner account answers on http://"+a.String()+"/v1\n")
		},
	})
	if err != nil {
		return err
	}
	return <-printed
}
