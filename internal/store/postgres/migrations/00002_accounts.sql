-- +goose Up

-- The account directory: which accounts hold an address.
CREATE TABLE accounts (
    workspace_id integer          NOT NULL,
    address      text COLLATE "C" NOT NULL, -- normalised (recipient.Normalise)
    number       text COLLATE "C" NOT NULL, -- as given, trimmed
    PRIMARY KEY (workspace_id, address, number)
);
CREATE INDEX accounts_by_number ON accounts (workspace_id, number, address);

-- +goose Down
SELECT 1; -- migrations only grow
