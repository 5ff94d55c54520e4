//! The view: what the desk knows, in screen language.

use std::sync::Arc;
use std::time::Instant;

use activation::Mode;
use release::Portion;

use super::Desk;
use super::approvals::way_word;
use super::blocks::mode_of;
use super::credentials::free_credentials;
use super::facts::{allotment_name, certificate};
use crate::api::view::{
    API_VERSION, HubState, HubView, LeadAct, OrderView, PeopleView, SlotState, SlotView,
    StationCard, StationView,
};
use crate::shelf::LeaseState;
use crate::trouble::{Trouble, TroubleCode, chain};

/// What a slot's thread says about its tile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    /// The state.
    pub state: SlotState,
    /// Progress in it, 0..=100.
    pub percent: Option<u32>,
    /// Seconds until it ends.
    pub remaining_s: Option<u32>,
    /// Why it failed, waits or is closed.
    pub trouble: Option<TroubleCode>,
    /// Whether a touch has the slot look again.
    pub can_look: bool,
    /// The chip that the trouble is about, where the unit has several.
    pub chip: Option<String>,
}

impl Tile {
    /// A tile that only says its state.
    #[must_use]
    pub const fn of(state: SlotState) -> Self {
        Self { state, percent: None, remaining_s: None, trouble: None, can_look: false, chip: None }
    }

    /// A tile with a trouble.
    #[must_use]
    pub fn with_trouble(state: SlotState, code: TroubleCode) -> Self {
        Self { trouble: Some(code), ..Self::of(state) }
    }

    /// Nothing answers from the slot: no board, as far as a probe can tell.
    #[must_use]
    pub fn empty() -> Self {
        Self { can_look: true, ..Self::of(SlotState::Empty) }
    }

    /// Somebody says a board is in the slot, and nothing answers.
    #[must_use]
    pub fn unanswered() -> Self {
        Self { can_look: true, ..Self::with_trouble(SlotState::Fail, TroubleCode::NoContact) }
    }
}

/// A tile and since when it shows its state.
pub(super) struct Shown {
    pub(super) tile: Tile,
    trouble: Option<Trouble>,
    since: Instant,
}

impl Shown {
    pub(super) fn empty(since: Instant) -> Self {
        Self { tile: Tile::empty(), trouble: None, since }
    }
}

/// What a page sees before the desk has spoken.
pub(super) fn starting_view() -> StationView {
    StationView {
        api: API_VERSION,
        build: env!("CARGO_PKG_VERSION").to_owned(),
        seq: 0,
        station: StationCard { name: String::new(), tenant: String::new(), line: String::new() },
        language_hint: None,
        order: None,
        hub: HubView {
            state: HubState::Connecting,
            unsynced: 0,
            oldest_unsynced_s: None,
            unsynced_bytes: 0,
            chunks_missing: 0,
            missing_bytes: 0,
            lease_ends_in_s: None,
        },
        slots: Vec::new(),
        approvals: Vec::new(),
        people: PeopleView { kept: false, operator: None },
        scanners: Vec::new(),
        rejects: Vec::new(),
        sound_level: 0,
        scan: None,
        trouble: None,
    }
}

/// A view of a station that cannot open its own records: all it can say is why.
#[must_use]
pub fn halted_view(code: TroubleCode, incident: &str) -> StationView {
    let mut view = starting_view();
    view.seq = 1;
    view.trouble = Some(Trouble::of(code, None, incident));
    view
}

impl Desk {
    /// Shows a slot's tile.
    pub fn show(&mut self, slot: u32, tile: Tile) {
        let now = Instant::now();
        let incident = self.visits.get(&slot).map(|visit| visit.incident.clone());
        let fresh = self.incident();
        let Some(shown) = self.tiles.get_mut(&slot) else { return };
        if shown.tile.state != tile.state {
            shown.since = now;
        }
        if shown.tile.trouble != tile.trouble || shown.tile.state != tile.state {
            let chip = tile.chip.clone();
            shown.trouble = tile.trouble.map(|code| Trouble {
                chip,
                ..Trouble::of(code, Some(slot), incident.unwrap_or(fresh))
            });
        }
        shown.tile = tile;
    }

    /// Pushes the view if anything but its counters changed.
    pub(super) fn publish(&mut self) {
        let mut view = self.look();
        let last = Arc::clone(&self.view.borrow());
        view.seq = last.seq;
        if still(&view) == still(&last) && last.seq > 0 {
            return;
        }
        view.seq = last.seq.wrapping_add(1);
        self.view.send_replace(Arc::new(view));
    }

    pub(super) fn look(&mut self) -> StationView {
        let now_ms = self.now_ms();
        let order = self.order_view();
        let waiting = self.waiting();
        let (chunks, missing_bytes) =
            self.enrolled.as_ref().map_or((0, 0), |enrolled| enrolled.shelf.lacks());
        let card = self.enrolled.as_ref().map(|enrolled| &enrolled.membership);
        let lease_end = self.enrolled.as_ref().and_then(|e| match e.shelf.lease() {
            LeaseState::InForce(lease) => Some(lease.not_after_ms),
            LeaseState::Over { not_after_ms } => Some(*not_after_ms),
            LeaseState::Missing => None,
        });
        StationView {
            station: StationCard {
                name: card.map(|card| card.station.clone()).unwrap_or_default(),
                tenant: card.map(|card| card.tenant.clone()).unwrap_or_default(),
                line: card.map_or_else(|| self.card_line.clone(), |card| card.line.clone()),
            },
            language_hint: self.language.clone(),
            order,
            hub: HubView {
                state: self.hub,
                unsynced: counted(waiting.records),
                oldest_unsynced_s: waiting.oldest_ms.map(|ms| seconds(now_ms - ms)),
                unsynced_bytes: counted(waiting.bytes),
                chunks_missing: counted(chunks),
                missing_bytes: counted(missing_bytes),
                lease_ends_in_s: lease_end.map(|ms| seconds(ms - now_ms)),
            },
            slots: self
                .tiles
                .iter()
                .map(|(number, shown)| self.slot_view(*number, shown))
                .collect(),
            approvals: self.approvals.view(),
            people: self.people_view(),
            scanners: self.scans.scanners(),
            scan: self.scans.seen(),
            rejects: self.rejects.view(),
            sound_level: self.sound_level,
            trouble: self.station_trouble(),
            ..starting_view()
        }
    }

    fn station_trouble(&self) -> Option<Trouble> {
        if let Some(trouble) = &self.halted {
            return Some(trouble.clone());
        }
        if let Some(trouble) = self.quarantine_trouble() {
            return Some(trouble);
        }
        let refused = self.enrolled.as_ref().and_then(|enrolled| enrolled.shelf.refused());
        // A hub that has published nothing yet is no trouble.
        let refused = refused.filter(|code| *code != TroubleCode::NoRelease);
        let jumped = self.clock.jumped().then_some(TroubleCode::ClockJumped);
        let code = self.hub_trouble.or(refused).or(self.staff.trouble()).or(jumped)?;
        Some(Trouble::of(code, None, code.text()))
    }

    fn slot_view(&self, number: u32, shown: &Shown) -> SlotView {
        let visit = self.visits.get(&number);
        let named = shown.tile.state != SlotState::Empty;
        let visit = visit.filter(|_| named);
        SlotView {
            number,
            state: shown.tile.state,
            percent: shown.tile.percent,
            remaining_s: shown.tile.remaining_s,
            uid_tail: visit.and_then(|visit| visit.uid_tail()),
            code: visit.and_then(|visit| visit.code.clone()),
            visit: visit.map(|visit| visit.id.clone()),
            trouble: shown.trouble.clone(),
            can_look: shown.tile.can_look,
            lead_act: self.lead_act(number, shown),
            since_ms: u32::try_from(shown.since.elapsed().as_millis()).unwrap_or(u32::MAX),
        }
    }

    /// What a lead can do about a slot as it stands.
    fn lead_act(&self, slot: u32, shown: &Shown) -> Option<LeadAct> {
        if shown.tile.state == SlotState::Closed {
            return Some(LeadAct::OpenSlot);
        }
        if shown.tile.trouble == Some(TroubleCode::ChipLocked) {
            let given = self.approvals.unlock_of(slot).is_some();
            return (!given).then_some(LeadAct::ApproveErase);
        }
        if shown.tile.trouble != Some(TroubleCode::ChipNotProven) {
            return None;
        }
        let (chip, way) = self.unproven.get(&slot)?;
        Some(LeadAct::ApproveChip { chip: chip.clone(), way: way_word(*way).to_owned() })
    }

    fn order_view(&mut self) -> Option<OrderView> {
        let portion = self.portion()?;
        let counted = self.store.read(|commit| {
            let passed = commit.passed_count(&portion.order)?;
            let places = commit.places()?;
            let held = places.iter().filter(|place| place.order_number == portion.order).count();
            Ok::<_, crate::store::StoreError>((passed, u32::try_from(held).unwrap_or(u32::MAX)))
        });
        let (passed, in_work) = counted.unwrap_or_default();
        let codes_short = self.codes_short(&portion, (passed, in_work));
        let manifest = self.enrolled.as_ref()?.shelf.manifest(&portion.manifest_sha256);
        let ready = self.enrolled.as_ref()?.shelf.is_whole(&portion.manifest_sha256);
        let revisions = manifest.map(|manifest| {
            let names: Vec<&str> =
                manifest.hardware_revisions.iter().map(|label| label.as_str()).collect();
            names.join(", ")
        });
        let pace = self.pace.of(&portion.order, self.now_ms());
        Some(OrderView {
            takt_s: self.pace.takt_s,
            last_pass_s: pace.last_s,
            passed_hour: pace.hour,
            number: portion.order.clone(),
            product: portion.product.as_str().to_owned(),
            release: manifest.map(|m| m.version.as_str().to_owned()).unwrap_or_default(),
            hardware_revision: revisions.unwrap_or_default(),
            ready,
            quantity: portion.quantity,
            passed,
            in_work,
            codes_short,
        })
    }

    /// Units of a portion still to be made for which no code is left here.
    fn codes_short(&mut self, portion: &Portion, (passed, in_work): (u32, u32)) -> u32 {
        let manifest = self.enrolled.as_ref();
        let manifest = manifest.and_then(|own| own.shelf.manifest(&portion.manifest_sha256));
        let place = manifest.and_then(|manifest| {
            manifest.recipe.chips.iter().find_map(|chip| chip.activation.as_ref())
        });
        let left = match place.map(mode_of) {
            // Nothing is lent of what is not counted.
            None | Some(Mode::HmacSha256) => return 0,
            Some(Mode::Ed25519 | Mode::Stored) => certificate(portion).map(|certificate| {
                let (name, from) = (certificate.allotment(), portion.index_from);
                let next = self.store.read(|commit| commit.next_number(&name, from));
                next.map(|next| portion.index_to.saturating_sub(next))
            }),
            Some(Mode::Pool) => allotment_name(portion)
                .map(|name| self.store.read(|commit| free_credentials(commit, portion, name))),
        };
        let left = match left.unwrap_or(Ok(0)) {
            Ok(left) => left,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "codes were not counted");
                return 0;
            }
        };
        portion.quantity.saturating_sub(passed).saturating_sub(in_work).saturating_sub(left)
    }
}

/// The view without what changes by itself: a page counts milliseconds alone.
fn still(view: &StationView) -> StationView {
    let mut still = view.clone();
    still.seq = 0;
    for slot in &mut still.slots {
        slot.since_ms = 0;
    }
    if let Some(order) = &mut still.order {
        order.last_pass_s = None;
    }
    if let Some(scan) = &mut still.scan {
        scan.since_ms = 0;
    }
    still
}

fn counted(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn seconds(ms: i64) -> u32 {
    u32::try_from(ms.max(0) / 1000).unwrap_or(u32::MAX)
}
