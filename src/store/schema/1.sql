-- The audit trail: a chain of records. docs/audit-trail.md gives the form that `hash` is made over.
CREATE TABLE trail (
    seq       INTEGER PRIMARY KEY,
    time      TEXT NOT NULL,
    object    TEXT,
    service   TEXT,
    incident  TEXT,
    actor     TEXT NOT NULL,
    kind      TEXT NOT NULL,
    step      TEXT,
    outcome   TEXT,
    evidence  TEXT NOT NULL,
    prev_hash TEXT NOT NULL,
    hash      TEXT NOT NULL
) STRICT;
CREATE INDEX trail_object ON trail (object, seq);
CREATE INDEX trail_incident ON trail (incident, seq);

-- The last record, written with it: without this a trail that lost its end would look whole.
CREATE TABLE head (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    seq  INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;
INSERT INTO head VALUES (1, 0, '0000000000000000000000000000000000000000000000000000000000000000');

-- Whoever may write the file can drop these; they stand against mistakes, the chain against the rest.
CREATE TRIGGER trail_append_only BEFORE INSERT ON trail
WHEN NOT EXISTS (SELECT 1 FROM head WHERE seq + 1 = NEW.seq AND hash = NEW.prev_hash)
BEGIN SELECT RAISE(ABORT, 'the audit trail only grows at its end'); END;
CREATE TRIGGER trail_no_update BEFORE UPDATE ON trail
BEGIN SELECT RAISE(ABORT, 'a record of the audit trail is never changed'); END;
CREATE TRIGGER trail_no_delete BEFORE DELETE ON trail
BEGIN SELECT RAISE(ABORT, 'a record of the audit trail is never deleted'); END;
CREATE TRIGGER head_rises BEFORE UPDATE ON head
WHEN NEW.seq <> OLD.seq + 1
BEGIN SELECT RAISE(ABORT, 'the head of the audit trail rises by one'); END;
CREATE TRIGGER head_stays BEFORE DELETE ON head
BEGIN SELECT RAISE(ABORT, 'the head of the audit trail is never deleted'); END;

-- Steps that were intended and of which no outcome is known yet.
CREATE TABLE open_steps (
    intent   INTEGER PRIMARY KEY REFERENCES trail (seq),
    step     TEXT NOT NULL,
    services TEXT NOT NULL
) STRICT;

CREATE TABLE incidents (
    id        TEXT PRIMARY KEY,
    object    TEXT NOT NULL,
    opened_at TEXT NOT NULL,
    closed_at TEXT,
    outcome   TEXT,
    drift     TEXT NOT NULL,
    before    TEXT NOT NULL,
    after     TEXT,
    CHECK ((closed_at IS NULL) = (outcome IS NULL))
) STRICT;
CREATE UNIQUE INDEX one_open_incident ON incidents (object) WHERE closed_at IS NULL;
CREATE INDEX incidents_by_time ON incidents (object, opened_at);

CREATE TABLE generations (
    object TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    digest TEXT NOT NULL
) STRICT;

CREATE TABLE objects (
    name        TEXT PRIMARY KEY,
    recorded_at TEXT NOT NULL,
    object      TEXT NOT NULL
) STRICT;

-- `source_digest` is '' where there is none: NULLs are never equal in a key.
CREATE TABLE attempts (
    object        TEXT NOT NULL,
    service       TEXT NOT NULL,
    layer         TEXT NOT NULL,
    reason        TEXT NOT NULL,
    source_digest TEXT NOT NULL,
    attempt       TEXT NOT NULL,
    PRIMARY KEY (object, service, layer, reason, source_digest)
) STRICT;

CREATE TABLE images (
    id              TEXT PRIMARY KEY,
    reference       TEXT NOT NULL,
    source_digest   TEXT,
    built_by_undrift INTEGER NOT NULL,
    last_good_at    TEXT
) STRICT;

CREATE TABLE cache (
    space   TEXT NOT NULL,
    key     TEXT NOT NULL,
    value   TEXT NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (space, key)
) STRICT;
CREATE INDEX cache_by_age ON cache (space, used_at);
