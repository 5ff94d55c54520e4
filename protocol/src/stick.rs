//! What hub and station say to each other on a stick, where no network carries it.
//!
//! Owns what is inside the letters `request` and `answer`. Leaves the letters to the sync room.
//! Journal ranges are letters `journal/<epoch>/<from>` that hold a [`JournalPush`], documents are
//! letters `documents/<name>` that hold the document.
//!
//! [`JournalPush`]: crate::JournalPush

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::document::Document;
use crate::ids::{Epoch, Sha256};
use crate::journal::JournalState;
use crate::statement::SignedStatement;

/// Name of the station's letter about itself.
pub const REQUEST: &str = "request";
/// Name of the hub's answer to it.
pub const ANSWER: &str = "answer";
/// What letters with journal ranges begin with.
pub const JOURNAL: &str = "journal/";
/// What letters with documents begin with.
pub const DOCUMENTS: &str = "documents/";
/// Most chunks a request may ask for.
pub const WANTED_MAX: usize = 20_000;

/// What a station holds and wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StickRequest {
    /// Version of this form: 1.
    pub v: u32,
    /// 1 to 64 hexadecimal digits: the hub is asked for its time.
    pub nonce: String,
    /// Version of the newest lease it holds; 0 for none. The hub's next one goes beyond.
    pub lease_version: u64,
    /// The journal in use, and how many records it has.
    pub epoch: Epoch,
    /// Records in it.
    pub records: u64,
    /// Documents it holds, with their digests.
    pub held: BTreeMap<String, Sha256>,
    /// Chunks it lacks.
    pub wanted: Vec<Sha256>,
}

/// What the hub says to a request, or on its own to a station that has not asked yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StickAnswer {
    /// Version of this form: 1.
    pub v: u32,
    /// The hub's time over the request's nonce.
    pub time: Option<SignedStatement>,
    /// What the hub holds of the journal that the request named.
    pub journal: Option<JournalState>,
    /// Every document the station should hold now. Those it lacks are letters beside this one.
    pub documents: Vec<Document>,
}

/// A parcel for a station, as the admin API hands it to whoever writes the stick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StickParcel {
    /// The signed list, as it will lie on the stick.
    pub list: String,
    /// The letters it names.
    pub letters: Vec<SealedLetter>,
    /// The chunks it names; each at `/v1/admin/chunks/{sha256}`.
    pub chunks: Vec<Sha256>,
}

/// One sealed letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SealedLetter {
    /// Its name.
    pub name: String,
    /// Its bytes, standard base64.
    pub base64: String,
}

/// What became of a letter or list that was brought on a stick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StickTaken {
    /// The parcel's number.
    pub number: u64,
}
