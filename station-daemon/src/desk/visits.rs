//! The desk's part of a visit: facts for the decision, places and codes, evidence.
//!
//! Every answer that lets a slot touch a board comes after the commit that says so.

use std::sync::Arc;
use std::time::Instant;

use activation::{
    Allotment, AllotmentCertificate, BLOCK_BYTES, BlockFound, Claim, code_for, look_at,
};
use audit::{BlockState, Digest, Event, HexBytes, Step as RecordStep};
use flash::{Identity, SelfTest, Via};
use release::recipe::SelfTestVia;
use release::{Channel, Portion};

use super::Desk;
use crate::config::SlotConfig;
use crate::hands::{PlacedBlock, SealedImage};
use crate::shelf::{LeaseState, OpenRelease};
use crate::store::{Place, Reservation, StoreError, UnitKey, UnitRow, UnitState};
use crate::trouble::TroubleCode;
use crate::visit::{
    BlockSeen, CodeSource, Decision, Facts, History, LeaseFacts, PortionFacts, RecipeFacts,
    ReleaseFacts, Strength, Verdict, decide,
};

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

/// What the slot proved since the reservation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Every byte was read back.
    pub verified: bool,
    /// The block was read back.
    pub activated: bool,
    /// The firmware's line.
    pub line: Option<String>,
    /// The lock was confirmed.
    pub locked: bool,
}

/// One board's stay in one slot.
pub(super) struct OpenVisit {
    pub(super) id: String,
    pub(super) incident: String,
    pub(super) code: Option<String>,
    begun: Instant,
    journalled: bool,
    unit: Option<Unit>,
    work: Option<Arc<OpenRelease>>,
    portion: Option<Portion>,
    block: Option<Vec<u8>>,
    /// Evidence that is journalled already, before a lock.
    evidence_saved: bool,
}

struct Unit {
    family: String,
    part: String,
    uid: Vec<u8>,
    found: BlockState,
    on_chip: Option<activation::Block>,
}

impl Unit {
    fn key(&self, product: &str) -> UnitKey {
        UnitKey {
            product: product.to_owned(),
            family: self.family.clone(),
            uid: hex::encode_upper(&self.uid),
        }
    }
}

impl OpenVisit {
    pub(super) fn uid_tail(&self) -> Option<String> {
        let text = hex::encode_upper(&self.unit.as_ref()?.uid);
        Some(text[text.len().saturating_sub(4)..].to_owned())
    }
}

impl Desk {
    /// Begins a visit: what to look for.
    ///
    /// # Errors
    /// What keeps the whole station from flashing; the slot waits and asks again.
    pub fn brief(&mut self) -> Result<Brief, TroubleCode> {
        if let Some(halted) = &self.halted
            && halted.code != TroubleCode::DiskFull
        {
            return Err(halted.code);
        }
        let (_, release) = self.work()?;
        let recipe = &release.manifest.recipe;
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

    fn work(&mut self) -> Result<(Portion, Arc<OpenRelease>), TroubleCode> {
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
        let unit = unit_of(&found, &product, &keys);
        let facts = self.facts(slot, &work, unit.as_ref(), &found)?;
        let decision = decide(&facts);

        let visit = self.visits.get(&slot).ok_or(TroubleCode::Internal)?;
        let mut events = vec![Event::Contact { slot, visit: visit.id.clone() }];
        if let Some(unit) = &unit {
            events.push(Event::Identified {
                slot,
                visit: visit.id.clone(),
                family: unit.family.clone(),
                part: unit.part.clone(),
                uid: HexBytes(unit.uid.clone()),
                found: unit.found,
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

    fn reservation(
        &mut self,
        unit: Option<&Unit>,
        product: &str,
    ) -> Result<Option<Reservation>, TroubleCode> {
        let Some(unit) = unit else { return Ok(None) };
        let found = self.store.read(|commit| commit.reservation(&unit.key(product)));
        found.map_err(|error| self.store_failed(&error))
    }

    fn facts(
        &mut self,
        slot: u32,
        work: &Result<(Portion, Arc<OpenRelease>), TroubleCode>,
        unit: Option<&Unit>,
        found: &Found,
    ) -> Result<Facts, TroubleCode> {
        let lease = match self.enrolled.as_ref().map(|enrolled| enrolled.shelf.lease()) {
            Some(LeaseState::InForce(_)) => LeaseFacts::Good,
            Some(LeaseState::Over { .. }) => LeaseFacts::Over,
            Some(LeaseState::Missing) | None => LeaseFacts::Missing,
        };
        let nothing =
            RecipeFacts { chip_fits: false, activation: false, self_test: false, protect: false };
        let (portion, release, recipe, history) = match work {
            Ok((portion, open)) => {
                let key = unit.map(|unit| unit.key(portion.product.as_str()));
                let (counts, history) = self.counts(portion, key.as_ref())?;
                let recipe = &open.manifest.recipe;
                let recipe = RecipeFacts {
                    chip_fits: found.identity.family == recipe.family.as_str(),
                    activation: recipe.activation.is_some(),
                    self_test: recipe.self_test.is_some(),
                    protect: recipe.protect,
                };
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
        let strength = match unit {
            None => Strength::Locked,
            Some(_) => Strength::Strong,
        };
        let in_other_slot = unit.is_some_and(|unit| {
            self.visits.iter().any(|(number, other)| {
                *number != slot
                    && other
                        .unit
                        .as_ref()
                        .is_some_and(|other| other.family == unit.family && other.uid == unit.uid)
            })
        });
        let block = match unit.map(|unit| unit.found) {
            None | Some(BlockState::Unread) => BlockSeen::NotRead,
            Some(BlockState::Blank) => BlockSeen::Blank,
            Some(BlockState::Valid) => BlockSeen::Valid,
            Some(BlockState::Foreign) => BlockSeen::Foreign,
        };
        Ok(Facts { strength, in_other_slot, lease, portion, release, recipe, history, block })
    }

    fn counts(
        &mut self,
        portion: &Portion,
        unit: Option<&UnitKey>,
    ) -> Result<(PortionFacts, History), TroubleCode> {
        let asked = self.store.read(|commit| {
            let passed = commit.passed_count(&portion.order)?;
            let places = commit.places()?;
            let in_work = places.iter().filter(|p| p.order_number == portion.order).count();
            let row = unit.map(|key| commit.unit(key)).transpose()?.flatten();
            let reserved = unit.map(|key| commit.reservation(key)).transpose()?.flatten().is_some();
            let next = match allotment_name(portion) {
                Some(name) => commit.next_number(&name, portion.index_from)?,
                None => portion.index_to,
            };
            Ok::<_, StoreError>((passed, in_work, row, reserved, next))
        });
        let (passed, in_work, row, reserved, next) =
            asked.map_err(|error| self.store_failed(&error))?;
        let history = match (row.as_ref().map(|row| row.state), reserved) {
            (Some(UnitState::Voided), _) => History::Voided,
            (Some(UnitState::Passed), _) => History::Passed,
            (Some(UnitState::InWork | UnitState::Failed) | None, true) => History::Reserved,
            (Some(UnitState::InWork | UnitState::Failed), false) => History::Failed,
            (None, false) => History::Unknown,
        };
        let counts_already = row
            .is_some_and(|row| row.state == UnitState::Passed && row.order_number == portion.order);
        let counts = PortionFacts {
            quantity: portion.quantity,
            passed,
            in_work: u32::try_from(in_work).unwrap_or(u32::MAX),
            counts_already,
            codes_left: portion.index_to.saturating_sub(next),
            rework: portion.channel == Channel::Rework,
        };
        Ok((counts, history))
    }

    /// Takes place and code and journals them with the intent to write; then the task.
    ///
    /// # Errors
    /// Why nothing may be written.
    pub fn reserve(
        &mut self,
        slot: u32,
        source: CodeSource,
        config: &SlotConfig,
    ) -> Result<Task, TroubleCode> {
        // The lease is asked again: time has passed since the decision.
        let (portion, release) = self.work()?;
        let visit = self.visits.get(&slot).ok_or(TroubleCode::Internal)?;
        let unit = visit.unit.as_ref().ok_or(TroubleCode::Internal)?;
        let id = visit.id.clone();
        let key = unit.key(portion.product.as_str());
        let (family, uid) = (unit.family.clone(), unit.uid.clone());
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
            CodeSource::New => Some(self.issue(&portion, &release, &family, &uid)?),
        };
        let mut events = Vec::new();
        if let Some(code) = &reservation {
            events.push(reserved_event(slot, &id, &portion, &key, &uid, code, source));
        }
        events.push(Event::Programming {
            slot,
            visit: id.clone(),
            release: Digest(*release.digest.as_bytes()),
            channel: channel_word(release.channel).to_owned(),
            bytes: release.bytes,
        });
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
        let task = task(&release, reservation.as_ref().map(|code| code.block.clone()), config);
        if let Some(visit) = self.visits.get_mut(&slot) {
            visit.code = reservation.as_ref().map(|code| code.code.clone());
            visit.block = reservation.map(|code| code.block);
            visit.portion = Some(portion);
            visit.work = Some(release);
        }
        Ok(task)
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

    /// The task of a unit that is only compared.
    ///
    /// # Errors
    /// Why it cannot be compared.
    pub fn comparison(&mut self, slot: u32, config: &SlotConfig) -> Result<Task, TroubleCode> {
        let visit = self.visits.get(&slot).ok_or(TroubleCode::Internal)?;
        let release = visit.work.as_ref().ok_or(TroubleCode::Internal)?;
        Ok(task(release, visit.block.clone(), config))
    }

    /// Saves what was proven and the intent to lock.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn save_intent(&mut self, slot: u32, evidence: &Evidence) -> Result<(), TroubleCode> {
        let visit = self.visits.get(&slot).ok_or(TroubleCode::Internal)?;
        let mut events = proofs(slot, visit, evidence);
        events.push(Event::Locking { slot, visit: visit.id.clone() });
        self.record(events, |_| Ok(()))?;
        if let Some(visit) = self.visits.get_mut(&slot) {
            visit.evidence_saved = true;
        }
        Ok(())
    }

    /// Saves the verdict with its evidence, in one commit with the unit's new state.
    ///
    /// # Errors
    /// When it could not be saved; the board must not be released then.
    pub fn save_evidence(
        &mut self,
        slot: u32,
        verdict: Verdict,
        evidence: &Evidence,
    ) -> Result<(), TroubleCode> {
        let now_ms = self.now_ms();
        let visit = self.visits.get(&slot).ok_or(TroubleCode::Internal)?;
        let unit = visit.unit.as_ref().ok_or(TroubleCode::Internal)?;
        let portion = visit.portion.as_ref().ok_or(TroubleCode::Internal)?;
        let release = visit.work.as_ref().ok_or(TroubleCode::Internal)?;
        let mut events =
            if visit.evidence_saved { Vec::new() } else { proofs(slot, visit, evidence) };
        let code = visit.code.clone().unwrap_or_default();
        let uid = HexBytes(unit.uid.clone());
        if evidence.locked {
            events.push(Event::Locked { slot, visit: visit.id.clone() });
        }
        match verdict {
            Verdict::SeenBefore => {
                events.push(Event::SeenBefore {
                    slot,
                    visit: visit.id.clone(),
                    uid,
                    code,
                    passed_before: true,
                });
                return self.record(events, |_| Ok(()));
            }
            Verdict::Pass => events.push(Event::Passed {
                slot,
                visit: visit.id.clone(),
                order: portion.order.clone(),
                product: portion.product.as_str().to_owned(),
                family: unit.family.clone(),
                uid,
                code,
                release: Digest(*release.digest.as_bytes()),
                took_ms: u64::try_from(visit.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            }),
        }
        let key = unit.key(portion.product.as_str());
        let row = unit_row(portion, release, UnitState::Passed, Some(now_ms));
        self.record(events, |commit| {
            commit.put_unit(&key, &row)?;
            commit.give_place_back(slot)
        })
    }

    /// Saves a failure and gives the place back; the code stays with the chip.
    ///
    /// # Errors
    /// When it could not be saved.
    pub fn save_failure(
        &mut self,
        slot: u32,
        code: TroubleCode,
        step: RecordStep,
    ) -> Result<(), TroubleCode> {
        let visit = self.visits.get_mut(&slot).ok_or(TroubleCode::Internal)?;
        visit.journalled = true;
        let event = Event::Failed {
            slot,
            visit: visit.id.clone(),
            uid: visit.unit.as_ref().map(|unit| HexBytes(unit.uid.clone())),
            trouble: code.text(),
            step,
            incident: visit.incident.clone(),
        };
        tracing::warn!(
            slot,
            visit = visit.id,
            incident = visit.incident,
            code = code.text(),
            ?step,
            "visit failed"
        );
        self.record(vec![event], |commit| {
            for place in commit.places()?.into_iter().filter(|place| place.slot == slot) {
                fail_unit(commit, &place)?;
            }
            commit.give_place_back(slot)
        })
    }

    /// Ends visits that hold a place but will not end by themselves: all of them after a start,
    /// the slot's own when its failure could not be saved.
    pub(super) fn close_left_open(&mut self, only: Option<u32>) {
        let places = self.store.read(|commit| commit.places());
        let left: Vec<Place> = match places {
            Ok(places) => {
                places.into_iter().filter(|place| only.is_none_or(|s| s == place.slot)).collect()
            }
            Err(error) => {
                self.store_failed(&error);
                return;
            }
        };
        if left.is_empty() {
            return;
        }
        let incident = self.incident();
        let events = left
            .iter()
            .map(|place| Event::Failed {
                slot: place.slot,
                visit: place.visit.clone(),
                uid: hex::decode(&place.unit.uid).ok().map(HexBytes),
                trouble: TroubleCode::ContactLost.text(),
                step: RecordStep::Program,
                incident: incident.clone(),
            })
            .collect();
        let closed = self.record(events, |commit| {
            for place in &left {
                fail_unit(commit, place)?;
                commit.give_place_back(place.slot)?;
            }
            Ok(())
        });
        tracing::warn!(%incident, visits = left.len(), ok = closed.is_ok(), "visits left open");
    }

    /// Journals that a slot takes no boards any more.
    pub fn slot_closed(&mut self, slot: u32, code: TroubleCode) {
        let closed = Event::SlotClosed { slot, trouble: code.text() };
        if let Err(code) = self.record(vec![closed], |_| Ok(())) {
            tracing::warn!(slot, code = code.text(), "a closed slot was not journalled");
        }
    }
}

fn fail_unit(commit: &crate::store::Commit<'_>, place: &Place) -> Result<(), StoreError> {
    let Some(mut row) = commit.unit(&place.unit)? else { return Ok(()) };
    if row.state == UnitState::InWork {
        // A unit that passed before (rework) has still passed.
        row.state = if row.passed_ms.is_some() { UnitState::Passed } else { UnitState::Failed };
        commit.put_unit(&place.unit, &row)?;
    }
    Ok(())
}

fn unit_of(found: &Found, product: &str, keys: &[[u8; 32]]) -> Option<Unit> {
    let uid = found.identity.uid.as_ref().filter(|_| !found.identity.locked)?;
    let family = found.identity.family.clone();
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
    Some(Unit {
        family,
        part: found.identity.part.clone(),
        uid: uid.as_bytes().to_vec(),
        found: state,
        on_chip,
    })
}

const fn release_facts(code: TroubleCode) -> ReleaseFacts {
    match code {
        TroubleCode::ReleaseWithdrawn => ReleaseFacts::Withdrawn,
        TroubleCode::ReleaseNotTrusted => ReleaseFacts::NotTrusted,
        TroubleCode::ReleaseDamaged => ReleaseFacts::Damaged,
        _ => ReleaseFacts::Missing,
    }
}

fn certificate(portion: &Portion) -> Option<AllotmentCertificate> {
    let bytes = hex::decode(portion.allotment.as_deref()?).ok()?;
    AllotmentCertificate::from_bytes(&bytes).ok()
}

fn allotment_name(portion: &Portion) -> Option<[u8; 16]> {
    certificate(portion).map(|certificate| certificate.allotment())
}

fn unit_row(
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

fn task(release: &OpenRelease, block: Option<Vec<u8>>, config: &SlotConfig) -> Task {
    let recipe = &release.manifest.recipe;
    let placed = recipe.activation.as_ref().zip(block);
    Task {
        image: Arc::clone(&release.image),
        block: placed.map(|(place, bytes)| PlacedBlock { address: place.address, bytes }),
        self_test: recipe.self_test.as_ref().map(|test| SelfTest {
            via: match (test.via, &config.uart) {
                (SelfTestVia::Uart, Some(endpoint)) => {
                    Via::Uart { endpoint: endpoint.clone(), baud: config.baud }
                }
                (SelfTestVia::Uart, None) => Via::Uart { endpoint: String::new(), baud: 0 },
                (SelfTestVia::Rtt | SelfTestVia::Semihosting, _) => {
                    Via::Rtt { control_block: None }
                }
            },
            expect: test.expect.clone(),
            within_ms: u64::from(test.within_ms),
        }),
    }
}

fn proofs(slot: u32, visit: &OpenVisit, evidence: &Evidence) -> Vec<Event> {
    let mut events = Vec::new();
    let id = || visit.id.clone();
    if let (true, Some(release)) = (evidence.verified, &visit.work) {
        events.push(Event::Verified {
            slot,
            visit: id(),
            release: Digest(*release.digest.as_bytes()),
            digest: Digest(release.bytes_sha256),
        });
    }
    if let (true, Some(unit), Some(block)) = (evidence.activated, &visit.unit, &visit.block) {
        events.push(Event::Activated {
            slot,
            visit: id(),
            uid: HexBytes(unit.uid.clone()),
            code: visit.code.clone().unwrap_or_default(),
            block_sha256: Digest::of(block),
        });
    }
    if let Some(line) = &evidence.line {
        events.push(Event::SelfTested { slot, visit: id(), line: line.clone() });
    }
    events
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
