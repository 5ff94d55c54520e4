//! What the preflight page is built from.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whether the station is fit for a shift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Preflight {
    /// The worst of all findings.
    pub level: Level,
    /// One entry per thing looked at.
    pub findings: Vec<Finding>,
}

impl Preflight {
    /// Findings with the worst of them.
    #[must_use]
    pub fn of(findings: Vec<Finding>) -> Self {
        let level = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
        Self { level, findings }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// How it is.
    pub level: Level,
    /// Which one: a controller's name, `slot 3`, `disk`.
    pub about: String,
    /// What was found, in English.
    pub sentence: String,
}

/// How a thing is; ascending.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// As it should be.
    Ok,
    /// The shift can begin; somebody should see to it.
    Warn,
    /// Boards will fail, or a promise is not kept.
    Fail,
}

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Room for endpoints on one USB controller.
    UsbEndpoints,
    /// Whether one port of a slot is there and may be used.
    Port,
    /// Room on the disk.
    Disk,
    /// Swap areas, on which plain firmware could end up.
    Swap,
    /// The chip that seals keys.
    Tpm,
    /// The clock.
    Clock,
    /// The hub.
    Hub,
}
