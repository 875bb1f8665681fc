-- +goose Up

-- What imports of account directories have read so far, each as it comes. Once one was read to its end, a single transaction
-- takes it over.
CREATE TABLE staged_accounts (
    workspace_id integer NOT NULL,
    import       uuid    NOT NULL, -- version 7: begins with the time
    part         integer NOT NULL,
    addresses    text[]  NOT NULL,
    numbers      text[]  NOT NULL, -- of the accounts, one an address
    PRIMARY KEY (workspace_id, import, part)
);

-- +goose Down
SELECT 1; -- migrations only grow
