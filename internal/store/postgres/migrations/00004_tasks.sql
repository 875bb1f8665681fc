-- +goose Up

-- Long work. Its jobs are in River's own tables (migration 6).
CREATE TABLE tasks (
    workspace_id integer          NOT NULL,
    id           uuid             NOT NULL,
    kind         text COLLATE "C" NOT NULL,
    status       text COLLATE "C" NOT NULL,
    params       text COLLATE "C" NOT NULL, -- task.Params as JSON
    requested_by text COLLATE "C" NOT NULL,
    progress     text COLLATE "C" NOT NULL, -- task.Progress as JSON
    state        text COLLATE "C",          -- of the work's own form; NULL = nothing yet
    stalls       integer          NOT NULL DEFAULT 0,
    error        text COLLATE "C" NOT NULL DEFAULT '',
    created_at   bigint           NOT NULL,
    started_at   bigint           NOT NULL DEFAULT 0,
    finished_at  bigint           NOT NULL DEFAULT 0,
    PRIMARY KEY (workspace_id, id)
);
CREATE INDEX tasks_by_creation ON tasks (workspace_id, created_at);
CREATE UNIQUE INDEX tasks_running ON tasks (workspace_id, kind) WHERE status IN ('queued', 'running');

-- When a schedule was last due: of a connection, or of the workspace's account directory.
CREATE TABLE schedules (
    workspace_id integer NOT NULL,
    of           uuid    NOT NULL, -- the id of the connection or of the workspace
    last_due     bigint  NOT NULL,
    PRIMARY KEY (workspace_id, of)
);

-- When the accounts of connections may be asked next by any of the processes that do tasks.
CREATE TABLE turns (
    connection uuid   NOT NULL PRIMARY KEY,
    next_at    bigint NOT NULL, -- the first turn that nobody has taken
    held_until bigint NOT NULL  -- the provider wants no request before
) WITH (fillfactor = 50);

-- +goose Down
SELECT 1; -- migrations only grow
