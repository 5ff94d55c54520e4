//! What a station asks to be allowed, and what an administrator allows.

use serde::{Deserialize, Serialize};

use crate::enrolment::KeyProtection;
use crate::ids::{Epoch, OrderNumber, StationName};

/// `POST /v1/lease`: a station asks for a fresh lease and says where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct LeaseRequest {
    /// Version of the lease it holds, 0 for none. The answer's is higher.
    pub last_version: u64,
    /// What guards its keys today.
    pub key_protection: KeyProtection,
    /// Its journal now.
    pub epoch: Epoch,
    /// Records in it.
    pub journal_size: u64,
}

/// A share of a work order for one station, as the administrator grants it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct PortionGrant {
    /// Who flashes.
    pub station: StationName,
    /// From which order.
    pub order: OrderNumber,
    /// How many units.
    pub quantity: u32,
    /// R&D's certificate over the station's allotment key, hexadecimal. The hub only forwards it.
    /// None for a product without activation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allotment_certificate: Option<String>,
    /// First activation index of the allotment that this portion may use; the first one that no
    /// earlier portion has when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_from: Option<u32>,
    /// One past the last; the allotment's end when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_to: Option<u32>,
    /// `production` (when absent), `rework` or `after-sales`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}
