//! Quarantine: the journal here is not the one that was seen before.
//!
//! Owns the comparison with what this station remembers and with what the hub holds, what is kept
//! of the verdict over restarts, and the way out: a new epoch that an administrator opened.
//!
//! Promise: while in quarantine nothing is reserved; nothing of the journal is ever dropped.

use audit::{Event, SignedCheckpoint};
use protocol::{EpochStatement, SignedStatement, SpentIndices};
use serde::{Deserialize, Serialize};
use sync::{JournalHead, PartyError, Report};

use super::hub::Refusal;
use super::{CLOCK, Desk};
use crate::journal::Journal;
use crate::store::{Commit, StoreError};
use crate::trouble::{Trouble, TroubleCode, chain};

/// Setting that holds the verdict.
const QUARANTINE: &str = "quarantine";
/// Name of the hub's instruction among the documents.
const INSTRUCTION: &str = "epoch";

/// Why nothing is reserved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Quarantine {
    /// The epoch in doubt.
    epoch: u32,
    /// Since when, by station time.
    since_ms: i64,
    incident: String,
}

/// A head that this journal does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) why: &'static str,
    pub(super) by: &'static str,
    pub(super) epoch: u32,
    pub(super) size: u64,
}

impl Seen {
    /// What a proven head of this epoch says about a journal; nothing if the journal has it.
    pub(super) fn judge(
        journal: &Journal,
        size: u64,
        root: &[u8; 32],
        by: &'static str,
    ) -> Option<Self> {
        let epoch = journal.epoch();
        if size > journal.size() {
            Some(Self { why: "behind", by, epoch, size })
        } else if journal.has_root(size, root) {
            None
        } else {
            Some(Self { why: "forked", by, epoch, size })
        }
    }
}

/// How much of an epoch that is not the hub's own history the hub has taken all the same.
fn taken_key(epoch: u32) -> String {
    format!("branch-taken-{epoch}")
}

fn taken(commit: &Commit<'_>, epoch: u32) -> Result<u64, StoreError> {
    let bytes = commit.setting(&taken_key(epoch))?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(0))
}

/// Records of an epoch that the hub has, in whichever history.
pub(crate) fn sent(commit: &Commit<'_>, epoch: u32) -> Result<u64, StoreError> {
    let acknowledged = commit.head(epoch, true)?.map_or(0, |head| head.size);
    Ok(acknowledged.max(taken(commit, epoch)?))
}

impl Desk {
    /// What keeps the whole station from reserving.
    pub(super) fn stopped(&self) -> Option<TroubleCode> {
        let halted = self.halted.as_ref().map(|halted| halted.code);
        halted
            .filter(|code| *code != TroubleCode::DiskFull)
            .or(self.quarantined.as_ref().map(|_| TroubleCode::JournalSetBack))
    }

    pub(super) fn quarantine_trouble(&self) -> Option<Trouble> {
        let quarantine = self.quarantined.as_ref()?;
        Some(Trouble::of(TroubleCode::JournalSetBack, None, quarantine.incident.clone()))
    }

    /// The verdict of an earlier run.
    pub(super) fn load_quarantine(commit: &Commit<'_>) -> Result<Option<Quarantine>, StoreError> {
        let damaged = |error| StoreError::Damaged { what: format!("quarantine: {error}") };
        let bytes = commit.setting(QUARANTINE)?;
        bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose().map_err(damaged)
    }

    /// Compares the journal with what this station remembers: the last head it signed, kept outside
    /// of the records, and the last one it saw cosigned. Needs no hub.
    pub(super) fn compare_with_memory(&mut self) {
        let note = self.witness.note().unwrap_or_else(|error| {
            tracing::warn!(%error, "the last head cannot be read");
            None
        });
        let Some(enrolled) = &self.enrolled else { return };
        let journal = &enrolled.journal;
        let kept = self.store.read(|commit| commit.head(journal.epoch(), true));
        let kept = kept.ok().flatten().map(|head| head.note);
        let seen = note.iter().chain(&kept).find_map(|note| remembered(journal, note));
        if let Some(seen) = seen {
            self.quarantine(seen);
        }
        self.begin_opened_epoch();
    }

    /// Nothing is reserved any more until an administrator has looked: the journal here and the
    /// one that was seen are not the same.
    pub(super) fn quarantine(&mut self, seen: Seen) {
        if self.quarantined.is_some() {
            return;
        }
        let Some(enrolled) = &self.enrolled else { return };
        let incident = self.incident();
        let quarantine = Quarantine {
            epoch: enrolled.journal.epoch(),
            since_ms: self.now_ms(),
            incident: incident.clone(),
        };
        tracing::error!(
            %incident, why = seen.why, seen_by = seen.by, seen_epoch = seen.epoch,
            seen_size = seen.size, own_epoch = quarantine.epoch, own_size = enrolled.journal.size(),
            "the journal is not the one that was seen"
        );
        let event = Event::Quarantined {
            why: seen.why.to_owned(),
            seen_by: seen.by.to_owned(),
            seen_epoch: seen.epoch,
            seen_size: seen.size,
            incident,
        };
        let kept = serde_json::to_vec(&quarantine).unwrap_or_default();
        // From here on the witness stays as it is: it is the evidence.
        self.quarantined = Some(quarantine);
        if let Err(code) = self.record(vec![event], |commit| commit.put_setting(QUARANTINE, &kept))
        {
            tracing::error!(code = code.text(), "the quarantine was not recorded");
        }
        self.begin_opened_epoch();
    }

    /// Notes a head that was committed.
    pub(super) fn note_head(&mut self, note: &str) {
        if self.quarantined.is_some() {
            return;
        }
        if let Err(error) = self.witness.saw(note) {
            tracing::warn!(%error, "the last head was not noted beside the records");
        }
    }

    /// The hub holds records of this epoch.
    pub(super) fn hub_has_begun(&mut self, newest: u32) {
        let own = self.enrolled.as_ref().map_or(0, |enrolled| enrolled.journal.epoch());
        if newest > own {
            self.quarantine(Seen { why: "epoch", by: "hub", epoch: newest, size: 0 });
        }
    }

    /// The hub has records up to here, as a branch.
    pub(super) fn branch_taken(&mut self, epoch: u32, size: u64) -> Result<(), PartyError> {
        let whole = self.store.read(|commit| commit.head(epoch, false))?;
        if whole.is_none_or(|head| head.size <= size) {
            self.offered_again.remove(&epoch);
        }
        let size = serde_json::to_vec(&size)?;
        let kept = self.store.commit(|commit| commit.put_setting(&taken_key(epoch), &size));
        kept.map_err(|error| Refusal::Trouble(self.store_failed(&error)).into())
    }

    /// Where this history may part from the hub's; none when it is the hub's.
    pub(super) fn branch_from(&mut self, epoch: u32) -> Result<Option<u64>, PartyError> {
        if self.parted != Some(epoch) {
            return Ok(None);
        }
        let shared = self.store.read(|commit| commit.head(epoch, true))?;
        Ok(Some(shared.map_or(0, |head| head.size)))
    }

    /// The journal to carry now: an earlier epoch of which records have not arrived, or the present
    /// one.
    pub(super) fn journal_to_carry(&mut self) -> Result<JournalHead, PartyError> {
        let journal = &self.enrolled.as_ref().ok_or(Refusal::NotEnrolled)?.journal;
        let present = JournalHead { epoch: journal.epoch(), size: journal.size() };
        let older = self.store.read(|commit| {
            for (epoch, size) in commit.own_heads()? {
                let again = self.offered_again.contains(&epoch);
                if epoch < present.epoch && (again || sent(commit, epoch)? < size) {
                    return Ok::<_, StoreError>(Some(JournalHead { epoch, size }));
                }
            }
            Ok(None)
        })?;
        Ok(older.unwrap_or(present))
    }

    /// What the hub is told at the beginning of a connection: its own word, to be shown to it.
    pub(super) fn report(&mut self, epoch: u32) -> Result<Report, PartyError> {
        Ok(self.store.read(|commit| {
            let version = |name| {
                let document = commit.document(name, true)?;
                let value: Option<serde_json::Value> =
                    document.and_then(|bytes| serde_json::from_slice(&bytes).ok());
                let version = value.and_then(|value| value["signed"]["version"].as_u64());
                Ok::<_, StoreError>(version.unwrap_or(0))
            };
            Ok::<_, StoreError>(Report {
                journal_size: commit.head(epoch, false)?.map_or(0, |head| head.size),
                cosigned: commit.head(epoch, true)?.map(|head| head.note),
                lease: commit.document("lease", true)?,
                snapshot_version: version("snapshot.json")?,
                timestamp_version: version("timestamp.json")?,
            })
        })?)
    }

    /// A hub that was set back is offered every epoch again.
    pub(super) fn hub_recovers(&mut self) -> Result<(), PartyError> {
        let present = self.enrolled.as_ref().ok_or(Refusal::NotEnrolled)?.journal.epoch();
        let heads = self.store.read(|commit| commit.own_heads())?;
        let earlier = heads.into_iter().map(|(epoch, _)| epoch).filter(|epoch| *epoch < present);
        if self.hub_was_whole {
            self.hub_was_whole = false;
            self.offered_again = earlier.collect();
        }
        Ok(())
    }

    /// Begins the epoch that an administrator has opened, if the hub's instruction is here.
    pub(super) fn begin_opened_epoch(&mut self) {
        if self.quarantined.is_none() {
            return;
        }
        match self.follow_instruction() {
            Ok(None) => {}
            Ok(Some(epoch)) => {
                tracing::info!(epoch, "a new epoch of the journal has begun");
                self.parted = None;
                if let Some(nudge) = &self.nudge {
                    nudge.now();
                }
            }
            Err(error) => {
                tracing::error!(error = %chain(error.as_ref()), "the new epoch has not begun");
            }
        }
    }

    fn follow_instruction(&mut self) -> Result<Option<u32>, PartyError> {
        let now_ms = self.now_ms();
        let Some(document) = self.store.read(|commit| commit.document(INSTRUCTION, false))? else {
            return Ok(None);
        };
        let enrolled = self.enrolled.as_ref().ok_or(Refusal::NotEnrolled)?;
        let SignedStatement { payload, signature } = serde_json::from_slice(&document)?;
        if !enrolled.membership.hub_signed(EpochStatement::KIND, &payload, &signature) {
            return Err(Refusal::Note.into());
        }
        let opened: EpochStatement = serde_json::from_str(&payload)?;
        if opened.tenant.as_str() != enrolled.membership.tenant
            || opened.station.as_str() != enrolled.membership.station
        {
            return Err(Refusal::Note.into());
        }
        if opened.epoch.0 <= enrolled.journal.epoch() {
            return Ok(None);
        }
        let mut next = enrolled.journal.begin(opened.epoch.0)?;
        let event = Event::EpochOpened {
            previous_epoch: opened.previous_epoch.0,
            previous_size: opened.previous_size,
            previous_root: audit::Digest(opened.previous_root.0),
        };
        let draft = next.draft(now_ms, vec![event])?;
        let saved = serde_json::to_vec(&self.clock.saved((self.clocks)()))?;
        let mut spent = Vec::with_capacity(opened.spent.len());
        for SpentIndices { allotment, next } in &opened.spent {
            let mut name = [0; 16];
            hex::decode_to_slice(allotment, &mut name)?;
            spent.push((name, *next));
        }
        let kept = self.store.commit(|commit| {
            next.keep(&draft, commit)?;
            for (allotment, next) in &spent {
                commit.spend_below(allotment, *next)?;
            }
            commit.put_setting(CLOCK, &saved)?;
            commit.drop_setting(QUARANTINE)
        });
        kept.map_err(|error| Refusal::Trouble(self.store_failed(&error)))?;
        let note = draft.note().to_owned();
        next.accept(draft);
        if let Some(enrolled) = &mut self.enrolled {
            enrolled.journal = next;
        }
        self.quarantined = None;
        self.note_head(&note);
        Ok(Some(opened.epoch.0))
    }
}

/// What a note from this station's memory says about its journal. A note that is not this station's
/// own word says nothing.
fn remembered(journal: &Journal, note: &str) -> Option<Seen> {
    let signed: SignedCheckpoint = note.parse().ok()?;
    let origin = signed.claimed_origin().ok()?;
    let own = journal.origin();
    if (origin.tenant(), origin.station()) != (own.tenant(), own.station()) {
        return None;
    }
    let head = signed.verify(&origin, journal.public()).ok()?;
    let epoch = origin.epoch();
    match epoch.cmp(&own.epoch()) {
        std::cmp::Ordering::Less => None,
        std::cmp::Ordering::Greater => {
            Some(Seen { why: "epoch", by: "station", epoch, size: head.size })
        }
        std::cmp::Ordering::Equal => Seen::judge(journal, head.size, &head.root, "station"),
    }
}
