-- What of the tables no record of the trail tells is bound to the folder's key: a seal for each row of some of them. The seals of
-- the rows that are there already are made right after this step.
CREATE TABLE seals (
    table_name TEXT NOT NULL,
    row_key    TEXT NOT NULL,
    seal       TEXT NOT NULL,
    PRIMARY KEY (table_name, row_key)
) STRICT;

-- Each object that the trail knows has a row from its first generation on, so that one that is gone is missed. `null`: nothing was
-- verified yet.
INSERT OR IGNORE INTO verified_from SELECT object, 'null' FROM generations;
