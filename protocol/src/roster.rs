//! Who may work at a line, by operator number; names stay at the hub.

use serde::{Deserialize, Serialize};

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Sets boards in and takes them out.
    Worker,
    /// Opens and closes portions, decides on rejects.
    Lead,
    /// Provisions and exports.
    It,
}

/// One person of the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Operator {
    /// The number that journals hold.
    pub number: u32,
    /// What they may do.
    pub role: Role,
    /// SHA-256 of the badge's text, hexadecimal.
    pub badge_sha256: crate::ids::Sha256,
}

/// The document `roster`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Roster {
    /// Version of this form: 1.
    pub v: u32,
    /// Never lower than before.
    pub version: u64,
    /// By operator number.
    pub operators: Vec<Operator>,
}
