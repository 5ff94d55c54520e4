-- Rejected boards that hold their slots until a bin is scanned for them.
CREATE TABLE reject (
    slot     INTEGER PRIMARY KEY,
    visit    TEXT NOT NULL,
    trouble  TEXT NOT NULL,
    uid_tail TEXT,
    at_ms    INTEGER NOT NULL
) STRICT;

-- Units that are not done: few among many, looked for at every handover.
CREATE INDEX unit_not_done ON unit (state) WHERE state IN ('in_work', 'failed');
