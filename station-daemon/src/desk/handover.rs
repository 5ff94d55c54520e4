//! The handover sheet: what lies open when one shift ends and the next begins.

use super::Desk;
use crate::api::handover::{BoardLeft, CODES_MAX, CodeLeft, Handover, HeadLeft};
use crate::api::view::SlotState;
use crate::trouble::chain;

impl Desk {
    /// What this shift leaves to the next; none where people are kept and nobody is in.
    pub fn handover(&mut self) -> Option<Handover> {
        self.leave_of_anybody().ok()?;
        let view = self.look();
        let lies = |state: SlotState| state != SlotState::Empty && state != SlotState::Closed;
        let held = |slot: u32| view.rejects.iter().any(|one| one.slot == slot && one.taken_out);
        let boards = view.slots.iter().filter(|slot| lies(slot.state) && !held(slot.number));
        let boards = boards.map(|slot| BoardLeft {
            slot: slot.number,
            state: slot.state,
            uid_tail: slot.uid_tail.clone(),
        });
        let open = self.store.read(|commit| commit.codes_not_proven(CODES_MAX));
        let (codes, count) = match open {
            Ok(open) => open,
            Err(error) => {
                self.store_failed(&error);
                (Vec::new(), 0)
            }
        };
        let codes = codes.into_iter().map(|open| CodeLeft {
            code: open.code,
            order: open.order_number,
            uid_tail: open.uid[open.uid.len().saturating_sub(4)..].to_owned(),
        });
        let head = self.enrolled.as_ref().and_then(|enrolled| {
            let (journal, size) = (&enrolled.journal, enrolled.journal.size());
            match journal.head_at(size) {
                Ok(note) => HeadLeft::of(journal.epoch(), size, note),
                Err(error) => {
                    tracing::error!(error = %chain(&error), "no head for the handover sheet");
                    None
                }
            }
        });
        Some(Handover {
            at_s: u32::try_from(self.now_ms() / 1000).unwrap_or_default(),
            order: view.order.as_ref().map(|order| order.number.clone()),
            boards: boards.collect(),
            codes: codes.collect(),
            codes_count: count,
            unsynced: view.hub.unsynced,
            head,
            rejects: view.rejects,
        })
    }
}
