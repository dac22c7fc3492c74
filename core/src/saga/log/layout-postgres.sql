CREATE TABLE IF NOT EXISTS car_saga (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    status TEXT NOT NULL,
    step TEXT,                       -- the one that it stands at
    records BIGINT NOT NULL,         -- how many there are
    fence BIGINT NOT NULL,           -- grows with each claim
    held BOOLEAN NOT NULL,           -- whether somebody has the claim
    host TEXT NOT NULL,
    pid BIGINT NOT NULL,
    expires TIMESTAMPTZ NOT NULL,    -- by the clock of the database, as all times here
    created TIMESTAMPTZ NOT NULL,
    updated TIMESTAMPTZ NOT NULL
);

CREATE INDEX IF NOT EXISTS car_saga_updated ON car_saga (updated, id);
CREATE INDEX IF NOT EXISTS car_saga_status ON car_saga (status, updated, id);

CREATE TABLE IF NOT EXISTS car_saga_record (
    saga TEXT COLLATE "C" NOT NULL REFERENCES car_saga (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    at TIMESTAMPTZ NOT NULL,
    event TEXT NOT NULL,             -- JSON
    PRIMARY KEY (saga, number)
);
