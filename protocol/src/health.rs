//! `GET /v1/health`: whether the hub serves, and which one it is.

use serde::{Deserialize, Serialize};

/// The hub's own state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Health {
    /// `ok` while the store answers.
    pub state: String,
    /// Version of the program.
    pub build: String,
    /// Version of the store.
    pub schema: u32,
    /// The hub's time, milliseconds since the Unix epoch.
    pub hub_time_ms: i64,
}
