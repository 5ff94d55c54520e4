#![doc = include_str!("../FORMAT.md")]
//!
//! # The crate
//!
//! Pure: bytes in, bytes and verdicts out. The station appends with a [`Frontier`] and signs
//! [`Checkpoint`]s; the hub judges what arrives with [`verify_append`] and cosigns; anyone checks an
//! export with [`verify_export`].
//!
//! Owns the bytes of records, hashes, checkpoints and exports. Leaves to others where records are
//! kept, when checkpoints are made and what a fork means for the line.
//!
//! Promise: what one of the `verify` functions accepts was signed by the key it was given, in
//! exactly this order, with nothing added, dropped or edited before the signed size.
#![forbid(unsafe_code)]

mod append;
mod canonical;
mod checkpoint;
mod event;
mod export;
mod frontier;
mod hexed;
mod note;
mod origin;
mod proof;
mod record;
mod table;
mod tree;

pub use append::{Append, AppendError, Branch, Extension, verify_append, verify_branch};
pub use canonical::{CanonicalError, INTEGER_MAX, canonical};
pub use checkpoint::{Checkpoint, CheckpointError, Cosigned, Cosigner, SignedCheckpoint};
pub use event::{BlockState, Event, Step};
pub use export::{
    ExportError, ExportKeys, ExportReport, LineFault, verify_export, write_export,
    write_partial_export,
};
pub use frontier::{Frontier, FrontierError, Hash, leaf_hash};
pub use hexed::{Digest, HexBytes};
pub use note::NoteError;
pub use origin::{Origin, OriginError};
pub use proof::{verify_consistency, verify_inclusion};
pub use record::{Envelope, RECORD_BYTES_MAX, Record, RecordError};
pub use table::{COLUMNS, verify_csv_export, write_csv_export};
pub use tree::{OutOfRange, Tree};
