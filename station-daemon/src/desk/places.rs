//! Places and codes: what is taken before a board is written.
//!
//! Promise: the commit with the reservation and the intent to write has returned before the slot
//! gets its task.

use activation::{Allotment, code_for};
use audit::{Digest, Event, HexBytes};
use release::{Channel, Portion};

use super::Desk;
use super::facts::certificate;
use super::units::chip_name;
use super::visits::{Task, tasks};
use crate::config::SlotConfig;
use crate::shelf::OpenRelease;
use crate::store::{Place, Reservation, UnitKey, UnitRow, UnitState};
use crate::trouble::TroubleCode;
use crate::visit::CodeSource;

impl Desk {
    /// Takes place and code and journals them with the intent to write; then the tasks, chip by
    /// chip.
    ///
    /// # Errors
    /// Why nothing may be written.
    pub fn reserve(
        &mut self,
        slot: u32,
        source: CodeSource,
        config: &SlotConfig,
    ) -> Result<Vec<Task>, TroubleCode> {
        if let Some(code) = self.stopped() {
            return Err(code);
        }
        // The lease is asked again: time has passed since the decision.
        let (portion, release, routes) = self.work_through(config)?;
        let visit = self.visits.get(&slot).ok_or(TroubleCode::Internal)?;
        let unit = visit.unit().ok_or(TroubleCode::Internal)?;
        let id = visit.id.clone();
        let key = unit.key(portion.product.as_str());
        let (family, uid) = (unit.family.clone(), unit.id.uid().map(<[u8]>::to_vec));
        let adopted = unit.on_chip;
        let reservation = match source {
            CodeSource::NotActivated => None,
            CodeSource::Reserved => {
                let known = self.store.read(|commit| commit.reservation(&key));
                let known = known.map_err(|error| self.store_failed(&error))?;
                Some(known.ok_or(TroubleCode::Internal)?)
            }
            CodeSource::Adopted => {
                let block = visit.block.clone().ok_or(TroubleCode::Internal)?;
                let on_chip = adopted.ok_or(TroubleCode::Internal)?;
                Some(Reservation {
                    code: on_chip.code().to_string(),
                    allotment: on_chip.allotment(),
                    number: on_chip.index(),
                    block,
                })
            }
            CodeSource::New => {
                let uid = uid.as_deref().ok_or(TroubleCode::IdentityWeak)?;
                Some(self.issue(&portion, &release, &family, uid)?)
            }
        };
        let mut events = Vec::new();
        if let Some(code) = &reservation {
            let uid = uid.as_deref().ok_or(TroubleCode::IdentityWeak)?;
            events.push(reserved_event(slot, &id, &portion, &key, uid, code, source));
        }
        for (place, (open, route)) in release.chips.iter().zip(&routes).enumerate() {
            let chip = chip_name(&release.manifest.recipe, place);
            if route.leave.is_some() {
                tracing::warn!(slot, chip, port = %route.port, "flashed in a way not proven");
            }
            events.push(Event::Programming {
                slot,
                visit: id.clone(),
                release: Digest(*release.digest.as_bytes()),
                channel: channel_word(release.channel).to_owned(),
                bytes: open.bytes,
                unproven: route.leave.map(|leave| leave.word().to_owned()),
                chip,
            });
        }
        let place =
            Place { slot, visit: id, order_number: portion.order.clone(), unit: key.clone() };
        let row = unit_row(&portion, &release, UnitState::InWork, None);
        let fresh = matches!(source, CodeSource::New | CodeSource::Adopted);
        let bound = reservation.clone();
        self.record(events, |commit| {
            if let (true, Some(code)) = (fresh, &bound) {
                commit.put_reservation(&key, code)?;
            }
            commit.take_place(&place)?;
            commit.put_unit(&key, &row)
        })?;
        let block = reservation.as_ref().map(|code| code.block.as_slice());
        let tasks = tasks(&release, block, config);
        if let Some(visit) = self.visits.get_mut(&slot) {
            visit.code = reservation.as_ref().map(|code| code.code.clone());
            visit.block = reservation.map(|code| code.block);
            visit.portion = Some(portion);
            visit.work = Some(release);
        }
        Ok(tasks)
    }

    fn issue(
        &mut self,
        portion: &Portion,
        release: &OpenRelease,
        family: &str,
        uid: &[u8],
    ) -> Result<Reservation, TroubleCode> {
        let certificate = certificate(portion).ok_or(TroubleCode::QuotaEmpty)?;
        let key = self.enrolled.as_ref().ok_or(TroubleCode::Internal)?.keys.journal();
        let product = portion.product.as_str();
        let name = certificate.allotment();
        let allotment = Allotment::take_up(certificate, product, &release.product_keys(), key)
            .map_err(|error| {
                tracing::error!(%error, order = portion.order, "the allotment is not usable");
                TroubleCode::QuotaEmpty
            })?;
        let number = self.store.read(|commit| commit.next_number(&name, portion.index_from));
        let number = number.map_err(|error| self.store_failed(&error))?;
        if number >= portion.index_to {
            return Err(TroubleCode::QuotaEmpty);
        }
        let block = allotment.issue(number, family, uid).map_err(|error| {
            tracing::error!(%error, "no activation block");
            TroubleCode::QuotaEmpty
        })?;
        Ok(Reservation {
            code: code_for(product, family, uid).to_string(),
            allotment: name,
            number,
            block: block.to_vec(),
        })
    }
}

pub(super) fn unit_row(
    portion: &Portion,
    release: &OpenRelease,
    state: UnitState,
    passed_ms: Option<i64>,
) -> UnitRow {
    UnitRow {
        state,
        order_number: portion.order.clone(),
        release: release.manifest.version.as_str().to_owned(),
        passed_ms,
    }
}

fn reserved_event(
    slot: u32,
    visit: &str,
    portion: &Portion,
    unit: &UnitKey,
    uid: &[u8],
    code: &Reservation,
    source: CodeSource,
) -> Event {
    let visit = visit.to_owned();
    let (order, product) = (portion.order.clone(), portion.product.as_str().to_owned());
    let (family, uid) = (unit.family.clone(), HexBytes(uid.to_vec()));
    let (text, index) = (code.code.clone(), code.number);
    let allotment = HexBytes(code.allotment.to_vec());
    let block_sha256 = Digest::of(&code.block);
    if source == CodeSource::Adopted {
        let code = text;
        Event::Adopted {
            slot,
            visit,
            order,
            product,
            family,
            uid,
            code,
            allotment,
            index,
            block_sha256,
        }
    } else {
        let code = text;
        Event::Reserved {
            slot,
            visit,
            order,
            product,
            family,
            uid,
            code,
            allotment,
            index,
            block_sha256,
        }
    }
}

const fn channel_word(channel: Channel) -> &'static str {
    match channel {
        Channel::Production => "production",
        Channel::Rework => "rework",
        Channel::AfterSales => "after_sales",
    }
}
