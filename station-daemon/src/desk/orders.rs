//! Which work order the boards are flashed for.
//!
//! A scan selects; when the lease holds exactly one portion that is not made yet, it is taken
//! without a scan. Where people are kept, whoever is in may choose among the open ones; a lead
//! closes one here, and a lead's scan opens it again.

use audit::Event;
use release::Portion;

use super::Desk;
use super::people::PersonRefusal;
use crate::api::view::{ActAnswer, ScanAnswer, ScanKind};
use crate::store::StoreError;

/// Setting that holds the scanned order's number.
pub(super) const CHOSEN: &str = "order";

/// Why an order is not chosen.
enum NotChosen {
    Unknown,
    NotRecorded,
    Person(PersonRefusal),
}

impl Desk {
    /// The portion worked on now.
    pub(super) fn portion(&mut self) -> Option<Portion> {
        let portions = self.enrolled.as_ref()?.shelf.portions();
        let closed = &self.closed_orders;
        let portions: Vec<Portion> =
            portions.iter().filter(|portion| !closed.contains(&portion.order)).cloned().collect();
        let chosen = self.chosen.as_deref();
        if let Some(portion) = portions.iter().find(|p| Some(p.order.as_str()) == chosen) {
            return Some(portion.clone());
        }
        if let [only] = portions.as_slice() {
            return Some(only.clone());
        }
        let mut open = portions.into_iter().filter(|portion| {
            let passed = self.store.read(|commit| commit.passed_count(&portion.order));
            passed.is_ok_and(|passed| passed < portion.quantity)
        });
        match (open.next(), open.next()) {
            (Some(only), None) => Some(only),
            (_, _) => None,
        }
    }

    /// Judges the label of a work order.
    pub(super) fn choose_order(&mut self, number: &str) -> ScanAnswer {
        let (accepted, word) = match self.choose(number) {
            Ok(()) => (true, "order_selected"),
            Err(NotChosen::Unknown) => (false, "unknown_order"),
            Err(NotChosen::NotRecorded) => (false, "not_recorded"),
            Err(NotChosen::Person(refusal)) => (false, refusal.word()),
        };
        ScanAnswer::to(ScanKind::Order, accepted, word)
    }

    /// Whether the lease knows the order; then it is chosen and journalled. One that was closed
    /// here takes a lead to be opened again.
    fn choose(&mut self, number: &str) -> Result<(), NotChosen> {
        let Some(enrolled) = &self.enrolled else { return Err(NotChosen::Unknown) };
        let found = enrolled.shelf.portions().iter().find(|portion| portion.order == number);
        let Some(portion) = found.cloned() else { return Err(NotChosen::Unknown) };
        let closed = self.closed_orders.contains(number);
        let leave = if closed { self.leave_of_lead() } else { self.leave_of_anybody() };
        let event = Event::OrderOpened {
            order: portion.order.clone(),
            product: portion.product.as_str().to_owned(),
            release: audit::Digest(*portion.manifest_sha256.as_bytes()),
            quantity: portion.quantity,
            operator: leave.map_err(NotChosen::Person)?.operator(),
        };
        let number = number.to_owned();
        let kept = self.record(vec![event], |commit| {
            commit.close_order(&number, false)?;
            commit.put_setting(CHOSEN, number.as_bytes())?;
            Ok::<_, StoreError>(())
        });
        kept.map_err(|_| NotChosen::NotRecorded)?;
        self.closed_orders.remove(&number);
        self.chosen = Some(number);
        Ok(())
    }

    /// Closes the station's share of the order in hand: a lead's act. What is left of it takes no
    /// board until a lead scans the order again; units in a slot go on.
    pub fn close_order(&mut self) -> ActAnswer {
        let Some(portion) = self.portion() else {
            return ActAnswer { accepted: false, ..ActAnswer::done("no_order") };
        };
        let leave = match self.leave_of_lead() {
            Ok(leave) => leave,
            Err(refusal) => return ActAnswer::refused(refusal),
        };
        let order = portion.order;
        let passed = match self.store.read(|commit| commit.passed_count(&order)) {
            Ok(passed) => passed,
            Err(error) => return ActAnswer::not_recorded(Some(self.store_failed(&error))),
        };
        let operator = leave.operator();
        let event = Event::OrderClosed { order: order.clone(), passed, operator };
        let kept = self.record(vec![event], |commit| {
            commit.close_order(&order, true)?;
            commit.drop_setting(CHOSEN)
        });
        if let Err(code) = kept {
            return ActAnswer::not_recorded(Some(code));
        }
        self.closed_orders.insert(order);
        self.chosen = None;
        ActAnswer::done("order_closed")
    }
}
