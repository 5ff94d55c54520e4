//! A parcel: letters and chunks under one signed list, written whole or not at all.

use std::path::{Path, PathBuf};

use ring::rand::SecureRandom;
use ring::signature::Ed25519KeyPair;
use zeroize::Zeroizing;

use super::folder::{self, folder as folder_at};
use super::letter::{Letter, Seal, public_of, seal};
use super::list::{ListedFile, ParcelList, digest_of};
use super::{
    Address, CHUNK_BYTES_MAX, CHUNKS_MAX, LETTER_BYTES_MAX, LETTERS_MAX, LIST_BYTES_MAX, StickError,
};
use crate::digest::sha256;

const TOP: &str = "flashline";
const STATIONS: &str = "stations";
const CHUNKS: &str = "chunks";
const LIST: &str = "list.json";
const LETTER: &str = ".letter";
const PARCELS: &str = "the folder of parcels";

fn folder_of(address: &Address) -> [&str; 5] {
    [TOP, STATIONS, &address.tenant, &address.station, address.way.word()]
}

/// The number of a parcel's folder; anything else there is somebody else's.
fn number_of(name: &str) -> Option<u64> {
    name.parse().ok().filter(|number: &u64| number.to_string() == name)
}

/// A parcel with every file that its list names, each with the listed digest. Nobody has looked
/// at a signature yet.
#[derive(Debug)]
pub struct FoundParcel {
    mount: PathBuf,
    folder: PathBuf,
    address: Address,
    list_bytes: Vec<u8>,
    list: ParcelList,
}

impl FoundParcel {
    /// Finds the newest parcel of an address on a stick, and reads every letter once to see that
    /// all of it is there.
    ///
    /// # Errors
    /// [`StickError`], each kind with its own variant; a newest parcel without a list is
    /// [`StickError::Unfinished`] even when an older one is whole.
    pub fn find(mount: &Path, address: &Address) -> Result<Self, StickError> {
        let none = || StickError::NoParcel { station: address.station.clone(), way: address.way };
        let parcels = folder_at(mount, &folder_of(address))?.ok_or_else(none)?;
        let numbers = folder::names(&parcels, PARCELS)?;
        let number = numbers.iter().filter_map(|name| number_of(name)).max().ok_or_else(none)?;
        let name = number.to_string();
        let segments = [&folder_of(address)[..], &[name.as_str()]].concat();
        let folder = folder_at(mount, &segments)?.ok_or_else(none)?;
        let list_bytes = folder::read(&folder, LIST, LIST_BYTES_MAX)?
            .ok_or(StickError::Unfinished { number })?;
        let list = ParcelList::read(&list_bytes, address)?;
        if list.number != number {
            return Err(StickError::Mixed { name: LIST.to_owned(), number, found: list.number });
        }
        let found =
            Self { mount: mount.to_owned(), folder, address: address.clone(), list_bytes, list };
        for letter in &found.list.letters {
            found.raw(letter)?;
        }
        for chunk in &found.list.chunks {
            let held = folder_at(mount, &[TOP, CHUNKS])?
                .map(|chunks| folder::size(&chunks, &chunk.name))
                .transpose()?
                .flatten();
            right_size(chunk, held)?;
        }
        Ok(found)
    }

    /// What it says it holds.
    #[must_use]
    pub const fn list(&self) -> &ParcelList {
        &self.list
    }

    /// The list's bytes as they lie on the stick.
    #[must_use]
    pub fn list_bytes(&self) -> &[u8] {
        &self.list_bytes
    }

    /// A letter's bytes as they lie on the stick, with the listed size and digest.
    ///
    /// # Errors
    /// [`StickError`].
    pub fn raw(&self, letter: &ListedFile) -> Result<Vec<u8>, StickError> {
        let file = format!("{}{LETTER}", letter.name);
        right_size(letter, folder::size(&self.folder, &file)?)?;
        let bytes = folder::read(&self.folder, &file, LETTER_BYTES_MAX)?;
        right_bytes(letter, bytes)
    }

    /// Proves the list by its sender's key.
    ///
    /// # Errors
    /// [`StickError::ForeignSender`], or [`StickError::Replayed`] when it is not newer than `last`.
    pub fn prove(self, sender: &[u8; 32], last: u64) -> Result<Parcel, StickError> {
        ParcelList::prove(&self.list_bytes, sender)?;
        if self.list.number <= last {
            return Err(StickError::Replayed { number: self.list.number, last });
        }
        Ok(Parcel { found: self, sender: *sender })
    }
}

fn right_size(listed: &ListedFile, held: Option<u64>) -> Result<(), StickError> {
    let name = || listed.name.clone();
    match held {
        None => Err(StickError::Missing { name: name() }),
        Some(bytes) if bytes != listed.bytes => {
            Err(StickError::Cut { name: name(), bytes, listed: listed.bytes })
        }
        Some(_) => Ok(()),
    }
}

fn right_bytes(listed: &ListedFile, bytes: Option<Vec<u8>>) -> Result<Vec<u8>, StickError> {
    let bytes = bytes.ok_or_else(|| StickError::Missing { name: listed.name.clone() })?;
    if digest_of(&listed.sha256) == Some(sha256(&bytes)) {
        Ok(bytes)
    } else {
        Err(StickError::Differs { name: listed.name.clone() })
    }
}

/// A whole parcel from a proven sender, newer than any before.
#[derive(Debug)]
pub struct Parcel {
    found: FoundParcel,
    sender: [u8; 32],
}

impl Parcel {
    /// What it holds.
    #[must_use]
    pub const fn list(&self) -> &ParcelList {
        &self.found.list
    }

    /// Opens a letter of it.
    ///
    /// # Errors
    /// [`StickError`].
    pub fn open(
        &self,
        letter: &ListedFile,
        receiver: &[u8; 32],
    ) -> Result<Zeroizing<Vec<u8>>, StickError> {
        let bytes = self.found.raw(letter)?;
        let read = Letter::read(&bytes)?;
        if read.name() != letter.name {
            return Err(StickError::Differs { name: letter.name.clone() });
        }
        read.open(&self.found.address, self.found.list.number, &self.sender, receiver)
    }

    /// A chunk that it names, with its digest.
    ///
    /// # Errors
    /// [`StickError`].
    pub fn chunk(&self, chunk: &ListedFile) -> Result<Vec<u8>, StickError> {
        right_bytes(chunk, read_chunk(&self.found.mount, &chunk.name)?)
    }
}

fn read_chunk(mount: &Path, name: &str) -> Result<Option<Vec<u8>>, StickError> {
    let Some(chunks) = folder_at(mount, &[TOP, CHUNKS])? else { return Ok(None) };
    folder::read(&chunks, name, CHUNK_BYTES_MAX)
}

/// Whether a stick holds a chunk already, whole.
///
/// # Errors
/// [`StickError`].
pub fn chunk(mount: &Path, digest: &[u8; 32]) -> Result<bool, StickError> {
    Ok(read_chunk(mount, &hex::encode(digest))?.is_some_and(|bytes| sha256(&bytes) == *digest))
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The parcel's number.
    pub number: u64,
    /// Letters in it.
    pub letters: usize,
    /// Chunks that go with it.
    pub chunks: usize,
    /// Bytes of both.
    pub bytes: u64,
}

/// Writes a parcel.
pub struct ParcelWriter {
    mount: PathBuf,
    folder: PathBuf,
    address: Address,
    list: ParcelList,
}

impl ParcelWriter {
    /// Begins a parcel; unfinished ones of this address go. `reply` is the private X25519 key that
    /// opens the answer.
    ///
    /// # Errors
    /// [`StickError`] of the stick's file system.
    pub fn begin(
        mount: &Path,
        address: &Address,
        number: u64,
        written_ms: i64,
        reply: &[u8; 32],
    ) -> Result<Self, StickError> {
        let list = ParcelList::new(address, number, written_ms, &public_of(reply));
        Self::begin_list(mount, address, list)
    }

    /// Begins a parcel whose list is somebody else's, and is given to [`ParcelWriter::finish_with`].
    ///
    /// # Errors
    /// [`StickError`] of the stick's file system.
    pub fn begin_list(
        mount: &Path,
        address: &Address,
        list: ParcelList,
    ) -> Result<Self, StickError> {
        let parcels = folder::make(mount, &folder_of(address))?;
        for name in folder::names(&parcels, PARCELS)? {
            let unfinished = folder::size(&parcels.join(&name), LIST)?.is_none();
            if number_of(&name).is_some_and(|number| unfinished || number >= list.number) {
                folder::remove(&parcels.join(&name))?;
            }
        }
        let number = list.number.to_string();
        let folder = folder::make(&parcels, &[&number])?;
        Ok(Self { mount: mount.to_owned(), folder, address: address.clone(), list })
    }

    /// Seals a document and writes its letter.
    ///
    /// # Errors
    /// [`StickError`].
    pub fn letter(
        &mut self,
        name: &str,
        plain: &[u8],
        receiver: &[u8; 32],
        sender: &Ed25519KeyPair,
        random: &dyn SecureRandom,
    ) -> Result<(), StickError> {
        let mut seed = Zeroizing::new([0; 32]);
        random.fill(seed.as_mut()).map_err(|_| StickError::NotSealed)?;
        let (address, number) = (&self.address, self.list.number);
        let sealed = seal(Seal { address, number, name, receiver, sender, seed }, plain)?;
        let listed = self.sealed_letter(name, &sealed)?;
        if self.list.letters.len() == LETTERS_MAX {
            return Err(StickError::TooMany { what: "the parcel", max: LETTERS_MAX });
        }
        self.list.letters.push(listed);
        Ok(())
    }

    /// Writes a letter that was sealed elsewhere.
    ///
    /// # Errors
    /// [`StickError`].
    pub fn sealed_letter(&self, name: &str, sealed: &[u8]) -> Result<ListedFile, StickError> {
        if !super::is_letter_name(name) {
            return Err(StickError::Name { name: super::shown(name) });
        }
        folder::write(&self.folder, &format!("{name}{LETTER}"), sealed)?;
        Ok(ListedFile {
            name: name.to_owned(),
            bytes: sealed.len() as u64,
            sha256: hex::encode(sha256(sealed)),
        })
    }

    /// Writes a chunk that is named in a list that was signed elsewhere.
    ///
    /// # Errors
    /// [`StickError`]; [`StickError::Differs`] when it does not have this digest.
    pub fn shared_chunk(&self, digest: &[u8; 32], bytes: &[u8]) -> Result<(), StickError> {
        let name = hex::encode(digest);
        if sha256(bytes) != *digest {
            return Err(StickError::Differs { name });
        }
        let chunks = folder::make(&self.mount, &[TOP, CHUNKS])?;
        folder::write(&chunks, &name, bytes)
    }

    /// Names a chunk, and writes it unless the stick holds it.
    ///
    /// # Errors
    /// [`StickError`].
    pub fn chunk(&mut self, digest: &[u8; 32], bytes: &[u8]) -> Result<(), StickError> {
        if self.list.chunks.len() == CHUNKS_MAX {
            return Err(StickError::TooMany { what: "the parcel", max: CHUNKS_MAX });
        }
        let name = hex::encode(digest);
        if !chunk(&self.mount, digest)? {
            self.shared_chunk(digest, bytes)?;
        }
        let bytes = bytes.len() as u64;
        self.list.chunks.push(ListedFile { name: name.clone(), bytes, sha256: name });
        Ok(())
    }

    /// Signs the list and writes it: from now on the parcel is one. Older ones of this address go.
    ///
    /// # Errors
    /// [`StickError`].
    pub fn finish(self, sender: &Ed25519KeyPair) -> Result<Written, StickError> {
        let signed = self.list.sign(sender)?;
        self.finish_with(&signed)
    }

    /// Writes a list that was signed elsewhere, for the letters and chunks that were written.
    ///
    /// # Errors
    /// [`StickError`].
    pub fn finish_with(self, signed: &[u8]) -> Result<Written, StickError> {
        if signed.len() as u64 > LIST_BYTES_MAX {
            return Err(StickError::LetterTooLarge { name: LIST.to_owned() });
        }
        folder::write(&self.folder, LIST, signed)?;
        let found = FoundParcel::find(&self.mount, &self.address)?;
        let parcels = folder::make(&self.mount, &folder_of(&self.address))?;
        folder::sync(&parcels)?;
        for name in folder::names(&parcels, PARCELS)? {
            if number_of(&name).is_some_and(|number| number < self.list.number) {
                folder::remove(&parcels.join(&name))?;
            }
        }
        let ParcelList { letters, chunks, number, .. } = found.list();
        Ok(Written {
            number: *number,
            letters: letters.len(),
            chunks: chunks.len(),
            bytes: letters.iter().chain(chunks).map(|file| file.bytes).sum(),
        })
    }
}
