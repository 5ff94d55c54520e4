//! Opening one image: several chunks at a time, each straight into its place.
//!
//! A machine's cores share the work: while some open chunks, one checks the digests of the pieces
//! that are open already. Nothing is given out before every check has passed.

use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use ring::digest::{Context, SHA256};
use zeroize::Zeroizing;

use crate::digest::Digest;
use crate::image::Segment;
use crate::limits::TAG_BYTES;
use crate::manifest::{ImageEntry, chunk_lengths};
use crate::seal::{Place, Seal, counter};
use crate::sealed::OpenError;

/// Sealed bytes that are held at one time, about.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Fewer bytes than this are opened without help.
const SHARED_FROM_BYTES: usize = 256 * 1024;
/// More threads than this wait for memory instead of each other.
const LANES_MAX: usize = 8;

/// A part of a segment: where some of a chunk's plain bytes go.
struct Part<'a> {
    segment: usize,
    bytes: &'a mut [u8],
}

/// A sealed chunk and where its plain bytes go, in order.
struct Work<'a> {
    chunk: usize,
    digest: Digest,
    place: Place,
    sealed: Vec<u8>,
    parts: Vec<Part<'a>>,
}

/// What is wrong with a chunk.
#[derive(Clone, Copy)]
enum Fault {
    WrongDigest,
    NotAuthentic,
}

/// Opens an image of `entry`; `read` gives its sealed chunks by number, in order.
pub(crate) fn open_image(
    entry: &ImageEntry,
    chunk_bytes: u32,
    digests: &[Digest],
    seal: &Seal,
    mut read: impl FnMut(usize, &Digest) -> Result<Vec<u8>, OpenError>,
) -> Result<Vec<Segment>, OpenError> {
    let mut segments: Vec<Segment> = entry
        .segments
        .iter()
        .map(|piece| {
            let bytes = usize::try_from(piece.bytes).unwrap_or_default();
            // All of it at once: growing would leave copies of plain bytes behind.
            Segment { address: piece.address, bytes: Zeroizing::new(vec![0; bytes]) }
        })
        .collect();
    let mut hashes: Vec<Context> = segments.iter().map(|_| Context::new(&SHA256)).collect();
    let lengths: Vec<usize> = chunk_lengths(entry.bytes, chunk_bytes).collect();

    let mut room = segments.iter_mut().map(|segment| segment.bytes.as_mut_slice()).enumerate();
    let mut now = room.next();
    let (mut batch, mut held, mut open) = (Vec::new(), 0, Vec::new());
    for (chunk, (digest, &length)) in digests.iter().zip(&lengths).enumerate() {
        let sealed = read(chunk, digest)?;
        let expected = length + TAG_BYTES;
        if sealed.len() != expected {
            let (image, bytes) = (entry.name.clone(), sealed.len());
            return Err(OpenError::WrongLength { image, chunk, bytes, expected });
        }
        let mut parts = Vec::with_capacity(1);
        let mut left = length;
        while let Some((segment, bytes)) = now.take().filter(|_| left > 0) {
            let (part, rest) = bytes.split_at_mut(left.min(bytes.len()));
            left -= part.len();
            parts.push(Part { segment, bytes: part });
            now = if rest.is_empty() { room.next() } else { Some((segment, rest)) };
            if left == 0 {
                break;
            }
        }
        let place = if chunk + 1 == lengths.len() { Place::Last } else { Place::Inner };
        held += sealed.len();
        batch.push(Work { chunk, digest: *digest, place, sealed, parts });
        if held >= BATCH_BYTES || place == Place::Last {
            open_all(entry, seal, &mut batch, held, &open, &mut hashes)?;
            (open, batch, held) = (batch, Vec::new(), 0);
        }
    }
    hash(&open, &mut hashes);
    for (hash, piece) in hashes.into_iter().zip(&entry.segments) {
        if hash.finish().as_ref() != piece.sha256.as_bytes() {
            let (image, address) = (entry.name.clone(), piece.address);
            return Err(OpenError::WrongPiece { image, address });
        }
    }
    Ok(segments)
}

/// Opens a batch, and meanwhile takes the digests of the one before.
fn open_all(
    entry: &ImageEntry,
    seal: &Seal,
    batch: &mut [Work<'_>],
    bytes: usize,
    before: &[Work<'_>],
    hashes: &mut [Context],
) -> Result<(), OpenError> {
    let lanes = match bytes {
        SHARED_FROM_BYTES.. => thread::available_parallelism().map_or(1, NonZeroUsize::get),
        _ => 1,
    };
    let queue = Mutex::new(batch.iter_mut());
    let first: Mutex<Option<(usize, Fault)>> = Mutex::new(None);
    let lane = || {
        loop {
            let Some(work) = held_by(&queue).next() else { return };
            if let Err(fault) = work.open(seal) {
                let mut first = held_by(&first);
                if first.is_none_or(|(chunk, _)| work.chunk < chunk) {
                    *first = Some((work.chunk, fault));
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..lanes.min(LANES_MAX) {
            // Where the system gives no more threads, those that are there do the work.
            drop(thread::Builder::new().name("opening".to_owned()).spawn_scoped(scope, lane));
        }
        hash(before, hashes);
        lane();
    });
    let first = *held_by(&first);
    match first {
        None => Ok(()),
        Some((chunk, fault)) => {
            let image = entry.name.clone();
            Err(match fault {
                Fault::WrongDigest => OpenError::WrongDigest { image, chunk },
                Fault::NotAuthentic => OpenError::NotAuthentic { image, chunk },
            })
        }
    }
}

fn hash(open: &[Work<'_>], hashes: &mut [Context]) {
    for part in open.iter().flat_map(|work| &work.parts) {
        if let Some(hash) = hashes.get_mut(part.segment) {
            hash.update(part.bytes);
        }
    }
}

fn held_by<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Work<'_> {
    fn open(&mut self, seal: &Seal) -> Result<(), Fault> {
        if Digest::of(&self.sealed) != self.digest {
            return Err(Fault::WrongDigest);
        }
        let counter = counter(self.chunk).map_err(|_| Fault::NotAuthentic)?;
        if let [part] = self.parts.as_mut_slice() {
            // The ciphertext is copied, and becomes plain where it stays.
            return seal
                .open_chunk_into(counter, self.place, &self.sealed, part.bytes)
                .map_err(|_| Fault::NotAuthentic);
        }
        let mut sealed = Zeroizing::new(std::mem::take(&mut self.sealed));
        let mut plain =
            seal.open_chunk(counter, self.place, &mut sealed).map_err(|_| Fault::NotAuthentic)?;
        for part in &mut self.parts {
            let (now, later) = plain.split_at(part.bytes.len());
            part.bytes.copy_from_slice(now);
            plain = later;
        }
        Ok(())
    }
}
