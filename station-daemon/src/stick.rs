//! The USB stick at the station: what a connection would carry, written to it and read from it.
//!
//! Owns the order of both: first what lies on the stick is proven whole, then the parts go where
//! the postman would have put them. Leaves bytes and checks of sticks to `sync`, every document and
//! record to the desk.
//!
//! Promise: reading a stick that is not whole changes nothing; one that breaks off half-way may be
//! read again, and then does the rest.

use std::path::{Path, PathBuf};

use protocol::stick::{ANSWER, DOCUMENTS, JOURNAL, REQUEST, WANTED_MAX};
use protocol::{JournalPush, Sha256, StickAnswer, StickRequest};
use ring::rand::SystemRandom;
use sync::stick::{FoundParcel, ParcelWriter, StickError, Written};
use sync::{ArrivedDocument, DocumentSink, JournalRefusal, JournalSource, PartyError, WantedChunk};

use crate::desk::{DeskClosed, DeskHandle, HubDesk, Incoming, NoStick, Outgoing};
use crate::trouble::TroubleCode;

/// Most records in one letter; what the hub takes at once.
const RECORDS_MAX: usize = protocol::journal::PUSH_RECORDS_MAX;
/// About how many bytes of records go into one letter.
const RECORDS_BYTES_MAX: usize = 6 * 1024 * 1024;

/// A stick was not written or not read.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// The stick.
    #[error("using the stick")]
    Stick(#[from] StickError),
    /// The desk has no part in it.
    #[error("preparing the exchange by stick")]
    NoStick(#[from] NoStick),
    /// The desk did not take or give something.
    #[error("moving between stick and station")]
    Party(#[source] PartyError),
    /// The daemon ends.
    #[error(transparent)]
    Closed(#[from] DeskClosed),
    /// The hub's answer is not one.
    #[error("reading the hub's answer on the stick")]
    Answer(#[source] serde_json::Error),
    /// The parcel lacks a document that the station lacks, too.
    #[error("the stick lacks document {name}, and the station has none")]
    Lacks {
        /// Which document.
        name: String,
    },
    /// A document with another digest than the hub's list says.
    #[error("document {name} on the stick is not the one that is listed")]
    Document {
        /// Which document.
        name: String,
    },
    /// Sticks are read and written at these places only.
    #[error("{path} is not where sticks are mounted")]
    Place {
        /// What was given.
        path: PathBuf,
    },
}

impl From<PartyError> for CarryError {
    fn from(error: PartyError) -> Self {
        Self::Party(error)
    }
}

impl CarryError {
    /// Stable word for a screen.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Stick(error) => error.word(),
            Self::NoStick(NoStick::NotEnrolled) => "not_enrolled",
            Self::NoStick(NoStick::NoHubKey) => "no_hub_key",
            Self::NoStick(NoStick::Address(error)) => error.word(),
            Self::NoStick(NoStick::Desk(_)) | Self::Party(_) | Self::Closed(_) => "not_recorded",
            Self::Answer(_) => "malformed",
            Self::Lacks { .. } => "missing",
            Self::Document { .. } => "differs",
            Self::Place { .. } => "not_a_place",
        }
    }
}

impl From<&CarryError> for TroubleCode {
    fn from(error: &CarryError) -> Self {
        match error {
            CarryError::Stick(_)
            | CarryError::Answer(_)
            | CarryError::Lacks { .. }
            | CarryError::Document { .. }
            | CarryError::Place { .. }
            | CarryError::NoStick(NoStick::NoHubKey | NoStick::Address(_)) => Self::StickRefused,
            CarryError::NoStick(NoStick::NotEnrolled) => Self::EnrolmentCodeBad,
            CarryError::NoStick(NoStick::Desk(code)) => *code,
            CarryError::Party(_) | CarryError::Closed(_) => Self::Internal,
        }
    }
}

/// What was read from a stick.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Taken {
    /// The parcel's number.
    pub number: u64,
    /// Documents that changed.
    pub documents: usize,
    /// Chunks that were missing.
    pub chunks: usize,
    /// Records the hub has acknowledged in it.
    pub acknowledged: u64,
    /// Whether it carried the hub's time for this station's question.
    pub time: bool,
}

/// Writes what waits for the hub, and what the station asks of it. Blocks; not for async code.
///
/// # Errors
/// [`CarryError`]; an unfinished parcel is no parcel.
pub fn write(desk: &DeskHandle, mount: &Path, by: Option<u32>) -> Result<Written, CarryError> {
    if !mount.is_dir() {
        return Err(StickError::NotMounted { path: mount.to_owned() }.into());
    }
    let random = SystemRandom::new();
    let Outgoing {
        address,
        number,
        now_ms,
        nonce,
        lease_version,
        acknowledged,
        sender,
        receiver,
        reply,
    } = desk.ask(move |desk| desk.begin_stick(by))??;
    let party = HubDesk(desk.clone());
    let head = party.head()?;
    let mut parcel = ParcelWriter::begin(mount, &address, number, now_ms, &reply)?;
    let mut from = acknowledged;
    while from < head.size {
        let range = party.range(head.epoch, from, RECORDS_MAX, RECORDS_BYTES_MAX)?;
        let count = range.records.len() as u64;
        let push = JournalPush { from, records: range.records, checkpoint: range.checkpoint };
        let bytes = serde_json::to_vec(&push).map_err(PartyError::from)?;
        let name = format!("{JOURNAL}{}/{from}", head.epoch);
        parcel.letter(&name, &bytes, &receiver, &sender, &random)?;
        from += count.max(1);
    }
    let held = party.etags()?.into_iter();
    let wanted = party.chunks_wanted()?;
    let request = StickRequest {
        v: 1,
        nonce,
        lease_version,
        epoch: protocol::Epoch(head.epoch),
        records: head.size,
        held: held.filter_map(|(name, etag)| Some((name, etag.parse().ok()?))).collect(),
        wanted: wanted.iter().take(WANTED_MAX).map(|chunk| Sha256(chunk.sha256)).collect(),
    };
    let bytes = serde_json::to_vec(&request).map_err(PartyError::from)?;
    parcel.letter(REQUEST, &bytes, &receiver, &sender, &random)?;
    Ok(parcel.finish(&sender)?)
}

/// Reads what the hub wrote. Blocks; not for async code.
///
/// # Errors
/// [`CarryError`]; nothing was changed unless it is [`CarryError::Party`].
pub fn read(desk: &DeskHandle, mount: &Path, by: Option<u32>) -> Result<Taken, CarryError> {
    let Incoming { address, last, sender, receiver } = desk.ask(|desk| desk.expect_stick())??;
    let parcel = FoundParcel::find(mount, &address)?.prove(&sender, last)?;
    let list = parcel.list();
    let (number, reply) = (list.number, list.reply_key()?);
    // Every letter is opened before anything of one is taken.
    let mut opened = std::collections::BTreeMap::new();
    for letter in &list.letters {
        opened.insert(letter.name.clone(), parcel.open(letter, &receiver)?);
    }
    let missing = || StickError::Missing { name: ANSWER.to_owned() };
    let answer = opened.remove(ANSWER).ok_or_else(missing)?;
    let answer: StickAnswer = serde_json::from_slice(&answer).map_err(CarryError::Answer)?;

    let party = HubDesk(desk.clone());
    let held = party.etags()?;
    let mut arrived = Vec::new();
    for document in &answer.documents {
        let (name, etag) = (document.name.to_string(), document.etag.to_string());
        if held.get(&name) == Some(&etag) {
            continue;
        }
        let bytes = opened.remove(&format!("{DOCUMENTS}{name}"));
        let bytes = bytes.ok_or_else(|| CarryError::Lacks { name: name.clone() })?.to_vec();
        if release::Digest::of(&bytes).to_string() != etag {
            return Err(CarryError::Document { name });
        }
        arrived.push(ArrivedDocument { name, etag, bytes });
    }
    let listed = |name: &String| answer.documents.iter().any(|one| one.name.to_string() == *name);
    let gone: Vec<String> = held.keys().filter(|name| !listed(name)).cloned().collect();

    let mut taken = Taken { number, documents: arrived.len(), ..Taken::default() };
    if let Some(time) = answer.time {
        taken.time = party.late_time(&time.payload, &time.signature)?;
    }
    if let Some(journal) = answer.journal {
        if journal.forked {
            let detail = "the hub holds two branches of it".to_owned();
            party.refused(journal.epoch.0, &JournalRefusal::NotVerified { detail })?;
        }
        if let Some(note) = &journal.cosigned
            && party.head()?.epoch == journal.epoch.0
        {
            party.acknowledged(journal.epoch.0, journal.size, note)?;
            taken.acknowledged = journal.size;
        }
    }
    if !arrived.is_empty() || !gone.is_empty() {
        party.store(arrived, gone)?;
    }
    for WantedChunk { sha256, .. } in party.chunks_wanted()? {
        let name = hex::encode(sha256);
        if let Some(listed) = list.chunks.iter().find(|chunk| chunk.name == name) {
            party.store_chunk(sha256, parcel.chunk(listed)?)?;
            taken.chunks += 1;
        }
    }
    party.stick_ended(number, reply, by)?;
    Ok(taken)
}

/// The same path, if sticks may be mounted there: at or below one of `places`, without a link or
/// `..` leading elsewhere.
///
/// # Errors
/// [`CarryError::Place`], [`StickError::NotMounted`].
pub fn place(path: &Path, places: &[PathBuf]) -> Result<PathBuf, CarryError> {
    let real = path
        .canonicalize()
        .map_err(|_| CarryError::Stick(StickError::NotMounted { path: path.to_owned() }))?;
    let below = |place: &PathBuf| place.canonicalize().is_ok_and(|place| real.starts_with(place));
    if path.is_absolute() && places.iter().any(below) {
        Ok(real)
    } else {
        Err(CarryError::Place { path: path.to_owned() })
    }
}
