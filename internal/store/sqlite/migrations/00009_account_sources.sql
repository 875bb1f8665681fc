-- +goose Up

-- Where the account directory of a workspace is read from.
CREATE TABLE account_sources (
    workspace INTEGER NOT NULL PRIMARY KEY,
    url       BLOB    NOT NULL, -- sealed
    query     TEXT    NOT NULL,
    schedule  TEXT    NOT NULL  -- as account.Source.Schedule
) STRICT;

-- +goose Down
SELECT 1; -- migrations only grow
