CREATE TABLE lease (
    source TEXT NOT NULL PRIMARY KEY,
    fence INTEGER NOT NULL,          -- grows with every holder
    held INTEGER NOT NULL,           -- 0 once it is given back
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    since INTEGER NOT NULL,          -- milliseconds since 1970
    ttl INTEGER NOT NULL,            -- milliseconds
    expires INTEGER NOT NULL,        -- milliseconds since 1970
    boot TEXT,                       -- start of the machine that the next column counts from
    expires_uptime INTEGER,          -- milliseconds
    locked INTEGER NOT NULL          -- 1 if a locked file shows that the holder lives
) STRICT, WITHOUT ROWID;

CREATE TABLE run (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL,
    open INTEGER NOT NULL,           -- 1 while it works or can be resumed
    mode TEXT NOT NULL,
    connector TEXT NOT NULL,
    version TEXT NOT NULL,
    settings TEXT NOT NULL,
    extension TEXT,
    started_at INTEGER NOT NULL,     -- milliseconds since 1970
    report_key TEXT NOT NULL,
    present_state TEXT,
    edge_log_len INTEGER NOT NULL,   -- bytes
    edges_from INTEGER NOT NULL DEFAULT 0, -- bytes of the edge log that are settled
    session TEXT,                    -- the session at the CAR service
    swept INTEGER NOT NULL DEFAULT 0, -- 1 once its session is closed
    sealed INTEGER NOT NULL DEFAULT 0, -- 1 while its session is being closed
    progress TEXT,                   -- the engine's own notes
    resumes INTEGER NOT NULL,
    ended_at INTEGER,
    outcome TEXT,
    error TEXT,                      -- a list, as JSON
    report TEXT                      -- JSON
) STRICT;

CREATE UNIQUE INDEX run_open ON run (source) WHERE open = 1;
CREATE INDEX run_source ON run (source, id);

CREATE TABLE scope (
    run INTEGER NOT NULL REFERENCES run (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    cursor TEXT,                     -- NULL at the start and at the end
    complete INTEGER NOT NULL,
    pages INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    error TEXT,                      -- a list, as JSON
    settled INTEGER NOT NULL DEFAULT 0, -- 1 once a session was closed for it
    PRIMARY KEY (run, name)
) STRICT, WITHOUT ROWID;

PRAGMA application_id = 0x43415253;
PRAGMA user_version = 2;
