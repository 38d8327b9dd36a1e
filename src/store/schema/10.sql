-- The Merkle tree over the records (RFC 6962): the hash above each complete subtree. Node `place` of `level` is above the records
-- place * 2^level + 1 to (place + 1) * 2^level. docs/audit-trail.md says what a leaf is.
CREATE TABLE tree_nodes (
    level INTEGER NOT NULL,
    place INTEGER NOT NULL,
    hash  BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (level, place)
) STRICT, WITHOUT ROWID;

-- What the trail is called in its checkpoints. It never changes.
CREATE TABLE trail_origin (
    id     INTEGER PRIMARY KEY CHECK (id = 1),
    origin TEXT NOT NULL
) STRICT;

-- The signed checkpoints, by the number of records that they cover.
CREATE TABLE checkpoints (
    size INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    note TEXT NOT NULL
) STRICT;

CREATE TRIGGER tree_nodes_no_update BEFORE UPDATE ON tree_nodes
BEGIN SELECT RAISE(ABORT, 'a node of the tree over the trail is never changed'); END;
CREATE TRIGGER tree_nodes_no_delete BEFORE DELETE ON tree_nodes
BEGIN SELECT RAISE(ABORT, 'a node of the tree over the trail is never deleted'); END;
CREATE TRIGGER trail_origin_no_update BEFORE UPDATE ON trail_origin
BEGIN SELECT RAISE(ABORT, 'the origin of the trail is never changed'); END;
CREATE TRIGGER trail_origin_no_delete BEFORE DELETE ON trail_origin
BEGIN SELECT RAISE(ABORT, 'the origin of the trail is never deleted'); END;
CREATE TRIGGER checkpoints_no_update BEFORE UPDATE ON checkpoints
BEGIN SELECT RAISE(ABORT, 'a checkpoint of the trail is never changed'); END;
CREATE TRIGGER checkpoints_no_delete BEFORE DELETE ON checkpoints
BEGIN SELECT RAISE(ABORT, 'a checkpoint of the trail is never deleted'); END;
