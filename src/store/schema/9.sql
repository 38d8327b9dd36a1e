-- Full segments of the trail, each in place of its 1,024 rows: segment n has the records 1024 n + 1 to 1024 n + 1024. `records` is
-- their canonical form, one a line, as one zstd frame. docs/audit-trail.md shows how to read them without undrift.
CREATE TABLE segments (
    number    INTEGER PRIMARY KEY,
    prev_hash TEXT NOT NULL,
    last_hash TEXT NOT NULL,
    min_time  TEXT NOT NULL,
    max_time  TEXT NOT NULL,
    records   BLOB NOT NULL
) STRICT;
CREATE INDEX segments_by_time ON segments (max_time, min_time);

-- In which segments an object, an incident or a kind has records.
CREATE TABLE segment_index (
    field   TEXT NOT NULL,
    value   TEXT NOT NULL,
    segment INTEGER NOT NULL,
    PRIMARY KEY (field, value, segment)
) STRICT, WITHOUT ROWID;

-- A row of the trail may go once a segment has its record, and a segment stays as it is.
DROP TRIGGER trail_no_delete;
CREATE TRIGGER trail_no_delete BEFORE DELETE ON trail
WHEN OLD.seq < 1 OR NOT EXISTS (SELECT 1 FROM segments WHERE number = (OLD.seq - 1) / 1024)
BEGIN SELECT RAISE(ABORT, 'a record of the audit trail is never deleted'); END;
CREATE TRIGGER segments_append_only BEFORE INSERT ON segments
WHEN NEW.number <> coalesce((SELECT max(number) + 1 FROM segments), 0)
  OR NEW.number * 1024 + 1024 > (SELECT seq FROM head)
BEGIN SELECT RAISE(ABORT, 'the segments of the audit trail only grow at their end'); END;
CREATE TRIGGER segments_no_update BEFORE UPDATE ON segments
BEGIN SELECT RAISE(ABORT, 'a segment of the audit trail is never changed'); END;
CREATE TRIGGER segments_no_delete BEFORE DELETE ON segments
BEGIN SELECT RAISE(ABORT, 'a segment of the audit trail is never deleted'); END;
CREATE TRIGGER segment_index_no_update BEFORE UPDATE ON segment_index
BEGIN SELECT RAISE(ABORT, 'the index of a segment is never changed'); END;
CREATE TRIGGER segment_index_no_delete BEFORE DELETE ON segment_index
BEGIN SELECT RAISE(ABORT, 'the index of a segment is never deleted'); END;

-- The rows of intents move into segments, so these two tables no longer refer to them, and an open step has all its fields here.
ALTER TABLE open_steps RENAME TO open_steps_8;
CREATE TABLE open_steps (
    intent   INTEGER PRIMARY KEY,
    step     TEXT NOT NULL,
    services TEXT NOT NULL,
    object   TEXT,
    incident TEXT,
    time     TEXT NOT NULL
) STRICT;
INSERT INTO open_steps SELECT intent, open_steps_8.step, services, object, incident, time
    FROM open_steps_8 JOIN trail ON seq = intent;
DROP TABLE open_steps_8;
ALTER TABLE recent_steps RENAME TO recent_steps_8;
DROP INDEX recent_steps_by_project;
CREATE TABLE recent_steps (
    intent     INTEGER NOT NULL,
    project    TEXT NOT NULL,
    service    TEXT NOT NULL,
    object     TEXT NOT NULL,
    generation INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    at         TEXT NOT NULL,
    beyond     TEXT,
    PRIMARY KEY (intent, service)
) STRICT;
INSERT INTO recent_steps SELECT * FROM recent_steps_8;
DROP TABLE recent_steps_8;
CREATE INDEX recent_steps_by_project ON recent_steps (project, at);

-- The sum of the trail up to a record: where a process that acts goes on.
CREATE TABLE ledgers (
    id     TEXT PRIMARY KEY CHECK (id = 'latest'),
    seq    INTEGER NOT NULL,
    hash   TEXT NOT NULL,
    ledger TEXT NOT NULL
) STRICT;

-- What a closed incident found before and after, and its earlier occurrence: JSON as one zstd frame, in place of the columns.
ALTER TABLE incidents ADD COLUMN evidence BLOB;
CREATE INDEX incidents_newest ON incidents (opened_at);
CREATE INDEX incidents_of_object ON incidents (object);
