//! Mutual TLS 1.3 with one hub CA and nobody else's.
//!
//! Owns the two client configurations: with the station's certificate, and the first one, which
//! knows only the CA's hash. Promises: no system trust store is ever asked, and neither is the
//! system's clock about an enrolled station's hub. A station whose own time is wrong can still ask
//! the hub for the time, and nothing else: see [`Judge`].

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, PeerIncompatible, RootCertStore,
    SignatureScheme,
};

/// The station's certificate, key or CA cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// Not PEM of the expected kind.
    #[error("reading the {what} as PEM")]
    Pem {
        /// Which of the three.
        what: &'static str,
        /// What is wrong.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not work together, or the CA is none.
    #[error("setting up TLS with the station's certificate")]
    Refused(#[from] rustls::Error),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn with_protocols(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// For an enrolled station: trusts `ca_pem`, shows `certificate_pem`.
pub(crate) fn mutual(
    ca_pem: &str,
    certificate_pem: &str,
    key_pem: &str,
    judge: &Arc<Judge>,
) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    let ca = CertificateDer::from_pem_slice(ca_pem.as_bytes())
        .map_err(|source| TlsError::Pem { what: "hub CA", source })?;
    roots.add(ca)?;
    let chain = CertificateDer::pem_slice_iter(certificate_pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| TlsError::Pem { what: "station certificate", source })?;
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes())
        .map_err(|source| TlsError::Pem { what: "station key", source })?;
    let chain_to_ca = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| rustls::Error::General(error.to_string()))?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(InTime { chain_to_ca, judge: judge.clone() }))
        .with_client_auth_cert(chain, key)?;
    Ok(with_protocols(config))
}

/// Says what station time it is, in milliseconds since the Unix epoch.
pub type StationTime = Box<dyn Fn() -> i64 + Send + Sync>;

/// By which clock the hub's certificate is judged.
///
/// Station time may be wrong by the time a machine was without power, and a station that refused
/// its hub for that could never be set right. So until a time that the hub signed has been heard,
/// a certificate from the right CA for the right host passes although it is over or not begun; the
/// postman then asks for the time before anything else, and connects again under the true one.
pub(crate) struct Judge {
    station_time: StationTime,
    proven: AtomicBool,
    strained: AtomicBool,
}

impl Judge {
    pub(crate) fn by(station_time: StationTime) -> Self {
        let (proven, strained) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { station_time, proven, strained }
    }

    /// A signed time was heard. Whether a connection stands that only passed because none had been.
    pub(crate) fn time_is_proven(&self) -> bool {
        self.proven.store(true, Ordering::SeqCst);
        self.strained.swap(false, Ordering::SeqCst)
    }

    fn now(&self) -> UnixTime {
        let ms = u64::try_from((self.station_time)()).unwrap_or(0);
        UnixTime::since_unix_epoch(Duration::from_millis(ms))
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Judge").field("proven", &self.proven).finish_non_exhaustive()
    }
}

/// A chain to the hub's CA, in its time by the station's.
#[derive(Debug)]
struct InTime {
    chain_to_ca: Arc<WebPkiServerVerifier>,
    judge: Arc<Judge>,
}

/// The nearest moment at which a certificate that is out of its time is in it.
fn nearest(error: &rustls::Error) -> Option<UnixTime> {
    let rustls::Error::InvalidCertificate(error) = error else { return None };
    if let CertificateError::NotValidYetContext { not_before, .. } = error {
        return Some(*not_before);
    }
    if let CertificateError::ExpiredContext { not_after, .. } = error {
        return Some(*not_after);
    }
    None
}

impl ServerCertVerifier for InTime {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        _system_time: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verify = |at| {
            let chain = &self.chain_to_ca;
            chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, at)
        };
        let refused = match verify(self.judge.now()) {
            Ok(verified) => return Ok(verified),
            Err(refused) => refused,
        };
        match nearest(&refused) {
            Some(at) if !self.judge.proven.load(Ordering::SeqCst) => {
                let verified = verify(at)?;
                self.judge.strained.store(true, Ordering::SeqCst);
                Ok(verified)
            }
            Some(_) | None => Err(refused),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chain_to_ca.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain_to_ca.supported_verify_schemes()
    }
}

/// For a station that is not enrolled yet: trusts the one CA whose certificate has this SHA-256.
pub(crate) fn pinned(ca_sha256: [u8; 32]) -> Result<ClientConfig, TlsError> {
    let provider = provider();
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedCa { ca_sha256, provider }))
        .with_no_client_auth();
    Ok(with_protocols(config))
}

/// Accepts a chain that holds the pinned CA and verifies up to it; everything else about the
/// certificate is judged as usual.
#[derive(Debug)]
struct PinnedCa {
    ca_sha256: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedCa {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let is_pinned = |certificate: &&CertificateDer<'_>| {
            ring::digest::digest(&ring::digest::SHA256, certificate.as_ref()).as_ref()
                == self.ca_sha256
        };
        let ca = intermediates
            .iter()
            .find(is_pinned)
            .ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
