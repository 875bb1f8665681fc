-- +goose Up

-- The history of bounces that the provider keeps. Pages walk the key; each index holds the place, so that it alone answers
-- which rows a list has and how many.
CREATE TABLE historical_bounces (
    workspace         INTEGER NOT NULL,
    place             BLOB    NOT NULL, -- occurred_at in microseconds, 8 bytes from the highest, and then the id
    provider          TEXT    NOT NULL,
    provider_event_id TEXT    NOT NULL,
    ordinal           INTEGER NOT NULL,
    class             INTEGER NOT NULL,
    updated_at        INTEGER NOT NULL, -- unique in the workspace, together with events
    reason            TEXT    NOT NULL, -- '' = unknown
    facts             TEXT    NOT NULL, -- the rest as JSON, of which there are few different ones; '' = nothing
    PRIMARY KEY (workspace, place)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX historical_bounces_by_provider ON historical_bounces (workspace, provider, provider_event_id);
CREATE INDEX historical_bounces_by_recipient ON historical_bounces (workspace, ordinal, place, class);
CREATE INDEX historical_bounces_by_class ON historical_bounces (workspace, class, place);
CREATE INDEX historical_bounces_by_update ON historical_bounces (workspace, updated_at, class, place);

-- How many there are of each UTC day (days since 1970) and class, so that no list counts its rows.
CREATE TABLE historical_counts (
    workspace INTEGER NOT NULL,
    day       INTEGER NOT NULL,
    class     INTEGER NOT NULL,
    bounces   INTEGER NOT NULL,
    PRIMARY KEY (workspace, day, class)
) STRICT, WITHOUT ROWID;

-- Who was erased: few, and asked for with every page of a history.
CREATE INDEX addresses_erased ON addresses (workspace, ordinal) WHERE address = '';

-- +goose Down
SELECT 1; -- migrations only grow
