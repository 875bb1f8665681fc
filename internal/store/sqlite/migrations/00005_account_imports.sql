-- +goose Up

-- How far the imports of a workspace's account directory have come. An import writes its changes in many transactions, as
-- the writer is shared; nobody sees them until one statement makes it the current import.
CREATE TABLE account_imports (
    workspace INTEGER NOT NULL PRIMARY KEY,
    began     INTEGER NOT NULL, -- the newest import that began to write
    settled   INTEGER NOT NULL, -- the newest one that left only rows that are seen
    current   INTEGER NOT NULL  -- the newest one whose changes are seen
) STRICT;

-- change is the import that adds the row; negative, the one that removes it. A row is seen if 0 <= change <= current (added),
-- or change < -current (its removal is not current yet).
ALTER TABLE accounts ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
DROP INDEX accounts_by_number;
CREATE INDEX accounts_by_number ON accounts (workspace, number, address, change);

-- +goose Down
SELECT 1; -- migrations only grow
