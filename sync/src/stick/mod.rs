//! The carrier without a network: the same exchanges as folders on a USB stick.
//!
//! Owns the bytes of sticks ([`FORMAT.md`](crate::format)): letters sealed to their receiver and
//! signed by their sender, the signed list that makes them a parcel, and how both lie in folders.
//! Leaves to the programs what is inside, the keys, and where the stick is mounted.
//!
//! ```text
//! flashline/stations/<tenant>/<station>/up|down/<number>/list.json      written last
//!                                                       /<name>.letter  one sealed document
//! flashline/chunks/<sha256>                              for every station alike; sealed by R&D
//! flashline/enrolment/<station>.code                     an enrolment code, instead of typing it
//! ```
//!
//! Promises: nothing of a stick is believed before its size, its kind of file and its place were
//! looked at; nothing is unpacked beyond the size that its sender signed. A parcel whose list or
//! any file of it is missing, cut or exchanged is refused whole, each way with its own error. A
//! parcel that was being written when the stick was pulled out is never taken for a whole one.

mod code;
mod folder;
mod letter;
mod list;
mod parcel;

pub use code::{read_code, write_code};
pub use letter::{Letter, Seal, seal};
pub use list::{ListedFile, ParcelList};
pub use parcel::{FoundParcel, Parcel, ParcelWriter, Written, chunk};

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Largest signed list, in bytes.
pub const LIST_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Most letters in a parcel.
pub const LETTERS_MAX: usize = 10_000;
/// Most chunks a parcel may name.
pub const CHUNKS_MAX: usize = 20_000;
/// Largest document in a letter, in bytes.
pub const PLAIN_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest letter, in bytes: a document that cannot be packed, and what sealing adds.
pub const LETTER_BYTES_MAX: u64 = PLAIN_BYTES_MAX as u64 + 64 * 1024;
/// All letters of a parcel, in bytes.
pub const PARCEL_BYTES_MAX: u64 = 1024 * 1024 * 1024;
/// Largest chunk, in bytes: what a manifest may name, and the seal's tag.
pub const CHUNK_BYTES_MAX: u64 = 4 * 1024 * 1024 + 16;
/// Most entries looked at in a folder where parcels lie.
pub const ENTRIES_MAX: usize = 1_000;

/// Which way a parcel goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// From a station to its hub.
    Up,
    /// From the hub to a station.
    Down,
}

impl Way {
    const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Between whom a parcel goes, and which way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    tenant: String,
    station: String,
    way: Way,
}

impl Address {
    /// Of a station's parcels in one way.
    ///
    /// # Errors
    /// [`StickError::Name`] when a name could not be a folder: it has 1 to 63 characters of
    /// `a-z 0-9 _ -` and begins with a letter or digit.
    pub fn new(tenant: &str, station: &str, way: Way) -> Result<Self, StickError> {
        for name in [tenant, station] {
            if !is_plain(name) || name.contains('.') || name.len() > 63 {
                return Err(StickError::Name { name: shown(name) });
            }
        }
        Ok(Self { tenant: tenant.to_owned(), station: station.to_owned(), way })
    }

    /// Whose firmware it is.
    #[must_use]
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Which station.
    #[must_use]
    pub fn station(&self) -> &str {
        &self.station
    }

    /// Which way.
    #[must_use]
    pub const fn way(&self) -> Way {
        self.way
    }
}

/// One folder or file name: `a-z A-Z 0-9 _ - .`, not beginning with anything but a letter or digit.
fn is_plain(segment: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    segment.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
        && segment.bytes().all(fits)
        && !segment.ends_with('.')
}

/// Whether a document's name leads to one file inside its parcel: at most four plain segments.
fn is_letter_name(name: &str) -> bool {
    name.len() <= 200 && name.split('/').count() <= 4 && name.split('/').all(is_plain)
}

/// A name from a stick, as an error may show it.
fn shown(name: &str) -> String {
    name.chars().take(100).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// Why a stick, or something on it, is refused.
#[derive(Debug, thiserror::Error)]
pub enum StickError {
    /// The path is not a folder.
    #[error("opening the stick: {path} is not a folder")]
    NotMounted {
        /// What was given.
        path: PathBuf,
    },
    /// Nothing for, or of, this station.
    #[error("reading the stick: there is no parcel {way} of station {station}")]
    NoParcel {
        /// Whose was looked for.
        station: String,
        /// Which way.
        way: Way,
    },
    /// Not exactly one enrolment code that could be meant.
    #[error("reading the stick: it holds {found} enrolment codes for this station, not one")]
    NoCode {
        /// How many there are.
        found: usize,
    },
    /// The newest parcel has no list: the stick was pulled out while it was written.
    #[error("reading the stick: parcel {number} was never finished, write it again")]
    Unfinished {
        /// Which parcel.
        number: u64,
    },
    /// More entries than anybody writes.
    #[error("reading the stick: more than {max} entries in {what}")]
    TooMany {
        /// Where.
        what: &'static str,
        /// The most there may be.
        max: usize,
    },
    /// A symbolic link, which a stick of ours never has.
    #[error("reading the stick: {path} is a link")]
    Link {
        /// Where it is.
        path: PathBuf,
    },
    /// A device, a pipe, a socket, or a folder in the place of a file.
    #[error("reading the stick: {path} is not an ordinary file or folder")]
    NotAFile {
        /// Where it is.
        path: PathBuf,
    },
    /// Larger than such a file may be. It was not read.
    #[error("reading the stick: {path} has {bytes} bytes, more than {max}")]
    TooLarge {
        /// Where it is.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The most it may have.
        max: u64,
    },
    /// A name that leads elsewhere, or could.
    #[error("reading the stick: {name:?} is no name for a file on it")]
    Name {
        /// The name.
        name: String,
    },
    /// A file that the list names is not there.
    #[error("reading the stick: {name} is missing")]
    Missing {
        /// Which file.
        name: String,
    },
    /// A file is shorter or longer than the list says.
    #[error("reading the stick: {name} has {bytes} bytes in place of {listed}")]
    Cut {
        /// Which file.
        name: String,
        /// Its size.
        bytes: u64,
        /// Its size as the list says.
        listed: u64,
    },
    /// A file holds other bytes than the list says.
    #[error("reading the stick: {name} is not what its list says")]
    Differs {
        /// Which file.
        name: String,
    },
    /// Of a form that this program does not know.
    #[error("reading the stick: {what} is of version {version}, this program knows 1")]
    Version {
        /// The list, or a letter.
        what: &'static str,
        /// Its version.
        version: u64,
    },
    /// Not of the form at all.
    #[error("reading the stick: {what} cannot be read")]
    Malformed {
        /// The list, or a letter.
        what: &'static str,
    },
    /// Signed by somebody else, or changed after it was signed.
    #[error("reading the stick: {what} is not signed by the sender it should be from")]
    ForeignSender {
        /// The list, or a letter.
        what: &'static str,
    },
    /// Sealed to somebody else.
    #[error("reading the stick: letter {name} is not sealed to this receiver")]
    ForeignReceiver {
        /// Which letter.
        name: String,
    },
    /// From or for another station, or going the other way.
    #[error("reading the stick: {what} is about {found}")]
    OtherAddress {
        /// The list, or a letter.
        what: &'static str,
        /// Tenant, station and way in it.
        found: String,
    },
    /// A letter of one parcel lies in another one.
    #[error("reading the stick: letter {name} belongs to parcel {found}, not {number}")]
    Mixed {
        /// Which letter.
        name: String,
        /// The parcel it lies in.
        number: u64,
        /// The parcel it was written for.
        found: u64,
    },
    /// This parcel, or a later one, was read before.
    #[error("reading the stick: parcel {number} is not newer than {last}, which was read before")]
    Replayed {
        /// Its number.
        number: u64,
        /// The newest that was read.
        last: u64,
    },
    /// Unpacks to more, or to less, than its sender says.
    #[error("reading the stick: letter {name} does not unpack to the {bytes} bytes it should")]
    Expands {
        /// Which letter.
        name: String,
        /// What its sender says.
        bytes: u64,
    },
    /// What is to be written is larger than a stick's files may be.
    #[error("writing the stick: {name} is larger than a letter may be")]
    LetterTooLarge {
        /// Which letter.
        name: String,
    },
    /// The receiver's key cannot be used, or there is no randomness.
    #[error("writing the stick: sealing a letter")]
    NotSealed,
    /// The stick's file system failed, is full, or is read-only.
    #[error("{doing} {path}")]
    Io {
        /// Reading or writing.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl StickError {
    /// A stable word for each kind, for screens and programs.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::NotMounted { .. } => "not_mounted",
            Self::NoParcel { .. } => "no_parcel",
            Self::NoCode { .. } => "no_code",
            Self::Unfinished { .. } => "unfinished",
            Self::TooMany { .. } => "too_many",
            Self::Link { .. } => "link",
            Self::NotAFile { .. } => "not_a_file",
            Self::TooLarge { .. } => "too_large",
            Self::Name { .. } => "name",
            Self::Missing { .. } => "missing",
            Self::Cut { .. } => "cut",
            Self::Differs { .. } => "differs",
            Self::Version { .. } => "version",
            Self::Malformed { .. } => "malformed",
            Self::ForeignSender { .. } => "foreign_sender",
            Self::ForeignReceiver { .. } => "foreign_receiver",
            Self::OtherAddress { .. } => "other_address",
            Self::Mixed { .. } => "mixed",
            Self::Replayed { .. } => "replayed",
            Self::Expands { .. } => "expands",
            Self::LetterTooLarge { .. } => "letter_too_large",
            Self::NotSealed => "not_sealed",
            Self::Io { .. } => "io",
        }
    }
}
