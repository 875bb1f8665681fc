-- +goose Up

-- Campaigns that something was read of from the provider's reports: what arrives for others needs no look at the tables below.
CREATE TABLE recovered_campaigns (
    workspace INTEGER NOT NULL,
    campaign  INTEGER NOT NULL,
    PRIMARY KEY (workspace, campaign)
) STRICT, WITHOUT ROWID;

-- Events that no webhook had brought when they were read from the provider.
CREATE TABLE recovered (
    workspace INTEGER NOT NULL,
    campaign  INTEGER NOT NULL,
    type      INTEGER NOT NULL,
    ordinal   INTEGER NOT NULL,
    id        BLOB    NOT NULL,
    fetched   INTEGER NOT NULL, -- event.Recovery
    all_opens INTEGER NOT NULL,
    PRIMARY KEY (workspace, campaign, type, ordinal, id)
) STRICT, WITHOUT ROWID;

-- Other names of events.
CREATE TABLE aliases (
    workspace INTEGER NOT NULL,
    id        BLOB    NOT NULL,
    event     BLOB    NOT NULL,
    delivery  INTEGER NOT NULL, -- that showed it
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX aliases_by_event ON aliases (workspace, event);
CREATE INDEX aliases_by_delivery ON aliases (workspace, delivery);

-- The last comparison of a campaign's counts with the provider's.
CREATE TABLE comparisons (
    workspace   INTEGER NOT NULL,
    campaign    INTEGER NOT NULL,
    compared_at INTEGER NOT NULL,
    ours        TEXT    NOT NULL, -- reconciliation.Counts as JSON, and so the next three
    theirs      TEXT    NOT NULL,
    fetched     TEXT    NOT NULL,
    recovered   TEXT    NOT NULL,
    fault       TEXT    NOT NULL,
    PRIMARY KEY (workspace, campaign)
) STRICT, WITHOUT ROWID;

ALTER TABLE connections ADD COLUMN recover_opens TEXT NOT NULL DEFAULT ''; -- provider.Connection.RecoverOpens

-- Everything that was received until then has been seen by the rules that look at several events; 0 = unknown.
ALTER TABLE counters ADD COLUMN human_as_of INTEGER NOT NULL DEFAULT 0;

-- +goose Down
SELECT 1; -- migrations only grow
