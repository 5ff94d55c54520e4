//! The journal: typed records, Merkle log, checkpoints, verification.
