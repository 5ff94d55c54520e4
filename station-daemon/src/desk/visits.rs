//! The desk's part of a visit: facts for the decision, places and codes, evidence.
//!
//! Every answer that lets a slot touch a board comes after the commit that says so.

use std::sync::Arc;
use std::time::Instant;

use activation::{BLOCK_BYTES, BlockFound, Claim, look_at};
use audit::{BlockState, Event, HexBytes};
use flash::{Identity, SelfTest, Via};
use release::Portion;
use release::recipe::SelfTestVia;

use super::Desk;
use crate::config::SlotConfig;
use crate::hands::{PlacedBlock, SealedImage};
use crate::shelf::{LeaseState, OpenRelease};
use crate::store::UnitKey;
use crate::trouble::TroubleCode;
use crate::visit::{Decision, decide};

/// Characters of a weak name that a record carries; USB has no longer ones.
const WEAK_CHARACTERS_MAX: usize = 126;

/// What a slot must know to identify a board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// The chip, by its profile's name.
    pub chip: String,
    /// Where the activation block belongs, and its length.
    pub block: Option<(u64, u32)>,
}

/// What a slot found on the board.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Who the chip is.
    pub identity: Identity,
    /// What lay where the activation block belongs, if it was read.
    pub block: Option<Vec<u8>>,
}

/// What a slot needs to write, compare and test.
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
    pub(super) unit: Option<Unit>,
    pub(super) work: Option<Arc<OpenRelease>>,
    pub(super) portion: Option<Portion>,
    pub(super) block: Option<Vec<u8>>,
    /// Evidence that is journalled already, before a lock.
    pub(super) evidence_saved: bool,
}

pub(super) struct Unit {
    pub(super) family: String,
    pub(super) part: String,
    pub(super) id: ChipId,
    pub(super) found: BlockState,
    pub(super) on_chip: Option<activation::Block>,
}

/// How a chip is told from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ChipId {
    /// By its maker's unique id.
    Uid(Vec<u8>),
    /// Not at all: it has a name that may repeat, or none. The unit is one of its own in every
    /// visit.
    Weak { name: String, visit: String },
}

impl ChipId {
    pub(super) fn uid(&self) -> Option<&[u8]> {
        match self {
            Self::Uid(uid) => Some(uid),
            Self::Weak { .. } => None,
        }
    }

    /// The members `uid` and `weak` of a record.
    pub(super) fn recorded(&self) -> (Option<HexBytes>, Option<String>) {
        match self {
            Self::Uid(uid) => (Some(HexBytes(uid.clone())), None),
            Self::Weak { name, .. } => (None, Some(name.clone())),
        }
    }
}

impl Unit {
    pub(super) fn key(&self, product: &str) -> UnitKey {
        let uid = match &self.id {
            ChipId::Uid(uid) => hex::encode_upper(uid),
            // No hexadecimal digits: it is never taken for a unique id.
            ChipId::Weak { visit, .. } => format!("visit {visit}"),
        };
        UnitKey { product: product.to_owned(), family: self.family.clone(), uid }
    }
}

impl OpenVisit {
    pub(super) fn uid_tail(&self) -> Option<String> {
        let text = hex::encode_upper(self.unit.as_ref()?.id.uid()?);
        Some(text[text.len().saturating_sub(4)..].to_owned())
    }
}

impl Desk {
    /// Begins a visit: what to look for.
    ///
    /// # Errors
    /// What keeps the whole station from flashing; the slot waits and asks again.
    pub fn brief(&mut self, config: &SlotConfig) -> Result<Brief, TroubleCode> {
        if let Some(halted) = &self.halted
            && halted.code != TroubleCode::DiskFull
        {
            return Err(halted.code);
        }
        let (_, release) = self.work_through(config)?;
        let recipe = release.only_chip().ok_or(TroubleCode::ChipNotSupported)?;
        let bytes = u32::try_from(BLOCK_BYTES).unwrap_or(u32::MAX);
        Ok(Brief {
            chip: recipe.chip.as_str().to_owned(),
            block: recipe.activation.as_ref().map(|place| (place.address, bytes)),
        })
    }

    /// A board makes contact: a visit begins.
    pub fn arrive(&mut self, slot: u32) {
        let mut id = [0; 8];
        let _ = ring::rand::SecureRandom::fill(&self.random, &mut id);
        let visit = OpenVisit {
            id: hex::encode(id),
            incident: self.incident(),
            code: None,
            begun: Instant::now(),
            journalled: false,
            unit: None,
            work: None,
            portion: None,
            block: None,
            evidence_saved: false,
        };
        self.visits.insert(slot, visit);
    }

    /// The board is gone: the visit ends.
    pub fn leave(&mut self, slot: u32) {
        let Some(visit) = self.visits.remove(&slot) else { return };
        if !visit.journalled {
            return;
        }
        let removed = Event::Removed { slot, visit: visit.id };
        if let Err(code) = self.record(vec![removed], |_| Ok(())) {
            tracing::warn!(slot, code = code.text(), "a removal was not journalled");
        }
    }

    /// The work, if the slot has a port for its chip and the lease lets it be used.
    pub(super) fn work_through(
        &mut self,
        config: &SlotConfig,
    ) -> Result<(Portion, Arc<OpenRelease>), TroubleCode> {
        let work = self.work()?;
        let name = work.1.only_chip().map(|only| only.chip.as_str()).unwrap_or_default();
        let chip = flash::chip(name).ok_or(TroubleCode::ChipNotSupported)?;
        let port = config.port_for(chip, None).ok_or(TroubleCode::PortMissing)?;
        self.may_use(port)?;
        Ok(work)
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
    pub fn decide(&mut self, slot: u32, found: Found) -> Result<Decision, TroubleCode> {
        let work = self.work();
        let (product, keys) = match &work {
            Ok((portion, release)) => (portion.product.as_str().to_owned(), release.product_keys()),
            Err(_) => (String::new(), Vec::new()),
        };
        let id = self.visits.get(&slot).ok_or(TroubleCode::Internal)?.id.clone();
        let unit = unit_of(&found, &product, &keys, &id);
        let facts = self.facts(slot, &work, unit.as_ref(), &found)?;
        let decision = decide(&facts);

        let mut events = vec![Event::Contact { slot, visit: id.clone() }];
        if let Some(unit) = &unit {
            let (uid, weak) = unit.id.recorded();
            events.push(Event::Identified {
                slot,
                visit: id,
                family: unit.family.clone(),
                part: unit.part.clone(),
                uid,
                weak,
                found: unit.found,
                chip: None,
            });
        }
        self.close_left_open(Some(slot));
        self.record(events, |_| Ok(()))?;

        let reservation = self.reservation(unit.as_ref(), &product)?;
        let Some(visit) = self.visits.get_mut(&slot) else { return Err(TroubleCode::Internal) };
        visit.journalled = true;
        if let Some(reservation) = reservation {
            visit.code = Some(reservation.code);
            visit.block = Some(reservation.block);
        }
        visit.unit = unit;
        if let Ok((portion, release)) = work {
            visit.portion = Some(portion);
            visit.work = Some(release);
        }
        tracing::info!(slot, visit = visit.id, ?decision, "decided");
        Ok(decision)
    }

    /// The task of a unit that is only compared.
    ///
    /// # Errors
    /// Why it cannot be compared.
    pub fn comparison(&mut self, slot: u32, config: &SlotConfig) -> Result<Task, TroubleCode> {
        let visit = self.visits.get(&slot).ok_or(TroubleCode::Internal)?;
        let release = visit.work.as_ref().ok_or(TroubleCode::Internal)?;
        Ok(task(release, visit.block.clone(), config))
    }
}

/// Who is in the slot; none while the chip is locked and tells nothing. A block is only looked at
/// where there is a unique id it could belong to.
fn unit_of(found: &Found, product: &str, keys: &[[u8; 32]], visit: &str) -> Option<Unit> {
    let identity = &found.identity;
    if identity.locked {
        return None;
    }
    let (family, part) = (identity.family.clone(), identity.part.clone());
    let Some(uid) = &identity.uid else {
        let name = identity.weak.as_deref().unwrap_or_default();
        let name = name.chars().take(WEAK_CHARACTERS_MAX).collect();
        let id = ChipId::Weak { name, visit: visit.to_owned() };
        return Some(Unit { family, part, id, found: BlockState::Unread, on_chip: None });
    };
    let claim = Claim { product, family: &family, uid: uid.as_bytes() };
    let (state, on_chip) = match found.block.as_deref() {
        None => (BlockState::Unread, None),
        Some(bytes) => match look_at(bytes, &claim, keys) {
            BlockFound::Blank => (BlockState::Blank, None),
            BlockFound::Valid(block) => (BlockState::Valid, Some(block)),
            BlockFound::Foreign(refusal) => {
                tracing::info!(%refusal, "the block on the chip is not its own");
                (BlockState::Foreign, None)
            }
        },
    };
    let id = ChipId::Uid(uid.as_bytes().to_vec());
    Some(Unit { family, part, id, found: state, on_chip })
}

pub(super) fn task(release: &OpenRelease, block: Option<Vec<u8>>, config: &SlotConfig) -> Task {
    let recipe = release.only_chip();
    let placed = recipe.and_then(|only| only.activation.as_ref()).zip(block);
    Task {
        image: Arc::clone(&release.image),
        block: placed.map(|(place, bytes)| PlacedBlock { address: place.address, bytes }),
        self_test: recipe.and_then(|only| only.self_test.as_ref()).map(|test| SelfTest {
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
