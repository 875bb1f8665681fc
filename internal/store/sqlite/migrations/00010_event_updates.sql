-- The index of updates has the recipient too: filling the history reads nothing else.

-- +goose Up
DROP INDEX events_by_update;
CREATE INDEX events_by_update ON events (workspace, updated_at, ordinal);

-- +goose Down
SELECT 1; -- migrations only grow
