package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"monterey/internal/campaign"
	"monterey/internal/page"
	"monterey/internal/workspace"
)

const (
	runColumns = "r.id, c.id, coalesce(r.provider_run_id, ''), r.started_at, r.finished_at, " + sentColumn + ", r.delivered, r.derived, r.created_at, r.updated_at"
	// sentColumn is campaign.Run's Sent: of the only run of a campaign it may be the provider's figure.
	sentColumn = `coalesce(r.sent, CASE WHEN c.figures_at >= greatest(r.started_at, r.finished_at, 1) AND NOT c.figures_sending AND NOT EXISTS
		(SELECT 1 FROM runs o WHERE o.workspace_id = r.workspace_id AND o.campaign = r.campaign AND o.id <> r.id) THEN c.figure_sent END)`
	runTables = "runs r JOIN campaigns c ON c.workspace_id = r.workspace_id AND c.num = r.campaign"
)

func scanRun(r row) (run campaign.Run, err error) {
	var started, finished, created, updated int64
	err = r.Scan(&run.ID, &run.Campaign, &run.ProviderRunID, &started, &finished, &run.Sent, &run.Delivered, &run.Derived, &created, &updated)
	run.StartedAt, run.FinishedAt = fromMicros(started), fromMicros(finished)
	run.CreatedAt, run.UpdatedAt = fromMicros(created), fromMicros(updated)
	return run, err
}

// runsWhere chooses the runs of these campaigns; nil means all campaigns.
func runsWhere(ws int64, campaigns []campaign.ID) (w where) {
	w.add("r.workspace_id = ?", ws)
	if campaigns != nil {
		w.add("r.campaign IN (SELECT num FROM campaigns WHERE workspace_id = ? AND id = ANY (?::uuid[]))",
			ws, campaigns)
	}
	return w
}

// runsOf are the runs of these campaigns by start; nil means all campaigns.
func runsOf(ctx context.Context, tx pgx.Tx, ws int64, campaigns []campaign.ID) ([]campaign.Run, error) {
	text, args := runsSQL(ws, campaigns)
	return query(ctx, tx, scanRun, text, args...)
}

func runsSQL(ws int64, campaigns []campaign.ID) (text string, args []any) {
	w := runsWhere(ws, campaigns)
	return "SELECT " + runColumns + " FROM " + runTables + " WHERE " + w.sql() + " ORDER BY r.started_at, r.id", w.args
}

// CreateRun implements campaign.Store.
func (s *Store) CreateRun(ctx context.Context, c workspace.Caller, r campaign.Run) error {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return err
	}
	if r.Campaign == (campaign.ID{}) {
		return noSuch("campaign")
	}
	return s.write(ctx, "create run", func(tx pgx.Tx) error {
		num, err := campaignNum(ctx, tx, ws.num, r.Campaign)
		if err != nil {
			return err
		}
		return taken(insertRun(ctx, tx, ws.num, num, r), "a run with this provider_run_id exists already in the campaign")
	})
}

func insertRun(ctx context.Context, tx pgx.Tx, ws, campaignNum int64, r campaign.Run) error {
	_, err := tx.Exec(ctx, `INSERT INTO runs (workspace_id, id, campaign, provider_run_id, started_at, finished_at, sent, delivered, derived,
		created_at, updated_at) VALUES ($1, $2, $3, nullif($4, ''), $5, $6, $7, $8, $9, $10, $11)`,
		ws, r.ID, campaignNum, r.ProviderRunID, micros(r.StartedAt), micros(r.FinishedAt), r.Sent, r.Delivered, r.Derived,
		micros(r.CreatedAt), micros(r.UpdatedAt))
	return err
}

// GetRun implements campaign.Store.
func (s *Store) GetRun(ctx context.Context, c workspace.Caller, id campaign.RunID) (r campaign.Run, err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return r, err
	}
	err = s.read(ctx, "get run", func(tx pgx.Tx) error {
		r, err = scanRun(tx.QueryRow(ctx, "SELECT "+runColumns+" FROM "+runTables+" WHERE r.workspace_id = $1 AND r.id = $2", ws.num, id))
		return found(err, "run")
	})
	return r, err
}

// ListRuns implements campaign.Store.
func (s *Store) ListRuns(ctx context.Context, c workspace.Caller, campaigns []campaign.ID, p page.Params) (out page.Of[campaign.Run], err error) {
	ws, err := s.workspace(ctx, c)
	if err != nil {
		return out, err
	}
	err = s.read(ctx, "list runs", func(tx pgx.Tx) error {
		out, err = list[campaign.Run]{
			columns: runColumns, from: runTables, where: runsWhere(ws.num, campaigns), scan: scanRun, id: "r.id", sort: "-started_at",
			sorts: map[string]string{"started_at": "r.started_at", "created_at": "r.created_at"},
		}.page(ctx, tx, p)
		return err
	})
	return out, err
}
