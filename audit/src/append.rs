//! The hub's judgement on a range of records that a station sent.
//!
//! The hub keeps, per journal, the [`Frontier`] and the records with their leaf hashes; that is
//! enough to know whether what arrives continues what it holds.

use crate::checkpoint::{Checkpoint, CheckpointError, SignedCheckpoint};
use crate::frontier::{Frontier, Hash, leaf_hash};
use crate::origin::Origin;
use crate::record::{Envelope, RecordError};

/// What a proven range of records means for the journal the hub holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Append {
    /// It continues the journal: store the new records and cosign.
    Extends(Extension),
    /// Everything in it is held already (an answer was lost on the way). Says nothing about a
    /// checkpoint that is smaller than the journal held.
    AlreadyHave,
    /// It begins after the end of what is held: send from `expected`.
    Gap {
        /// Records held.
        expected: u64,
    },
    /// The range leads elsewhere than what is held: the journal was rewritten, or the range was
    /// damaged on the way. Only the whole journal shows which: ask for everything from 0.
    Disagrees,
    /// Proven from the whole journal: the station signed another record at a place that is taken.
    /// Two histories; keep both.
    Fork {
        /// The first place where they differ.
        at: u64,
    },
}

/// New records at the end of a journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// The journal's head with the new records; proven.
    pub checkpoint: Checkpoint,
    /// The frontier to keep.
    pub frontier: Frontier,
    /// How many of the records given were held already; the rest are new.
    pub held: usize,
    /// Leaf hashes of the new records, oldest first.
    pub leaves: Vec<Hash>,
}

/// Another history of a journal: signed by its station, parting from what is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// The first place where it differs; everything before is shared.
    pub at: u64,
    /// Its head; proven.
    pub checkpoint: Checkpoint,
    /// Its frontier at that head, to go on from.
    pub frontier: Frontier,
    /// How many of the records given are shared; the rest are the branch's own.
    pub shared: usize,
    /// Leaf hashes of the records of its own, oldest first.
    pub leaves: Vec<Hash>,
}

/// Why a range is refused without a judgement.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The checkpoint does not verify.
    #[error("proving the checkpoint that came with the records")]
    Checkpoint(#[source] CheckpointError),
    /// A record does not read.
    #[error("reading record {seq}")]
    Record {
        /// The place it should have.
        seq: u64,
        /// Why not.
        #[source]
        source: RecordError,
    },
    /// A record stands where another belongs, or is of another epoch.
    #[error("at place {seq} of epoch {epoch} stands record {found_seq} of epoch {found_epoch}")]
    Misplaced {
        /// The journal's epoch.
        epoch: u32,
        /// The place.
        seq: u64,
        /// The epoch the record says.
        found_epoch: u32,
        /// The place the record says.
        found_seq: u64,
    },
    /// The checkpoint ends elsewhere than the records.
    #[error("the checkpoint is of {signed} records, and those sent end at {sent}")]
    SizeDiffers {
        /// Size in the checkpoint.
        signed: u64,
        /// First place after the records.
        sent: u64,
    },
    /// The whole journal was sent and does not hash to what was signed: not a fork, a fault on
    /// the way.
    #[error("the records sent are not the records that were signed")]
    NotTheSignedRecords,
    /// The caller did not give the leaf hashes it holds of the places sent.
    #[error("the leaf hashes held from place {from} on were not given")]
    HeldNotGiven {
        /// First place sent.
        from: u64,
    },
}

/// Judges `records`, the places `from` onwards of the journal `origin`, with the head `signed` by
/// the station's `key`, against the frontier `held`.
///
/// `held_leaves` are the leaf hashes the hub holds of the places `from` onwards: empty when
/// `from` is the size held.
///
/// # Errors
/// [`AppendError`]: nothing was proven, store nothing as this station's word.
pub fn verify_append<R: AsRef<[u8]>>(
    origin: &Origin,
    key: &[u8; 32],
    held: &Frontier,
    held_leaves: &[Hash],
    from: u64,
    records: &[R],
    signed: &SignedCheckpoint,
) -> Result<Append, AppendError> {
    let checkpoint = signed.verify(origin, key).map_err(AppendError::Checkpoint)?;
    if from > held.size() {
        return Ok(Append::Gap { expected: held.size() });
    }
    if held_leaves.len() as u64 != held.size() - from {
        return Err(AppendError::HeldNotGiven { from });
    }
    let sent = from.saturating_add(records.len() as u64);
    if checkpoint.size != sent {
        return Err(AppendError::SizeDiffers { signed: checkpoint.size, sent });
    }

    let mut leaves = Vec::with_capacity(records.len());
    for (seq, record) in (from..).zip(records) {
        check_place(origin.epoch(), seq, record.as_ref())?;
        leaves.push(leaf_hash(record.as_ref()));
    }
    let differs = held_leaves.iter().zip(&leaves).position(|(held, sent)| held != sent);
    let overlap = held_leaves.len().min(leaves.len());
    let fresh = leaves.split_off(overlap);

    if from == 0 {
        let mut whole = Frontier::new();
        for leaf in leaves.iter().chain(&fresh) {
            whole.append_hash(*leaf);
        }
        if whole.root() != checkpoint.root {
            return Err(AppendError::NotTheSignedRecords);
        }
        if let Some(place) = differs {
            return Ok(Append::Fork { at: place as u64 });
        }
    } else if differs.is_some() {
        return Ok(Append::Disagrees);
    }
    if sent < held.size() {
        return Ok(Append::AlreadyHave);
    }
    let mut frontier = held.clone();
    for leaf in &fresh {
        frontier.append_hash(*leaf);
    }
    if frontier.root() != checkpoint.root {
        return Ok(Append::Disagrees);
    }
    if fresh.is_empty() {
        return Ok(Append::AlreadyHave);
    }
    Ok(Append::Extends(Extension { checkpoint, frontier, held: overlap, leaves: fresh }))
}

/// Judges a range that does not continue what is held: is it another history of the same journal?
///
/// `held_leaves` are the leaf hashes of everything held, from place 0. `None` means that nothing
/// is proven by this range: it parts from what is held before `from`, begins after its end, or
/// agrees with it. A range that begins where the histories part, or before, proves the branch.
///
/// # Errors
/// [`AppendError`]: nothing was proven, store nothing as this station's word.
pub fn verify_branch<R: AsRef<[u8]>>(
    origin: &Origin,
    key: &[u8; 32],
    held_leaves: &[Hash],
    from: u64,
    records: &[R],
    signed: &SignedCheckpoint,
) -> Result<Option<Branch>, AppendError> {
    let checkpoint = signed.verify(origin, key).map_err(AppendError::Checkpoint)?;
    let sent = from.saturating_add(records.len() as u64);
    if checkpoint.size != sent {
        return Err(AppendError::SizeDiffers { signed: checkpoint.size, sent });
    }
    let mut leaves = Vec::with_capacity(records.len());
    for (seq, record) in (from..).zip(records) {
        check_place(origin.epoch(), seq, record.as_ref())?;
        leaves.push(leaf_hash(record.as_ref()));
    }
    let Some((before, after)) =
        usize::try_from(from).ok().and_then(|from| held_leaves.split_at_checked(from))
    else {
        return Ok(None);
    };
    let Some(shared) = after.iter().zip(&leaves).position(|(held, sent)| held != sent) else {
        return Ok(None);
    };
    let mut frontier = Frontier::new();
    for leaf in before.iter().chain(&leaves) {
        frontier.append_hash(*leaf);
    }
    if frontier.root() != checkpoint.root {
        return Ok(None);
    }
    let own = leaves.split_off(shared);
    let at = from + shared as u64;
    Ok(Some(Branch { at, checkpoint, frontier, shared, leaves: own }))
}

fn check_place(epoch: u32, seq: u64, record: &[u8]) -> Result<(), AppendError> {
    let envelope = Envelope::read(record).map_err(|source| AppendError::Record { seq, source })?;
    if (envelope.epoch, envelope.seq) != (epoch, seq) {
        return Err(AppendError::Misplaced {
            epoch,
            seq,
            found_epoch: envelope.epoch,
            found_seq: envelope.seq,
        });
    }
    Ok(())
}
