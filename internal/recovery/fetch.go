package recovery

import (
	"context"
	"fmt"
	"time"

	"monterey/internal/campaign"
	"monterey/internal/campaigner"
	"monterey/internal/event"
	"monterey/internal/ingest"
	"monterey/internal/provider"
	"monterey/internal/reconciliation"
)

// reports are the provider's lists of the kinds of event, but for clicks, which are read link by link.
var reports = []struct {
	kind campaign.Sources
	list campaigner.Report
}{
	{campaign.Opens, campaigner.OpensReport},
	{campaign.HardBounces, campaigner.HardBounceReport},
	{campaign.SoftBounces, campaigner.SoftBounceReport},
	{campaign.Unsubscribes, campaigner.RemovesReport},
	{campaign.Complaints, campaigner.ComplaintsReport},
}

// fetch reads the reports of these kinds to their ends, puts their rows into the inbox, and notes in the state that they
// are to be waited for.
func (r *run) fetch(ctx context.Context, cm campaign.Campaign, theirs reconciliation.Counts, kinds campaign.Sources) error {
	f := &fetched{run: r, recovery: campaigner.Recovery{Campaign: cm.ProviderCampaignID,
		Recovery: event.Recovery{AllOpens: r.conn.RecoverOpens == provider.AllOpens}}}
	for _, report := range reports {
		if !kinds.Has(report.kind) {
			continue
		}
		err := f.walk(ctx, report.list, event.Link{}, func(ctx context.Context, p campaigner.ListParams) (campaigner.Page[campaigner.Contact], error) {
			return r.client.Report(ctx, cm.ProviderCampaignID, report.list, p)
		})
		if err != nil {
			return err
		}
	}
	if kinds.Has(campaign.Clicks) {
		if err := f.clicks(ctx, cm.ProviderCampaignID); err != nil {
			return err
		}
	}
	w := waiting{Campaign: cm.ID.UUID, Theirs: theirs, Sources: kinds}
	for body, objects := range f.recovery.Bodies() {
		b := ingest.Body{Workspace: r.caller.Workspace(), Connection: r.conn.ID, Raw: body, Objects: objects}
		id, _, err := r.Inbox.Append(ctx, b)
		if err != nil {
			return err
		}
		w.Deliveries = append(w.Deliveries, id)
	}
	r.state.Waiting = append(r.state.Waiting, w)
	r.done(cm)
	return r.save(ctx)
}

// fetched gathers the rows of a campaign's reports.
type fetched struct {
	*run
	recovery campaigner.Recovery
}

// walk reads one list to its end.
func (f *fetched) walk(ctx context.Context, report campaigner.Report, link event.Link,
	list func(context.Context, campaigner.ListParams) (campaigner.Page[campaigner.Contact], error)) error {
	seen := map[string]bool{}
	end, err := campaigner.Walk(ctx, list, campaigner.Cursor{}, func(_ context.Context, p campaigner.Page[campaigner.Contact], _ campaigner.Cursor) (int, error) {
		f.from(p.Date)
		f.task.Progress.Pages++
		fresh := 0
		for _, row := range p.Items {
			if k := string(row.Raw); !seen[k] {
				seen[k] = true
				fresh++
				f.recovery.Rows = append(f.recovery.Rows, campaigner.RecoveredRow{Report: report, Link: link, Contact: row})
			}
		}
		return fresh, nil
	})
	if err == nil && end.Missing > 0 {
		err = fmt.Errorf("recovery: %s of campaign %s: the provider counts %d rows more than it gives", report, f.recovery.Campaign, end.Missing)
	}
	return err
}

// from notes when the first report was fetched.
func (f *fetched) from(date time.Time) {
	if date.IsZero() {
		date = f.Now()
	}
	if at := f.recovery.Fetched; at.IsZero() || date.Before(at) {
		f.recovery.Fetched = date.UTC()
	}
}

// clicks reads the clicks of every link.
func (f *fetched) clicks(ctx context.Context, id string) error {
	links, err := f.client.Links(ctx, id)
	if err != nil {
		return err
	}
	for _, l := range links {
		if l.ID == "" {
			continue // of no use: its clicks cannot be asked for
		}
		err := f.walk(ctx, campaigner.ClicksReport, event.Link{ID: l.ID, URL: l.URL}, func(ctx context.Context, p campaigner.ListParams) (campaigner.Page[campaigner.Contact], error) {
			return f.client.LinkClicks(ctx, id, l.ID, p)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
