-- +goose Up

-- The history of bounces that the provider keeps. Pages walk the key; each index holds the key's columns, so that it alone
-- answers which rows a list has and how many.
CREATE TABLE historical_bounces (
    occurred_at       bigint           NOT NULL,
    updated_at        bigint           NOT NULL, -- unique in the workspace, together with events
    workspace_id      integer          NOT NULL,
    ordinal           integer          NOT NULL,
    class             smallint         NOT NULL,
    id                uuid             NOT NULL,
    provider          text COLLATE "C" NOT NULL,
    provider_event_id text COLLATE "C" NOT NULL,
    reason            text COLLATE "C" NOT NULL, -- '' = unknown
    facts             text COLLATE "C" NOT NULL, -- the rest as JSON, of which there are few different ones; '' = nothing
    PRIMARY KEY (workspace_id, occurred_at, id)
);
CREATE UNIQUE INDEX historical_bounces_by_provider ON historical_bounces (workspace_id, provider, provider_event_id);
CREATE INDEX historical_bounces_by_recipient ON historical_bounces (workspace_id, ordinal, occurred_at, id) INCLUDE (class);
CREATE INDEX historical_bounces_by_class ON historical_bounces (workspace_id, class, occurred_at, id);
CREATE INDEX historical_bounces_by_update ON historical_bounces (workspace_id, updated_at) INCLUDE (class, occurred_at, id);

-- How many there are of each UTC day (days since 1970) and class, so that no list counts its rows.
CREATE TABLE historical_counts (
    workspace_id integer  NOT NULL,
    day          integer  NOT NULL,
    class        smallint NOT NULL,
    bounces      bigint   NOT NULL,
    PRIMARY KEY (workspace_id, day, class)
);

-- Who was erased: few, and asked for with every page of a history.
CREATE INDEX addresses_erased ON addresses (workspace_id, ordinal) WHERE address = '';

-- +goose Down
SELECT 1; -- migrations only grow
