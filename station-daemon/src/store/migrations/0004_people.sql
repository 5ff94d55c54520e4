-- Attempts at operators' PINs since the last right one. `verifier` is the SHA-256 of the verifier
-- they were made against, `wait_ms` what is left of the wait in milliseconds of running.
CREATE TABLE pin_attempt (
    operator INTEGER PRIMARY KEY,
    attempts INTEGER NOT NULL,
    wait_ms  INTEGER NOT NULL,
    verifier BLOB NOT NULL CHECK (length(verifier) = 32)
) STRICT;

-- Orders that a lead closed here.
CREATE TABLE closed_order (
    order_number TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
