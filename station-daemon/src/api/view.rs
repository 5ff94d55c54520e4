//! What a screen may know: the whole station as one plain value.
//!
//! Owns the words the kiosk and the lead's page are built from. They are screen language with
//! public fields; nothing here knows a chip, a key or a database, and 64-bit integers stay out
//! because JavaScript cannot hold them.
//!
//! Promise: a page can draw everything from the last [`StationView`] alone, so it may reconnect at
//! any moment.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use super::scan::{RejectView, Scan, ScanAnswer, ScanKind, ScanSeen, ScannerView};

/// Version of the screen API; raised when a page built for the older one would show a lie.
pub const API_VERSION: u32 = 1;

/// The whole station, pushed again whenever anything in it changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StationView {
    /// Version of this API; always 1 here.
    pub api: u32,
    /// Version of the station software.
    pub build: String,
    /// Counts up with every view pushed since the daemon started.
    pub seq: u32,
    /// Who this station is.
    pub station: StationCard,
    /// Language the station was set up for (`en`, `zh`), if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language_hint: Option<String>,
    /// The work order boards are flashed for now.
    #[schema(required = true)]
    pub order: Option<OrderView>,
    /// How the hub is doing and what waits for it.
    pub hub: HubView,
    /// One entry per slot, in the order of their numbers.
    pub slots: Vec<SlotView>,
    /// What a lead let pass, as far as it still counts.
    pub approvals: Vec<Approval>,
    /// Who is at the station.
    pub people: PeopleView,
    /// The station's own scanners, by their numbers; a page's keyboard is none of them.
    pub scanners: Vec<ScannerView>,
    /// How loud the screen's sounds are, 0 to 100; 0: there are none.
    pub sound_level: u32,
    /// Rejected boards that no bin was scanned for, where the station has bins.
    pub rejects: Vec<RejectView>,
    /// What one of them read last, since the daemon started.
    #[schema(required = true)]
    pub scan: Option<ScanSeen>,
    /// What stops the whole station, if anything does.
    #[schema(required = true)]
    pub trouble: Option<Trouble>,
}

/// Name plate of the station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StationCard {
    /// Name given at enrolment; empty before.
    pub name: String,
    /// The company whose firmware this is; empty before enrolment.
    pub tenant: String,
    /// The line the station stands on; empty when nobody said.
    pub line: String,
}

/// The work order in hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderView {
    /// Number as printed on the traveller.
    pub number: String,
    /// Product the order builds.
    pub product: String,
    /// Release version that is flashed.
    pub release: String,
    /// Hardware revisions the release is for, joined by ", ".
    pub hardware_revision: String,
    /// Whether the release lies whole on this station: boards can be flashed with the hub away.
    pub ready: bool,
    /// Units this station may make for the order.
    pub quantity: u32,
    /// Units passed here.
    pub passed: u32,
    /// Units that hold a place now.
    pub in_work: u32,
    /// Units still to be made for which this station has no activation code: more have to be lent
    /// to it before the order can be finished. 0 where the codes suffice, or none are needed.
    pub codes_short: u32,
    /// Seconds a unit may take on this line, where somebody said so.
    #[serde(default)]
    #[schema(required = true)]
    pub takt_s: Option<u32>,
    /// Seconds since the last unit passed here, within the last hour.
    #[serde(default)]
    #[schema(required = true)]
    pub last_pass_s: Option<u32>,
    /// Units passed here in the last hour.
    #[serde(default)]
    pub passed_hour: u32,
}

/// The hub as seen from here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HubView {
    /// Whether it answers.
    pub state: HubState,
    /// Journal records the hub has not acknowledged.
    pub unsynced: u32,
    /// Age of the oldest such record in seconds.
    #[schema(required = true)]
    pub oldest_unsynced_s: Option<u32>,
    /// Bytes of such records; stops at 4294967295.
    pub unsynced_bytes: u32,
    /// Chunks of leased releases that have not come yet.
    pub chunks_missing: u32,
    /// Bytes of those chunks; stops at 4294967295.
    pub missing_bytes: u32,
    /// Seconds until the lease ends; 0 when it is over, null when there is none.
    #[schema(required = true)]
    pub lease_ends_in_s: Option<u32>,
}

/// Connection to the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HubState {
    /// The last round reached it.
    Online,
    /// The last round did not.
    Offline,
    /// No round has ended yet.
    Connecting,
    /// The station belongs to no hub yet.
    NotEnrolled,
}

/// One slot of the fixture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SlotView {
    /// Number as printed on the fixture, from 1.
    pub number: u32,
    /// What happens in it.
    pub state: SlotState,
    /// Progress of this state, 0..=100, where it can be told.
    #[schema(required = true)]
    pub percent: Option<u32>,
    /// Seconds until this state ends, where bytes and speed tell it.
    #[schema(required = true)]
    pub remaining_s: Option<u32>,
    /// Last four hexadecimal digits of the chip's UID.
    #[schema(required = true)]
    pub uid_tail: Option<String>,
    /// The unit's activation code, once it has one.
    #[schema(required = true)]
    pub code: Option<String>,
    /// Name of the visit, for the log.
    #[schema(required = true)]
    pub visit: Option<String>,
    /// Why it failed or is closed.
    #[schema(required = true)]
    pub trouble: Option<Trouble>,
    /// Whether a touch has the slot look again: EMPTY, or a board somebody says is here and
    /// nothing answers from; a touch on that one takes the word back.
    pub can_look: bool,
    /// What a lead can do about the slot as it stands.
    #[schema(required = true)]
    pub lead_act: Option<LeadAct>,
    /// Milliseconds in this state; stops at 4294967295.
    pub since_ms: u32,
}

/// What happens in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SlotState {
    /// No board.
    Empty,
    /// Something touches the pins.
    Contact,
    /// The chip is asked who it is.
    Reading,
    /// Bytes go onto the chip.
    Flashing,
    /// The bytes are read back.
    Verifying,
    /// The activation block is compared byte for byte.
    Activating,
    /// The firmware runs and says its line.
    Testing,
    /// Evidence goes to disk.
    Recording,
    /// Good, recorded, take it out.
    Pass,
    /// Was here before; good, nothing was changed.
    SeenBefore,
    /// Not good.
    Fail,
    /// Closed after repeated failures; the lead opens it.
    Closed,
}

/// A failure as the worker meets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trouble {
    /// Stable code; four characters on the phone.
    pub code: TroubleCode,
    /// What is to blame.
    pub blame: Blame,
    /// The one thing to do with the hands.
    pub act: Act,
    /// Slot it happened in; null for the whole station.
    #[schema(required = true)]
    pub slot: Option<u32>,
    /// The chip it is about, as the recipe calls it; null where the unit has one.
    #[serde(default)]
    #[schema(required = true)]
    pub chip: Option<String>,
    /// Number that finds it in the log and the journal.
    pub incident: String,
}

/// What a trouble is to be blamed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The board.
    Board,
    /// The cable or the pins.
    Cable,
    /// The slot.
    Slot,
    /// The probe.
    Probe,
    /// This computer.
    Station,
    /// The release.
    Release,
    /// The network or the hub.
    Network,
    /// What a person did.
    Operator,
}

/// The one thing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Lift the board and seat it again.
    PlugInAgain,
    /// Use another cable.
    TryOtherCable,
    /// Put the board into the red bin.
    PutInRedBin,
    /// Call the line lead.
    CallLead,
    /// Wait, the station is busy with itself.
    WaitForStation,
    /// Take the board out.
    RemoveBoard,
    /// Scan the work order.
    ScanWorkOrder,
    /// Scan a badge.
    ScanBadge,
    /// Scan the same label again, or one of this line.
    ScanAgain,
    /// Scan the bin the rejected board goes into.
    ScanBin,
    /// Plug the scanner in.
    PlugInScanner,
}

/// Stable trouble codes. Numbers are never reused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema,
)]
pub enum TroubleCode {
    /// The pins touch something that does not answer, or somebody sees a board and no probe does.
    #[serde(rename = "F-10")]
    NoContact,
    /// The board answered and stopped answering.
    #[serde(rename = "F-11")]
    ContactLost,
    /// The board was taken out during work.
    #[serde(rename = "F-12")]
    BoardUnplugged,
    /// What was written reads back differently.
    #[serde(rename = "F-13")]
    ReadBackDiffered,
    /// The chip is locked.
    #[serde(rename = "F-14")]
    ChipLocked,
    /// Another chip than the release is for.
    #[serde(rename = "F-15")]
    WrongChip,
    /// The chip's UID cannot be one.
    #[serde(rename = "F-16")]
    UidImplausible,
    /// The same UID is in another slot now.
    #[serde(rename = "F-17")]
    UidDuplicate,
    /// The firmware did not say its line.
    #[serde(rename = "F-18")]
    SelfTestFailed,
    /// The chip refused to be written.
    #[serde(rename = "F-19")]
    FlashWriteFailed,
    /// The chip holds an activation block that is not its own.
    #[serde(rename = "F-20")]
    ForeignBlock,
    /// The driver did not answer in its time.
    #[serde(rename = "F-21")]
    DriverHung,
    /// The slot's worker process ended by itself.
    #[serde(rename = "F-22")]
    WorkerCrashed,
    /// Another program uses the slot's probe or port.
    #[serde(rename = "F-23")]
    ProbeBusy,
    /// The release activates, and this way onto the chip does not tell its unique id.
    #[serde(rename = "F-24")]
    IdentityWeak,
    /// The slot's probe or port is not there, or went away.
    #[serde(rename = "F-25")]
    ProbeGone,
    /// The release is not signed for this station.
    #[serde(rename = "F-31")]
    ReleaseNotTrusted,
    /// The release's bytes are damaged.
    #[serde(rename = "F-32")]
    ReleaseDamaged,
    /// The image does not fit the chip.
    #[serde(rename = "F-33")]
    ImageOutOfRange,
    /// The lease is over.
    #[serde(rename = "F-34")]
    LeaseOver,
    /// The station's share of the order is made.
    #[serde(rename = "F-35")]
    PortionFull,
    /// R&D withdrew the release.
    #[serde(rename = "F-36")]
    ReleaseWithdrawn,
    /// No release is here for the order.
    #[serde(rename = "F-37")]
    NoRelease,
    /// No activation codes are left.
    #[serde(rename = "F-38")]
    QuotaEmpty,
    /// The release is for a chip this station cannot flash.
    #[serde(rename = "F-39")]
    ChipNotSupported,
    /// The chip is not proven in this way, and no lead approved it for production.
    #[serde(rename = "F-40")]
    ChipNotProven,
    /// The disk is full.
    #[serde(rename = "F-41")]
    DiskFull,
    /// The station's records are damaged.
    #[serde(rename = "F-42")]
    StoreDamaged,
    /// The station's records were written by newer software.
    #[serde(rename = "F-43")]
    StoreNewer,
    /// The clock jumped further than can be believed.
    #[serde(rename = "F-44")]
    ClockJumped,
    /// The slot has no port for a chip of the release.
    #[serde(rename = "F-45")]
    PortMissing,
    /// The lease does not allow a port of this kind.
    #[serde(rename = "F-46")]
    PortNotLeased,
    /// The system does not let the station use the slot's probe or port.
    #[serde(rename = "F-47")]
    PortForbidden,
    /// A socket of the slot holds something else than when it was taught.
    #[serde(rename = "F-48")]
    SocketDiffers,
    /// The station's journal is not the one that was seen before; it is in quarantine until an
    /// administrator opens a new epoch.
    #[serde(rename = "F-49")]
    JournalSetBack,
    /// The hub showed a certificate that is not its own.
    #[serde(rename = "F-51")]
    HubCertificate,
    /// The hub cannot be reached.
    #[serde(rename = "F-52")]
    HubUnreachable,
    /// The enrolment code was used before.
    #[serde(rename = "F-53")]
    EnrolmentCodeUsed,
    /// The enrolment code is damaged or not the hub's.
    #[serde(rename = "F-54")]
    EnrolmentCodeBad,
    /// What lies on a USB stick is not whole, not for this station, or not from its hub.
    #[serde(rename = "F-55")]
    StickRefused,
    /// The unit was voided.
    #[serde(rename = "F-60")]
    UnitVoided,
    /// No such order here, or none chosen.
    #[serde(rename = "F-61")]
    WrongOrder,
    /// Two credentials claim this board: the one it holds and the one bound to it.
    #[serde(rename = "F-62")]
    CredentialConflict,
    /// The board's credential is not at this station (any more).
    #[serde(rename = "F-63")]
    CredentialElsewhere,
    /// Nobody has badged in.
    #[serde(rename = "F-64")]
    NobodyIn,
    /// The badge is nobody's of this line, or its owner may not work now.
    #[serde(rename = "F-65")]
    BadgeRefused,
    /// The PIN is not right, or not one.
    #[serde(rename = "F-66")]
    PinRefused,
    /// After wrong PINs, no other may be tried yet.
    #[serde(rename = "F-67")]
    PinLocked,
    /// Another role has to do this.
    #[serde(rename = "F-68")]
    RoleNeeded,
    /// Without the hub for too long: rights beyond a worker's are over.
    #[serde(rename = "F-69")]
    RightsOver,
    /// The list of this line's people is not here, or not signed for this station.
    #[serde(rename = "F-70")]
    RosterRefused,
    /// A scanner of the station is not there.
    #[serde(rename = "F-80")]
    ScannerGone,
    /// A scan that is not whole, or not of its label's pattern.
    #[serde(rename = "F-81")]
    ScanDamaged,
    /// A scan of somebody else's label.
    #[serde(rename = "F-82")]
    ScanForeign,
    /// The same scan twice in a moment; it counts once.
    #[serde(rename = "F-83")]
    ScanDoubled,
    /// A rejected board is in no bin yet.
    #[serde(rename = "F-84")]
    RejectWaits,
    /// The certificate of the station's activation codes is not R&D's, or not for this station.
    #[serde(rename = "F-90")]
    AllotmentNotTrusted,
    /// The order promises more activation codes than R&D certified.
    #[serde(rename = "F-91")]
    QuotaExceeded,
    /// The board's activation code has the number of another board's: one of them is a copy.
    #[serde(rename = "F-92")]
    IndexTaken,
    /// Something that cannot happen happened.
    #[serde(rename = "F-99")]
    Internal,
}

impl TroubleCode {
    /// Every code, in ascending order of its number.
    pub const ALL: [Self; 60] = [
        Self::NoContact,
        Self::ContactLost,
        Self::BoardUnplugged,
        Self::ReadBackDiffered,
        Self::ChipLocked,
        Self::WrongChip,
        Self::UidImplausible,
        Self::UidDuplicate,
        Self::SelfTestFailed,
        Self::FlashWriteFailed,
        Self::ForeignBlock,
        Self::DriverHung,
        Self::WorkerCrashed,
        Self::ProbeBusy,
        Self::IdentityWeak,
        Self::ProbeGone,
        Self::ReleaseNotTrusted,
        Self::ReleaseDamaged,
        Self::ImageOutOfRange,
        Self::LeaseOver,
        Self::PortionFull,
        Self::ReleaseWithdrawn,
        Self::NoRelease,
        Self::QuotaEmpty,
        Self::ChipNotSupported,
        Self::ChipNotProven,
        Self::DiskFull,
        Self::StoreDamaged,
        Self::StoreNewer,
        Self::ClockJumped,
        Self::PortMissing,
        Self::PortNotLeased,
        Self::PortForbidden,
        Self::SocketDiffers,
        Self::JournalSetBack,
        Self::HubCertificate,
        Self::HubUnreachable,
        Self::EnrolmentCodeUsed,
        Self::EnrolmentCodeBad,
        Self::StickRefused,
        Self::UnitVoided,
        Self::WrongOrder,
        Self::CredentialConflict,
        Self::CredentialElsewhere,
        Self::NobodyIn,
        Self::BadgeRefused,
        Self::PinRefused,
        Self::PinLocked,
        Self::RoleNeeded,
        Self::RightsOver,
        Self::RosterRefused,
        Self::ScannerGone,
        Self::ScanDamaged,
        Self::ScanForeign,
        Self::ScanDoubled,
        Self::RejectWaits,
        Self::AllotmentNotTrusted,
        Self::QuotaExceeded,
        Self::IndexTaken,
        Self::Internal,
    ];
}

/// What a lead let pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Approval {
    /// A chip that is not proven in this way may be flashed in production.
    Unproven {
        /// The chip, as recipes name it.
        chip: String,
        /// `probe`, `dfu` or `uart`.
        way: String,
        /// The lead's number; 0 where no people are kept.
        by: u32,
    },
    /// The next board of this slot may be erased whole if it is locked.
    Unlock {
        /// The slot.
        slot: u32,
        /// The lead's number; 0 where no people are kept.
        by: u32,
    },
}

/// What a lead decides about a unit or a portion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Disposition {
    /// The unit is scrapped: its chip and its code are void for ever.
    Scrap {
        /// The product.
        product: String,
        /// The unit's activation code.
        code: String,
    },
    /// The unit got another chip: the old one is void, the serial number links the two.
    ChipReplaced {
        /// The product.
        product: String,
        /// Activation code of the chip that came off.
        old_code: String,
        /// Activation code of the chip that came on.
        new_code: String,
        /// The unit's serial number, 1 to 64 printable characters.
        serial: String,
    },
    /// What this station has not used of an order's portion goes back to the hub.
    ReturnPortion {
        /// The work order.
        order: String,
    },
}

/// What became of a disposition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DispositionAnswer {
    /// Whether it counts now, and is in the journal.
    pub accepted: bool,
    /// Stable word for the screen to translate: `recorded`, `not_enrolled`, `unknown_order`,
    /// `unknown_code`, `same_chip`, `bad_serial`, `in_work`, `not_recorded`, and those of
    /// [`ActAnswer`] for who may not.
    pub word: String,
}

/// What a lead may let pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Wish {
    /// A chip that is not proven in this way may be flashed in production.
    Unproven {
        /// The chip, as recipes name it.
        chip: String,
        /// `probe`, `dfu` or `uart`.
        way: String,
    },
    /// The next board of this slot may be erased whole if it is locked.
    Unlock {
        /// The slot.
        slot: u32,
    },
}

/// What a lead can do about a slot as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LeadAct {
    /// Let the chip be flashed, here and in every slot, from now on.
    ApproveChip {
        /// The chip, as recipes name it.
        chip: String,
        /// `probe`, `dfu` or `uart`.
        way: String,
    },
    /// Let the locked board that lies in it be erased whole, once.
    ApproveErase,
    /// Have it take boards again.
    OpenSlot,
}

/// Who is at the station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeopleView {
    /// Whether people are kept: then boards are flashed and acts done only while somebody is in.
    pub kept: bool,
    /// Who is in.
    #[schema(required = true)]
    pub operator: Option<OperatorView>,
}

/// The operator who is in. No name: a station knows none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OperatorView {
    /// Their number.
    pub number: u32,
    /// What they may do with their PIN.
    pub role: OperatorRole,
    /// What they may do now.
    pub rights: OperatorRole,
    /// Whether they have a PIN.
    pub has_pin: bool,
    /// The fewest digits of their PIN.
    pub pin_digits_min: u32,
    /// Seconds until a PIN may be tried again; null when it may be now.
    #[schema(required = true)]
    pub wait_s: Option<u32>,
    /// Whether that wait is the lock after too many wrong PINs.
    pub locked: bool,
    /// Whether the hub has been away for so long that their PIN gives no more than the badge.
    pub hub_away: bool,
}

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OperatorRole {
    /// Sets boards in, takes them out, chooses a work order.
    Worker,
    /// Approves, opens closed slots, opens and closes orders.
    Lead,
    /// Sets the station up.
    It,
}

impl From<release::Role> for OperatorRole {
    fn from(role: release::Role) -> Self {
        match role {
            release::Role::Worker => Self::Worker,
            release::Role::Lead => Self::Lead,
            release::Role::It => Self::It,
        }
    }
}

/// A PIN on its way to the station. It is shown nowhere and kept nowhere.
#[derive(Deserialize, ToSchema, zeroize::ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
pub struct PinEntry {
    /// 4 to 12 digits.
    pub pin: String,
}

impl std::fmt::Debug for PinEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PinEntry(..)")
    }
}

/// What became of what a person asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ActAnswer {
    /// Whether it was done, and is in the journal.
    pub accepted: bool,
    /// Stable word for the screen to translate: `pin_right`, `signed_out`, `nobody_in`,
    /// `order_closed`, `no_order`; refused: `badge_first`, `no_roster`, `no_pin`,
    /// `pin_too_short`, `pin_wrong`, `pin_waits`, `pin_locked`, `lead_needed`, `it_needed`,
    /// `hub_away`, `not_recorded`.
    pub word: String,
    /// Seconds until it may be tried again, where that is known.
    #[schema(required = true)]
    pub wait_s: Option<u32>,
    /// The trouble behind a refusal.
    #[schema(required = true)]
    pub code: Option<TroubleCode>,
}

/// What became of an approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ApprovalAnswer {
    /// Whether it counts now, and is in the journal.
    pub accepted: bool,
    /// Stable word for the screen to translate: `approved`, `not_enrolled`, `no_such_way`,
    /// `proven_already`, `no_such_slot`, `not_recorded`, `badge_first`, `lead_needed`, `hub_away`.
    pub word: String,
}

/// What a slot saw when it looked again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LookAnswer {
    /// Whether a board makes contact. False also when a touch took the word back, or the slot did
    /// not answer in time: its tile tells.
    pub found: bool,
}

/// What became of the wish to open a slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenAnswer {
    /// Whether the slot takes boards now.
    pub open: bool,
    /// Stable word for the screen to translate: `opened`, `not_closed`, `not_recorded`,
    /// `badge_first`, `lead_needed`, `hub_away`.
    pub word: String,
}

/// What came of a teach-in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TeachAnswer {
    /// The ports that belong to the slot now, as a configuration names them.
    pub ports: Vec<String>,
    /// Stable word for the screen to translate: `taught`, `nothing_came`, `taken` (another slot
    /// has one of them), `not_recorded`, `badge_first`, `it_needed`, `hub_away`.
    pub word: String,
}
