//! Places and codes: what is taken before a board is written.
//!
//! Promise: the commit with the reservation and the intent to write has returned before the slot
//! gets its task, and before a credential of a pool is opened for it.

use activation::{Allotment, IssueError, MacSecret, Mode, code_for};
use audit::{Digest, Event, HexBytes};
use release::parcel::{ParcelBinding, ParcelSecret, open_parcel};
use release::recipe::ActivationPlace;
use release::{Channel, Name, Portion};
use zeroize::Zeroizing;

use super::Desk;
use super::blocks::mode_of;
use super::credentials::Picked;
use super::facts::certificate;
use super::units::chip_name;
use super::visits::{Task, tasks};
use crate::config::SlotConfig;
use crate::shelf::OpenRelease;
use crate::store::{Place, Reservation, UnitKey, UnitRow, UnitState};
use crate::trouble::{TroubleCode, chain};
use crate::visit::CodeSource;

/// The code of a unit, and the bytes that will prove it.
struct Code {
    reservation: Reservation,
    bytes: CodeBytes,
}

/// Where the bytes of a block come from.
enum CodeBytes {
    /// They are here.
    Ready(Zeroizing<Vec<u8>>),
    /// They are made from a credential, which is opened once the reservation is journalled.
    Sealed(Box<Picked>),
}

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
        let uid = unit.id.uid().map(<[u8]>::to_vec);
        let code = self.code(slot, source, &portion, &release, &key)?;
        let mut events = Vec::new();
        if let Some(code) = &code {
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
        let bound = code.as_ref().map(|code| code.reservation.clone());
        let sequence = self.enrolled.as_ref().ok_or(TroubleCode::Internal)?.journal.size();
        self.record(events, |commit| {
            if let (true, Some(code)) = (fresh, &bound) {
                commit.put_reservation(&key, code)?;
            }
            commit.take_place(&place)?;
            commit.put_unit(&key, &row)
        })?;
        let (block, receipt) = match code.map(|code| code.bytes) {
            None => (None, None),
            Some(CodeBytes::Ready(bytes)) => (Some(bytes), None),
            Some(CodeBytes::Sealed(picked)) => {
                let record = self.record_at(sequence)?;
                let write = self.open_picked(*picked, record, &release)?;
                (Some(write.block), Some(write.receipt))
            }
        };
        let tasks = tasks(&release, block.as_ref().map(|bytes| bytes.as_slice()), config);
        if let Some(visit) = self.visits.get_mut(&slot) {
            visit.code = bound.map(|code| code.code);
            (visit.block, visit.receipt) = (block, receipt);
            visit.portion = Some(portion);
            visit.work = Some(release);
        }
        Ok(tasks)
    }

    /// The unit's code, from where the decision says.
    fn code(
        &mut self,
        slot: u32,
        source: CodeSource,
        portion: &Portion,
        release: &OpenRelease,
        key: &UnitKey,
    ) -> Result<Option<Code>, TroubleCode> {
        let unit = self.visits.get(&slot).and_then(|visit| visit.unit());
        let unit = unit.ok_or(TroubleCode::Internal)?;
        let (uid, on_chip) = (unit.id.uid().map(<[u8]>::to_vec), unit.on_chip.clone());
        let family = unit.family.clone();
        match source {
            CodeSource::NotActivated => Ok(None),
            CodeSource::Adopted => {
                let on_chip = on_chip.ok_or(TroubleCode::Internal)?;
                let number = (on_chip.allotment, on_chip.index);
                let other = self.store.read(|commit| commit.unit_of_number(&number.0, number.1));
                if let Some(other) = other.map_err(|error| self.store_failed(&error))? {
                    let allotment = hex::encode(number.0);
                    tracing::error!(
                        slot,
                        allotment,
                        index = number.1,
                        uid = other.uid,
                        "the number of this board's code is another board's"
                    );
                    return Err(TroubleCode::IndexTaken);
                }
                let mode = mode_of(release.activation().ok_or(TroubleCode::Internal)?);
                let kept = if mode == Mode::Pool { Vec::new() } else { on_chip.bytes.to_vec() };
                let reservation = Reservation {
                    code: on_chip.code,
                    allotment: on_chip.allotment,
                    number: on_chip.index,
                    mode,
                    block: kept,
                    block_sha256: Some(Digest::of(&on_chip.bytes).0),
                };
                Ok(Some(Code { reservation, bytes: CodeBytes::Ready(on_chip.bytes) }))
            }
            CodeSource::Reserved => {
                let known = self.store.read(|commit| commit.reservation(key));
                let known = known.map_err(|error| self.store_failed(&error))?;
                let known = known.ok_or(TroubleCode::Internal)?;
                if known.mode != Mode::Pool {
                    let bytes = CodeBytes::Ready(Zeroizing::new(known.block.clone()));
                    return Ok(Some(Code { reservation: known, bytes }));
                }
                // What the chip holds is its own: no need to open anything.
                if let Some(own) = on_chip.filter(|own| own.code == known.code) {
                    let bytes = CodeBytes::Ready(own.bytes);
                    return Ok(Some(Code { reservation: known, bytes }));
                }
                let picked = self.pick(portion, key)?.ok_or(TroubleCode::CredentialElsewhere)?;
                if picked.row().is_none_or(|row| row.code != known.code) {
                    return Err(TroubleCode::CredentialConflict);
                }
                let bytes = CodeBytes::Sealed(Box::new(picked));
                Ok(Some(Code { reservation: known, bytes }))
            }
            CodeSource::New => {
                let uid = uid.as_deref().ok_or(TroubleCode::IdentityWeak)?;
                let place = release.activation().ok_or(TroubleCode::Internal)?;
                self.new_code(portion, release, place, &family, uid, key).map(Some)
            }
        }
    }

    fn new_code(
        &mut self,
        portion: &Portion,
        release: &OpenRelease,
        place: &ActivationPlace,
        family: &str,
        uid: &[u8],
        key: &UnitKey,
    ) -> Result<Code, TroubleCode> {
        let mode = mode_of(place);
        let product = portion.product.as_str();
        let unusable = |error: &IssueError| {
            tracing::error!(error = %chain(error), order = portion.order, "no activation block");
            TroubleCode::from(error)
        };
        let (allotment, number, block) = match mode {
            Mode::Ed25519 | Mode::Stored => {
                let certificate = certificate(portion).ok_or(TroubleCode::QuotaEmpty)?;
                let key = self.enrolled.as_ref().ok_or(TroubleCode::Internal)?.keys.journal();
                let name = certificate.allotment();
                let keys = release.product_keys();
                let allotment = Allotment::take_up(certificate, product, &keys, key)
                    .map_err(|error| unusable(&error))?;
                let number = self.next_number(&name, portion.index_from)?;
                if number >= portion.index_to {
                    return Err(TroubleCode::QuotaEmpty);
                }
                let made = match mode {
                    Mode::Stored => allotment.issue_stored(number, family, uid),
                    Mode::Ed25519 | Mode::HmacSha256 | Mode::Pool => {
                        allotment.issue(number, family, uid)
                    }
                };
                (name, number, made.map_err(|error| unusable(&error))?.to_vec())
            }
            Mode::HmacSha256 => {
                let secret = self.mac_secret(product, place)?.ok_or(TroubleCode::QuotaEmpty)?;
                let name = self.mac_allotment(product)?;
                let number = self.next_number(&name, 0)?;
                let made = secret.issue(product, name, number, family, uid);
                (name, number, made.map_err(|error| unusable(&error))?.to_vec())
            }
            Mode::Pool => {
                let picked = self.pick(portion, key)?.ok_or(TroubleCode::CredentialElsewhere)?;
                let reservation = picked.row().ok_or(TroubleCode::StoreDamaged)?;
                return Ok(Code { reservation, bytes: CodeBytes::Sealed(Box::new(picked)) });
            }
        };
        let code = code_for(product, family, uid).to_string();
        let block_sha256 = Some(Digest::of(&block).0);
        let bytes = CodeBytes::Ready(Zeroizing::new(block.clone()));
        let reservation = Reservation { code, allotment, number, mode, block, block_sha256 };
        Ok(Code { reservation, bytes })
    }

    fn next_number(&mut self, allotment: &[u8; 16], from: u32) -> Result<u32, TroubleCode> {
        let number = self.store.read(|commit| commit.next_number(allotment, from));
        number.map_err(|error| self.store_failed(&error))
    }

    /// The product's secret of mode *hmac-sha256*, if the hub gave this station the one that the
    /// recipe names.
    ///
    /// # Errors
    /// As the store says.
    pub(super) fn mac_secret(
        &mut self,
        product: &str,
        place: &ActivationPlace,
    ) -> Result<Option<MacSecret>, TroubleCode> {
        let Some(secret_sha256) = place.mac_secret_sha256 else { return Ok(None) };
        let sealed = self.store.read(|commit| commit.mac_secret(product));
        let sealed = sealed.map_err(|error| self.store_failed(&error))?;
        let enrolled = self.enrolled.as_ref().ok_or(TroubleCode::Internal)?;
        let names = Name::new(&enrolled.membership.tenant).ok().zip(Name::new(product).ok());
        let Some((sealed, (tenant, product))) = sealed.zip(names) else { return Ok(None) };
        let secret = ParcelSecret::Mac { secret_sha256 };
        let binding = ParcelBinding { tenant, product, secret };
        let opened = match open_parcel(&sealed, enrolled.keys.hpke(), &binding) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(%error, "the secret here is not the one the recipe names");
                return Ok(None);
            }
        };
        let bytes = <[u8; 32]>::try_from(opened.as_slice()).map(Zeroizing::new);
        let named =
            |bytes: &Zeroizing<[u8; 32]>| release::Digest::of(bytes.as_slice()) == secret_sha256;
        Ok(bytes.ok().filter(named).and_then(|bytes| MacSecret::from_bytes(&bytes).ok()))
    }

    /// What stands in the place of an allotment in mode *hmac-sha256*, where nothing certifies one:
    /// the station's own name for a product.
    fn mac_allotment(&self, product: &str) -> Result<[u8; 16], TroubleCode> {
        let keys = &self.enrolled.as_ref().ok_or(TroubleCode::Internal)?.keys;
        let domain = b"flashline mac allotment v1\n".as_slice();
        let text = [domain, &keys.journal_public(), product.as_bytes()].concat();
        let mut name = [0; 16];
        name.iter_mut().zip(Digest::of(&text).0).for_each(|(to, from)| *to = from);
        Ok(name)
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
    code: &Code,
    source: CodeSource,
) -> Event {
    let visit = visit.to_owned();
    let (order, product) = (portion.order.clone(), portion.product.as_str().to_owned());
    let (family, uid) = (unit.family.clone(), HexBytes(uid.to_vec()));
    let Code { reservation, bytes } = code;
    let index = reservation.number;
    let allotment = HexBytes(reservation.allotment.to_vec());
    let mode = (reservation.mode != Mode::Ed25519).then(|| reservation.mode.as_str().to_owned());
    let (made, credential) = match bytes {
        CodeBytes::Ready(bytes) => (Some(Digest::of(bytes)), None),
        CodeBytes::Sealed(picked) => (None, Some(Digest(picked.credential()))),
    };
    let code = reservation.code.clone();
    match (source, made) {
        (CodeSource::Adopted, Some(block_sha256)) => Event::Adopted {
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
            mode,
        },
        (_, block_sha256) => Event::Reserved {
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
            mode,
            credential,
        },
    }
}

const fn channel_word(channel: Channel) -> &'static str {
    match channel {
        Channel::Production => "production",
        Channel::Rework => "rework",
        Channel::AfterSales => "after_sales",
    }
}
