-- Objects that a person has suspended. `until` is null where only a person ends it.
CREATE TABLE suspensions (
    object TEXT PRIMARY KEY,
    since  TEXT NOT NULL,
    until  TEXT,
    reason TEXT NOT NULL,
    actor  TEXT NOT NULL
) STRICT;
