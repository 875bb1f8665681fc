-- Beside the days, the totals of all time (day -1): every list of the whole history tells one, and a history has thousands of days.

-- +goose Up
INSERT INTO historical_counts (workspace, day, class, bounces) SELECT workspace, -1, class, sum(bounces) FROM historical_counts GROUP BY workspace, class;

-- +goose Down
SELECT 1; -- migrations only grow
