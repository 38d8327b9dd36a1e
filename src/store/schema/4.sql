-- What the last verified state of each object was resolved from: digests under the folder's key, as JSON.
CREATE TABLE verified_from (
    object TEXT PRIMARY KEY,
    digests TEXT NOT NULL
) STRICT;
