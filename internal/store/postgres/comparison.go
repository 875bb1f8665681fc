package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"monterey/internal/bounce"
	"monterey/internal/campaign"
	"monterey/internal/event"
	"monterey/internal/page"
	"monterey/internal/reconciliation"
	"monterey/internal/task"
	"monterey/internal/workspace"
)

const (
	comparisonColumns = "c.id, c.name, c.provider_campaign_id, k.compared_at, k.ours, k.theirs, k.fetched, k.recovered, k.fault"
	comparisonTables  = "comparisons k JOIN campaigns c ON c.workspace_id = k.workspace_id AND c.num = k.campaign"
)

func scanComparison(r row) (c reconciliation.Comparison, err error) {
	var at int64
	var ours, theirs, fetched, recovered []byte
	if err := r.Scan(&c.Campaign, &c.CampaignName, &c.ProviderCampaignID, &at, &ours, &theirs, &fetched, &recovered, &c.Fault); err != nil {
		return c, err
	}
	c.At = fromMicros(at)
	return c, errors.Join(json.Unmarshal(ours, &c.Ours), json.Unmarshal(theirs, &c.Theirs), json.Unmarshal(fetched, &c.Fetched),
		json.Unmarshal(recovered, &c.Recovered))
}

// PutComparison implements reconciliation.Store.
func (s *Store) PutComparison(ctx context.Context, c workspace.Caller, cmp reconciliation.Comparison, step task.Step) error {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return err
	}
	return s.write(ctx, "put comparison", func(tx pgx.Tx) error {
		num, err := campaignNum(ctx, tx, ws.num, cmp.Campaign)
		if err != nil {
			return err
		}
		if cmp.Recovered, err = recoveredCounts(ctx, tx, ws.num, num); err != nil {
			return err
		}
		args := []any{ws.num, num, micros(cmp.At)}
		for _, of := range []reconciliation.Counts{cmp.Ours, cmp.Theirs, cmp.Fetched, cmp.Recovered} {
			text, err := json.Marshal(of)
			if err != nil {
				return fmt.Errorf("postgres: comparison: %w", err)
			}
			args = append(args, string(text))
		}
		if _, err := tx.Exec(ctx, `INSERT INTO comparisons (workspace_id, campaign, compared_at, ours, theirs, fetched, recovered, fault)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (workspace_id, campaign) DO UPDATE SET compared_at = excluded.compared_at,
			ours = excluded.ours, theirs = excluded.theirs, fetched = excluded.fetched, recovered = excluded.recovered, fault = excluded.fault`,
			append(args, cmp.Fault)...); err != nil {
			return err
		}
		return saveStep(ctx, tx, ws.num, step)
	})
}

// recoveredCounts are the events of a campaign that the provider's reports alone brought.
func recoveredCounts(ctx context.Context, tx pgx.Tx, ws, campaign int64) (reconciliation.Counts, error) {
	var n [6]int64
	c := reconciliation.Counts{Opens: &n[0], Clicks: &n[1], HardBounces: &n[2], SoftBounces: &n[3], Unsubscribes: &n[4], Complaints: &n[5]}
	_, err := query(ctx, tx, func(r row) (_ struct{}, err error) {
		var kind, class, count int64
		err = r.Scan(&kind, &class, &count)
		switch t := event.Type(kind); {
		case t == event.Open:
			n[0] += count
		case t == event.Click:
			n[1] += count
		case t == event.Bounce && bounce.Class(class) == bounce.Hard:
			n[2] += count
		case t == event.Bounce && bounce.Class(class) == bounce.Soft:
			n[3] += count
		case t == event.Unsubscribe:
			n[4] += count
		case t == event.Complaint:
			n[5] += count
		}
		return struct{}{}, err
	}, `SELECT r.type, e.class, count(*) FROM recovered r JOIN events e ON e.workspace_id = r.workspace_id AND e.id = r.id
		WHERE r.workspace_id = $1 AND r.campaign = $2 AND NOT EXISTS (SELECT 1 FROM aliases a WHERE a.workspace_id = r.workspace_id AND a.event = r.id)
		GROUP BY r.type, e.class`, ws, campaign)
	return c, err
}

// GetComparison implements reconciliation.Store.
func (s *Store) GetComparison(ctx context.Context, c workspace.Caller, id campaign.ID) (out reconciliation.Comparison, err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return out, err
	}
	err = s.read(ctx, "get comparison", func(tx pgx.Tx) error {
		out, err = scanComparison(tx.QueryRow(ctx, "SELECT "+comparisonColumns+" FROM "+comparisonTables+
			" WHERE k.workspace_id = $1 AND c.id = $2", ws.num, id))
		return found(err, "comparison")
	})
	return out, err
}

// ListComparisons implements reconciliation.Store.
func (s *Store) ListComparisons(ctx context.Context, c workspace.Caller, campaigns []campaign.ID, p page.Params) (out page.Of[reconciliation.Comparison], err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return out, err
	}
	err = s.read(ctx, "list comparisons", func(tx pgx.Tx) error {
		l := list[reconciliation.Comparison]{columns: comparisonColumns, from: comparisonTables, scan: scanComparison, id: "c.id", sort: "-compared_at",
			sorts: map[string]string{"compared_at": "k.compared_at", "campaign_name": "c.name"}}
		l.where.add("k.workspace_id = ?", ws.num)
		if campaigns != nil {
			l.where.add("c.id = ANY (?::uuid[])", campaigns)
		}
		out, err = l.page(ctx, tx, p)
		return err
	})
	return out, err
}
