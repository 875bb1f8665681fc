-- +goose Up

-- How far the imports of a workspace's account directory have come. An import writes its changes in many transactions;
-- nobody sees them until one statement makes it the current import.
CREATE TABLE account_imports (
    workspace_id integer NOT NULL PRIMARY KEY,
    began        bigint  NOT NULL, -- the newest import that began to write
    settled      bigint  NOT NULL, -- the newest one that left only rows that are seen
    current      bigint  NOT NULL  -- the newest one whose changes are seen
);

-- change is the import that adds the row; negative, the one that removes it. A row is seen if 0 <= change <= current (added),
-- or change < -current (its removal is not current yet).
ALTER TABLE accounts ADD COLUMN change bigint NOT NULL DEFAULT 0;
DROP INDEX accounts_by_number;
CREATE INDEX accounts_by_number ON accounts (workspace_id, number, address, change);

-- +goose Down
SELECT 1; -- migrations only grow
