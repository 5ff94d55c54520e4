//! What hub and station say to each other, as plain data: one file per noun.
//!
//! Owns the names, their spelling on the wire and what a reader must refuse. Leaves to others
//! every socket, clock, key and file: nothing here does I/O, asks the time or checks a signature.
//!
//! Promise: a value of one of these types has already been checked for shape. A name that could
//! break a path, a URL or a checkpoint's origin line cannot be built.

pub mod custody;
pub mod document;
pub mod enrolment;
pub mod grant;
pub mod health;
pub mod ids;
pub mod journal;
pub mod order;
pub mod pool;
pub mod problem;
pub mod report;
pub mod roster;
pub mod statement;
pub mod station;
pub mod stick;
pub mod verdict;

pub use custody::{MacSecretStatement, VoidUnit, VoidsStatement};
pub use document::{Document, DocumentList, DocumentName};
pub use enrolment::{
    CertificateRenewal, EnrolRequest, Enrolled, EnrolmentCode, KeyProtection, RenewedCertificate,
};
pub use grant::{LeaseRequest, PortionGrant};
pub use health::Health;
pub use ids::{
    Ed25519Key, EnrolmentSecret, Epoch, HpkeKey, IdError, LineName, OrderNumber, ProductName,
    Sha256, StationName, TenantName,
};
pub use journal::{Fork, JournalAck, JournalPush, JournalState};
pub use order::{OrderState, OrdersDocument, StationOrder, WorkOrder};
pub use pool::{Conflict, PoolView, WaterLevel};
pub use problem::{Problem, ProblemType};
pub use report::{AwaitedStation, Recovery, ReportAnswer, StationReport};
pub use roster::Role;
pub use statement::{
    EnrolmentStatement, EpochStatement, RevocationStatement, SignedStatement, SpentIndices,
    TimeStatement,
};
pub use station::{BACKLOG_HEADER, Backlog, Station};
pub use stick::{SealedLetter, StickAnswer, StickParcel, StickRequest, StickTaken};
pub use verdict::{Unit, UnitPage, Verdict};
