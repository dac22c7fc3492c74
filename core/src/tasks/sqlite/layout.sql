CREATE TABLE connector (
    name TEXT NOT NULL PRIMARY KEY,
    provider TEXT NOT NULL,
    settings TEXT NOT NULL,          -- JSON
    phase TEXT NOT NULL,             -- installing, ready, updating, removing, failed
    pending TEXT,                    -- settings that are being applied, JSON
    error TEXT,
    incarnation INTEGER NOT NULL,    -- grows with each reset
    created_at INTEGER NOT NULL,     -- milliseconds since 1970, as all times here
    updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE task (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,         -- hash of connector and descriptor
    connector TEXT NOT NULL,
    parent TEXT,                     -- id of the task that spawned it first
    name TEXT NOT NULL,
    descriptor TEXT NOT NULL,        -- canonical JSON
    schedule TEXT NOT NULL,          -- JSON
    absolute INTEGER NOT NULL,       -- 1 if its times stay where they are when the clock jumps
    recurring INTEGER NOT NULL,
    policy TEXT NOT NULL,            -- JSON
    status TEXT NOT NULL,
    state TEXT,                      -- JSON
    generation INTEGER NOT NULL,     -- grows with each start and stop: fences off older steps
    due INTEGER,                     -- NULL when nothing is planned
    tick INTEGER NOT NULL,           -- the time of the schedule that the next run is for
    backlog INTEGER NOT NULL,        -- ticks up to here were missed while no process was there
    running INTEGER NOT NULL,        -- 1 while a step is at work
    rerun INTEGER NOT NULL,          -- 1 if another run follows the present one
    waiting INTEGER NOT NULL,        -- children that the next step waits for
    run INTEGER NOT NULL,            -- number of the present or last run
    run_began INTEGER,               -- NULL between runs
    step INTEGER NOT NULL,           -- steps that the run has made
    attempt INTEGER NOT NULL,        -- failed attempts at the present step
    run_attempts INTEGER NOT NULL,   -- failed attempts in the present run
    crashes INTEGER NOT NULL,        -- times that the process ended in the present step
    failed_runs INTEGER NOT NULL,    -- in a row
    error TEXT,
    reason TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE INDEX task_due ON task (connector, due) WHERE due IS NOT NULL AND running = 0;
CREATE INDEX task_list ON task (connector, number);
CREATE INDEX task_status ON task (connector, status, number);
CREATE INDEX task_children ON task (parent, number) WHERE parent IS NOT NULL;
CREATE INDEX task_running ON task (number) WHERE running = 1;

CREATE TABLE run (
    task INTEGER NOT NULL REFERENCES task (number) ON DELETE CASCADE,
    run INTEGER NOT NULL,
    began INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    steps INTEGER NOT NULL,
    attempts INTEGER NOT NULL,       -- those that failed
    error TEXT,
    PRIMARY KEY (task, run)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
    task INTEGER NOT NULL REFERENCES task (number) ON DELETE CASCADE,
    run INTEGER NOT NULL,
    number INTEGER NOT NULL,         -- in the run
    step INTEGER NOT NULL,
    attempt INTEGER NOT NULL,        -- at the step
    began INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    error TEXT NOT NULL,
    wait INTEGER,                    -- milliseconds
    PRIMARY KEY (task, run, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE awaited (
    parent INTEGER NOT NULL REFERENCES task (number) ON DELETE CASCADE,
    child INTEGER NOT NULL REFERENCES task (number) ON DELETE CASCADE,
    ended INTEGER NOT NULL,
    error TEXT,
    PRIMARY KEY (parent, child)
) STRICT, WITHOUT ROWID;

CREATE INDEX awaited_child ON awaited (child);

PRAGMA application_id = 0x4341525A;
PRAGMA user_version = 1;
