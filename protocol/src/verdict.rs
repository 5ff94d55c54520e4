//! What the hub knows about a unit, from verified journal records only.

use serde::{Deserialize, Serialize};

use crate::ids::{OrderNumber, ProductName, StationName};

/// How a unit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A place and a code are reserved; no end was recorded yet.
    InWork,
    /// Passed at least once.
    Passed,
    /// Failed, and has not passed since.
    Failed,
    /// Scrapped: its code is void.
    Voided,
}

/// One line of `GET /v1/units`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Unit {
    /// What it is; empty when no record named it yet.
    pub product: Option<ProductName>,
    /// Family of its identity chip.
    pub family: String,
    /// The chip's UID, upper-case hexadecimal.
    pub uid: String,
    /// Its activation code.
    pub code: Option<String>,
    /// Where it was seen last.
    pub station: StationName,
    /// The order it was made for.
    pub order: Option<OrderNumber>,
    /// The release it passed with.
    pub release: Option<String>,
    /// Station time of the first PASS, milliseconds since the Unix epoch.
    pub first_passed_ms: Option<i64>,
    /// Station time of the last record about it, milliseconds since the Unix epoch.
    pub last_seen_ms: i64,
    /// How it stands.
    pub state: Verdict,
    /// Visits in which a station recognised it.
    pub seen_before_count: u32,
    /// PASS records.
    pub passed_count: u32,
    /// FAIL records.
    pub failed_count: u32,
}

/// A page of units.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct UnitPage {
    /// In the order the hub learnt of them.
    pub units: Vec<Unit>,
    /// Give this as `cursor` for the next page; none on the last.
    pub next_cursor: Option<String>,
}
