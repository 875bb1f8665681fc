-- On SQLite an index of updates gets the recipient; here histories are not filled from it.

-- +goose Up
SELECT 1;

-- +goose Down
SELECT 1; -- migrations only grow
