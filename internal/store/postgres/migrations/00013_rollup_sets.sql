-- On SQLite large sets get a table of their own; here they are out of the way by themselves.

-- +goose Up
SELECT 1;

-- +goose Down
SELECT 1; -- migrations only grow
