//! The hub's own TLS certificate: made at every start, and made anew while it serves.
//!
//! Promise: a hub that is never restarted never shows a certificate whose life is over.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::ca::SERVER_LIFE_MS;
use crate::hub::Hub;
use crate::refusal::chain;
use crate::serve::ServeError;

/// The certificate in use, renewed at two thirds of its life.
pub(crate) struct OwnCertificate {
    hub: Arc<Hub>,
    held: Mutex<Held>,
}

struct Held {
    certified: Arc<CertifiedKey>,
    renew_ms: i64,
}

impl OwnCertificate {
    /// Makes the first one.
    pub(crate) fn new(hub: Arc<Hub>) -> Result<Self, ServeError> {
        let held = Mutex::new(Held::made(&hub)?);
        Ok(Self { hub, held })
    }

    fn current(&self) -> Arc<CertifiedKey> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if self.hub.now_ms() >= held.renew_ms {
            match Held::made(&self.hub) {
                Ok(fresh) => {
                    tracing::info!("the hub's server certificate was renewed");
                    *held = fresh;
                }
                // The old one has a third of its life left; the next connection tries again.
                Err(error) => tracing::error!(error = %chain(&error), "no new server certificate"),
            }
        }
        held.certified.clone()
    }
}

impl Held {
    fn made(hub: &Hub) -> Result<Self, ServeError> {
        let now_ms = hub.now_ms();
        let identity = hub.authority.serve_as(&hub.names, now_ms)?;
        let provider = rustls::crypto::ring::default_provider();
        let certified = CertifiedKey::from_der(identity.chain, identity.key, &provider)
            .map_err(|error| ServeError::Tls(Box::new(error)))?;
        let renew_ms = now_ms.saturating_add(SERVER_LIFE_MS / 3 * 2);
        Ok(Self { certified: Arc::new(certified), renew_ms })
    }
}

impl ResolvesServerCert for OwnCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl std::fmt::Debug for OwnCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OwnCertificate").finish_non_exhaustive()
    }
}
