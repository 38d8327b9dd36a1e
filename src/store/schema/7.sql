-- The last valid declaration of each object that a daemon watches, as JSON: it outlives a restart beside a manifest that is not
-- valid.
CREATE TABLE declarations (object TEXT PRIMARY KEY, declared TEXT NOT NULL) STRICT;
