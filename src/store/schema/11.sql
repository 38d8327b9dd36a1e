-- The public keys of the checkpoints: each with how many records the first checkpoint covers that it signed, up to the next key.
CREATE TABLE checkpoint_keys (
    since INTEGER PRIMARY KEY,
    key   TEXT NOT NULL
) STRICT;
CREATE TRIGGER checkpoint_keys_no_update BEFORE UPDATE ON checkpoint_keys
BEGIN SELECT RAISE(ABORT, 'a key of the checkpoints is never changed'); END;
CREATE TRIGGER checkpoint_keys_no_delete BEFORE DELETE ON checkpoint_keys
BEGIN SELECT RAISE(ABORT, 'a key of the checkpoints is never deleted'); END;
