-- Large sets have a table of their own. A search for a key compares it with whole records, and reads those that go beyond
-- their page whole, bitmaps and all.

-- +goose Up
-- +goose StatementBegin
CREATE TABLE rollup_sets (
    num      INTEGER PRIMARY KEY, -- rollups.large
    sets     BLOB NOT NULL,
    quarters BLOB NOT NULL
) STRICT;
-- +goose StatementEnd
ALTER TABLE rollups ADD COLUMN large INTEGER NOT NULL DEFAULT 0; -- 0 = sets and quarters are here, else there
CREATE TEMP TABLE large_rollups AS SELECT workspace, campaign, span, bucket, row_number() OVER (ORDER BY workspace, campaign, span, bucket) AS num
    FROM rollups WHERE length(sets) + length(quarters) > 600;
INSERT INTO rollup_sets (num, sets, quarters) SELECT l.num, r.sets, r.quarters FROM large_rollups l
    JOIN rollups r ON r.workspace = l.workspace AND r.campaign = l.campaign AND r.span = l.span AND r.bucket = l.bucket;
UPDATE rollups SET large = l.num, sets = x'', quarters = x'' FROM large_rollups l
    WHERE rollups.workspace = l.workspace AND rollups.campaign = l.campaign AND rollups.span = l.span AND rollups.bucket = l.bucket;
DROP TABLE large_rollups;
-- +goose StatementBegin
CREATE TRIGGER rollups_written_anew AFTER UPDATE OF large ON rollups WHEN old.large <> 0 AND old.large <> new.large BEGIN
    DELETE FROM rollup_sets WHERE num = old.large;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER rollups_removed AFTER DELETE ON rollups WHEN old.large <> 0 BEGIN
    DELETE FROM rollup_sets WHERE num = old.large;
END;
-- +goose StatementEnd

-- +goose Down
SELECT 1; -- migrations only grow
