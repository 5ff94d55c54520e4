//! Enrolment: the one exchange without a station certificate.
//!
//! Promise: nothing is sent before the hub has shown a chain up to the CA whose hash the
//! enrolment code carries.

use std::error::Error as StdError;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::hub::{Hub, HubError};
use crate::tls;

/// The station is not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The code's address makes no URL, or TLS cannot be set up at all.
    #[error("preparing to enrol at {address}")]
    HubAddress {
        /// `host:port`.
        address: String,
        /// What is wrong.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// No connection, or it broke. The code may have been used: ask for the station at the hub.
    #[error("reaching the hub to enrol")]
    Unreachable {
        /// What broke.
        #[source]
        source: HubError,
    },
    /// Whoever answers is not the hub the code was made by.
    #[error("checking the hub's certificate against the enrolment code")]
    HubCertificate {
        /// What was shown.
        #[source]
        source: HubError,
    },
    /// The code was used before.
    #[error("the enrolment code was already used")]
    CodeUsed,
    /// The code is too old.
    #[error("the enrolment code has expired")]
    CodeExpired,
    /// The hub never gave out this code.
    #[error("the hub does not know the enrolment code")]
    CodeUnknown,
    /// The hub refuses for another reason.
    #[error("the hub refuses the enrolment: {kind}")]
    Refused {
        /// Stable type of the problem.
        kind: String,
        /// The hub's words.
        detail: String,
    },
    /// The hub has a trouble of its own, or its answer cannot be read.
    #[error("reading the hub's answer to the enrolment")]
    NotUnderstood {
        /// What was answered.
        #[source]
        source: HubError,
    },
}

/// Sends `request` (a `protocol::EnrolRequest`) to `hub` (`host:port`), reads a
/// `protocol::Enrolled`.
///
/// # Errors
/// [`EnrolError`]: each means another word to whoever holds the code.
pub async fn enrol<Q, A>(hub: &str, hub_ca_sha256: [u8; 32], request: &Q) -> Result<A, EnrolError>
where
    Q: Serialize + Sync,
    A: DeserializeOwned,
{
    let unprepared = |source: Box<dyn StdError + Send + Sync>| EnrolError::HubAddress {
        address: hub.to_owned(),
        source,
    };
    let config = tls::pinned(hub_ca_sha256).map_err(|error| unprepared(error.into()))?;
    let client = Hub::new(hub, config).map_err(|error| unprepared(error.into()))?;
    let body = serde_json::to_vec(request).map_err(|error| unprepared(error.into()))?;
    client.enrol(body).await.map_err(|error| match error {
        HubError::Unreachable(_) => EnrolError::Unreachable { source: error },
        HubError::HubCertificate(_) => EnrolError::HubCertificate { source: error },
        HubError::Refused { kind, detail, .. } => match kind.as_str() {
            "enrolment-code-used" => EnrolError::CodeUsed,
            "enrolment-code-expired" => EnrolError::CodeExpired,
            "enrolment-code-unknown" => EnrolError::CodeUnknown,
            _ => EnrolError::Refused { kind, detail },
        },
        HubError::Address { .. }
        | HubError::Client(_)
        | HubError::StationRefused(_)
        | HubError::HubTrouble { .. }
        | HubError::NotUnderstood { .. } => EnrolError::NotUnderstood { source: error },
    })
}
