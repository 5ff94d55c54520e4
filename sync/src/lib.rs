//! The postman: carries documents and chunks down, journal ranges up, and opens none of them. Where
//! there is no network, a [`stick`] carries the same.
//!
//! Owns the connection to the hub, the order of the lanes (revocations → journal → documents →
//! chunks), the back-off, and the staging of half-fetched chunks (`sled`; lost means fetched
//! again). Leaves to the station what it holds and wants ([`JournalSource`], [`DocumentSink`]),
//! and every signature but TLS.
//!
//! Promises: a document or chunk that is handed over has the digest it was listed under. A record
//! counts as delivered only when the station has been shown the hub's cosigned checkpoint. Nothing
//! that the network does loses anything or ends [`Postman::run`].

mod digest;
mod enrol;
mod hub;
mod parties;
mod postman;
mod staging;
mod state;
pub mod stick;
mod tls;
mod window;
mod wire;

#[doc = include_str!("../FORMAT.md")]
pub mod format {}

pub use enrol::{EnrolError, enrol};
pub use hub::HubError;
pub use parties::{
    ArrivedDocument, DocumentSink, JournalHead, JournalRange, JournalRefusal, JournalSource,
    NextCertificate, PartyError, Report, WantedChunk,
};
pub use postman::{Jitter, Nudge, Postman, PostmanConfig, PostmanError, WallClock};
pub use staging::{Staging, StagingError};
pub use state::{BackOff, HubState, OfflineReason, Pace};
pub use tls::{StationTime, TlsError};
pub use window::{BulkWindows, WindowError};
