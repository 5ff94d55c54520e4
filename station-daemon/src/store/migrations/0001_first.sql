-- What must not be lost. Forward only: a released file is never edited.

CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Private keys, each sealed under the station secret; the kind is bound into the seal.
CREATE TABLE private_key (
    kind   TEXT PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- The station's log. `record` is canonical JSON as it was hashed into `leaf`.
CREATE TABLE journal (
    epoch  INTEGER NOT NULL,
    seq    INTEGER NOT NULL,
    at_ms  INTEGER NOT NULL,
    record BLOB NOT NULL,
    leaf   BLOB NOT NULL CHECK (length(leaf) = 32),
    PRIMARY KEY (epoch, seq)
) STRICT, WITHOUT ROWID;

-- Heads: our own last one per epoch, and the last one the hub cosigned.
CREATE TABLE checkpoint (
    epoch    INTEGER NOT NULL,
    cosigned INTEGER NOT NULL CHECK (cosigned IN (0, 1)),
    size     INTEGER NOT NULL,
    note     TEXT NOT NULL,
    PRIMARY KEY (epoch, cosigned)
) STRICT, WITHOUT ROWID;

-- Documents by name. `trusted` = 1: the set everything is judged by; 0: came in, not judged yet.
CREATE TABLE document (
    name    TEXT NOT NULL,
    trusted INTEGER NOT NULL CHECK (trusted IN (0, 1)),
    etag    TEXT NOT NULL,
    body    BLOB NOT NULL,
    PRIMARY KEY (name, trusted)
) STRICT;

-- Sealed chunks: ciphertext, never plain firmware.
CREATE TABLE chunk (
    digest BLOB PRIMARY KEY CHECK (length(digest) = 32),
    body   BLOB NOT NULL
) STRICT;

-- What the journal says about every unit, for the next decision.
CREATE TABLE unit (
    product      TEXT NOT NULL,
    family       TEXT NOT NULL,
    uid          TEXT NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('in_work', 'passed', 'failed', 'voided')),
    order_number TEXT NOT NULL,
    release      TEXT NOT NULL,
    passed_ms    INTEGER,
    PRIMARY KEY (product, family, uid)
) STRICT;
CREATE INDEX unit_by_order ON unit (order_number, state);

-- One chip, one code: a reservation is bound to its UID for ever, an index to one chip.
CREATE TABLE reservation (
    product   TEXT NOT NULL,
    family    TEXT NOT NULL,
    uid       TEXT NOT NULL,
    code      TEXT NOT NULL,
    allotment BLOB NOT NULL CHECK (length(allotment) = 16),
    number    INTEGER NOT NULL,
    block     BLOB NOT NULL,
    PRIMARY KEY (product, family, uid),
    UNIQUE (allotment, number)
) STRICT;

-- Places held in a portion by a visit that has not ended.
CREATE TABLE place (
    slot         INTEGER PRIMARY KEY,
    visit        TEXT NOT NULL,
    order_number TEXT NOT NULL,
    product      TEXT NOT NULL,
    family       TEXT NOT NULL,
    uid          TEXT NOT NULL
) STRICT;
