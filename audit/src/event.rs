//! What a journal can say.
//!
//! Every touch of a board is one of these, written before it happens or after it is proven, as the
//! name says. People appear by number only; their names live in an erasable table elsewhere.
//!
//! A variant or member, once released, keeps its name and meaning for ever. New members are
//! optional (left out when absent), so that old records stay readable.

use crate::hexed::{Digest, HexBytes};
use serde::{Deserialize, Serialize};

/// What happened. In JSON the member `event` holds the variant's name in snake_case and the
/// variant's members stand beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The station's daemon started; the first record of every run but one that finds its journal
    /// set back.
    StationStarted {
        /// Version and commit of the program.
        build: String,
    },
    /// The daemon was asked to stop and stopped in order.
    StationStopped {},
    /// A new epoch begins; the first record of every journal but the first.
    EpochOpened {
        /// The epoch before this one.
        previous_epoch: u32,
        /// Records the hub holds of it.
        previous_size: u64,
        /// Its root hash at that size.
        previous_root: Digest,
    },
    /// The station's journal is not the one that was seen before: it was set back or rewritten.
    /// Nothing is reserved from here on, until an administrator opens a new epoch.
    Quarantined {
        /// `behind`: a head was signed that this journal does not reach; `forked`: one that it
        /// does not lead to; `epoch`: a later epoch than this one was begun.
        why: String,
        /// Whose word it is: `station` (what it kept outside of its records) or `hub`.
        seen_by: String,
        /// The epoch of the head that was seen.
        seen_epoch: u32,
        /// Records under that head.
        seen_size: u64,
        /// Number the worker saw on the screen.
        incident: String,
    },
    /// Records that the hub has acknowledged were let go after the time they are kept; their hashes
    /// stay.
    RecordsLetGo {
        /// The epoch they are of.
        of_epoch: u32,
        /// The first of them.
        from: u64,
        /// One past the last.
        to: u64,
        /// Days that records are kept.
        days: u32,
    },
    /// The station joined a tenant; the first record of the first journal.
    Enrolled {
        /// The tenant's name.
        tenant: String,
        /// The station's name.
        station: String,
        /// SHA-256 of the tenant's root metadata that was pinned.
        root_sha256: Digest,
    },
    /// Something was changed at the hub; only in the hub's own log of a tenant.
    HubChanged {
        /// By whom: an access token's label, a station's name, or `hub`.
        who: String,
        /// What, in words.
        what: String,
    },
    /// A badge was accepted, or a badge and PIN.
    OperatorIn {
        /// The operator's number; never a name.
        operator: u32,
        /// What they may do from now on: `worker`, `lead` or `it`.
        role: String,
        /// `badge` or `badge_and_pin`; absent, as in old records: badge and PIN.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<String>,
    },
    /// An operator left, or was signed out.
    OperatorOut {
        /// The operator's number; never a name.
        operator: u32,
        /// `left`, `replaced` by another badge, `idle`, `ended` (no longer of the roster),
        /// `restarted`. Absent in old records.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// A badge was read and nobody came in by it.
    BadgeRefused {
        /// Whose badge, by number; absent when it is nobody's of this line.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<u32>,
        /// `unknown`, `ended` or `disabled`.
        why: String,
    },
    /// A PIN was entered. Written before it is compared; an [`Event::OperatorIn`] after it says
    /// that it was right.
    PinAttempt {
        /// The operator's number; never a name.
        operator: u32,
        /// Which attempt it is since the last right one, from 1.
        attempt: u32,
    },
    /// Too many wrong PINs: the operator's PIN counts no more for a long while.
    OperatorLocked {
        /// The operator's number; never a name.
        operator: u32,
        /// Wrong attempts since the last right one.
        attempts: u32,
    },
    /// Rights beyond a worker's ended while the operator stayed.
    RightsEnded {
        /// The operator's number; never a name.
        operator: u32,
        /// `idle` or `hub_away`.
        why: String,
    },
    /// A roster was proven and put in force.
    RosterTaken {
        /// The roster's version.
        version: u64,
        /// SHA-256 of the signed document.
        roster_sha256: Digest,
        /// People on it.
        operators: u32,
    },
    /// Work on an order began.
    OrderOpened {
        /// Work order number.
        order: String,
        /// Product name.
        product: String,
        /// SHA-256 of the release's manifest.
        release: Digest,
        /// The station's portion, in units.
        quantity: u32,
        /// Who chose it, by number; absent where no people are kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<u32>,
    },
    /// Work on an order ended.
    OrderClosed {
        /// Work order number.
        order: String,
        /// Units passed here.
        passed: u32,
        /// Who closed it, by number; absent where no people are kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<u32>,
    },
    /// Something answers in the slot.
    Contact {
        /// Slot number, from 1.
        slot: u32,
        /// The visit's id.
        visit: String,
    },
    /// The chip said who it is.
    Identified {
        /// Slot number, from 1.
        slot: u32,
        /// The visit's id.
        visit: String,
        /// Chip family in lower case, `nrf52`.
        family: String,
        /// Part as the probe names it.
        part: String,
        /// The chip's unique id as it lies in its memory; absent where `weak` stands.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uid: Option<HexBytes>,
        /// A name that may repeat, in place of a unique id: it tells no chip from another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weak: Option<String>,
        /// What lay where the activation block belongs.
        found: BlockState,
        /// Which of the unit's chips, by its name in the recipe; absent where a unit has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chip: Option<String>,
    },
    /// A place in the portion and an activation were set aside for this chip; nothing was written yet.
    Reserved {
        /// Slot number, from 1.
        slot: u32,
        /// The visit's id.
        visit: String,
        /// Work order number.
        order: String,
        /// Product name.
        product: String,
        /// Chip family in lower case, `nrf52`.
        family: String,
        /// The chip's unique id as it lies in its memory.
        uid: HexBytes,
        /// Activation code, with hyphens.
        code: String,
        /// The allotment's name, 16 bytes.
        allotment: HexBytes,
        /// Index within the allotment, from 0.
        index: u32,
        /// SHA-256 of the activation block; absent where it is made after this record, from a
        /// credential that may be opened only then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        block_sha256: Option<Digest>,
        /// How the block is proven, as recipes write it; absent for `ed25519`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<String>,
        /// What names the credential of mode `pool`: SHA-256 over its public columns.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        credential: Option<Digest>,
    },
    /// The chip already held its own valid block; nothing is spent.
    Adopted {
        /// Slot number, from 1.
        slot: u32,
        /// The visit's id.
        visit: String,
        /// Work order number.
        order: String,
        /// Product name.
        product: String,
        /// Chip family in lower case, `nrf52`.
        family: String,
        /// The chip's unique id as it lies in its memory.
        uid: HexBytes,
        /// Activation code, with hyphens.
        code: String,
        /// The allotment's name, 16 bytes.
        allotment: HexBytes,
        /// Index within the allotment, from 0.
        index: u32,
        /// SHA-256 of the activation block.
        block_sha256: Digest,
        /// How the block is proven, as recipes write it; absent for `ed25519`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<String>,
    },
    /// The chip was here before, or carries the activation of an earlier visit.
    SeenBefore {
        /// Slot number, from 1.
        slot: u32,
        /// The visit's id.
        visit: String,
        /// The chip's unique id as it lies in its memory.
        uid: HexBytes,
        /// Activation code, with hyphens.
        code: String,
        /// Whether it passed then.
        passed_before: bool,
    },
    /// About to write firmware.
    Programming {
        /// Slot number, from 1.
        slot: u32,
        /// The visit's id.
        visit: String,
        /// SHA-256 of the release's manifest.
        release: Digest,
        /// `production`, `rework` or `after_sales`.
        channel: String,
        /// Bytes of the chip's images, activation block left out.
        bytes: u64,
        /// Why a chip is written that this program has not proven in this way: `approved` by a
        /// lead, or `not_asked` outside production. Absent for a proven one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unproven: Option<String>,
        /// Which of the unit's chips, by its name in the recipe; absent where a unit has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chip: Option<String>,
    },
    /// The firmware was read back and is the release's.
    Verified {
        /// Slot number, from 1.
        slot: u32,
        /// The visit's id.
        visit: String,
        /// SHA-256 of the release's manifest.
        release: Digest,
        /// SHA-256 over the bytes read back, lowest address first.
        digest: Digest,
        /// Which of the unit's chips, by its name in the recipe; absent where a unit has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chip: Option<String>,
    },
    /// The activation block was read back byte for byte.
    Activated {
        /// Slot number, from 1.
        slot: u32,
        /// The visit's id.
        visit: String,
        /// The chip's unique id as it lies in its memory.
        uid: HexBytes,
        /// Activation code, with hyphens.
        code: String,
        /// SHA-256 of the activation block.
        block_sha256: Digest,
        /// In mode `pool` the signed receipt of the binding; it holds no secret.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receipt: Option<HexBytes>,
    },
    /// The firmware said the line that the recipe expects.
    SelfTested {
        /// Slot number, from 1.
        slot: u32,
        /// The visit's id.
        visit: String,
        /// What it said.
        line: String,
        /// Which of the unit's chips, by its name in the recipe; absent where a unit has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chip: Option<String>,
    },
    /// A lead let a chip that is not proven in this way be flashed in production.
    UnprovenApproved {
        /// The chip, as recipes name it.
        chip: String,
        /// `probe`, `dfu` or `uart`.
        way: String,
        /// The lead's number; never a name.
        operator: u32,
    },
    /// A lead let the next board of a slot be erased whole if its chip is locked.
    UnlockApproved {
        /// Slot number, from 1.
        slot: u32,
        /// The lead's number; never a name.
        operator: u32,
    },
    /// The approval was for one board, and that board was not locked.
    UnlockLapsed {
        /// Slot number, from 1.
        slot: u32,
        /// The visit's id.
        visit: String,
    },
    /// About to erase a locked chip whole; an approval is used up.
    Unlocking {
        /// Slot number, from 1.
        slot: u32,
        /// The visit's id.
        visit: String,
        /// Who approved it, by number; absent where nobody was asked, because such chips come from
        /// their maker locked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<u32>,
        /// Which of the unit's chips, by its name in the recipe; absent where a unit has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chip: Option<String>,
    },
    /// The evidence is complete; about to take the irreversible steps.
    Locking {
        /// Slot number, from 1.
        slot: u32,
        /// The visit's id.
        visit: String,
    },
    /// The irreversible steps were confirmed.
    Locked {
        /// Slot number, from 1.
        slot: u32,
        /// The visit's id.
        visit: String,
        /// Which of the unit's chips, by its name in the recipe; absent where a unit has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chip: Option<String>,
    },
    /// The unit is good and may leave the slot.
    Passed {
        /// Slot number, from 1.
        slot: u32,
        /// The visit's id.
        visit: String,
        /// Work order number.
        order: String,
        /// Product name.
        product: String,
        /// Chip family in lower case, `nrf52`.
        family: String,
        /// The chip's unique id as it lies in its memory; absent where `weak` stands.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uid: Option<HexBytes>,
        /// A name that may repeat, in place of a unique id: it tells no chip from another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weak: Option<String>,
        /// Activation code, with hyphens.
        code: String,
        /// SHA-256 of the release's manifest.
        release: Digest,
        /// From contact to here.
        took_ms: u64,
    },
    /// A unit is scrapped: its chip and its code are void for ever.
    Scrapped {
        /// Product name.
        product: String,
        /// Chip family in lower case, `nrf52`.
        family: String,
        /// The chip's unique id as it lies in its memory.
        uid: HexBytes,
        /// The lead's number; never a name.
        operator: u32,
    },
    /// A unit got another chip: the old one is void, one serial number links the two.
    ChipReplaced {
        /// Product name.
        product: String,
        /// The unit's serial number.
        serial: String,
        /// Family of the chip that came off.
        old_family: String,
        /// Its unique id.
        old_uid: HexBytes,
        /// Family of the chip that came on.
        new_family: String,
        /// Its unique id.
        new_uid: HexBytes,
        /// The lead's number; never a name.
        operator: u32,
    },
    /// The station gives back what it has not used of an order's portion and begins no unit of it
    /// any more.
    PortionReturned {
        /// Work order number.
        order: String,
        /// Units passed here.
        passed: u32,
        /// The allotment's name, 16 bytes; absent where nothing is activated.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        allotment: Option<HexBytes>,
        /// First index that no chip of this station has.
        unused_from: u32,
        /// One past the last.
        unused_to: u32,
    },
    /// The visit ended in a trouble.
    Failed {
        /// Slot number, from 1.
        slot: u32,
        /// The visit's id.
        visit: String,
        /// The chip's unique id, if it was read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        uid: Option<HexBytes>,
        /// A name that may repeat, in place of a unique id: it tells no chip from another.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        weak: Option<String>,
        /// Stable trouble code, `F-13`.
        trouble: String,
        /// Step in which it happened.
        step: Step,
        /// Number the worker saw on the screen.
        incident: String,
        /// Which of the unit's chips, by its name in the recipe; absent where a unit has one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        chip: Option<String>,
    },
    /// The slot is empty again.
    Removed {
        /// Slot number, from 1.
        slot: u32,
        /// The visit's id.
        visit: String,
    },
    /// The rejected board was put into a bin, whose label was scanned.
    Binned {
        /// Slot number, from 1.
        slot: u32,
        /// The visit's id.
        visit: String,
        /// The bin, as its label says.
        bin: String,
        /// Who scanned it, by number; absent where no people are kept.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<u32>,
    },
    /// A trouble that belongs to no visit.
    StationTrouble {
        /// Stable trouble code, `F-13`.
        trouble: String,
        /// Number the worker saw on the screen.
        incident: String,
    },
    /// A socket holds something else than when it was taught to its slot.
    SocketDiffers {
        /// Slot number, from 1.
        slot: u32,
        /// The port, as it was taught.
        port: String,
        /// What is there: vendor and product id, or `nothing`.
        found: String,
        /// Stable trouble code, `F-13`.
        trouble: String,
    },
    /// The slot takes no boards until it is opened.
    SlotClosed {
        /// Slot number, from 1.
        slot: u32,
        /// Stable trouble code, `F-13`.
        trouble: String,
    },
    /// The slot takes boards again.
    SlotOpened {
        /// Slot number, from 1.
        slot: u32,
        /// Who opened it, by number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<u32>,
    },
    /// A lease was proven and put in force.
    LeaseTaken {
        /// The lease's version.
        version: u64,
        /// Its end, in ms since the Unix epoch.
        not_after_ms: i64,
        /// SHA-256 of the signed document.
        lease_sha256: Digest,
    },
    /// A release was proven, fetched whole and may be flashed.
    ReleaseShelved {
        /// SHA-256 of the release's manifest.
        manifest_sha256: Digest,
        /// Product name.
        product: String,
        /// Its version.
        version: String,
    },
    /// The keys to a release were erased.
    ReleaseErased {
        /// SHA-256 of the release's manifest.
        manifest_sha256: Digest,
        /// `lease_over`, `withdrawn`, `revoked`, or `retired`: the tenant no longer stands for the
        /// key that signed the lease.
        why: String,
    },
    /// Station time was moved by a hub-signed time.
    ClockMoved {
        /// Station time before, in ms since the Unix epoch.
        from_ms: i64,
        /// Station time after.
        to_ms: i64,
    },
    /// What waits for the hub is about to be written on a stick, this record with it.
    StickWritten {
        /// The parcel's number.
        number: u64,
        /// Who asked for it, by number; absent when nobody said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<u32>,
    },
    /// What the hub wrote on a stick was read to its end.
    StickRead {
        /// The parcel's number.
        number: u64,
        /// Who asked for it, by number; absent when nobody said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        operator: Option<u32>,
    },
}

/// What lay where the activation block belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockState {
    /// Erased flash.
    Blank,
    /// This chip's own valid block.
    Valid,
    /// Something else.
    Foreign,
    /// The recipe has no activation, or the chip is locked.
    Unread,
}

/// A step of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Something is in the slot.
    Contact,
    /// Who is it?
    Identify,
    /// May it be flashed, and what with?
    Decide,
    /// A locked chip is erased whole, on a lead's approval.
    Unlock,
    /// A place, a serial number and an activation are set aside.
    Reserve,
    /// Firmware is written.
    Program,
    /// Firmware is read back.
    Verify,
    /// The activation block is written and read back.
    Activate,
    /// The firmware runs and says its line.
    SelfTest,
    /// The evidence goes to disk.
    Record,
    /// Irreversible steps.
    Protect,
    /// They are confirmed.
    Confirm,
    /// The board may leave.
    Release,
}

impl Event {
    /// The visit this event belongs to, if it belongs to one.
    #[must_use]
    pub fn visit(&self) -> Option<&str> {
        match self {
            Self::Contact { visit, .. }
            | Self::Identified { visit, .. }
            | Self::Reserved { visit, .. }
            | Self::Adopted { visit, .. }
            | Self::SeenBefore { visit, .. }
            | Self::Programming { visit, .. }
            | Self::Verified { visit, .. }
            | Self::Activated { visit, .. }
            | Self::SelfTested { visit, .. }
            | Self::UnlockLapsed { visit, .. }
            | Self::Unlocking { visit, .. }
            | Self::Locking { visit, .. }
            | Self::Locked { visit, .. }
            | Self::Passed { visit, .. }
            | Self::Failed { visit, .. }
            | Self::Removed { visit, .. }
            | Self::Binned { visit, .. } => Some(visit),
            Self::StationStarted { .. }
            | Self::StationStopped { .. }
            | Self::EpochOpened { .. }
            | Self::Quarantined { .. }
            | Self::RecordsLetGo { .. }
            | Self::Enrolled { .. }
            | Self::HubChanged { .. }
            | Self::OperatorIn { .. }
            | Self::OperatorOut { .. }
            | Self::BadgeRefused { .. }
            | Self::PinAttempt { .. }
            | Self::OperatorLocked { .. }
            | Self::RightsEnded { .. }
            | Self::RosterTaken { .. }
            | Self::OrderOpened { .. }
            | Self::OrderClosed { .. }
            | Self::UnprovenApproved { .. }
            | Self::UnlockApproved { .. }
            | Self::Scrapped { .. }
            | Self::ChipReplaced { .. }
            | Self::PortionReturned { .. }
            | Self::StationTrouble { .. }
            | Self::SocketDiffers { .. }
            | Self::SlotClosed { .. }
            | Self::SlotOpened { .. }
            | Self::LeaseTaken { .. }
            | Self::ReleaseShelved { .. }
            | Self::ReleaseErased { .. }
            | Self::ClockMoved { .. }
            | Self::StickWritten { .. }
            | Self::StickRead { .. } => None,
        }
    }
}
