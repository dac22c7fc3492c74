CREATE TABLE saga (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    step TEXT,                       -- the one that it stands at
    records INTEGER NOT NULL,        -- how many there are
    fence INTEGER NOT NULL,          -- grows with each claim
    held INTEGER NOT NULL,           -- 1 while somebody has the claim
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    instance TEXT,                   -- names the file that its holder keeps locked
    expires INTEGER NOT NULL,        -- milliseconds since 1970, as all times here
    boot TEXT,                       -- the machine's start that the next one counts from
    expires_uptime INTEGER,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX saga_updated ON saga (updated, id);
CREATE INDEX saga_status ON saga (status, updated, id);
CREATE INDEX saga_instance ON saga (instance) WHERE held = 1;

CREATE TABLE record (
    saga TEXT NOT NULL REFERENCES saga (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    event TEXT NOT NULL,             -- JSON
    PRIMARY KEY (saga, number)
) STRICT, WITHOUT ROWID;

PRAGMA application_id = 0x43415247;
PRAGMA user_version = 1;
