package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"monterey/internal/campaign"
	"monterey/internal/page"
	"monterey/internal/workspace"
)

const (
	ownColumns      = "id, provider, provider_campaign_id, name, tags, status, discovered, named, archived, created_at, updated_at"
	campaignColumns = ownColumns + ", " + reportedColumns
)

func scanCampaign(r row) (campaign.Campaign, error) { return scanCampaignAnd(r) }

// scanCampaignAnd reads campaignColumns; more are the columns that follow them.
func scanCampaignAnd(r row, more ...any) (cm campaign.Campaign, err error) {
	var created, updated int64
	var reported reportedRow
	own := append([]any{&cm.ID, &cm.Provider, &cm.ProviderCampaignID, &cm.Name, &cm.Tags, &cm.Status, &cm.Discovered, &cm.Named,
		&cm.Archived, &created, &updated}, reported.pointers()...)
	if err := r.Scan(append(own, more...)...); err != nil {
		return cm, err
	}
	reported.fill(&cm)
	cm.CreatedAt, cm.UpdatedAt = fromMicros(created), fromMicros(updated)
	return cm, nil
}

// campaignNum is the number of a campaign: 0 for the zero ID, NotFound for one that is not there.
func campaignNum(ctx context.Context, tx pgx.Tx, ws int64, id campaign.ID) (num int64, err error) {
	if id == (campaign.ID{}) {
		return 0, nil
	}
	err = tx.QueryRow(ctx, "SELECT num FROM campaigns WHERE workspace_id = $1 AND id = $2", ws, id).Scan(&num)
	return num, found(err, "campaign")
}

// campaignOf is one campaign, archived or not; NotFound for one that is not there.
func campaignOf(ctx context.Context, tx pgx.Tx, ws int64, id campaign.ID) (campaign.Campaign, error) {
	cm, err := scanCampaign(tx.QueryRow(ctx,
		"SELECT "+campaignColumns+" FROM campaigns WHERE workspace_id = $1 AND id = $2", ws, id))
	return cm, found(err, "campaign")
}

// heldCampaign is campaignOf for who changes it next.
func heldCampaign(ctx context.Context, tx pgx.Tx, ws int64, id campaign.ID) (campaign.Campaign, error) {
	cm, err := scanCampaign(tx.QueryRow(ctx,
		"SELECT "+campaignColumns+" FROM campaigns WHERE workspace_id = $1 AND id = $2 FOR UPDATE", ws, id))
	return cm, found(err, "campaign")
}

// campaignsOf are all campaigns that the filter chooses, by number.
func campaignsOf(ctx context.Context, tx pgx.Tx, ws int64, f campaign.Filter) ([]campaign.Campaign, error) {
	w, err := campaignsWhere(ctx, tx, ws, f)
	if err != nil {
		return nil, err
	}
	return query(ctx, tx, scanCampaign, "SELECT "+campaignColumns+" FROM campaigns WHERE "+w.sql()+" ORDER BY num", w.args...)
}

// campaignsWhere is the filter as a condition on campaigns. Those that a search finds are named by number.
func campaignsWhere(ctx context.Context, tx pgx.Tx, ws int64, f campaign.Filter) (w where, err error) {
	w.add("workspace_id = ?", ws)
	if len(f.IDs) > 0 {
		w.add("id = ANY (?::uuid[])", f.IDs)
	} else if !f.IncludeArchived {
		w.add("NOT archived")
	}
	if len(f.ProviderIDs) > 0 {
		w.add("provider_campaign_id = ANY (?)", f.ProviderIDs)
	}
	if len(f.Providers) > 0 {
		w.add("provider = ANY (?)", f.Providers)
	}
	if len(f.Status) > 0 {
		w.add("status = ANY (?)", f.Status)
	}
	if len(f.Tags) > 0 {
		w.add("tags && ?", f.Tags)
	}
	if f.Search != "" {
		nums, err := searchCampaigns(ctx, tx, w, f.Search)
		if err != nil {
			return w, err
		}
		w.add("num = ANY (?)", nums)
	}
	return w, nil
}

func searchCampaigns(ctx context.Context, tx pgx.Tx, w where, search string) (nums []int64, err error) {
	_, err = query(ctx, tx, func(r row) (struct{}, error) {
		var num int64
		var name, providerID string
		err := r.Scan(&num, &name, &providerID)
		if contains(search, name, providerID) {
			nums = append(nums, num)
		}
		return struct{}{}, err
	}, "SELECT num, name, provider_campaign_id FROM campaigns WHERE "+w.sql(), w.args...)
	return nums, err
}

const campaignTaken = "a campaign with this provider_campaign_id exists already"

// CreateCampaign implements campaign.Store.
func (s *Store) CreateCampaign(ctx context.Context, c workspace.Caller, cm campaign.Campaign) error {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return err
	}
	return s.write(ctx, "create campaign", func(tx pgx.Tx) error {
		num, err := nextCampaigns(ctx, tx, ws.num, 1)
		if err != nil {
			return err
		}
		var b pgx.Batch
		insertCampaign(&b, ws.num, num, cm)
		return taken(tx.SendBatch(ctx, &b).Close(), campaignTaken)
	})
}

// nextCampaigns gives out the next n campaign numbers of a workspace and is the first. Whoever makes a campaign asks for its
// number first and then looks whether another has made it, as nobody else gets one until the transaction ends.
func nextCampaigns(ctx context.Context, tx pgx.Tx, ws int64, n int) (first int64, err error) {
	err = tx.QueryRow(ctx, "UPDATE counters SET campaign = campaign + $2 WHERE workspace_id = $1 RETURNING campaign - $2 + 1", ws, n).Scan(&first)
	return first, found(err, "workspace")
}

func insertCampaign(b *pgx.Batch, ws, num int64, cm campaign.Campaign) {
	args := append([]any{ws, num, cm.ID, string(cm.Provider), cm.ProviderCampaignID, cm.Name, array(cm.Tags), cm.Status,
		cm.Discovered, cm.Named, cm.Archived, micros(cm.CreatedAt), micros(cm.UpdatedAt)}, reportedArgs(cm)...)
	b.Queue("INSERT INTO campaigns (workspace_id, num, "+campaignColumns+") VALUES ("+params(len(args))+")", args...)
}

// GetCampaign implements campaign.Store.
func (s *Store) GetCampaign(ctx context.Context, c workspace.Caller, id campaign.ID) (cm campaign.Campaign, err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return cm, err
	}
	err = s.read(ctx, "get campaign", func(tx pgx.Tx) error {
		cm, err = campaignOf(ctx, tx, ws.num, id)
		return err
	})
	return cm, err
}

// ListCampaigns implements campaign.Store.
func (s *Store) ListCampaigns(ctx context.Context, c workspace.Caller, f campaign.Filter, p page.Params) (out page.Of[campaign.Campaign], err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return out, err
	}
	err = s.read(ctx, "list campaigns", func(tx pgx.Tx) error {
		w, err := campaignsWhere(ctx, tx, ws.num, f)
		if err != nil {
			return err
		}
		out, err = list[campaign.Campaign]{
			columns: campaignColumns, from: "campaigns", where: w, scan: scanCampaign, id: "id", sort: "-created_at",
			sorts: map[string]string{"name": "name", "created_at": "created_at", "updated_at": "updated_at",
				"status": "nullif(status, '')", "provider_campaign_id": "provider_campaign_id"},
		}.page(ctx, tx, p)
		return err
	})
	return out, err
}

// UpdateCampaign implements campaign.Store.
func (s *Store) UpdateCampaign(ctx context.Context, c workspace.Caller, cm campaign.Campaign) error {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return err
	}
	return s.write(ctx, "update campaign", func(tx pgx.Tx) error {
		old, err := heldCampaign(ctx, tx, ws.num, cm.ID)
		if err != nil {
			return err
		}
		var b pgx.Batch
		if old.ProviderCampaignID != cm.ProviderCampaignID {
			setReported(&b, ws.num, campaign.Campaign{ID: cm.ID})
		}
		updateCampaign(&b, ws.num, cm)
		return taken(tx.SendBatch(ctx, &b).Close(), campaignTaken)
	})
}

// updateCampaign overwrites what is ours.
func updateCampaign(b *pgx.Batch, ws int64, cm campaign.Campaign) {
	b.Queue(`UPDATE campaigns SET provider_campaign_id = $1, name = $2, tags = $3, status = $4, discovered = $5, named = $6,
		archived = $7, updated_at = $8 WHERE workspace_id = $9 AND id = $10`, cm.ProviderCampaignID, cm.Name, array(cm.Tags), cm.Status,
		cm.Discovered, cm.Named, cm.Archived, micros(cm.UpdatedAt), ws, cm.ID)
}
