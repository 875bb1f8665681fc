-- +goose Up

-- What the provider says of a campaign. Of the figures NULL is unknown; they are asked for at figures_at (0 = never).
ALTER TABLE campaigns ADD COLUMN named               INTEGER NOT NULL DEFAULT 0; -- by somebody here
ALTER TABLE campaigns ADD COLUMN scheduled_at        INTEGER NOT NULL DEFAULT 0;
ALTER TABLE campaigns ADD COLUMN provider_created_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE campaigns ADD COLUMN sources             INTEGER NOT NULL DEFAULT 0; -- campaign.Sources
ALTER TABLE campaigns ADD COLUMN figures_at          INTEGER NOT NULL DEFAULT 0;
ALTER TABLE campaigns ADD COLUMN figures_sending     INTEGER NOT NULL DEFAULT 0; -- it was being sent then
ALTER TABLE campaigns ADD COLUMN figure_sent         INTEGER;
ALTER TABLE campaigns ADD COLUMN figure_delivered    INTEGER;
ALTER TABLE campaigns ADD COLUMN figure_opens        INTEGER;
ALTER TABLE campaigns ADD COLUMN figure_clicks       INTEGER;
ALTER TABLE campaigns ADD COLUMN figure_unique_clicks INTEGER;
ALTER TABLE campaigns ADD COLUMN figure_hard_bounces INTEGER;
ALTER TABLE campaigns ADD COLUMN figure_soft_bounces INTEGER;
ALTER TABLE campaigns ADD COLUMN figure_complaints   INTEGER;
ALTER TABLE campaigns ADD COLUMN figure_unsubscribes INTEGER;

-- Until now nobody but users gave names.
UPDATE campaigns SET named = 1 WHERE discovered = 0;

-- +goose Down
SELECT 1; -- migrations only grow
