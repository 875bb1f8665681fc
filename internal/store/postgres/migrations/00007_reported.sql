-- +goose Up

-- What the provider says of a campaign. Of the figures NULL is unknown; they are asked for at figures_at (0 = never).
ALTER TABLE campaigns
    ADD COLUMN named                boolean NOT NULL DEFAULT false, -- by somebody here
    ADD COLUMN scheduled_at         bigint  NOT NULL DEFAULT 0,
    ADD COLUMN provider_created_at  bigint  NOT NULL DEFAULT 0,
    ADD COLUMN sources              bigint  NOT NULL DEFAULT 0, -- campaign.Sources
    ADD COLUMN figures_at           bigint  NOT NULL DEFAULT 0,
    ADD COLUMN figures_sending      boolean NOT NULL DEFAULT false, -- it was being sent then
    ADD COLUMN figure_sent          bigint,
    ADD COLUMN figure_delivered     bigint,
    ADD COLUMN figure_opens         bigint,
    ADD COLUMN figure_clicks        bigint,
    ADD COLUMN figure_unique_clicks bigint,
    ADD COLUMN figure_hard_bounces  bigint,
    ADD COLUMN figure_soft_bounces  bigint,
    ADD COLUMN figure_complaints    bigint,
    ADD COLUMN figure_unsubscribes  bigint;

-- Until now nobody but users gave names.
UPDATE campaigns SET named = true WHERE NOT discovered;

-- +goose Down
SELECT 1; -- migrations only grow
