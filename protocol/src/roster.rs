//! What a person at a line may do.
//!
//! The document `roster` itself is signed; its form is in the room `release`, as the lease's is.

use serde::{Deserialize, Serialize};

/// What an operator may do once their PIN was proven; a badge alone is a worker's.
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

/// The text is not the name of a role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a role: worker, lead or it")]
pub struct RoleError(String);

impl std::str::FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        match text {
            "worker" => Ok(Self::Worker),
            "lead" => Ok(Self::Lead),
            "it" => Ok(Self::It),
            _ => Err(RoleError(text.chars().take(100).collect())),
        }
    }
}
