//! A worker's word that a board is in a slot that shows EMPTY.
//!
//! Passes it to the slot's thread, which looks again on its next turn. Makes no visit and no
//! record: a board that never answered is nobody yet.
//!
//! Promise: the desk itself never waits for a slot; who asked waits, and not for long.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use super::{Desk, DeskHandle};
use crate::api::view::SlotState;
use crate::teach::SlotPorts;

/// Longest wait for a slot's answer. The tile tells what came of a look that took longer.
pub const LOOK_ANSWER_MAX: Duration = Duration::from_millis(1500);

/// A request that a slot look again.
#[derive(Debug)]
pub struct Look {
    answer: SyncSender<bool>,
}

impl Look {
    /// Says whether a board makes contact.
    pub fn answer(self, found: bool) {
        // Who asked may have stopped waiting; the tile tells them.
        let _ = self.answer.try_send(found);
    }
}

/// What a slot's thread is told.
#[derive(Debug)]
pub enum Ring {
    /// To look again.
    Look(Look),
    /// To take boards again.
    Open,
    /// To look anew at a board that was refused because its chip is locked.
    Again,
    /// To be reached through these ports from the next board on.
    Ports(Box<SlotPorts>),
    /// To look whether its taught sockets hold what they were taught.
    Check,
}

/// How a slot's thread is told something.
pub type Bell = Box<dyn Fn(Ring) + Send>;

/// What the desk makes of a touch.
enum Touched {
    /// A board is known to be there or not; the slot needs no asking.
    Known(bool),
    Asked(Receiver<bool>),
}

impl DeskHandle {
    /// Has a slot look again because somebody says that a board is in it; whether one makes
    /// contact, `None` when there is no such slot. A second touch takes the word back. Blocks for
    /// at most [`LOOK_ANSWER_MAX`] once the desk has heard; not for async code.
    #[must_use]
    pub fn look_into(&self, slot: u32) -> Option<bool> {
        match self.ask(move |desk| desk.touched(slot)).ok()?? {
            Touched::Known(found) => Some(found),
            Touched::Asked(answer) => Some(answer.recv_timeout(LOOK_ANSWER_MAX).unwrap_or(false)),
        }
    }
}

impl Desk {
    /// Remembers how a slot's thread is reached.
    pub fn hang_bell(&mut self, slot: u32, bell: Bell) {
        self.bells.insert(slot, bell);
    }

    fn touched(&self, slot: u32) -> Option<Touched> {
        let tile = &self.tiles.get(&slot)?.tile;
        let bell = self.bells.get(&slot).filter(|_| tile.can_look);
        let Some(bell) = bell else {
            let board = tile.state == SlotState::Contact || self.visits.contains_key(&slot);
            return Some(Touched::Known(board));
        };
        let (answer, asked) = sync_channel(1);
        bell(Ring::Look(Look { answer }));
        Some(Touched::Asked(asked))
    }
}
