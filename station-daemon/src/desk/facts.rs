//! The facts of a decision, gathered from store, shelf and the other slots.

use std::sync::Arc;

use activation::{AllotmentCertificate, Mode};
use audit::BlockState;
use release::recipe::ChipRecipe;
use release::{Channel, Portion, Recipe};

use super::Desk;
use super::blocks::mode_of;
use super::units::{ChipId, Unit};
use super::visits::Found;
use crate::shelf::{LeaseState, OpenRelease};
use crate::store::{Reservation, StoreError, UnitKey, UnitState};
use crate::trouble::TroubleCode;
use crate::visit::{
    BlockSeen, ChipSet, Facts, History, LeaseFacts, PortionFacts, RecipeFacts, ReleaseFacts,
    Strength,
};

impl Desk {
    pub(super) fn reservation(
        &mut self,
        unit: Option<&Unit>,
        product: &str,
    ) -> Result<Option<Reservation>, TroubleCode> {
        let Some(unit) = unit else { return Ok(None) };
        let found = self.store.read(|commit| commit.reservation(&unit.key(product)));
        found.map_err(|error| self.store_failed(&error))
    }

    pub(super) fn facts(
        &mut self,
        slot: u32,
        work: &Result<(Portion, Arc<OpenRelease>), TroubleCode>,
        (units, identity): (&[Option<Unit>], usize),
        found: &[Found],
    ) -> Result<Facts, TroubleCode> {
        let unit = units.get(identity).and_then(Option::as_ref);
        let lease = match self.enrolled.as_ref().map(|enrolled| enrolled.shelf.lease()) {
            Some(LeaseState::InForce(_)) => LeaseFacts::Good,
            Some(LeaseState::Over { .. }) => LeaseFacts::Over,
            Some(LeaseState::Missing) | None => LeaseFacts::Missing,
        };
        let nothing = RecipeFacts {
            wrong_chip: None,
            activation: None,
            self_test: ChipSet::NONE,
            protect: ChipSet::NONE,
        };
        let (mut rival, mut secret_missing) = (false, false);
        let (portion, release, recipe, history) = match work {
            Ok((portion, open)) => {
                let key = unit.map(|unit| unit.key(portion.product.as_str()));
                let (mut counts, history) = self.counts(portion, key.as_ref())?;
                let recipe = recipe_facts(&open.manifest.recipe, found);
                match open.activation() {
                    Some(place) if mode_of(place) == Mode::HmacSha256 => {
                        let secret = self.mac_secret(portion.product.as_str(), place)?;
                        counts.codes_left = if secret.is_some() { u32::MAX } else { 0 };
                        secret_missing = secret.is_none();
                    }
                    Some(place) if mode_of(place) == Mode::Pool => {
                        if let Some(key) = &key {
                            let own = self.reservation(unit, &key.product)?;
                            let on_chip = unit.and_then(|unit| unit.on_chip.as_ref());
                            let says = self.pool_says(portion, key, own.as_ref(), on_chip)?;
                            (counts.codes_left, rival) = (says.left, says.rival);
                        }
                    }
                    Some(_) | None => {}
                }
                (Some(counts), ReleaseFacts::Ready, recipe, history)
            }
            Err(TroubleCode::WrongOrder) => {
                (None, ReleaseFacts::Missing, nothing, History::Unknown)
            }
            Err(code) => {
                let empty = PortionFacts {
                    quantity: 0,
                    passed: 0,
                    in_work: 0,
                    counts_already: false,
                    codes_left: 0,
                    rework: false,
                };
                (Some(empty), release_facts(*code), nothing, History::Unknown)
            }
        };
        let strength = strength_of(unit);
        let in_other_slot = first_place(units, |place, unit| {
            let Some(unit) = unit else { return false };
            let elsewhere = self.visits.iter().filter(|(number, _)| **number != slot);
            let before = units.iter().take(place);
            let mut others = elsewhere.flat_map(|(_, other)| &other.units).chain(before).flatten();
            others.any(|other| unit.is(other))
        });
        let locked = (0..).zip(units).filter(|(_, unit)| unit.is_none()).map(|(place, _)| place);
        let locked = ChipSet::of(locked);
        let arrive_locked = match work {
            Ok((_, open)) => arrive_locked(&open.manifest.recipe),
            Err(_) => ChipSet::NONE,
        };
        let unlock_approved = self.approvals.unlock_of(slot).is_some();
        let erased = self.visits.get(&slot).is_some_and(|visit| visit.erased);
        let block = match unit.map(|unit| unit.found) {
            Some(_) if rival => BlockSeen::Rival,
            // Without the secret nobody can say whose it is.
            Some(_) if secret_missing => BlockSeen::NotRead,
            None | Some(BlockState::Unread) => BlockSeen::NotRead,
            Some(BlockState::Blank) => BlockSeen::Blank,
            Some(BlockState::Valid) => BlockSeen::Valid,
            Some(BlockState::Foreign) => BlockSeen::Foreign,
        };
        Ok(Facts {
            strength,
            locked,
            arrive_locked,
            unlock_approved,
            erased,
            in_other_slot,
            lease,
            portion,
            release,
            recipe,
            history,
            block,
        })
    }

    fn counts(
        &mut self,
        portion: &Portion,
        unit: Option<&UnitKey>,
    ) -> Result<(PortionFacts, History), TroubleCode> {
        let asked = self.store.read(|commit| {
            let passed = commit.passed_count(&portion.order)?;
            let returned = commit.is_returned(&portion.order)?;
            let places = commit.places()?;
            let in_work = places.iter().filter(|p| p.order_number == portion.order).count();
            let row = unit.map(|key| commit.unit(key)).transpose()?.flatten();
            let void = unit.map(|key| commit.is_void(key)).transpose()?.unwrap_or_default();
            let reserved = unit.map(|key| commit.reservation(key)).transpose()?.flatten().is_some();
            let next = match allotment_name(portion) {
                Some(name) => commit.next_number(&name, portion.index_from)?,
                None => portion.index_to,
            };
            Ok::<_, StoreError>((passed, in_work, row, reserved, next, (void, returned)))
        });
        let (passed, in_work, row, reserved, next, (void, returned)) =
            asked.map_err(|error| self.store_failed(&error))?;
        let history = match (row.as_ref().map(|row| row.state), reserved) {
            _ if void => History::Voided,
            (Some(UnitState::Voided), _) => History::Voided,
            (Some(UnitState::Passed), _) => History::Passed,
            (Some(UnitState::InWork | UnitState::Failed) | None, true) => History::Reserved,
            (Some(UnitState::InWork | UnitState::Failed), false) => History::Failed,
            (None, false) => History::Unknown,
        };
        let counts_already = row
            .is_some_and(|row| row.state == UnitState::Passed && row.order_number == portion.order);
        let counts = PortionFacts {
            quantity: if returned { portion.quantity.min(passed) } else { portion.quantity },
            passed,
            in_work: u32::try_from(in_work).unwrap_or(u32::MAX),
            counts_already,
            codes_left: portion.index_to.saturating_sub(next),
            rework: portion.channel == Channel::Rework,
        };
        Ok((counts, history))
    }
}

/// How far the unit is told from others; none is there while its chip is locked.
fn strength_of(unit: Option<&Unit>) -> Strength {
    match unit.map(|unit| &unit.id) {
        None => Strength::Locked,
        Some(ChipId::Weak { .. }) => Strength::Weak,
        Some(ChipId::Uid(_)) => Strength::Strong,
    }
}

/// The first chip of which something holds, by its place.
fn first_place<T>(chips: &[T], holds: impl Fn(usize, &T) -> bool) -> Option<u8> {
    let place = chips.iter().enumerate().position(|(place, chip)| holds(place, chip))?;
    u8::try_from(place).ok()
}

/// What a recipe asks for, and whether the chips in the slot are its own.
fn recipe_facts(recipe: &Recipe, found: &[Found]) -> RecipeFacts {
    let chips = &recipe.chips;
    let set = |asks: &dyn Fn(&ChipRecipe) -> bool| {
        ChipSet::of((0..).zip(chips).filter(|(_, chip)| asks(chip)).map(|(place, _)| place))
    };
    RecipeFacts {
        wrong_chip: first_place(chips, |place, chip| {
            found.get(place).is_none_or(|found| found.identity.family != chip.family.as_str())
        }),
        activation: first_place(chips, |_, chip| chip.activation.is_some()),
        self_test: set(&|chip| chip.self_test.is_some()),
        protect: set(&|chip| chip.protect),
    }
}

/// The chips of a recipe that come from their maker locked.
pub(super) fn arrive_locked(recipe: &Recipe) -> ChipSet {
    let arrives =
        |chip: &ChipRecipe| flash::chip(chip.chip.as_str()).is_some_and(|row| row.arrives_locked);
    let places = (0..).zip(&recipe.chips).filter(|(_, chip)| arrives(chip));
    ChipSet::of(places.map(|(place, _)| place))
}

const fn release_facts(code: TroubleCode) -> ReleaseFacts {
    match code {
        TroubleCode::ReleaseWithdrawn => ReleaseFacts::Withdrawn,
        TroubleCode::ReleaseNotTrusted => ReleaseFacts::NotTrusted,
        TroubleCode::ReleaseDamaged => ReleaseFacts::Damaged,
        TroubleCode::NoContact
        | TroubleCode::ContactLost
        | TroubleCode::BoardUnplugged
        | TroubleCode::ReadBackDiffered
        | TroubleCode::ChipLocked
        | TroubleCode::WrongChip
        | TroubleCode::UidImplausible
        | TroubleCode::UidDuplicate
        | TroubleCode::IdentityWeak
        | TroubleCode::ChipNotProven
        | TroubleCode::PortMissing
        | TroubleCode::PortNotLeased
        | TroubleCode::PortForbidden
        | TroubleCode::SocketDiffers
        | TroubleCode::ProbeBusy
        | TroubleCode::ProbeGone
        | TroubleCode::SelfTestFailed
        | TroubleCode::FlashWriteFailed
        | TroubleCode::ForeignBlock
        | TroubleCode::DriverHung
        | TroubleCode::WorkerCrashed
        | TroubleCode::ImageOutOfRange
        | TroubleCode::LeaseOver
        | TroubleCode::PortionFull
        | TroubleCode::NoRelease
        | TroubleCode::QuotaEmpty
        | TroubleCode::ChipNotSupported
        | TroubleCode::DiskFull
        | TroubleCode::StoreDamaged
        | TroubleCode::StoreNewer
        | TroubleCode::ClockJumped
        | TroubleCode::JournalSetBack
        | TroubleCode::HubCertificate
        | TroubleCode::HubUnreachable
        | TroubleCode::EnrolmentCodeUsed
        | TroubleCode::EnrolmentCodeBad
        | TroubleCode::StickRefused
        | TroubleCode::UnitVoided
        | TroubleCode::WrongOrder
        | TroubleCode::CredentialConflict
        | TroubleCode::CredentialElsewhere
        | TroubleCode::AllotmentNotTrusted
        | TroubleCode::QuotaExceeded
        | TroubleCode::IndexTaken
        | TroubleCode::NobodyIn
        | TroubleCode::BadgeRefused
        | TroubleCode::PinRefused
        | TroubleCode::PinLocked
        | TroubleCode::RoleNeeded
        | TroubleCode::RightsOver
        | TroubleCode::ScannerGone
        | TroubleCode::ScanDamaged
        | TroubleCode::ScanForeign
        | TroubleCode::ScanDoubled
        | TroubleCode::RejectWaits
        | TroubleCode::RosterRefused
        | TroubleCode::Internal => ReleaseFacts::Missing,
    }
}

pub(super) fn certificate(portion: &Portion) -> Option<AllotmentCertificate> {
    let bytes = hex::decode(portion.allotment.as_deref()?).ok()?;
    AllotmentCertificate::from_bytes(&bytes).ok()
}

pub(super) fn allotment_name(portion: &Portion) -> Option<[u8; 16]> {
    certificate(portion).map(|certificate| certificate.allotment())
}
