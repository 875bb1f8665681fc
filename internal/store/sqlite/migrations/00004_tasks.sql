-- +goose Up

-- Long work. Its jobs are in River's own tables (migration 6).
CREATE TABLE tasks (
    workspace    INTEGER NOT NULL,
    id           BLOB    NOT NULL,
    kind         TEXT    NOT NULL,
    status       TEXT    NOT NULL,
    params       TEXT    NOT NULL, -- task.Params as JSON
    requested_by TEXT    NOT NULL,
    progress     TEXT    NOT NULL, -- task.Progress as JSON
    state        TEXT,             -- of the work's own form; NULL = nothing yet
    stalls       INTEGER NOT NULL DEFAULT 0,
    error        TEXT    NOT NULL DEFAULT '',
    created_at   INTEGER NOT NULL,
    started_at   INTEGER NOT NULL DEFAULT 0,
    finished_at  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_by_creation ON tasks (workspace, created_at);
CREATE UNIQUE INDEX tasks_running ON tasks (workspace, kind) WHERE status IN ('queued', 'running');

-- When a schedule was last due: of a connection, or of the workspace's account directory.
CREATE TABLE schedules (
    workspace  INTEGER NOT NULL,
    of         BLOB    NOT NULL, -- the id of the connection or of the workspace
    last_due   INTEGER NOT NULL,
    PRIMARY KEY (workspace, of)
) STRICT, WITHOUT ROWID;

-- +goose Down
SELECT 1; -- migrations only grow
