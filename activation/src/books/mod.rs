//! The books: what must be true of indices, places and units, as pure functions.
//!
//! Nothing here knows a database, a clock or a network: whoever stores the books reads them into
//! these types, asks, and writes the answer in one transaction. [`Indices`] and [`Places`] are a
//! station's; [`Register`] is the hub's, fed with records in the order in which the hub's log holds
//! them.

mod indices;
mod places;
mod register;

pub use indices::{Indices, IndicesError, lend_indices};
pub use places::{Places, PlacesError};
pub use register::{Activation, Fact, Finding, Register, Unit};
