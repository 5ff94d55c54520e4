//! The end of a visit, on disk before anybody is told.

use audit::{Digest, Event, HexBytes, Step as RecordStep};

use super::Desk;
use super::places::unit_row;
use super::units::chip_name;
use super::visits::OpenVisit;
use crate::store::{Commit, Place, StoreError, UnitKey, UnitState};
use crate::trouble::TroubleCode;
use crate::visit::Verdict;

/// What the slot proved of one chip since the reservation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Every byte was read back.
    pub verified: bool,
    /// The block was read back.
    pub activated: bool,
    /// The firmware's line.
    pub line: Option<String>,
    /// The lock was confirmed.
    pub locked: bool,
}

impl Desk {
    /// Saves what was proven and the intent to lock.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn save_intent(&mut self, slot: u32, evidence: &[Evidence]) -> Result<(), TroubleCode> {
        let visit = self.visits.get(&slot).ok_or(TroubleCode::Internal)?;
        let mut events = proofs(slot, visit, evidence);
        events.push(Event::Locking { slot, visit: visit.id.clone() });
        let written = self.written(slot, &events);
        self.record(events, |commit| written.map_or(Ok(()), |written| written.note(commit)))?;
        if let Some(visit) = self.visits.get_mut(&slot) {
            visit.evidence_saved = true;
        }
        Ok(())
    }

    /// Saves the verdict with its evidence, in one commit with the unit's new state.
    ///
    /// # Errors
    /// When it could not be saved; the board must not be released then.
    pub fn save_evidence(
        &mut self,
        slot: u32,
        verdict: Verdict,
        evidence: &[Evidence],
    ) -> Result<(), TroubleCode> {
        let now_ms = self.now_ms();
        let visit = self.visits.get(&slot).ok_or(TroubleCode::Internal)?;
        let unit = visit.unit().ok_or(TroubleCode::Internal)?;
        let portion = visit.portion.as_ref().ok_or(TroubleCode::Internal)?;
        let release = visit.work.as_ref().ok_or(TroubleCode::Internal)?;
        let mut events =
            if visit.evidence_saved { Vec::new() } else { proofs(slot, visit, evidence) };
        let code = visit.code.clone().unwrap_or_default();
        let (uid, weak) = unit.id.recorded();
        for (place, _) in evidence.iter().enumerate().filter(|(_, chip)| chip.locked) {
            let chip = chip_name(&release.manifest.recipe, place);
            events.push(Event::Locked { slot, visit: visit.id.clone(), chip });
        }
        match verdict {
            Verdict::SeenBefore => {
                events.push(Event::SeenBefore {
                    slot,
                    visit: visit.id.clone(),
                    uid: uid.ok_or(TroubleCode::Internal)?,
                    code,
                    passed_before: true,
                });
                let written = self.written(slot, &events);
                return self.record(events, |commit| {
                    written.map_or(Ok(()), |written| written.note(commit))
                });
            }
            Verdict::Pass => events.push(Event::Passed {
                slot,
                visit: visit.id.clone(),
                order: portion.order.clone(),
                product: portion.product.as_str().to_owned(),
                family: unit.family.clone(),
                uid,
                weak,
                code,
                release: Digest(*release.digest.as_bytes()),
                took_ms: u64::try_from(visit.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            }),
        }
        let key = unit.key(portion.product.as_str());
        let row = unit_row(portion, release, UnitState::Passed, Some(now_ms));
        let written = self.written(slot, &events);
        self.record(events, |commit| {
            if let Some(written) = written {
                written.note(commit)?;
            }
            commit.put_unit(&key, &row)?;
            commit.give_place_back(slot)
        })
    }

    /// Which record of `events`, if they are recorded next, says that the unit's block was written.
    fn written(&self, slot: u32, events: &[Event]) -> Option<Written> {
        let place = events.iter().position(|event| matches!(event, Event::Activated { .. }))?;
        let visit = self.visits.get(&slot)?;
        let unit = visit.unit()?.key(visit.portion.as_ref()?.product.as_str());
        let journal = &self.enrolled.as_ref()?.journal;
        Some(Written {
            unit,
            epoch: journal.epoch(),
            seq: journal.size() + place as u64,
            block_sha256: Digest::of(visit.block.as_ref()?).0,
        })
    }

    /// Saves a failure and gives the place back; the code stays with the chip. `chip` names the
    /// one that failed where the unit has several.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn save_failure(
        &mut self,
        slot: u32,
        code: TroubleCode,
        step: RecordStep,
        chip: Option<String>,
    ) -> Result<(), TroubleCode> {
        let visit = self.visits.get_mut(&slot).ok_or(TroubleCode::Internal)?;
        visit.journalled = true;
        let (uid, weak) = visit.unit().map(|unit| unit.id.recorded()).unwrap_or_default();
        let event = Event::Failed {
            slot,
            visit: visit.id.clone(),
            uid,
            weak,
            trouble: code.text(),
            step,
            incident: visit.incident.clone(),
            chip,
        };
        tracing::warn!(
            slot,
            visit = visit.id,
            incident = visit.incident,
            code = code.text(),
            ?step,
            "visit failed"
        );
        self.record(vec![event], |commit| {
            for place in commit.places()?.into_iter().filter(|place| place.slot == slot) {
                fail_unit(commit, &place)?;
            }
            commit.give_place_back(slot)
        })
    }

    /// Ends visits that hold a place but will not end by themselves: all of them after a start,
    /// the slot's own when its failure could not be saved.
    pub(super) fn close_left_open(&mut self, only: Option<u32>) {
        let places = self.store.read(|commit| commit.places());
        let left: Vec<Place> = match places {
            Ok(places) => {
                places.into_iter().filter(|place| only.is_none_or(|s| s == place.slot)).collect()
            }
            Err(error) => {
                self.store_failed(&error);
                return;
            }
        };
        if left.is_empty() {
            return;
        }
        let incident = self.incident();
        let events = left
            .iter()
            .map(|place| Event::Failed {
                slot: place.slot,
                visit: place.visit.clone(),
                uid: hex::decode(&place.unit.uid).ok().map(HexBytes),
                weak: None,
                trouble: TroubleCode::WorkerCrashed.text(),
                step: RecordStep::Program,
                incident: incident.clone(),
                chip: None,
            })
            .collect();
        let closed = self.record(events, |commit| {
            for place in &left {
                fail_unit(commit, place)?;
                commit.give_place_back(place.slot)?;
            }
            Ok(())
        });
        tracing::warn!(%incident, visits = left.len(), ok = closed.is_ok(), "visits left open");
    }
}

/// The record that says that a unit's block was written and read back.
struct Written {
    unit: UnitKey,
    epoch: u32,
    seq: u64,
    block_sha256: [u8; 32],
}

impl Written {
    fn note(&self, commit: &Commit<'_>) -> Result<(), StoreError> {
        commit.note_written(&self.unit, self.epoch, self.seq, &self.block_sha256)
    }
}

fn fail_unit(commit: &Commit<'_>, place: &Place) -> Result<(), StoreError> {
    let Some(mut row) = commit.unit(&place.unit)? else { return Ok(()) };
    if row.state == UnitState::InWork {
        // A unit that passed before (rework) has still passed.
        row.state = if row.passed_ms.is_some() { UnitState::Passed } else { UnitState::Failed };
        commit.put_unit(&place.unit, &row)?;
    }
    Ok(())
}

/// What was proven, chip by chip.
fn proofs(slot: u32, visit: &OpenVisit, evidence: &[Evidence]) -> Vec<Event> {
    let mut events = Vec::new();
    let Some(release) = &visit.work else { return events };
    let id = || visit.id.clone();
    for (place, (evidence, open)) in evidence.iter().zip(&release.chips).enumerate() {
        let chip = chip_name(&release.manifest.recipe, place);
        if evidence.verified {
            events.push(Event::Verified {
                slot,
                visit: id(),
                release: Digest(*release.digest.as_bytes()),
                digest: Digest(open.bytes_sha256),
                chip: chip.clone(),
            });
        }
        let uid = visit.unit().and_then(|unit| unit.id.uid());
        if let (true, Some(uid), Some(block)) = (evidence.activated, uid, &visit.block) {
            events.push(Event::Activated {
                slot,
                visit: id(),
                uid: HexBytes(uid.to_vec()),
                code: visit.code.clone().unwrap_or_default(),
                block_sha256: Digest::of(block),
                receipt: visit.receipt.clone().map(HexBytes),
            });
        }
        if let Some(line) = &evidence.line {
            events.push(Event::SelfTested { slot, visit: id(), line: line.clone(), chip });
        }
    }
    events
}
