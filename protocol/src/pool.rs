//! Pools of credentials, dispositions and conflicts, as administrators ask about them.

use serde::{Deserialize, Serialize};

use crate::ids::{ProductName, StationName};

/// The low-water alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum WaterLevel {
    /// Nothing to do.
    Enough,
    /// Order more.
    Low,
    /// None is left.
    Empty,
}

/// How a product's pool stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct PoolView {
    /// The product.
    pub product: ProductName,
    /// Credentials ever imported.
    pub imported: u32,
    /// Not lent to any station.
    pub free: u32,
    /// Bound to a chip, as far as records have come.
    pub bound: u64,
    /// Imported and bound to no chip.
    pub left: u64,
    /// Whole days until none is left at the present pace; none without a pace.
    pub days_left: Option<u64>,
    /// The alarm.
    pub level: WaterLevel,
    /// Shares ever lent.
    pub shares: u64,
}

/// Something about units that a person must be shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Conflict {
    /// Its number; a later one is higher.
    pub number: u64,
    /// The product.
    pub product: ProductName,
    /// `second-credential`, `spent-twice`, `code-on-two-chips`, `index-on-two-chips`, `pull-board`,
    /// `void-in-use`, `replaced-by-itself`, `second-serial`, `allotment-not-lent`,
    /// `index-beyond-quota`, or `impossible-record`: a verified record that names what there cannot be.
    pub kind: String,
    /// Family of the chip it is about: of the board to pull, where one is.
    pub family: String,
    /// Its UID, upper-case hexadecimal.
    pub uid: String,
    /// The station that must act, where one must.
    pub station: Option<StationName>,
    /// What happened, and what to do, in words.
    pub detail: String,
    /// When the hub learnt of it, milliseconds since the Unix epoch.
    pub found_ms: i64,
}
