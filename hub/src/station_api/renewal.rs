//! A station's certificate comes to its end: the next one, over the connection of the last.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::{Extension, Json};
use protocol::{CertificateRenewal, RenewedCertificate};

use super::Caller;
use crate::body::read_json;
use crate::hub::Hub;
use crate::refusal::Refusal;

const BODY_BYTES_MAX: usize = 64 * 1024;

/// Certifies the key of the request for the station that asks. Its older certificates, but for the
/// one it asked with, are accepted no more.
pub(super) async fn renew(
    State(hub): State<Arc<Hub>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<RenewedCertificate>, Refusal> {
    let request: CertificateRenewal = read_json(&headers, body, BODY_BYTES_MAX).await?;
    let Caller { scope, station, certificate } = caller;
    let now_ms = hub.now_ms();
    let next = hub.authority.certify(&request.tls_csr_pem, scope.name(), &station.name, now_ms)?;
    hub.store.renew_certificate(&scope, &station, &certificate, &next, now_ms).await?;
    tracing::info!(tenant = %scope.name(), station = %station.name, "certificate renewed");
    Ok(Json(RenewedCertificate {
        certificate_pem: next.pem,
        from_ms: now_ms,
        not_after_ms: next.not_after_ms,
    }))
}
