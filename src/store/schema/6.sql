-- An incident that comes back soon after its end is opened again, and counts. What happens from then on is told by the records
-- after `since_seq`; `since` is null at the first time, which began at `opened_at`. `earlier` is the time before, as JSON.
ALTER TABLE incidents ADD COLUMN occurrences INTEGER NOT NULL DEFAULT 1;
ALTER TABLE incidents ADD COLUMN since TEXT;
ALTER TABLE incidents ADD COLUMN since_seq INTEGER NOT NULL DEFAULT 0;
ALTER TABLE incidents ADD COLUMN earlier TEXT;
