-- Times are integers: microseconds since 1970 (UTC), 0 = none. Workspaces, campaigns, connections and links have small
-- numbers of their own here, because a key of two 16-byte ids in every index costs a third of the ingest rate and 100
-- bytes an event (measured at 3 M events). The numbers never leave this database.

-- +goose Up

-- Directory: the tables that belong to no workspace.
CREATE TABLE workspaces (
    num          INTEGER PRIMARY KEY AUTOINCREMENT,
    id           BLOB    NOT NULL UNIQUE,
    name         TEXT    NOT NULL,
    timezone     TEXT    NOT NULL,
    identity_key BLOB    NOT NULL, -- 32 random bytes: the key of event ids and recipients' hashes
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL,
    deleted_at   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE users (
    id             BLOB    NOT NULL PRIMARY KEY,
    email          TEXT    NOT NULL,
    display_name   TEXT    NOT NULL,
    platform_admin INTEGER NOT NULL,
    created_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE memberships (
    workspace  INTEGER NOT NULL REFERENCES workspaces (num),
    user       BLOB    NOT NULL REFERENCES users (id),
    role       TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (workspace, user)
) STRICT, WITHOUT ROWID;
CREATE INDEX memberships_by_user ON memberships (user, workspace);

CREATE TABLE api_keys (
    id             BLOB    NOT NULL PRIMARY KEY,
    workspace      INTEGER NOT NULL, -- 0 for a key of the platform
    platform_admin INTEGER NOT NULL,
    name           TEXT    NOT NULL,
    role           TEXT    NOT NULL,
    hash           BLOB    NOT NULL UNIQUE, -- SHA-256 of the token
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    last_used_at   INTEGER NOT NULL DEFAULT 0,
    revoked_at     INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_by_workspace ON api_keys (workspace, created_at);

CREATE TABLE connections (
    num               INTEGER PRIMARY KEY AUTOINCREMENT,
    workspace         INTEGER NOT NULL REFERENCES workspaces (num),
    id                BLOB    NOT NULL UNIQUE,
    provider          TEXT    NOT NULL,
    base_url          TEXT    NOT NULL,
    provider_timezone TEXT    NOT NULL,
    sync_schedule     TEXT    NOT NULL,
    webhook_mac       BLOB, -- NULL while no webhook key is set
    api_key           BLOB, -- sealed; NULL while none is set
    created_at        INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL,
    deleted_at        INTEGER NOT NULL DEFAULT 0 -- deliveries still name it
) STRICT;
CREATE UNIQUE INDEX connections_by_provider ON connections (workspace, provider) WHERE deleted_at = 0;
CREATE UNIQUE INDEX connections_by_webhook ON connections (webhook_mac) WHERE deleted_at = 0;

-- How far each inbox has been counted. An epoch is one opening of the inbox by a server; number orders the epochs and
-- makes a delivery's number: number << 40 | seq.
CREATE TABLE marks (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    epoch  INTEGER NOT NULL UNIQUE,
    seq    INTEGER NOT NULL
) STRICT;

-- What a workspace counts up: the last numbers given out, how far scheduled work has come, and the intake's sums.
CREATE TABLE counters (
    workspace    INTEGER NOT NULL PRIMARY KEY,
    stamp        INTEGER NOT NULL DEFAULT 0, -- the newest updated_at
    ordinal      INTEGER NOT NULL DEFAULT 0,
    campaign     INTEGER NOT NULL DEFAULT 0,
    link         INTEGER NOT NULL DEFAULT 0,
    history      INTEGER NOT NULL DEFAULT 0, -- events with updated_at up to here are in history
    human        INTEGER NOT NULL DEFAULT 0, -- rules that look at several events have seen updated_at up to here
    done         INTEGER NOT NULL DEFAULT 0, -- deliveries by state
    partial      INTEGER NOT NULL DEFAULT 0,
    held         INTEGER NOT NULL DEFAULT 0,
    inserted     INTEGER NOT NULL DEFAULT 0, -- objects by outcome
    duplicate    INTEGER NOT NULL DEFAULT 0,
    ignored      INTEGER NOT NULL DEFAULT 0,
    quarantined  INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE campaigns (
    workspace            INTEGER NOT NULL,
    num                  INTEGER NOT NULL, -- from 1; 0 stands for no campaign, -1 for all of the workspace
    id                   BLOB    NOT NULL,
    provider             TEXT    NOT NULL,
    provider_campaign_id TEXT    NOT NULL,
    name                 TEXT    NOT NULL,
    tags                 TEXT    NOT NULL, -- a JSON array of strings
    status               TEXT    NOT NULL,
    discovered           INTEGER NOT NULL,
    archived             INTEGER NOT NULL,
    created_at           INTEGER NOT NULL,
    updated_at           INTEGER NOT NULL,
    PRIMARY KEY (workspace, num),
    UNIQUE (workspace, id),
    UNIQUE (workspace, provider, provider_campaign_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    workspace       INTEGER NOT NULL,
    id              BLOB    NOT NULL,
    campaign        INTEGER NOT NULL,
    provider_run_id TEXT, -- NULL = unknown
    started_at      INTEGER NOT NULL,
    finished_at     INTEGER NOT NULL,
    sent            INTEGER,
    delivered       INTEGER,
    derived         INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL,
    PRIMARY KEY (workspace, id),
    UNIQUE (workspace, campaign, provider_run_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX runs_by_start ON runs (workspace, campaign, started_at);

-- Reports about runs, from which derived runs are worked out: (campaign, kind, at) is one mark, whoever reported it. at is
-- in Unix seconds.
CREATE TABLE run_marks (
    workspace INTEGER NOT NULL,
    campaign  INTEGER NOT NULL,
    kind      INTEGER NOT NULL,
    at        INTEGER NOT NULL,
    sent      INTEGER,
    delivery  INTEGER NOT NULL,
    PRIMARY KEY (workspace, campaign, kind, at, delivery)
) STRICT, WITHOUT ROWID;

CREATE TABLE recipients (
    workspace INTEGER NOT NULL,
    hash      BLOB    NOT NULL, -- recipient.HashOf
    ordinal   INTEGER NOT NULL,
    PRIMARY KEY (workspace, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE addresses (
    workspace INTEGER NOT NULL,
    ordinal   INTEGER NOT NULL,
    address   TEXT    NOT NULL, -- normalised; '' once erased
    PRIMARY KEY (workspace, ordinal)
) STRICT, WITHOUT ROWID;

-- The recipients of each domain: chunk is ordinal >> 16, members a Roaring bitmap of whole ordinals.
CREATE TABLE domains (
    workspace INTEGER NOT NULL,
    domain    TEXT    NOT NULL,
    chunk     INTEGER NOT NULL,
    members   BLOB    NOT NULL,
    PRIMARY KEY (workspace, domain, chunk)
) STRICT, WITHOUT ROWID;

CREATE TABLE links (
    workspace INTEGER NOT NULL,
    num       INTEGER NOT NULL,
    campaign  INTEGER NOT NULL,
    key       TEXT    NOT NULL, -- event.Link.Key
    link_id   TEXT    NOT NULL,
    url       TEXT    NOT NULL,
    PRIMARY KEY (workspace, num),
    UNIQUE (workspace, campaign, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
    workspace   INTEGER NOT NULL,
    id          BLOB    NOT NULL, -- event.ID: begins with the time
    campaign    INTEGER NOT NULL,
    type        INTEGER NOT NULL,
    ordinal     INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL, -- unique in the workspace
    received_at INTEGER NOT NULL,
    actor       INTEGER NOT NULL, -- 0 = human, else the rule (event.Rule)
    class       INTEGER NOT NULL, -- of bounces
    source      INTEGER NOT NULL,
    link        INTEGER NOT NULL, -- of clicks, else 0
    delivery    INTEGER NOT NULL, -- the number of the first delivery that reported it
    ip          TEXT,
    facts       TEXT,             -- the rest of event.Facts as JSON; NULL = nothing
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX events_by_campaign ON events (workspace, campaign, type, id, ordinal);
CREATE INDEX events_by_type ON events (workspace, type, id);
CREATE INDEX events_by_update ON events (workspace, updated_at);

-- Further deliveries that reported an event, beside the one that the event names.
CREATE TABLE reports (
    workspace INTEGER NOT NULL,
    event     BLOB    NOT NULL,
    delivery  INTEGER NOT NULL,
    PRIMARY KEY (workspace, event, delivery)
) STRICT, WITHOUT ROWID;

-- Events that were taken back.
CREATE TABLE removals (
    workspace  INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    id         BLOB    NOT NULL,
    type       INTEGER NOT NULL,
    ordinal    INTEGER NOT NULL,
    campaign   INTEGER NOT NULL,
    PRIMARY KEY (workspace, updated_at)
) STRICT, WITHOUT ROWID;

-- The events of each recipient, filled later in large sorted batches: counters.history says how far.
CREATE TABLE history (
    workspace INTEGER NOT NULL,
    ordinal   INTEGER NOT NULL,
    id        BLOB    NOT NULL,
    PRIMARY KEY (workspace, ordinal, id)
) STRICT, WITHOUT ROWID;

-- rollup.Row by campaign (-1: the whole workspace, without sets), span and bucket.
CREATE TABLE rollups (
    workspace INTEGER NOT NULL,
    campaign  INTEGER NOT NULL,
    span      INTEGER NOT NULL,
    bucket    INTEGER NOT NULL,
    counts    BLOB    NOT NULL,
    sets      BLOB    NOT NULL,
    PRIMARY KEY (workspace, campaign, span, bucket)
) STRICT, WITHOUT ROWID;

-- Why a recipient is not to be mailed: the earliest event of each reason.
CREATE TABLE suppressions (
    workspace   INTEGER NOT NULL,
    ordinal     INTEGER NOT NULL,
    reason      INTEGER NOT NULL,
    event       BLOB    NOT NULL,
    occurred_at INTEGER NOT NULL,
    source      INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (workspace, ordinal, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE deliveries (
    workspace   INTEGER NOT NULL,
    num         INTEGER NOT NULL, -- marks.number << 40 | seq
    connection  INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    objects     INTEGER NOT NULL,
    bytes       INTEGER NOT NULL,
    inserted    INTEGER NOT NULL,
    duplicate   INTEGER NOT NULL,
    ignored     INTEGER NOT NULL,
    quarantined INTEGER NOT NULL,
    results     BLOB    NOT NULL, -- an outcome, an event id and a reason an object (see delivery.go)
    archive     INTEGER NOT NULL, -- archives.num
    start       INTEGER NOT NULL, -- where the body begins in the unpacked archive
    PRIMARY KEY (workspace, num)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_unfinished ON deliveries (workspace, state, num) WHERE state <> 1;

-- Raw bodies, those of one batch together, packed with zstd.
CREATE TABLE archives (
    workspace  INTEGER NOT NULL,
    num        INTEGER NOT NULL, -- of the first delivery in it
    last       INTEGER NOT NULL, -- of the last one
    created_at INTEGER NOT NULL,
    bodies     BLOB    NOT NULL,
    PRIMARY KEY (workspace, num)
) STRICT, WITHOUT ROWID;
CREATE INDEX archives_by_age ON archives (created_at);

-- +goose Down
SELECT 1; -- migrations only grow
