-- +goose Up

-- Campaigns that something was read of from the provider's reports: what arrives for others needs no look at the tables below.
CREATE TABLE recovered_campaigns (
    workspace_id integer NOT NULL,
    campaign     integer NOT NULL,
    PRIMARY KEY (workspace_id, campaign)
);

-- Events that no webhook had brought when they were read from the provider.
CREATE TABLE recovered (
    workspace_id integer  NOT NULL,
    campaign     integer  NOT NULL,
    fetched      bigint   NOT NULL, -- event.Recovery
    ordinal      integer  NOT NULL,
    type         smallint NOT NULL,
    all_opens    boolean  NOT NULL,
    id           uuid     NOT NULL,
    PRIMARY KEY (workspace_id, campaign, type, ordinal, id)
);

-- Other names of events.
CREATE TABLE aliases (
    delivery     bigint  NOT NULL, -- that showed it
    workspace_id integer NOT NULL,
    id           uuid    NOT NULL,
    event        uuid    NOT NULL,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX aliases_by_event ON aliases (workspace_id, event);
CREATE INDEX aliases_by_delivery ON aliases (workspace_id, delivery);

-- The last comparison of a campaign's counts with the provider's.
CREATE TABLE comparisons (
    workspace_id integer          NOT NULL,
    campaign     integer          NOT NULL,
    compared_at  bigint           NOT NULL,
    ours         text COLLATE "C" NOT NULL, -- reconciliation.Counts as JSON, and so the next three
    theirs       text COLLATE "C" NOT NULL,
    fetched      text COLLATE "C" NOT NULL,
    recovered    text COLLATE "C" NOT NULL,
    fault        text COLLATE "C" NOT NULL,
    PRIMARY KEY (workspace_id, campaign)
);

ALTER TABLE connections ADD COLUMN recover_opens text COLLATE "C" NOT NULL DEFAULT ''; -- provider.Connection.RecoverOpens

-- Everything that was received until then has been seen by the rules that look at several events; 0 = unknown.
ALTER TABLE counters ADD COLUMN human_as_of bigint NOT NULL DEFAULT 0;

-- +goose Down
SELECT 1; -- migrations only grow
