//! The desk's part of a visit: facts for the decision, places and codes, evidence.
//!
//! Every answer that lets a slot touch a board comes after the commit that says so.

use std::sync::Arc;
use std::time::Instant;

use activation::Mode;
use audit::Event;
use flash::{Identity, Port, SelfTest, Via};
use release::recipe::{ChipRecipe, SelfTestVia};
use release::{Portion, Recipe};
use zeroize::Zeroizing;

use super::Desk;
use super::blocks::{BlockRule, erased_byte, mode_of, where_to_look};
use super::ports::Route;
use super::units::{Unit, chip_name, unit_of};
use crate::config::SlotConfig;
use crate::hands::{PlacedBlock, SealedImage};
use crate::shelf::{LeaseState, OpenRelease};
use crate::trouble::TroubleCode;
use crate::visit::{Decision, decide};

/// What a slot must know to identify a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// The unit's chips, in the order in which they are flashed.
    pub chips: Vec<ChipBrief>,
    /// The place of the one by which the unit is known.
    pub identity: usize,
}

/// What a slot must know to identify one chip of a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChipBrief {
    /// What the recipe calls it; nothing where the unit has one chip.
    pub name: Option<String>,
    /// The chip, by its profile's name.
    pub chip: String,
    /// The slot's port that leads to it.
    pub port: Port,
    /// Where the activation block belongs, and how much to read there.
    pub block: Option<(u64, u32)>,
}

/// What a slot found on one chip of the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Who the chip is.
    pub identity: Identity,
    /// What lay where the activation block belongs, if it was read.
    pub block: Option<Vec<u8>>,
}

/// What a slot needs to write, compare and test one chip.
#[derive(Debug, Clone)]
pub struct Task {
    /// The plain bytes.
    pub image: Arc<SealedImage>,
    /// The activation block.
    pub block: Option<PlacedBlock>,
    /// The line to wait for.
    pub self_test: Option<SelfTest>,
}

/// One board's stay in one slot.
pub(super) struct OpenVisit {
    pub(super) id: String,
    pub(super) incident: String,
    pub(super) code: Option<String>,
    pub(super) begun: Instant,
    pub(super) journalled: bool,
    /// The unit's chips in their order; none for a locked one.
    pub(super) units: Vec<Option<Unit>>,
    /// The place of the chip by which the unit is known.
    pub(super) identity: usize,
    /// A chip was erased whole in this visit.
    pub(super) erased: bool,
    pub(super) work: Option<Arc<OpenRelease>>,
    pub(super) portion: Option<Portion>,
    /// The unit's activation block; in mode *pool* it holds secrets.
    pub(super) block: Option<Zeroizing<Vec<u8>>>,
    /// In mode *pool* the receipt of a credential that was opened in this visit.
    pub(super) receipt: Option<Vec<u8>>,
    /// Evidence that is journalled already, before a lock.
    pub(super) evidence_saved: bool,
}

impl OpenVisit {
    /// The chip by which the unit is known, if it is open.
    pub(super) fn unit(&self) -> Option<&Unit> {
        self.units.get(self.identity)?.as_ref()
    }

    pub(super) fn uid_tail(&self) -> Option<String> {
        let text = hex::encode_upper(self.unit()?.id.uid()?);
        Some(text[text.len().saturating_sub(4)..].to_owned())
    }
}

impl Desk {
    /// Begins a visit: what to look for.
    ///
    /// # Errors
    /// What keeps the whole station from flashing; the slot waits and asks again.
    pub fn brief(&mut self, config: &SlotConfig) -> Result<Brief, TroubleCode> {
        if let Some(code) = self.stopped() {
            return Err(code);
        }
        self.somebody_is_in()?;
        let (_, release, routes) = self.work_through(config)?;
        let recipe = &release.manifest.recipe;
        let chips = recipe.chips.iter().zip(routes).enumerate().map(|(place, (chip, route))| {
            let block = where_to_look(chip);
            let (name, profile) = (chip_name(recipe, place), chip.chip.as_str().to_owned());
            ChipBrief { name, chip: profile, port: route.port, block }
        });
        Ok(Brief { chips: chips.collect(), identity: recipe.identity() })
    }

    /// A board makes contact: a visit begins.
    pub fn arrive(&mut self, slot: u32) {
        self.person_acted();
        let mut id = [0; 8];
        let _ = ring::rand::SecureRandom::fill(&self.random, &mut id);
        let visit = OpenVisit {
            id: hex::encode(id),
            incident: self.incident(),
            code: None,
            begun: Instant::now(),
            journalled: false,
            units: Vec::new(),
            identity: 0,
            erased: false,
            work: None,
            portion: None,
            block: None,
            receipt: None,
            evidence_saved: false,
        };
        self.visits.insert(slot, visit);
    }

    /// The board is gone: the visit ends.
    pub fn leave(&mut self, slot: u32) {
        self.rejects.taken_out(slot);
        let Some(visit) = self.visits.remove(&slot) else { return };
        if !visit.journalled {
            return;
        }
        let removed = Event::Removed { slot, visit: visit.id };
        if let Err(code) = self.record(vec![removed], |_| Ok(())) {
            tracing::warn!(slot, code = code.text(), "a removal was not journalled");
        }
    }

    /// The work, if the slot has a port for each of its chips that may be used, with those.
    pub(super) fn work_through(
        &mut self,
        config: &SlotConfig,
    ) -> Result<(Portion, Arc<OpenRelease>, Vec<Route>), TroubleCode> {
        let (portion, release) = self.work()?;
        let routes = self.routes(config, &release)?;
        Ok((portion, release, routes))
    }

    pub(super) fn work(&mut self) -> Result<(Portion, Arc<OpenRelease>), TroubleCode> {
        let now_ms = self.now_ms();
        let portion = self.portion();
        let Some(enrolled) = &mut self.enrolled else { return Err(TroubleCode::NoRelease) };
        let Some(portion) = portion else {
            return Err(match enrolled.shelf.lease() {
                LeaseState::Over { .. } => TroubleCode::LeaseOver,
                LeaseState::Missing => enrolled.shelf.refused().unwrap_or(TroubleCode::NoRelease),
                LeaseState::InForce(lease) if lease.portions.is_empty() => TroubleCode::NoRelease,
                LeaseState::InForce(_) => TroubleCode::WrongOrder,
            });
        };
        let key = enrolled.keys.hpke();
        let release = enrolled.shelf.release(&mut self.store, &portion, key, now_ms)?;
        Ok((portion, release))
    }

    /// Decides about the unit in a slot, and journals that it is there.
    ///
    /// # Errors
    /// When the contact could not be journalled.
    pub fn decide(&mut self, slot: u32, found: &[Found]) -> Result<Decision, TroubleCode> {
        let work = self.work();
        let (product, keys) = match &work {
            Ok((portion, release)) => (portion.product.as_str().to_owned(), release.product_keys()),
            Err(_) => (String::new(), Vec::new()),
        };
        let place = work.as_ref().ok().and_then(|(_, release)| release.activation()).cloned();
        let mode = place.as_ref().map_or(Mode::Ed25519, mode_of);
        let secret = match &place {
            Some(place) => self.mac_secret(&product, place)?,
            None => None,
        };
        let secrets: &[[u8; 32]] =
            secret.as_ref().map_or(&[], |s| std::slice::from_ref(s.as_bytes()));
        let id = self.visits.get(&slot).ok_or(TroubleCode::Internal)?.id.clone();
        let recipe = work.as_ref().ok().map(|(_, release)| release.manifest.recipe.clone());
        let units: Vec<Option<Unit>> = found
            .iter()
            .enumerate()
            .map(|(place, found)| {
                let chip = recipe.as_ref().and_then(|recipe| recipe.chips.get(place));
                let erased = chip.map_or(0xFF, erased_byte);
                let rule = BlockRule { mode, product: &product, keys: &keys, secrets, erased };
                unit_of(found, &rule, &id)
            })
            .collect();
        let identity = recipe.as_ref().map(Recipe::identity).unwrap_or_default();
        let facts = self.facts(slot, &work, (&units, identity), found)?;
        let decision = decide(&facts);

        let mut events = Vec::new();
        if !self.visits.get(&slot).is_some_and(|visit| visit.journalled) {
            events.push(Event::Contact { slot, visit: id.clone() });
        }
        for (place, unit) in units.iter().enumerate() {
            let Some(unit) = unit else { continue };
            let (uid, weak) = unit.id.recorded();
            events.push(Event::Identified {
                slot,
                visit: id.clone(),
                family: unit.family.clone(),
                part: unit.part.clone(),
                uid,
                weak,
                found: unit.found,
                chip: recipe.as_ref().and_then(|recipe| chip_name(recipe, place)),
            });
        }
        // An approval is for this board, whether it is locked or not.
        let lapses = facts.unlock_approved && !matches!(decision, Decision::Unlock(_));
        let approvals = match lapses {
            true => self.approvals.without_unlock(slot),
            false => self.approvals.clone(),
        };
        if lapses {
            events.push(Event::UnlockLapsed { slot, visit: id });
        }
        self.close_left_open(Some(slot));
        let kept = approvals.clone();
        self.record(events, |commit| if lapses { kept.keep(commit) } else { Ok(()) })?;
        self.approvals = approvals;

        let unit = units.get(identity).and_then(Option::as_ref);
        let reservation = self.reservation(unit, &product)?;
        // A valid block of a chip that nothing is known of here is the one it keeps.
        let adopted = unit.filter(|unit| unit.found == audit::BlockState::Valid);
        let adopted = adopted.and_then(|_| found.get(identity)?.block.clone());
        let Some(visit) = self.visits.get_mut(&slot) else { return Err(TroubleCode::Internal) };
        visit.journalled = true;
        if let Some(reservation) = reservation {
            // A pool's block is not kept: what the chip holds is compared by its digest.
            let on_chip = unit.and_then(|unit| unit.on_chip.as_ref());
            let own = on_chip.filter(|own| own.code == reservation.code).map(|own| &own.bytes);
            visit.block = match reservation.mode {
                Mode::Pool => own
                    .filter(|own| {
                        let digest = audit::Digest::of(own).0;
                        reservation.block_sha256.is_none_or(|written| written == digest)
                    })
                    .cloned(),
                Mode::Ed25519 | Mode::Stored | Mode::HmacSha256 => {
                    Some(Zeroizing::new(reservation.block))
                }
            };
            visit.code = Some(reservation.code);
        } else {
            visit.block = adopted.map(Zeroizing::new);
        }
        (visit.units, visit.identity) = (units, identity);
        if let Ok((portion, release)) = work {
            visit.portion = Some(portion);
            visit.work = Some(release);
        }
        tracing::info!(slot, visit = visit.id, ?decision, "decided");
        Ok(decision)
    }

    /// The tasks of a unit that is only compared, chip by chip.
    ///
    /// # Errors
    /// Why it cannot be compared.
    pub fn comparison(&mut self, slot: u32, config: &SlotConfig) -> Result<Vec<Task>, TroubleCode> {
        let visit = self.visits.get(&slot).ok_or(TroubleCode::Internal)?;
        let release = visit.work.as_ref().ok_or(TroubleCode::Internal)?;
        if release.activation().is_some() && visit.block.is_none() {
            // It was written and is not there any more.
            return Err(TroubleCode::ReadBackDiffered);
        }
        let block = visit.block.as_ref().map(|bytes| bytes.as_slice());
        Ok(tasks(release, block, config))
    }
}

/// What is to be done with each chip of the unit.
pub(super) fn tasks(release: &OpenRelease, block: Option<&[u8]>, config: &SlotConfig) -> Vec<Task> {
    let chips = release.manifest.recipe.chips.iter().zip(&release.chips);
    chips.map(|(recipe, open)| task(recipe, &open.image, block, config)).collect()
}

fn task(
    recipe: &ChipRecipe,
    image: &Arc<SealedImage>,
    block: Option<&[u8]>,
    config: &SlotConfig,
) -> Task {
    let placed = recipe.activation.as_ref().zip(block);
    Task {
        image: Arc::clone(image),
        block: placed
            .map(|(place, bytes)| PlacedBlock { address: place.address, bytes: bytes.to_vec() }),
        self_test: recipe.self_test.as_ref().map(|test| SelfTest {
            via: match (test.via, config.console()) {
                (SelfTestVia::Uart, Some((endpoint, baud))) => Via::Uart { endpoint, baud },
                (SelfTestVia::Uart, None) => Via::Uart { endpoint: String::new(), baud: 0 },
                (SelfTestVia::Rtt, _) => Via::Rtt { control_block: None },
                (SelfTestVia::Semihosting, _) => Via::Semihosting,
            },
            expect: test.expect.clone(),
            within_ms: u64::from(test.within_ms),
        }),
    }
}
