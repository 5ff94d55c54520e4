//! Documents in which the hub states what became of units, and hands a product's secret over.
//!
//! Owns their texts. Each travels as a [`SignedStatement`](crate::SignedStatement) of its kind.

use serde::{Deserialize, Serialize};

use crate::ids::{ProductName, Sha256, StationName, TenantName};

/// The document `voids`: every unit of the tenant that is void. Kind: [`VoidsStatement::KIND`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoidsStatement {
    /// Version of this form: 1.
    pub v: u32,
    /// Whose units.
    pub tenant: TenantName,
    /// Never lower than before: units once void stay void.
    pub version: u64,
    /// The units, oldest void first.
    pub units: Vec<VoidUnit>,
}

/// One void unit, by its identity chip.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoidUnit {
    /// The product.
    pub product: ProductName,
    /// Family of its identity chip.
    pub family: String,
    /// The chip's UID, upper-case hexadecimal.
    pub uid: String,
}

impl VoidsStatement {
    /// First line of the signed bytes.
    pub const KIND: &'static str = "flashline voids v1";
}

/// The document `mac-secret/<product>`: the secret of mode *hmac-sha256*, sealed for one station.
/// Kind: [`MacSecretStatement::KIND`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MacSecretStatement {
    /// Version of this form: 1.
    pub v: u32,
    /// Whose product.
    pub tenant: TenantName,
    /// For which station.
    pub station: StationName,
    /// The product.
    pub product: ProductName,
    /// SHA-256 of the secret, which the recipe names too.
    pub secret_sha256: Sha256,
    /// The secret as a parcel of the room `release`, hexadecimal.
    pub sealed: String,
}

impl MacSecretStatement {
    /// First line of the signed bytes.
    pub const KIND: &'static str = "flashline mac secret v1";
}
