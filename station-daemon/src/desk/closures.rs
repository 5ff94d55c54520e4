//! Slots that take no boards: closed after failures of one cause, opened by a person's act alone.
//!
//! Promise: a closed slot is closed again after a restart, and every closing and opening is in the
//! journal.

use audit::Event;

use super::looks::Ring;
use super::people::PersonRefusal;
use super::{Desk, DeskHandle};
use crate::trouble::TroubleCode;

/// What became of the wish to open a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opened {
    /// It takes boards again.
    Now,
    /// It was not closed.
    Already,
    /// The journal did not take it; the slot stays closed.
    NotRecorded,
    /// There is no such slot.
    NoSlot,
    /// Who is in may not.
    Refused(PersonRefusal),
}

impl DeskHandle {
    /// Opens a closed slot. Blocks for a journal write; not for async code.
    #[must_use]
    pub fn open_slot(&self, slot: u32) -> Opened {
        self.ask(move |desk| desk.open_slot(slot)).unwrap_or(Opened::NotRecorded)
    }
}

impl Desk {
    /// Keeps that a slot takes no boards any more. Its thread ends no visit for it.
    pub fn slot_closed(&mut self, slot: u32, code: TroubleCode) {
        if self.closed.contains_key(&slot) {
            return;
        }
        self.closed.insert(slot, code);
        let trouble = code.text();
        let closed = Event::SlotClosed { slot, trouble: trouble.clone() };
        if let Err(code) = self.record(vec![closed], |commit| commit.close_slot(slot, &trouble)) {
            tracing::warn!(slot, code = code.text(), "a closed slot was not journalled");
        }
    }

    /// Why a slot is closed, if it is.
    #[must_use]
    pub fn closed(&self, slot: u32) -> Option<TroubleCode> {
        self.closed.get(&slot).copied()
    }

    fn open_slot(&mut self, slot: u32) -> Opened {
        if !self.tiles.contains_key(&slot) {
            return Opened::NoSlot;
        }
        if !self.closed.contains_key(&slot) {
            return Opened::Already;
        }
        let leave = match self.leave_of_lead() {
            Ok(leave) => leave,
            Err(refusal) => return Opened::Refused(refusal),
        };
        let opened = Event::SlotOpened { slot, operator: leave.operator() };
        if self.record(vec![opened], |commit| commit.open_slot(slot)).is_err() {
            return Opened::NotRecorded;
        }
        self.closed.remove(&slot);
        tracing::info!(slot, "slot opened");
        if let Some(bell) = self.bells.get(&slot) {
            bell(Ring::Open);
        }
        Opened::Now
    }
}

/// A code as it is kept; one that this program does not know is still a reason.
pub(super) fn code_of(text: &str) -> TroubleCode {
    TroubleCode::ALL.into_iter().find(|code| code.text() == text).unwrap_or(TroubleCode::Internal)
}
