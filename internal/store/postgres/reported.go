package postgres

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"monterey/internal/campaign"
	"monterey/internal/fault"
	"monterey/internal/provider"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

// reportedColumns are what a campaign's provider says of it; the figures come last, in the order of campaign.Figures.Each.
const reportedColumns = `scheduled_at, provider_created_at, sources, figures_at, figures_sending, figure_sent, figure_delivered, figure_opens,
	figure_clicks, figure_unique_clicks, figure_hard_bounces, figure_soft_bounces, figure_complaints, figure_unsubscribes`

// reportedRow are these columns.
type reportedRow struct {
	scheduled, created, sources, asOf int64
	figures                           campaign.Figures
}

func (r *reportedRow) pointers() []any {
	out := []any{&r.scheduled, &r.created, &r.sources, &r.asOf, &r.figures.Sending}
	r.figures.Each(func(p **int64) { out = append(out, p) })
	return out
}

func (r *reportedRow) fill(cm *campaign.Campaign) {
	cm.ScheduledAt, cm.ProviderCreatedAt, cm.Sources = fromMicros(r.scheduled), fromMicros(r.created), campaign.Sources(r.sources)
	if r.asOf != 0 {
		r.figures.AsOf = fromMicros(r.asOf)
		cm.Figures = &r.figures
	}
}

// reportedArgs are the columns' values.
func reportedArgs(cm campaign.Campaign) []any {
	var f campaign.Figures
	if cm.Figures != nil {
		f = *cm.Figures
	}
	out := []any{micros(cm.ScheduledAt), micros(cm.ProviderCreatedAt), int64(cm.Sources), micros(f.AsOf), f.Sending}
	f.Each(func(p **int64) { out = append(out, *p) })
	return out
}

// setReported overwrites what is the provider's.
func setReported(b *pgx.Batch, ws int64, cm campaign.Campaign) {
	args := append([]any{ws, cm.ID}, reportedArgs(cm)...)
	all := strings.SplitN(params(len(args)), ", ", 3)
	b.Queue("UPDATE campaigns SET ("+reportedColumns+") = ROW ("+all[2]+") WHERE workspace_id = $1 AND id = $2", args...)
}

// PutReported implements campaign.Store.
func (s *Store) PutReported(ctx context.Context, c workspace.Caller, p provider.Name, rows []campaign.Reported, now time.Time,
	step func(campaign.Upserted) (task.Step, error)) error {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return err
	}
	if len(rows) > campaign.MaxReported {
		return fault.New(fault.Data, "%d campaigns at once; %d at most", len(rows), campaign.MaxReported)
	}
	return s.write(ctx, "put reported campaigns", func(tx pgx.Tx) error {
		got, err := putReported(ctx, tx, ws.num, p, rows, now)
		if err != nil {
			return err
		}
		made, err := step(got)
		if err != nil {
			return err
		}
		return saveStep(ctx, tx, ws.num, made)
	})
}

// putReported follows the rows one after another, as one may be there twice, and then writes what came of each campaign.
func putReported(ctx context.Context, tx pgx.Tx, ws int64, p provider.Name, rows []campaign.Reported, now time.Time) (got campaign.Upserted, err error) {
	known, err := reportedCampaigns(ctx, tx, ws, p, rows)
	if err != nil {
		return got, err
	}
	var changes, figures, fresh []*campaign.Campaign
	for _, r := range rows {
		cm := known[r.ProviderCampaignID]
		switch {
		case cm == nil:
			got.Inserted++
			cm = &campaign.Campaign{ID: campaign.NewID(), Name: r.ProviderCampaignID, Provider: p, ProviderCampaignID: r.ProviderCampaignID,
				CreatedAt: now, UpdatedAt: now}
			cm.Follow(r)
			known[r.ProviderCampaignID], fresh = cm, append(fresh, cm)
		case cm.Follow(r):
			got.Updated++
			cm.UpdatedAt = now
			changes, figures = append(changes, cm), append(figures, cm)
		default:
			got.Unchanged++
			if r.Figures != nil {
				figures = append(figures, cm)
			}
		}
	}
	var b pgx.Batch
	if len(fresh) > 0 {
		num, err := nextCampaigns(ctx, tx, ws, len(fresh))
		if err != nil {
			return got, err
		}
		for i, cm := range fresh {
			insertCampaign(&b, ws, num+int64(i), *cm)
		}
	}
	for _, cm := range changes {
		updateCampaign(&b, ws, *cm)
	}
	for _, cm := range figures {
		setReported(&b, ws, *cm)
	}
	return got, taken(tx.SendBatch(ctx, &b).Close(), campaignTaken)
}

// reportedCampaigns are the campaigns of the rows that are there, by the provider's id, held until the transaction ends. Those
// that are not there nobody else makes meanwhile.
func reportedCampaigns(ctx context.Context, tx pgx.Tx, ws int64, p provider.Name, rows []campaign.Reported) (map[string]*campaign.Campaign, error) {
	ids := make([]string, len(rows))
	for i, r := range rows {
		if ids[i] = r.ProviderCampaignID; ids[i] == "" {
			return nil, fault.New(fault.Data, "a campaign without the provider's id")
		}
	}
	known := make(map[string]*campaign.Campaign, len(rows))
	look := func() error {
		cms, err := query(ctx, tx, scanCampaign, "SELECT "+campaignColumns+` FROM campaigns
			WHERE workspace_id = $1 AND provider = $2 AND provider_campaign_id = ANY ($3) ORDER BY num FOR UPDATE`, ws, string(p), ids)
		for i := range cms {
			known[cms[i].ProviderCampaignID] = &cms[i]
		}
		return err
	}
	if err := look(); err != nil {
		return nil, err
	}
	if missing := slices.ContainsFunc(ids, func(id string) bool { return known[id] == nil }); !missing {
		return known, nil
	}
	if _, err := nextCampaigns(ctx, tx, ws, 0); err != nil { // keeps others from making campaigns
		return nil, err
	}
	return known, look()
}

// CampaignsAfter implements campaign.Store.
func (s *Store) CampaignsAfter(ctx context.Context, c workspace.Caller, p provider.Name, after string, limit int) (out []campaign.Campaign, err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return nil, err
	}
	err = s.read(ctx, "campaigns after", func(tx pgx.Tx) error {
		out, err = query(ctx, tx, scanCampaign, "SELECT "+campaignColumns+` FROM campaigns
			WHERE workspace_id = $1 AND provider = $2 AND provider_campaign_id > $3 ORDER BY provider_campaign_id LIMIT $4`, ws.num, string(p), after, limit)
		return err
	})
	return out, err
}

// AddSources implements campaign.Store.
func (s *Store) AddSources(ctx context.Context, c workspace.Caller, id campaign.ID, k campaign.Sources) error {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return err
	}
	return s.write(ctx, "add sources", func(tx pgx.Tx) error {
		res, err := tx.Exec(ctx, "UPDATE campaigns SET sources = sources | $1 WHERE workspace_id = $2 AND id = $3", int64(k), ws.num, id)
		return changed(res, err, "campaign")
	})
}
