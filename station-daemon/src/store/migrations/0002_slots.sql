-- Slots that take no boards until somebody opens them, with the trouble that closed them.
CREATE TABLE closed_slot (
    slot    INTEGER PRIMARY KEY,
    trouble TEXT NOT NULL
) STRICT;

-- Ports bound to slots by teach-in, beside those of the configuration; none belongs to two slots.
CREATE TABLE taught_port (
    port TEXT PRIMARY KEY,
    slot INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
