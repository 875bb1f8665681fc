-- +goose Up

-- The account directory: which accounts hold an address.
CREATE TABLE accounts (
    workspace INTEGER NOT NULL,
    address   TEXT    NOT NULL, -- normalised (recipient.Normalise)
    number    TEXT    NOT NULL, -- as given, trimmed
    PRIMARY KEY (workspace, address, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX accounts_by_number ON accounts (workspace, number, address);

-- +goose Down
SELECT 1; -- migrations only grow
