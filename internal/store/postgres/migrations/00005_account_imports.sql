-- +goose Up

-- What imports of account directories have read so far, each as it comes. Once one was read to its end, a single transaction
-- takes it over.
CREATE TABLE staged_accounts (
    workspace_id integer          NOT NULL,
    import       uuid             NOT NULL, -- version 7: begins with the time
    address      text COLLATE "C" NOT NULL, -- as in accounts
    number       text COLLATE "C" NOT NULL,
    PRIMARY KEY (workspace_id, import, address, number)
);

-- +goose Down
SELECT 1; -- migrations only grow
