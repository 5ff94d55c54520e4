-- How the block of a reservation is proven. A pool's block holds secrets and is never kept here:
-- `block` is empty then, and `block_sha256` is known once it was written.
ALTER TABLE reservation ADD COLUMN mode TEXT NOT NULL DEFAULT 'ed25519';
ALTER TABLE reservation ADD COLUMN block_sha256 BLOB;
-- The record that says that the block was written and read back.
ALTER TABLE reservation ADD COLUMN written_epoch INTEGER;
ALTER TABLE reservation ADD COLUMN written_seq INTEGER;

-- Shares of pools: the hub's loan without its credentials.
CREATE TABLE share (
    allotment BLOB PRIMARY KEY CHECK (length(allotment) = 16),
    product   TEXT NOT NULL,
    loan      BLOB NOT NULL,
    count     INTEGER NOT NULL
) STRICT;

-- Their credentials, sealed for this station; one that was written and acknowledged is erased.
CREATE TABLE credential (
    allotment BLOB NOT NULL CHECK (length(allotment) = 16),
    number    INTEGER NOT NULL,
    sealed    BLOB NOT NULL,
    PRIMARY KEY (allotment, number)
) STRICT, WITHOUT ROWID;

-- Secrets of mode hmac-sha256, sealed for this station.
CREATE TABLE mac_secret (
    product TEXT PRIMARY KEY,
    sealed  BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Orders of which the rest was given back: no unit of them is begun here any more.
CREATE TABLE returned_portion (
    order_number TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- Units that are void for ever, by a disposition here or at the hub.
CREATE TABLE void_unit (
    product TEXT NOT NULL,
    family  TEXT NOT NULL,
    uid     TEXT NOT NULL,
    PRIMARY KEY (product, family, uid)
) STRICT, WITHOUT ROWID;
