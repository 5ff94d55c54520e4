//! Bytes onto a chip: one trait, one file per back end.
