-- The steps of the last hour, by the service that they were for: what the rate counts. Written with the intent, in one
-- transaction.
CREATE TABLE recent_steps (
    intent     INTEGER NOT NULL REFERENCES trail (seq),
    project    TEXT NOT NULL,
    service    TEXT NOT NULL,
    object     TEXT NOT NULL,
    generation INTEGER NOT NULL,
    kind       TEXT NOT NULL,
    at         TEXT NOT NULL,
    beyond     TEXT,
    PRIMARY KEY (intent, service)
) STRICT;
CREATE INDEX recent_steps_by_project ON recent_steps (project, at);
