//! Orders are made, and portions of them granted to stations.

use std::sync::Arc;

use activation::AllotmentCertificate;
use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use protocol::{OrderNumber, PortionGrant, Problem, ProblemType, ProductName, Sha256};
use release::recipe::ActivationMode;
use release::{Channel, HubWrap};
use serde::{Deserialize, Serialize};

use super::Caller;
use crate::body::read_json;
use crate::hub::Hub;
use crate::lease::channel_of;
use crate::pools;
use crate::recovery;
use crate::refusal::Refusal;
use crate::store::{NewOrder, NewPortion, StationRow};

const BODY_BYTES_MAX: usize = 16 * 1024;

/// A work order to be made.
#[derive(Debug, Clone, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderCreate {
    /// As printed on the traveller.
    pub number: OrderNumber,
    /// What is made.
    pub product: ProductName,
    /// The release it is made with.
    pub manifest_sha256: Sha256,
    /// Units to make.
    pub quantity: u32,
}

fn malformed(detail: &str) -> Refusal {
    Refusal::because(ProblemType::RequestMalformed, detail)
}

/// Makes a work order.
#[utoipa::path(post, path = "/v1/admin/orders", request_body = OrderCreate,
    responses((status = 201), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(super) async fn create(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let create: OrderCreate = read_json(&headers, body, BODY_BYTES_MAX).await?;
    if create.quantity == 0 {
        return Err(malformed("an order is for at least one unit"));
    }
    let release = hub.store.release(&caller.scope, &create.manifest_sha256).await?;
    if release.product != create.product.as_str() {
        return Err(malformed("the release is of another product"));
    }
    let new = NewOrder { number: create.number, quantity: create.quantity };
    hub.store.add_order(&caller.scope, new, &release, &caller.who, hub.now_ms()).await?;
    Ok(StatusCode::CREATED)
}

/// Grants a station a portion of an order.
#[utoipa::path(post, path = "/v1/admin/portions", request_body = PortionGrant,
    responses((status = 201), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn grant(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refusal> {
    let grant: PortionGrant = read_json(&headers, body, BODY_BYTES_MAX).await?;
    if grant.quantity == 0 {
        return Err(malformed("a portion is of at least one unit"));
    }
    let scope = &caller.scope;
    recovery::refuse_while_recovering(&hub, scope).await?;
    let station = hub.store.station(scope, &grant.station).await?;
    if station.revoked || station.in_quarantine() {
        return Err(Refusal::of(ProblemType::GrantsStopped));
    }
    let order = hub.store.order(scope, &grant.order).await?;
    let channel = match &grant.channel {
        None => Channel::Production,
        Some(word) => channel_of(word).ok_or_else(|| malformed("there is no such channel"))?,
    };
    let wrap =
        HubWrap::from_bytes(&order.release.hub_wrap).map_err(|error| Refusal::internal(&error))?;
    if !wrap.wraps.iter().any(|wrap| wrap.channel == channel) {
        return Err(malformed("the release was not made for this channel"));
    }
    let (certificate, quota) = match &grant.allotment_certificate {
        None => (None, 0),
        Some(text) => {
            let certificate = certificate_for(text, order.product.as_str(), &station)?;
            (Some(certificate.as_bytes().to_vec()), certificate.quota())
        }
    };
    let index_to = grant.index_to.unwrap_or(quota);
    if index_to > quota {
        return Err(refused(format!("the allotment ends at index {quota}")));
    }
    if pools::mode_of(&hub, scope, &order.release).await? == Some(ActivationMode::Pool) {
        let bytes = certificate
            .as_deref()
            .ok_or_else(|| refused("a product with a pool needs an allotment certificate"))?;
        let certificate = AllotmentCertificate::from_bytes(bytes)
            .map_err(|error| refused(format!("it does not read: {error}")))?;
        let product = order.product.as_str();
        if !pools::fits(&hub, scope, product, quota).await? {
            return Err(refused("a share of that many credentials is too long; certify fewer"));
        }
        pools::lend(&hub, scope, &station, product, &certificate, &caller.who).await?;
    }
    let new = NewPortion {
        channel: channel.as_str().to_owned(),
        quantity: grant.quantity,
        certificate,
        index_from: grant.index_from,
        index_to,
    };
    hub.store.grant(scope, &station, &order, new, &caller.who, hub.now_ms()).await?;
    hub.announce_change();
    Ok(StatusCode::CREATED)
}

fn refused(detail: impl Into<String>) -> Refusal {
    Refusal::because(ProblemType::AllotmentRefused, detail)
}

/// The hub holds no product key and cannot tell a forged certificate; the station can and does.
/// What the hub can see is a mix-up.
pub(super) fn certificate_for(
    text: &str,
    product: &str,
    station: &StationRow,
) -> Result<AllotmentCertificate, Refusal> {
    let bytes = hex::decode(text).map_err(|_| refused("it is not hexadecimal"))?;
    let certificate = AllotmentCertificate::from_bytes(&bytes)
        .map_err(|error| refused(format!("it does not read: {error}")))?;
    if !certificate.names_product(product) {
        return Err(refused("it is for another product"));
    }
    if certificate.station_key() != station.journal_key.0 {
        return Err(refused("it is for another station's key"));
    }
    Ok(certificate)
}
