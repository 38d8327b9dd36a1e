-- When each object was last looked at. Written at most once a look, and not awaited on the disk: a power cut makes a look
-- seem older than it was, never newer.
CREATE TABLE looks (
    object TEXT PRIMARY KEY,
    at     TEXT NOT NULL
) STRICT;

-- The engine that the status of each object is of. `id` is null where the engine has none that lasts.
CREATE TABLE engines (
    object   TEXT PRIMARY KEY,
    id       TEXT,
    endpoint TEXT NOT NULL
) STRICT;

-- What is wrong with the manifest of each object, where an earlier one goes on in its place.
CREATE TABLE manifest_faults (
    object TEXT PRIMARY KEY,
    since  TEXT NOT NULL,
    fault  TEXT NOT NULL
) STRICT;
