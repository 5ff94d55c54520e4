-- Activation indices that records this store no longer has say are spent; from a new epoch's opening.
CREATE TABLE spent_index (
    allotment BLOB PRIMARY KEY CHECK (length(allotment) = 16),
    next      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
