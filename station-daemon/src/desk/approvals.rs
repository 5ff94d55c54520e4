//! What a lead let pass: a chip that is not proven in one way, a locked board that may be erased.
//!
//! An approval is journalled when it is given and when it is used. One for a chip stays; one for a
//! board is for the next board in that slot, once, whether it turns out to be locked or not.
//!
//! The number in an approval is that of the lead who is in and was proven by PIN; 0 where the
//! station keeps no people.

use audit::Event;
use flash::{BackEnd, Proof};
use release::Channel;
use serde::{Deserialize, Serialize};

use super::Desk;
use super::facts::arrive_locked;
use super::looks::Ring;
use super::people::PersonRefusal;
use crate::api::view::{Approval, Wish};
use crate::store::{Commit, StoreError};
use crate::trouble::TroubleCode;
use crate::visit::ChipSet;

/// Setting that holds the approvals in force.
const APPROVALS: &str = "approvals";

/// The approvals in force.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Approvals {
    unproven: Vec<Unproven>,
    unlocks: Vec<Unlock>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Unproven {
    chip: String,
    way: BackEnd,
    by: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Unlock {
    slot: u32,
    by: u32,
}

/// Why an approval was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotApproved {
    /// The station has no journal to put it in.
    #[error("approving: the station belongs to no hub")]
    NotEnrolled,
    /// No such chip, or it has no such way.
    #[error("approving a chip: it cannot be flashed in this way")]
    NoSuchWay,
    /// The chip needs none.
    #[error("approving a chip: it is proven in this way")]
    ProvenAlready,
    /// No such slot.
    #[error("approving an erase: there is no such slot")]
    NoSuchSlot,
    /// The journal did not take it.
    #[error("approving: it could not be recorded ({})", .0.text())]
    NotRecorded(TroubleCode),
    /// Who is in may not.
    #[error("approving: {}", .0.word())]
    Person(PersonRefusal),
}

impl NotApproved {
    /// Stable word for a screen to translate.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotEnrolled => "not_enrolled",
            Self::NoSuchWay => "no_such_way",
            Self::ProvenAlready => "proven_already",
            Self::NoSuchSlot => "no_such_slot",
            Self::NotRecorded(_) => "not_recorded",
            Self::Person(refusal) => refusal.word(),
        }
    }
}

/// Why a chip that is not proven may be written all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// A lead approved it.
    Approved,
    /// Nobody is asked outside production: it is logged.
    NotAsked,
}

impl Leave {
    /// The word in a record.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::NotAsked => "not_asked",
        }
    }
}

/// Whether a chip may be written in a way with this proof: nothing to say for a proven one; in
/// production an unproven one needs a lead's approval, elsewhere it is only noted.
///
/// # Errors
/// [`TroubleCode::ChipNotProven`].
pub(super) fn leave_for(
    proof: Proof,
    channel: Channel,
    approved: bool,
) -> Result<Option<Leave>, TroubleCode> {
    match (proof, channel) {
        (Proof::SimulatedBoard | Proof::EmulatedChip, _) => Ok(None),
        (Proof::Unproven, _) if approved => Ok(Some(Leave::Approved)),
        (Proof::Unproven, Channel::Rework | Channel::AfterSales) => Ok(Some(Leave::NotAsked)),
        (Proof::Unproven, Channel::Production) => Err(TroubleCode::ChipNotProven),
    }
}

/// The word for a way onto a chip in records and on the API.
pub(super) const fn way_word(way: BackEnd) -> &'static str {
    match way {
        BackEnd::Probe => "probe",
        BackEnd::Dfu => "dfu",
        BackEnd::Uart => "uart",
    }
}

impl Approvals {
    /// The approvals that the store holds.
    ///
    /// # Errors
    /// As the store says.
    pub(super) fn load(commit: &Commit<'_>) -> Result<Self, StoreError> {
        let Some(bytes) = commit.setting(APPROVALS)? else { return Ok(Self::default()) };
        serde_json::from_slice(&bytes)
            .map_err(|error| StoreError::Damaged { what: format!("approvals: {error}") })
    }

    /// Puts them into a commit.
    ///
    /// # Errors
    /// As the store says.
    pub(super) fn keep(&self, commit: &Commit<'_>) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(self)
            .map_err(|error| StoreError::Damaged { what: format!("approvals: {error}") })?;
        commit.put_setting(APPROVALS, &bytes)
    }

    /// Whether a lead let this chip be flashed in this way.
    pub(super) fn covers(&self, chip: &str, way: BackEnd) -> bool {
        self.unproven.iter().any(|given| given.chip == chip && given.way == way)
    }

    /// Who let the next board of a slot be erased.
    pub(super) fn unlock_of(&self, slot: u32) -> Option<u32> {
        self.unlocks.iter().find(|given| given.slot == slot).map(|given| given.by)
    }

    /// The same without the one for a slot's next board.
    pub(super) fn without_unlock(&self, slot: u32) -> Self {
        let mut rest = self.clone();
        rest.unlocks.retain(|given| given.slot != slot);
        rest
    }

    /// As a screen shows them.
    pub(super) fn view(&self) -> Vec<Approval> {
        let unproven = self.unproven.iter().map(|given| Approval::Unproven {
            chip: given.chip.clone(),
            way: way_word(given.way).to_owned(),
            by: given.by,
        });
        let unlocks =
            self.unlocks.iter().map(|given| Approval::Unlock { slot: given.slot, by: given.by });
        unproven.chain(unlocks).collect()
    }
}

impl Desk {
    /// Takes an approval that a screen asks for, in the name of the lead who is in. A slot that
    /// shows the locked board looks at it anew.
    ///
    /// # Errors
    /// [`NotApproved`]; nothing is changed then.
    pub fn approve(&mut self, wish: &Wish) -> Result<(), NotApproved> {
        let by = self.leave_of_lead().map_err(NotApproved::Person)?.number();
        match wish {
            Wish::Unproven { chip, way } => {
                let way = [BackEnd::Probe, BackEnd::Dfu, BackEnd::Uart]
                    .into_iter()
                    .find(|known| way_word(*known) == way)
                    .ok_or(NotApproved::NoSuchWay)?;
                self.approve_unproven(chip, way, by)
            }
            Wish::Unlock { slot } => {
                self.approve_unlock(*slot, by)?;
                if let Some(bell) = self.bells.get(slot) {
                    bell(Ring::Again);
                }
                Ok(())
            }
        }
    }

    /// Lets a chip be flashed in production in a way that is not proven, from now on. `by` is the
    /// lead's number.
    ///
    /// # Errors
    /// [`NotApproved`]; nothing is changed then.
    pub fn approve_unproven(
        &mut self,
        chip: &str,
        way: BackEnd,
        by: u32,
    ) -> Result<(), NotApproved> {
        let profile = flash::chip(chip).ok_or(NotApproved::NoSuchWay)?;
        let proof = profile.way(way).ok_or(NotApproved::NoSuchWay)?.proof;
        if proof != Proof::Unproven {
            return Err(NotApproved::ProvenAlready);
        }
        let mut next = self.approvals.clone();
        next.unproven.retain(|given| given.chip != profile.name || given.way != way);
        next.unproven.push(Unproven { chip: profile.name.to_owned(), way, by });
        let (chip, way) = (profile.name.to_owned(), way_word(way).to_owned());
        self.take_approvals(next, Event::UnprovenApproved { chip, way, operator: by })
    }

    /// Lets the next board of a slot be erased whole if a chip of it is locked. Used once. `by` is
    /// the lead's number.
    ///
    /// # Errors
    /// [`NotApproved`]; nothing is changed then.
    pub fn approve_unlock(&mut self, slot: u32, by: u32) -> Result<(), NotApproved> {
        if !self.tiles.contains_key(&slot) {
            return Err(NotApproved::NoSuchSlot);
        }
        let mut next = self.approvals.without_unlock(slot);
        next.unlocks.push(Unlock { slot, by });
        self.take_approvals(next, Event::UnlockApproved { slot, operator: by })
    }

    fn take_approvals(&mut self, next: Approvals, event: Event) -> Result<(), NotApproved> {
        if self.enrolled.is_none() {
            return Err(NotApproved::NotEnrolled);
        }
        let kept = next.clone();
        self.record(vec![event], |commit| kept.keep(commit)).map_err(NotApproved::NotRecorded)?;
        self.approvals = next;
        Ok(())
    }

    /// Journals that locked chips are about to be erased: on the approval of a visit, which is used
    /// up, or because such chips arrive locked. The name of the record.
    ///
    /// # Errors
    /// [`TroubleCode::ChipLocked`] for a chip that neither covers; when it could not be saved.
    /// Nothing may be erased then.
    pub fn save_unlock(&mut self, slot: u32) -> Result<String, TroubleCode> {
        let visit = self.visits.get(&slot).ok_or(TroubleCode::Internal)?;
        let operator = self.approvals.unlock_of(slot);
        let recipe = &visit.work.as_ref().ok_or(TroubleCode::Internal)?.manifest.recipe;
        let fresh = if visit.erased { ChipSet::NONE } else { arrive_locked(recipe) };
        let locked = (0..).zip(&visit.units).filter(|(_, unit)| unit.is_none());
        if operator.is_none() && !ChipSet::of(locked.map(|(place, _)| place)).is_within(fresh) {
            return Err(TroubleCode::ChipLocked);
        }
        let events: Vec<Event> = visit
            .units
            .iter()
            .enumerate()
            .filter(|(_, unit)| unit.is_none())
            .map(|(place, _)| Event::Unlocking {
                slot,
                visit: visit.id.clone(),
                operator,
                chip: super::units::chip_name(recipe, place),
            })
            .collect();
        let journal = &self.enrolled.as_ref().ok_or(TroubleCode::Internal)?.journal;
        let record = format!("{}/{}", journal.epoch(), journal.size());
        let rest = self.approvals.without_unlock(slot);
        let kept = rest.clone();
        self.record(events, |commit| kept.keep(commit))?;
        self.approvals = rest;
        if let Some(visit) = self.visits.get_mut(&slot) {
            visit.erased = true;
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_production_asks_for_a_leads_approval_of_what_is_not_proven() {
        use Channel::{AfterSales, Production, Rework};
        let check = |proof, channel, approved, wanted: Result<Option<Leave>, TroubleCode>| {
            assert_eq!(leave_for(proof, channel, approved), wanted, "{proof:?} {channel}");
        };
        for approved in [false, true] {
            for channel in [Production, Rework, AfterSales] {
                check(Proof::SimulatedBoard, channel, approved, Ok(None));
                check(Proof::EmulatedChip, channel, approved, Ok(None));
            }
        }
        check(Proof::Unproven, Production, false, Err(TroubleCode::ChipNotProven));
        check(Proof::Unproven, Production, true, Ok(Some(Leave::Approved)));
        check(Proof::Unproven, Rework, false, Ok(Some(Leave::NotAsked)));
        check(Proof::Unproven, AfterSales, false, Ok(Some(Leave::NotAsked)));
        check(Proof::Unproven, AfterSales, true, Ok(Some(Leave::Approved)));
    }
}
