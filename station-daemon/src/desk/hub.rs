//! The postman's two parties: the journal it carries up, the shelf it fills.
//!
//! The postman calls on its own blocking thread; everything is asked of the desk.

use std::collections::BTreeMap;

use audit::{Cosigner, Event, SignedCheckpoint};
use protocol::{Backlog, RevocationStatement, TimeStatement};
use release::Digest;
use ring::rand::SecureRandom;
use sync::{
    ArrivedDocument, DocumentSink, JournalHead, JournalRange, JournalRefusal, JournalSource,
    NextCertificate, PartyError, WantedChunk,
};

use super::custody::{custody_of, forget};
use super::people::Staff;
use super::quarantine::{Seen, sent};
use super::{Desk, DeskHandle};
use crate::api::view::HubState;
use crate::shelf::Shelf;
use crate::store::{Head, StoreError};
use crate::trouble::{Trouble, TroubleCode, of_offline};

/// Name of the document that says who may work here.
const ROSTER_DOCUMENT: &str = "roster";
/// A signed time this close to our own moves the clock without a record of it.
const CLOCK_QUIET_MS: i64 = 5_000;

/// What waits for the hub.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) records: u64,
    /// Station time of the oldest, milliseconds since the Unix epoch.
    pub(super) oldest_ms: Option<i64>,
    pub(super) bytes: u64,
}

/// Bytes of the records `from..to` of a journal, as they were summed up last.
#[derive(Debug, Clone)]
pub(super) struct WaitingBytes {
    epoch: u32,
    from: u64,
    to: u64,
    bytes: u64,
}

/// The desk as the postman sees it.
pub struct HubDesk(pub DeskHandle);

/// What the desk answers a postman it cannot serve.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("the station is not enrolled")]
    NotEnrolled,
    #[error("the station's desk answers {}", .0.text())]
    Trouble(TroubleCode),
    #[error("the hub's note does not verify")]
    Note,
    #[error("record {seq} of epoch {epoch} was let go after the time records are kept")]
    LetGo { epoch: u32, seq: u64 },
    #[error("a record is not text")]
    NotText,
}

impl HubDesk {
    /// The hub's time from a stick; whether it moved the clock.
    ///
    /// # Errors
    /// The station's own trouble, or a statement that does not verify.
    pub fn late_time(&self, payload: &str, signature: &str) -> Result<bool, PartyError> {
        let (payload, signature) = (payload.to_owned(), signature.to_owned());
        self.ask(move |desk| desk.take_late_time(&payload, &signature))
    }

    /// A parcel of the hub was read to its end.
    ///
    /// # Errors
    /// The station's own trouble.
    pub fn stick_ended(
        &self,
        number: u64,
        reply: [u8; 32],
        by: Option<u32>,
    ) -> Result<(), PartyError> {
        self.ask(move |desk| desk.end_stick(number, &reply, by))
    }

    fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Desk) -> Result<T, PartyError> + Send + 'static,
    ) -> Result<T, PartyError> {
        self.0.ask(work)?
    }
}

impl JournalSource for HubDesk {
    fn head(&self) -> Result<JournalHead, PartyError> {
        self.ask(Desk::journal_to_carry)
    }

    fn range(
        &self,
        epoch: u32,
        from: u64,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<JournalRange, PartyError> {
        self.ask(move |desk| {
            let journal = &desk.enrolled.as_ref().ok_or(Refusal::NotEnrolled)?.journal;
            let records_max = u32::try_from(records_max).unwrap_or(u32::MAX);
            let rows = desk.store.read(|commit| commit.records(epoch, from, records_max))?;
            let mut bytes = 0;
            let mut records = Vec::new();
            for row in rows {
                bytes += row.record.len();
                if bytes > bytes_max && !records.is_empty() {
                    break;
                }
                if row.record.is_empty() {
                    return Err(Refusal::LetGo { epoch, seq: row.seq }.into());
                }
                records.push(String::from_utf8(row.record).map_err(|_| Refusal::NotText)?);
            }
            let to = from + records.len() as u64;
            let checkpoint = if journal.epoch() == epoch {
                journal.head_at(to)?
            } else {
                journal.earlier(&mut desk.store, epoch)?.head_at(to)?
            };
            Ok(JournalRange { records, checkpoint })
        })
    }

    fn acknowledged(&self, epoch: u32, size: u64, cosigned: &str) -> Result<(), PartyError> {
        let note = cosigned.to_owned();
        self.ask(move |desk| desk.take_cosigned(epoch, size, note))
    }

    fn refused(&self, epoch: u32, refusal: &JournalRefusal) -> Result<(), PartyError> {
        tracing::error!(epoch, ?refusal, "the hub does not take the journal");
        let refusal = refusal.clone();
        self.ask(move |desk| desk.journal_refused(epoch, &refusal))
    }

    fn report(&self, epoch: u32) -> Result<Option<sync::Report>, PartyError> {
        self.ask(move |desk| desk.report(epoch).map(Some))
    }

    fn hub_recovers(&self) -> Result<(), PartyError> {
        self.ask(Desk::hub_recovers)
    }

    fn newest_epoch(&self, newest: u32) -> Result<(), PartyError> {
        self.ask(move |desk| {
            desk.hub_has_begun(newest);
            Ok(())
        })
    }

    fn branch_from(&self, epoch: u32) -> Result<Option<u64>, PartyError> {
        self.ask(move |desk| desk.branch_from(epoch))
    }

    fn branch_taken(&self, epoch: u32, size: u64) -> Result<(), PartyError> {
        self.ask(move |desk| desk.branch_taken(epoch, size))
    }
}

impl DocumentSink for HubDesk {
    fn etags(&self) -> Result<BTreeMap<String, String>, PartyError> {
        self.ask(|desk| Ok(desk.store.read(|commit| commit.etags())?))
    }

    fn store(&self, arrived: Vec<ArrivedDocument>, gone: Vec<String>) -> Result<(), PartyError> {
        self.ask(move |desk| desk.take_documents(&arrived, &gone))
    }

    fn chunks_wanted(&self) -> Result<Vec<WantedChunk>, PartyError> {
        self.ask(|desk| {
            let chunks = desk.enrolled.as_ref().ok_or(Refusal::NotEnrolled)?.shelf.chunks();
            let mut wanted = Vec::new();
            desk.store.read(|commit| {
                for chunk in chunks {
                    if !commit.has_chunk(chunk.digest.as_bytes())? {
                        let sha256 = *chunk.digest.as_bytes();
                        wanted.push(WantedChunk { sha256, bytes: chunk.bytes as u64 });
                    }
                }
                Ok::<(), StoreError>(())
            })?;
            Ok(wanted)
        })
    }

    fn store_chunk(&self, sha256: [u8; 32], bytes: Vec<u8>) -> Result<(), PartyError> {
        self.ask(move |desk| {
            let kept = desk.store.commit(|commit| commit.put_chunk(&sha256, &bytes));
            kept.map_err(|error| Refusal::Trouble(desk.store_failed(&error)))?;
            desk.room_again();
            if let Some(enrolled) = &mut desk.enrolled {
                enrolled.shelf.chunk_came(&Digest::from_bytes(sha256));
            }
            desk.journal_arrivals()
        })
    }

    fn backlog(&self) -> Result<Option<String>, PartyError> {
        self.ask(|desk| {
            let now_ms = desk.now_ms();
            let waiting = desk.waiting();
            let enrolled = desk.enrolled.as_ref().ok_or(Refusal::NotEnrolled)?;
            let (chunks, chunk_bytes) = enrolled.shelf.lacks();
            let age_s = waiting.oldest_ms.map_or(0, |ms| now_ms.saturating_sub(ms) / 1000);
            let backlog = Backlog {
                records: waiting.records,
                bytes: waiting.bytes,
                oldest_s: u64::try_from(age_s).unwrap_or_default(),
                chunks,
                chunk_bytes,
                key_protection: Some(desk.key_protection),
            };
            Ok(Some(serde_json::to_string(&backlog)?))
        })
    }

    fn time_nonce(&self) -> Option<String> {
        self.0
            .ask(|desk| {
                let mut nonce = [0; 16];
                desk.random.fill(&mut nonce).ok()?;
                desk.time_nonce = Some(hex::encode(nonce));
                desk.time_nonce.clone()
            })
            .ok()?
    }

    fn renewal(&self) -> Result<Option<String>, PartyError> {
        self.ask(|desk| {
            let now_ms = desk.now_ms();
            let enrolled = desk.enrolled.as_ref().ok_or(Refusal::NotEnrolled)?;
            let due = enrolled.membership.renewal_is_due(now_ms);
            Ok(due.then(|| enrolled.keys.certificate_request()).transpose()?)
        })
    }

    fn renewed(&self, next: &NextCertificate) -> Result<(), PartyError> {
        let next = next.clone();
        self.ask(move |desk| {
            let mut membership =
                desk.enrolled.as_ref().ok_or(Refusal::NotEnrolled)?.membership.clone();
            membership.take_certificate(&next);
            let kept = desk.store.commit(|commit| membership.save(commit));
            kept.map_err(|error| Refusal::Trouble(desk.store_failed(&error)))?;
            if let Some(enrolled) = &mut desk.enrolled {
                enrolled.membership = membership;
            }
            Ok(())
        })
    }

    fn hub_time(&self, payload: &str, signature: &str) -> Result<(), PartyError> {
        let (payload, signature) = (payload.to_owned(), signature.to_owned());
        self.ask(move |desk| desk.take_time(&payload, &signature))
    }

    fn revoked(&self, payload: &str, signature: &str) -> Result<(), PartyError> {
        let (payload, signature) = (payload.to_owned(), signature.to_owned());
        self.ask(move |desk| desk.take_revocation(&payload, &signature))
    }
}

impl Desk {
    /// What the postman says about the hub.
    pub fn hub_is(&mut self, state: sync::HubState) {
        (self.hub, self.hub_trouble) = match state {
            sync::HubState::Connecting => (HubState::Connecting, None),
            sync::HubState::Online => {
                self.hub_was_whole = true;
                (HubState::Online, None)
            }
            sync::HubState::Offline(reason) => (HubState::Offline, of_offline(reason)),
        };
    }

    /// The bell that wakes the postman.
    pub fn ring_with(&mut self, nudge: sync::Nudge) {
        self.nudge = Some(nudge);
    }

    /// How the postman reaches the hub; none before enrolment.
    #[must_use]
    pub fn post_address(
        &self,
    ) -> Option<(crate::enrolment::Membership, zeroize::Zeroizing<String>)> {
        let enrolled = self.enrolled.as_ref()?;
        Some((enrolled.membership.clone(), enrolled.keys.tls_key_pem().ok()?))
    }

    /// What the hub has not acknowledged.
    pub(super) fn waiting(&mut self) -> Waiting {
        let Some(enrolled) = &self.enrolled else { return Waiting::default() };
        let (epoch, size) = (enrolled.journal.epoch(), enrolled.journal.size());
        let known = self.waiting_bytes.clone().filter(|known| known.epoch == epoch);
        let asked = self.store.read(|commit| {
            let held = sent(commit, epoch)?.min(size);
            let oldest_ms = commit.record_time(epoch, held)?;
            // Only what came and went since the last look is summed up.
            let bytes = match known {
                Some(known) if known.from <= held && held <= known.to && known.to <= size => {
                    let gone = commit.record_bytes(epoch, known.from..held)?;
                    known.bytes.saturating_sub(gone) + commit.record_bytes(epoch, known.to..size)?
                }
                Some(_) | None => commit.record_bytes(epoch, held..size)?,
            };
            Ok::<_, StoreError>((held, oldest_ms, bytes))
        });
        let Ok((from, oldest_ms, bytes)) = asked else { return Waiting::default() };
        self.waiting_bytes = Some(WaitingBytes { epoch, from, to: size, bytes });
        Waiting { records: size - from, oldest_ms, bytes }
    }

    fn take_cosigned(&mut self, epoch: u32, size: u64, note: String) -> Result<(), PartyError> {
        let enrolled = self.enrolled.as_ref().ok_or(Refusal::NotEnrolled)?;
        let earlier;
        let journal = if enrolled.journal.epoch() == epoch {
            &enrolled.journal
        } else {
            earlier = enrolled.journal.earlier(&mut self.store, epoch)?;
            &earlier
        };
        let cosigner = Cosigner {
            name: enrolled.membership.cosign_name.clone(),
            key: enrolled.membership.hub_key(),
        };
        let signed: SignedCheckpoint = note.parse().map_err(|_| Refusal::Note)?;
        let cosigned = signed.verify_cosigned(journal.origin(), journal.public(), &cosigner)?;
        let head = cosigned.checkpoint;
        if head.size != size {
            return Err(Refusal::Note.into());
        }
        if let Some(seen) = Seen::judge(journal, head.size, &head.root, "hub") {
            // The hub holds what this station signed and no longer has: its disk was set back.
            // What it has instead goes up as a branch.
            self.parted = Some(epoch);
            self.quarantine(seen);
            return Ok(());
        }
        if size == journal.size() {
            self.offered_again.remove(&epoch);
        }
        let kept = self.store.commit(|commit| {
            commit.put_head(epoch, true, &Head { size, note })?;
            commit.erase_credentials(epoch, size)
        });
        let erased = kept.map_err(|error| Refusal::Trouble(self.store_failed(&error)))?;
        if let Err(error) = self.witness.settle() {
            tracing::warn!(%error, "the last head is not on the disk beside the records");
        }
        if erased > 0 {
            tracing::info!(erased, "credentials that were written are erased here");
            self.traces = true;
            self.erase();
        }
        Ok(())
    }

    fn journal_refused(&mut self, epoch: u32, refusal: &JournalRefusal) -> Result<(), PartyError> {
        match refusal {
            JournalRefusal::Fork { seq } => {
                self.parted = Some(epoch);
                self.quarantine(Seen { why: "forked", by: "hub", epoch, size: *seq });
            }
            JournalRefusal::NotVerified { .. } => {
                let incident = self.incident();
                self.halted = Some(Trouble::of(TroubleCode::StoreDamaged, None, incident));
            }
        }
        // An earlier epoch that the hub takes no further does not hold up the present one.
        let present = self.enrolled.as_ref().map_or(epoch, |enrolled| enrolled.journal.epoch());
        if epoch < present { self.branch_taken(epoch, u64::MAX >> 1) } else { Ok(()) }
    }

    fn take_documents(
        &mut self,
        arrived: &[ArrivedDocument],
        gone: &[String],
    ) -> Result<(), PartyError> {
        let now_ms = self.now_ms();
        let membership = &self.enrolled.as_ref().ok_or(Refusal::NotEnrolled)?.membership;
        let custody: Vec<_> = arrived.iter().map(|one| custody_of(one, membership)).collect();
        let kept = self.store.commit(|commit| {
            for (document, custody) in arrived.iter().zip(custody) {
                // What is kept elsewhere, and erased there, leaves no copy here.
                let body = if custody.is_some() { &[] } else { document.bytes.as_slice() };
                commit.put_document(&document.name, &document.etag, body)?;
                if let Some(custody) = custody {
                    custody.keep(commit)?;
                }
            }
            for name in gone {
                commit.drop_document(name)?;
                forget(commit, name)?;
            }
            Ok::<(), StoreError>(())
        });
        kept.map_err(|error| Refusal::Trouble(self.store_failed(&error)))?;
        self.room_again();
        self.begin_opened_epoch();
        let mut enrolled = self.enrolled.take().ok_or(Refusal::NotEnrolled)?;
        let judged = enrolled.shelf.judge(&mut self.store, now_ms);
        self.enrolled = Some(enrolled);
        let roster = self.store.read(|commit| commit.document(ROSTER_DOCUMENT, false))?;
        let mut taken = judged?;
        let mut events = std::mem::take(&mut taken.events);
        let mut enrolled = self.enrolled.take().ok_or(Refusal::NotEnrolled)?;
        let (roster, roster_taken) = self.staff.judge(&enrolled, &taken, roster.as_deref());
        events.extend(roster_taken);
        let shelf = &enrolled.shelf;
        let mut note = None;
        let drafted = enrolled.journal.draft(now_ms, events);
        let committed = drafted.map_err(PartyError::from).and_then(|draft| {
            self.store.commit(|commit| {
                shelf.keep(&taken, commit)?;
                Staff::keep(&roster, commit)?;
                enrolled.journal.keep(&draft, commit)
            })?;
            Ok(draft)
        });
        let done = committed.and_then(|draft| {
            note = Some(draft.note().to_owned());
            enrolled.journal.accept(draft);
            self.staff.accept(roster);
            Ok(enrolled.shelf.accept(&mut self.store, taken)?)
        });
        self.enrolled = Some(enrolled);
        if let Some(note) = note {
            self.note_head(&note);
        }
        done?;
        // The older lease, and keys of withdrawn releases, are to leave no trace.
        self.traces = true;
        self.erase();
        self.journal_arrivals()
    }

    /// Believes the hub's signed word that this station is revoked, and nobody else's.
    fn take_revocation(&mut self, payload: &str, signature: &str) -> Result<(), PartyError> {
        let enrolled = self.enrolled.as_mut().ok_or(Refusal::NotEnrolled)?;
        let membership = &enrolled.membership;
        if !membership.hub_signed(RevocationStatement::KIND, payload, signature) {
            return Err(Refusal::Note.into());
        }
        let statement: RevocationStatement = serde_json::from_str(payload)?;
        let own_key: Digest = enrolled.keys.hpke_public().digest();
        if statement.station.as_str() != membership.station
            || statement.tenant.as_str() != membership.tenant
            || Digest::from_bytes(statement.hpke_key_sha256.0) != own_key
        {
            return Err(Refusal::Note.into());
        }
        tracing::warn!(revoked_ms = statement.revoked_ms, "the hub has revoked this station");
        enrolled.shelf.revoke();
        let erased = self.store.commit(|commit| commit.erase_secrets());
        erased.map_err(|error| Refusal::Trouble(self.store_failed(&error)))?;
        self.traces = true;
        self.erase();
        Ok(())
    }

    /// Journals the releases that have come to lie whole on the shelf.
    fn journal_arrivals(&mut self) -> Result<(), PartyError> {
        let shelf = &self.enrolled.as_ref().ok_or(Refusal::NotEnrolled)?.shelf;
        let arrivals = shelf.arrivals(&mut self.store)?;
        if arrivals.is_empty() {
            return Ok(());
        }
        let whole = shelf.whole();
        self.record(arrivals, move |commit| Shelf::keep_arrivals(commit, &whole))
            .map_err(|code| Refusal::Trouble(code).into())
    }

    /// A statement of the time about this station that the hub signed.
    pub(super) fn hub_statement(
        &self,
        payload: &str,
        signature: &str,
    ) -> Result<TimeStatement, PartyError> {
        let membership = &self.enrolled.as_ref().ok_or(Refusal::NotEnrolled)?.membership;
        if !membership.hub_signed(TimeStatement::KIND, payload, signature) {
            return Err(Refusal::Note.into());
        }
        let statement: TimeStatement = serde_json::from_str(payload)?;
        let own = (membership.tenant.as_str(), membership.station.as_str());
        if (statement.tenant.as_str(), statement.station.as_str()) != own {
            return Err(Refusal::Note.into());
        }
        Ok(statement)
    }

    fn take_time(&mut self, payload: &str, signature: &str) -> Result<(), PartyError> {
        let statement = self.hub_statement(payload, signature)?;
        // A nonce is answered once; an old answer played again moves nothing.
        if self.time_nonce.take().as_deref() != Some(statement.nonce.as_str()) {
            return Err(Refusal::Note.into());
        }
        let from_ms = self.now_ms();
        let to_ms = statement.hub_time_ms;
        let now = (self.clocks)();
        let jumped = self.clock.jumped();
        self.clock.hear_hub(to_ms, now);
        self.hub_heard(to_ms).map_err(Refusal::Trouble)?;
        if jumped || (to_ms - from_ms).abs() > CLOCK_QUIET_MS {
            self.record(vec![Event::ClockMoved { from_ms, to_ms }], |_| Ok(()))
                .map_err(Refusal::Trouble)?;
        }
        Ok(())
    }
}
