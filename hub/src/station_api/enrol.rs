//! A fresh station shows its code and gets its certificate.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use base64::Engine as _;
use protocol::{EnrolRequest, Enrolled, EnrolmentStatement, ProblemType};

use crate::body::read_json;
use crate::digest::sha256;
use crate::hub::Hub;
use crate::refusal::Refusal;
use crate::store::NewStation;

const BODY_BYTES_MAX: usize = 64 * 1024;

pub(super) async fn enrol(
    State(hub): State<Arc<Hub>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Enrolled>, Refusal> {
    let request: EnrolRequest = read_json(&headers, body, BODY_BYTES_MAX).await?;
    let now_ms = hub.now_ms();
    let (scope, code) = hub
        .store
        .code_of_secret(&sha256(request.secret.as_bytes()))
        .await?
        .ok_or_else(|| Refusal::of(ProblemType::EnrolmentCodeUnknown))?;
    if code.used {
        tracing::warn!(tenant = %scope.name(), station = %code.station, "enrolment code used twice");
        return Err(Refusal::of(ProblemType::EnrolmentCodeUsed));
    }
    if now_ms >= code.expires_ms {
        return Err(Refusal::of(ProblemType::EnrolmentCodeExpired));
    }
    if request.station_name.as_ref().is_some_and(|name| *name != code.station) {
        return Err(Refusal::of(ProblemType::EnrolmentCodeOtherStation));
    }
    if is_weak(&request.hpke_key.0) || is_weak(&request.journal_key.0) {
        return Err(Refusal::of(ProblemType::EnrolmentKeyRefused));
    }
    if request.key_protection < hub.store.least_protection(&scope).await? {
        return Err(Refusal::of(ProblemType::KeyProtectionTooWeak));
    }
    let (root_json, _) =
        hub.store.root(&scope).await?.ok_or_else(|| Refusal::of(ProblemType::NothingPublished))?;
    let certificate =
        hub.authority.certify(&request.tls_csr_pem, scope.name(), &code.station, now_ms)?;
    let new = NewStation {
        journal_key: request.journal_key,
        hpke_key: request.hpke_key,
        key_protection: request.key_protection,
        certificate_sha256: certificate.sha256,
        certificate_not_after_ms: certificate.not_after_ms,
    };
    if !hub.store.enrol(&scope, &code, new, now_ms).await? {
        return Err(Refusal::of(ProblemType::EnrolmentCodeUsed));
    }
    tracing::info!(tenant = %scope.name(), station = %code.station, "station enrolled");
    let keys = hub.keys(&scope).await?;
    let statement = EnrolmentStatement {
        v: 1,
        tenant: scope.name().clone(),
        station: code.station.clone(),
        tls_key_sha256: certificate.key_sha256,
        hpke_key: request.hpke_key,
        journal_key: request.journal_key,
        key_protection: request.key_protection,
        issued_ms: now_ms,
    };
    let statement = serde_json::to_string(&statement).map_err(|error| Refusal::internal(&error))?;
    Ok(Json(Enrolled {
        tenant: scope.name().clone(),
        station: code.station,
        line: code.line,
        certificate_pem: certificate.pem,
        certificate_not_after_ms: certificate.not_after_ms,
        ca_pem: hub.authority.pem(),
        hub_cosign_name: Hub::cosign_name(&scope),
        hub_cosign_key: protocol::Ed25519Key(keys.cosign_public()),
        hub_stick_key: protocol::HpkeKey(*keys.stick.public().as_bytes()),
        root_json: base64::engine::general_purpose::STANDARD.encode(root_json),
        statement: keys.state(EnrolmentStatement::KIND, statement),
        hub_time_ms: now_ms,
    }))
}

/// All bytes alike: no key, but what a station without randomness or with an empty store sends.
fn is_weak(key: &[u8; 32]) -> bool {
    key.iter().all(|byte| *byte == key[0])
}
