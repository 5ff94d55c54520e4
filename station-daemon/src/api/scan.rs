//! What a screen knows about scans, scanners and the boards that wait for a bin.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::view::{Trouble, TroubleCode};

/// What a scanner read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Scan {
    /// The text with its prefix, e.g. `WO:4711`; at most 256 bytes.
    pub text: String,
}

/// Which of the line's labels a scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScanKind {
    /// `WO:` – a work order.
    Order,
    /// `OP:` – a badge.
    Operator,
    /// `SN:` – a serial number.
    Serial,
    /// `BIN:` – a bin for rejected boards.
    Bin,
}

/// What the station makes of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScanAnswer {
    /// Whether the scan did something.
    pub accepted: bool,
    /// Stable word for the screen to translate: `order_selected`, `unknown_order`,
    /// `not_used_here`, `not_recorded`; of bins: `binned`, `bin_unknown`, `nothing_to_bin`,
    /// `take_out_first`; of badges: `signed_out`, `nobody_in`, `badged_in`, `badge_replaced`, `already_in`,
    /// `badge_unknown`, `badge_ended`, `badge_disabled`, `no_roster`; of orders: `badge_first`,
    /// `lead_needed`, `hub_away`; of what is no label: `empty`, `too_long`, `damaged`,
    /// `incomplete`, `not_a_scan`, `doubled`.
    pub word: String,
    /// Which label it is; null when it is none.
    #[serde(default)]
    #[schema(required = true)]
    pub kind: Option<ScanKind>,
    /// The trouble behind a refusal, where it has one.
    #[serde(default)]
    #[schema(required = true)]
    pub code: Option<TroubleCode>,
    /// The slot whose board it was about, of a bin.
    #[serde(default)]
    #[schema(required = true)]
    pub slot: Option<u32>,
}

/// A scan that one of the station's own scanners made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScanSeen {
    /// Counts up with every such scan since the daemon started.
    pub number: u32,
    /// The scanner.
    pub scanner: u32,
    /// What the label says behind its prefix; null for a badge and for what is no label.
    #[schema(required = true)]
    pub text: Option<String>,
    /// What became of it.
    pub answer: ScanAnswer,
    /// Milliseconds since then; stops at 4294967295.
    pub since_ms: u32,
}

/// A rejected board that holds its slot until it is in a bin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RejectView {
    /// The slot it failed in.
    pub slot: u32,
    /// Why.
    pub code: TroubleCode,
    /// Last four hexadecimal digits of the chip's UID.
    #[schema(required = true)]
    pub uid_tail: Option<String>,
    /// Whether it has left its slot.
    pub taken_out: bool,
}

/// A scanner of the station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ScannerView {
    /// Its place in the configuration, from 1.
    pub number: u32,
    /// Why it reads nothing.
    #[schema(required = true)]
    pub trouble: Option<Trouble>,
}
