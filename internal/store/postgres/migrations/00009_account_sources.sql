-- +goose Up

-- Where the account directory of a workspace is read from.
CREATE TABLE account_sources (
    workspace_id integer          NOT NULL PRIMARY KEY,
    url          bytea            NOT NULL, -- sealed
    query        text COLLATE "C" NOT NULL,
    schedule     text COLLATE "C" NOT NULL  -- as account.Source.Schedule
);

-- +goose Down
SELECT 1; -- migrations only grow
