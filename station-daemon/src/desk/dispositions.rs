//! What becomes of units and portions by a lead's word: scrap, chip replaced, a portion given back.
//!
//! Each is one record and its consequence in one commit. The hub hears of it with the journal, the
//! other stations from the hub. Rework needs no word here: a board comes back under an order of the
//! rework channel, and its code is adopted.
//!

use audit::{Event, HexBytes};

use super::Desk;
use super::facts::certificate;
use super::people::PersonRefusal;
use crate::api::view::Disposition;
use crate::store::{StoreError, UnitKey};
use crate::trouble::TroubleCode;

/// Longest serial number, in characters.
const SERIAL_CHARACTERS_MAX: usize = 64;

/// Why a disposition was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotDisposed {
    /// The station has no journal to put it in.
    #[error("a disposition: the station belongs to no hub")]
    NotEnrolled,
    /// No order says which product it is about, or there is no such order.
    #[error("a disposition: there is no such order here")]
    UnknownOrder,
    /// No unit of this station has the code: the hub can do it.
    #[error("a disposition: no unit here has this code")]
    UnknownCode,
    /// A chip is not its own replacement.
    #[error("a disposition: old and new chip are one")]
    SameChip,
    /// Not 1 to 64 printable characters.
    #[error("a disposition: that is no serial number")]
    BadSerial,
    /// A unit of the portion is in a slot.
    #[error("a disposition: a unit is in work")]
    InWork,
    /// Who is in may not.
    #[error("a disposition: {}", .0.word())]
    Person(PersonRefusal),
    /// The journal did not take it.
    #[error("a disposition: it could not be recorded ({})", .0.text())]
    NotRecorded(TroubleCode),
}

impl NotDisposed {
    /// Stable word for a screen to translate.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NotEnrolled => "not_enrolled",
            Self::UnknownOrder => "unknown_order",
            Self::UnknownCode => "unknown_code",
            Self::SameChip => "same_chip",
            Self::BadSerial => "bad_serial",
            Self::InWork => "in_work",
            Self::Person(refusal) => refusal.word(),
            Self::NotRecorded(_) => "not_recorded",
        }
    }
}

impl Desk {
    /// Takes a disposition as a screen gives it, in the name of the lead who is in.
    ///
    /// # Errors
    /// [`NotDisposed`]; nothing is changed then.
    pub fn dispose(&mut self, disposition: &Disposition) -> Result<(), NotDisposed> {
        if self.enrolled.is_none() {
            return Err(NotDisposed::NotEnrolled);
        }
        let by = self.leave_of_lead().map_err(NotDisposed::Person)?.number();
        match disposition {
            Disposition::Scrap { product, code } => {
                let unit = self.unit_of_code(product, code)?;
                let event = Event::Scrapped {
                    product: unit.product.clone(),
                    family: unit.family.clone(),
                    uid: uid_of(&unit)?,
                    operator: by,
                };
                self.void(event, &unit)
            }
            Disposition::ChipReplaced { product, old_code, new_code, serial } => {
                let printable = !serial.chars().any(char::is_control);
                if !(1..=SERIAL_CHARACTERS_MAX).contains(&serial.chars().count()) || !printable {
                    return Err(NotDisposed::BadSerial);
                }
                let old = self.unit_of_code(product, old_code)?;
                let new = self.unit_of_code(product, new_code)?;
                if old == new {
                    return Err(NotDisposed::SameChip);
                }
                let event = Event::ChipReplaced {
                    product: old.product.clone(),
                    serial: serial.clone(),
                    old_family: old.family.clone(),
                    old_uid: uid_of(&old)?,
                    new_family: new.family.clone(),
                    new_uid: uid_of(&new)?,
                    operator: by,
                };
                self.void(event, &old)
            }
            Disposition::ReturnPortion { order } => self.return_portion(order, by),
        }
    }

    fn unit_of_code(&mut self, product: &str, code: &str) -> Result<UnitKey, NotDisposed> {
        let found = self.store.read(|commit| commit.unit_of_code(product, code));
        let found = found.map_err(|error| NotDisposed::NotRecorded(self.store_failed(&error)))?;
        found.ok_or(NotDisposed::UnknownCode)
    }

    fn void(&mut self, event: Event, unit: &UnitKey) -> Result<(), NotDisposed> {
        let voided = self.record(vec![event], |commit| commit.void_unit(unit));
        voided.map_err(NotDisposed::NotRecorded)?;
        // A credential that the unit had is to leave no trace.
        self.traces = true;
        self.erase();
        Ok(())
    }

    /// Gives back what this station has not used of a portion: places, indices, credentials. The
    /// units it made are still known here.
    fn return_portion(&mut self, order: &str, by: u32) -> Result<(), NotDisposed> {
        let enrolled = self.enrolled.as_ref().ok_or(NotDisposed::NotEnrolled)?;
        let portions = enrolled.shelf.portions();
        let portion = portions.iter().find(|portion| portion.order == order).cloned();
        let portion = portion.ok_or(NotDisposed::UnknownOrder)?;
        let name = certificate(&portion).map(|certificate| certificate.allotment());
        let asked = self.store.read(|commit| {
            let busy = commit.places()?.iter().any(|place| place.order_number == order);
            let passed = commit.passed_count(order)?;
            let next = match &name {
                Some(name) => commit.next_number(name, portion.index_from)?,
                None => portion.index_to,
            };
            Ok::<_, StoreError>((busy, passed, next))
        });
        let (busy, passed, next) =
            asked.map_err(|error| NotDisposed::NotRecorded(self.store_failed(&error)))?;
        if busy {
            return Err(NotDisposed::InWork);
        }
        let event = Event::PortionReturned {
            order: order.to_owned(),
            passed,
            allotment: name.map(|name| HexBytes(name.to_vec())),
            unused_from: next.min(portion.index_to),
            unused_to: portion.index_to,
        };
        tracing::info!(order, passed, by, "a portion is given back");
        let returned = self.record(vec![event], |commit| {
            commit.return_portion(order)?;
            match &name {
                // What goes back is not written here any more, whatever the hub makes of it.
                Some(name) => commit.erase_unbound(name).map(drop),
                None => Ok(()),
            }
        });
        returned.map_err(NotDisposed::NotRecorded)
    }
}

fn uid_of(unit: &UnitKey) -> Result<HexBytes, NotDisposed> {
    hex::decode(&unit.uid).map(HexBytes).map_err(|_| NotDisposed::UnknownCode)
}
