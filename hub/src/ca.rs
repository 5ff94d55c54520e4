//! The hub's certificate authority: one CA, server certificates at every start, a client
//! certificate per enrolled station.
//!
//! Owns what goes into certificates. Leaves to the store which of them are still welcome.
//!
//! Promise: nothing a station writes into its signing request but its public key reaches a
//! certificate.

use std::time::Duration;

use protocol::{Sha256, StationName, TenantName};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use crate::digest::sha256;

const DAY_S: u64 = 24 * 60 * 60;
const CA_DAYS: u64 = 20 * 365;
const SERVER_DAYS: u64 = 2 * 365;
/// Browsers take a certificate of 825 days at most.
const CLOCK_BEHIND_DAYS: u64 = 30;
const STATION_DAYS: u64 = 398;
/// Life of a server certificate.
pub(crate) const SERVER_LIFE_MS: i64 = (SERVER_DAYS * DAY_S * 1000) as i64;

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The CA's own key or certificate.
    #[error("making the hub's certificate authority")]
    Authority(#[source] rcgen::Error),
    /// A name for the server that cannot stand in a certificate.
    #[error("making the hub's server certificate")]
    Server(#[source] rcgen::Error),
    /// The station's signing request is not one, is not signed by its key, or asks for odd things.
    #[error("reading the station's certificate signing request")]
    Request(#[source] rcgen::Error),
    /// The request's key is not P-256.
    #[error("the station's TLS key is not of the kind P-256")]
    KeyKind,
    /// Signing the station's certificate.
    #[error("signing the station's certificate")]
    Station(#[source] rcgen::Error),
}

/// The certificate authority with its key.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
}

/// A server certificate chain and its key.
pub struct ServerIdentity {
    /// Server certificate, then the CA's: an enrolling station finds the pinned CA there.
    pub chain: Vec<CertificateDer<'static>>,
    /// Its key.
    pub key: PrivateKeyDer<'static>,
}

/// A station's certificate.
pub struct StationCertificate {
    /// PEM, for the station.
    pub pem: String,
    /// SHA-256 of its DER: what the store knows it by.
    pub sha256: Sha256,
    /// SHA-256 of its key's SubjectPublicKeyInfo.
    pub key_sha256: Sha256,
    /// End of its life, milliseconds since the Unix epoch.
    pub not_after_ms: i64,
}

impl Authority {
    /// Makes a new authority; returns it with its certificate (DER) and its key (PKCS #8).
    ///
    /// # Errors
    /// [`CaError::Authority`].
    pub fn generate(now_ms: i64) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), CaError> {
        let key = KeyPair::generate().map_err(CaError::Authority)?;
        let mut params = valid(now_ms, CA_DAYS);
        params.distinguished_name = named("Flashline hub CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(CaError::Authority)?;
        Ok((certificate.der().to_vec(), Zeroizing::new(key.serialize_der())))
    }

    /// Takes up the authority that [`Authority::generate`] made.
    ///
    /// # Errors
    /// [`CaError::Authority`].
    pub fn load(certificate: Vec<u8>, key: &[u8]) -> Result<Self, CaError> {
        let certificate = CertificateDer::from(certificate);
        let key = KeyPair::try_from(key).map_err(CaError::Authority)?;
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(CaError::Authority)?;
        Ok(Self { certificate, issuer })
    }

    /// The CA's certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// SHA-256 of the CA's certificate, as enrolment codes carry it.
    #[must_use]
    pub fn sha256(&self) -> Sha256 {
        sha256(&self.certificate)
    }

    /// The CA's certificate as PEM.
    #[must_use]
    pub fn pem(&self) -> String {
        pem_of(&self.certificate)
    }

    /// A fresh server certificate for these host names and addresses.
    ///
    /// # Errors
    /// [`CaError::Server`].
    pub fn serve_as(&self, names: &[String], now_ms: i64) -> Result<ServerIdentity, CaError> {
        let key = KeyPair::generate().map_err(CaError::Server)?;
        // Good already for a station whose clock is behind.
        let since_ms = now_ms.saturating_sub((CLOCK_BEHIND_DAYS * DAY_S * 1000) as i64);
        let mut params = valid(since_ms, CLOCK_BEHIND_DAYS + SERVER_DAYS);
        params.subject_alt_names =
            CertificateParams::new(names).map_err(CaError::Server)?.subject_alt_names;
        params.distinguished_name = named("Flashline hub");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer).map_err(CaError::Server)?;
        Ok(ServerIdentity {
            chain: vec![certificate.der().clone(), self.certificate.clone()],
            key: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        })
    }

    /// A client certificate over the key of a station's signing request.
    ///
    /// # Errors
    /// [`CaError::Request`], [`CaError::KeyKind`], [`CaError::Station`].
    pub fn certify(
        &self,
        csr_pem: &str,
        tenant: &TenantName,
        station: &StationName,
        now_ms: i64,
    ) -> Result<StationCertificate, CaError> {
        let mut request =
            CertificateSigningRequestParams::from_pem(csr_pem).map_err(CaError::Request)?;
        if *request.public_key.algorithm() != rcgen::PKCS_ECDSA_P256_SHA256 {
            return Err(CaError::KeyKind);
        }
        let mut params = valid(now_ms, STATION_DAYS);
        params.distinguished_name = named(station.as_str());
        params.distinguished_name.push(DnType::OrganizationName, tenant.as_str());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        request.params = params;
        let certificate = request.signed_by(&self.issuer).map_err(CaError::Station)?;
        let days_ms = i64::try_from(STATION_DAYS * DAY_S * 1000).unwrap_or(i64::MAX);
        Ok(StationCertificate {
            pem: certificate.pem(),
            sha256: sha256(certificate.der()),
            key_sha256: sha256(&request.public_key.subject_public_key_info()),
            not_after_ms: now_ms.saturating_add(days_ms),
        })
    }
}

/// Valid from a day before now, so that a station whose clock lags a little can begin.
fn valid(now_ms: i64, days: u64) -> CertificateParams {
    let now_s = u64::try_from(now_ms / 1000).unwrap_or(0);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let mut params = CertificateParams::default();
    params.not_before = epoch + Duration::from_secs(now_s.saturating_sub(DAY_S));
    params.not_after = epoch + Duration::from_secs(now_s.saturating_add(days * DAY_S));
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// A certificate in PEM.
pub(crate) fn pem_of(certificate: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}
