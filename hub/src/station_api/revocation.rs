//! The hub's word, over its signature, that a station was turned away.
//!
//! A refusal alone moves nothing at a station: a hub that was restored from a backup may not know
//! its certificate. Only this statement makes it erase what it was lent.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use protocol::{ProblemType, RevocationStatement, SignedStatement};
use release::WrapPublicKey;

use super::Peer;
use crate::hub::Hub;
use crate::refusal::Refusal;

pub(super) async fn revocation(
    State(hub): State<Arc<Hub>>,
    Extension(peer): Extension<Peer>,
) -> Result<Json<SignedStatement>, Refusal> {
    let refused = || Refusal::of(ProblemType::CertificateRefused);
    let certificate = peer.0.ok_or_else(refused)?;
    let (scope, station, _) =
        hub.store.station_of_any_certificate(&certificate).await?.ok_or_else(refused)?;
    let revoked_ms = station.revoked_ms.ok_or_else(|| Refusal::of(ProblemType::NotFound))?;
    let keys = hub.keys(&scope).await?;
    let hpke_key = WrapPublicKey::from_bytes(station.hpke_key.0).digest();
    let statement = RevocationStatement {
        v: 1,
        tenant: scope.name().clone(),
        station: station.name,
        hpke_key_sha256: protocol::Sha256(*hpke_key.as_bytes()),
        revoked_ms,
    };
    let payload = serde_json::to_string(&statement).map_err(|error| Refusal::internal(&error))?;
    Ok(Json(keys.state(RevocationStatement::KIND, payload)))
}
