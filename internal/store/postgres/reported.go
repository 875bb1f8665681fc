package postgres

import (
	"context"
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
func setReported(ctx context.Context, tx pgx.Tx, ws int64, cm campaign.Campaign) error {
	args := append([]any{ws, cm.ID}, reportedArgs(cm)...)
	all := strings.Split(params(len(args)), ", ")
	_, err := tx.Exec(ctx, "UPDATE campaigns SET ("+reportedColumns+") = ROW ("+strings.Join(all[2:], ", ")+") WHERE workspace_id = $1 AND id = $2", args...)
	return err
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
		var got campaign.Upserted
		for _, r := range rows {
			if err := putReported(ctx, tx, ws.num, p, r, now, &got); err != nil {
				return err
			}
		}
		made, err := step(got)
		if err != nil {
			return err
		}
		return saveStep(ctx, tx, ws.num, made)
	})
}

func putReported(ctx context.Context, tx pgx.Tx, ws int64, p provider.Name, r campaign.Reported, now time.Time, got *campaign.Upserted) error {
	if r.ProviderCampaignID == "" {
		return fault.New(fault.Data, "a campaign without the provider's id")
	}
	cm, err := scanCampaign(tx.QueryRow(ctx, "SELECT "+campaignColumns+
		" FROM campaigns WHERE workspace_id = $1 AND provider = $2 AND provider_campaign_id = $3 FOR UPDATE", ws, string(p), r.ProviderCampaignID))
	if fault.Is(found(err, "campaign"), fault.NotFound) {
		got.Inserted++
		return makeReported(ctx, tx, ws, p, r, now)
	}
	if err != nil {
		return err
	}
	if !cm.Follow(r) {
		got.Unchanged++
		if r.Figures == nil {
			return nil
		}
		return setReported(ctx, tx, ws, cm)
	}
	got.Updated++
	cm.UpdatedAt = now
	if err := updateCampaign(ctx, tx, ws, cm); err != nil {
		return err
	}
	return setReported(ctx, tx, ws, cm)
}

// makeReported makes a campaign that only the provider knew.
func makeReported(ctx context.Context, tx pgx.Tx, ws int64, p provider.Name, r campaign.Reported, now time.Time) error {
	num, err := nextCampaign(ctx, tx, ws)
	if err != nil {
		return err
	}
	cm := campaign.Campaign{ID: campaign.NewID(), Name: r.ProviderCampaignID, Provider: p, ProviderCampaignID: r.ProviderCampaignID,
		CreatedAt: now, UpdatedAt: now}
	cm.Follow(r)
	return insertCampaign(ctx, tx, ws, num, cm)
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
