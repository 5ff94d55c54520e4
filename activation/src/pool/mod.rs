//! Pools: credentials that somebody else issued, one for each chip.
//!
//! They come as a file ([`Schema`], [`import`]), wait in the hub's book ([`PoolBook`]), are lent to
//! stations in disjoint shares, and are bound to a chip for ever ([`Share`]). A secret column is in
//! the clear twice in its life: while it is imported and sealed, and while the block that carries
//! it is made; the types let it out nowhere else ([`Credential`], [`Journalled`],
//! [`OpenCredential`]).
//!
//! Owns what may be imported, lent, bound, opened and adopted. Leaves to others where all this is
//! stored, and the sealing: closures take bytes and give bytes.

mod book;
mod cell;
mod credential;
mod decide;
mod fingerprint;
mod import;
mod lines;
mod loan;
mod receipt;
mod schema;
mod share;
mod stock;

pub use book::{BookError, Cut, PoolBook};
pub use cell::CellFault;
pub use credential::{
    ChipBytes, Credential, Journalled, OpenCredential, OpenError, RecordId, SealedCredential,
};
pub use decide::{PoolConflict, PoolDecision, PoolFacts, PoolFound, decide};
pub use fingerprint::{Fingerprint, Pepper};
pub use import::{ImportError, Limits, LineFault, Row, Staging, import};
pub use lines::LINE_BYTES_MAX;
pub use loan::{Loan, OnlyFor};
pub use receipt::{RECEIPT_BYTES, Receipt, check_receipt};
pub use schema::{Column, Form, Schema, SchemaError, VALUE_BYTES_MAX};
pub use share::{Bound, BoundState, Reservation, Share, ShareError};
pub use stock::{Marks, Stock, Water, water};
