//! Work orders, as the hub keeps them and as a station shows them.
//!
//! Leaves the permission to flash to the signed lease: a station believes a portion only there.

use serde::{Deserialize, Serialize};

use crate::ids::{OrderNumber, ProductName, Sha256};

/// Whether work may still be granted from an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OrderState {
    /// Portions may be granted.
    Open,
    /// Nothing more is granted.
    Closed,
}

/// A work order at the hub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct WorkOrder {
    /// As printed on the traveller.
    pub number: OrderNumber,
    /// What is made.
    pub product: ProductName,
    /// The release it is made with.
    pub manifest_sha256: Sha256,
    /// Units to make.
    pub quantity: u32,
    /// Units already given to stations as portions.
    pub granted: u32,
    /// Open or closed.
    pub state: OrderState,
}

/// One order in the document `orders`: what one station shows about its portion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StationOrder {
    /// As printed on the traveller.
    pub number: OrderNumber,
    /// What is made.
    pub product: ProductName,
    /// The release's version, as R&D named it.
    pub release: String,
    /// The release it is made with.
    pub manifest_sha256: Sha256,
    /// The station's portion, in units.
    pub quantity: u32,
}

/// The document `orders`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct OrdersDocument {
    /// Version of this form: 1.
    pub v: u32,
    /// By order number.
    pub orders: Vec<StationOrder>,
}
