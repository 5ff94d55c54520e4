-- Visits that ended, for the lead's figures: what the records of their ends say.
CREATE TABLE outcome (
    number       INTEGER PRIMARY KEY,
    at_ms        INTEGER NOT NULL,
    order_number TEXT NOT NULL,
    slot         INTEGER NOT NULL,
    visit        TEXT NOT NULL,
    unit         TEXT,
    attempt      TEXT NOT NULL CHECK (attempt IN ('first', 'recovering', 'again', 'unnamed')),
    ending       TEXT NOT NULL CHECK (ending IN ('pass', 'fail', 'seen_before')),
    trouble      TEXT,
    step         TEXT,
    code         TEXT,
    took_ms      INTEGER NOT NULL
) STRICT;
CREATE INDEX outcome_by_order ON outcome (order_number, number);
CREATE INDEX outcome_by_unit ON outcome (order_number, unit) WHERE unit IS NOT NULL;
CREATE INDEX outcome_passes ON outcome (order_number, number) WHERE ending = 'pass';

-- The same visits summed up, so that a million of them cost no more to read than a day. Nothing is
-- the empty text: a primary key takes no NULL for equal.
CREATE TABLE tally (
    order_number TEXT NOT NULL,
    hour         INTEGER NOT NULL,
    slot         INTEGER NOT NULL,
    attempt      TEXT NOT NULL,
    ending       TEXT NOT NULL,
    trouble      TEXT NOT NULL,
    step         TEXT NOT NULL,
    visits       INTEGER NOT NULL,
    PRIMARY KEY (order_number, hour, slot, attempt, ending, trouble, step)
) STRICT, WITHOUT ROWID;
