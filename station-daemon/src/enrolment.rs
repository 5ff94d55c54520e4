//! How a station joins a hub, and what it keeps of it.
//!
//! Owns the exchange from the typed code to the stored membership. Leaves the wire to `sync`, the
//! words to `protocol`, the root's proof to `release`.
//!
//! Promise: a hub whose certificate or root is not the one the code was printed for gives this
//! station nothing; keys and membership are kept in one commit.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use protocol::{
    Ed25519Key, EnrolRequest, Enrolled, EnrolmentCode, EnrolmentStatement, HpkeKey, KeyProtection,
    SignedStatement, StationName,
};
use release::{Digest, PinnedRoot, TrustError};
use ring::rand::SystemRandom;
use ring::signature::{ED25519, UnparsedPublicKey};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use sync::EnrolError;

use crate::clock::Clock;
use crate::journal::{Journal, JournalError};
use crate::keys::{KeyError, StationKeys, StationSecret};
use crate::platform::reading;
use crate::store::{Commit, Store, StoreError};
use crate::trouble::TroubleCode;

const MEMBERSHIP: &str = "membership";

/// Whose station this is, and how its hub is reached and known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The company whose firmware is flashed.
    pub tenant: String,
    /// The station's name.
    pub station: String,
    /// The line it stands on.
    pub line: String,
    /// `host:port` of the hub's station listener.
    pub hub: String,
    /// The hub CA's certificate, PEM.
    pub hub_ca_pem: String,
    /// The station's client certificate, PEM.
    pub certificate_pem: String,
    /// Begin of its life by the hub's clock, milliseconds since the Unix epoch.
    pub certificate_from_ms: i64,
    /// End of its life, milliseconds since the Unix epoch.
    pub certificate_not_after_ms: i64,
    /// The name the hub cosigns with.
    pub cosign_name: String,
    /// The key it cosigns and signs statements with, hexadecimal.
    pub cosign_key: String,
    /// The key that letters on sticks to the hub are sealed to, hexadecimal; empty when it is not
    /// known.
    #[serde(default)]
    pub stick_key: String,
    /// The pinned root document, base64.
    pub root_json: String,
    /// Its SHA-256, hexadecimal: the pin itself.
    pub root_sha256: String,
}

impl Membership {
    /// The stored membership; none before enrolment.
    ///
    /// # Errors
    /// As the store says.
    pub fn load(commit: &Commit<'_>) -> Result<Option<Self>, StoreError> {
        let damaged = |error| StoreError::Damaged { what: format!("membership: {error}") };
        let found = commit.setting(MEMBERSHIP)?;
        found.map(|bytes| serde_json::from_slice(&bytes)).transpose().map_err(damaged)
    }

    /// Whether two thirds of the certificate's life are over.
    #[must_use]
    pub const fn renewal_is_due(&self, now_ms: i64) -> bool {
        let life_ms = self.certificate_not_after_ms.saturating_sub(self.certificate_from_ms);
        now_ms >= self.certificate_not_after_ms.saturating_sub(life_ms / 3)
    }

    /// Takes the certificate that follows.
    pub fn take_certificate(&mut self, next: &sync::NextCertificate) {
        self.certificate_pem.clone_from(&next.certificate_pem);
        self.certificate_from_ms = next.from_ms;
        self.certificate_not_after_ms = next.not_after_ms;
    }

    /// Keeps the membership.
    ///
    /// # Errors
    /// As the store says.
    pub fn save(&self, commit: &Commit<'_>) -> Result<(), StoreError> {
        let damaged =
            |error: serde_json::Error| StoreError::Damaged { what: format!("membership: {error}") };
        commit.put_setting(MEMBERSHIP, &serde_json::to_vec(self).map_err(damaged)?)
    }

    /// The root this station was enrolled with, proven again.
    ///
    /// # Errors
    /// [`TrustError`] when it is not the pinned one.
    pub fn pinned_root(&self) -> Result<PinnedRoot, TrustError> {
        let expected = self.root_sha256.parse().unwrap_or(Digest::from_bytes([0; 32]));
        PinnedRoot::from_pin(&STANDARD.decode(&self.root_json).unwrap_or_default(), &expected)
    }

    /// The hub's key, raw.
    #[must_use]
    pub fn hub_key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        // A damaged setting gives a key under which nothing verifies.
        let _ = hex::decode_to_slice(&self.cosign_key, &mut key);
        key
    }

    /// The hub's key for letters on sticks, raw.
    #[must_use]
    pub fn stick_key(&self) -> Option<[u8; 32]> {
        let mut key = [0; 32];
        hex::decode_to_slice(&self.stick_key, &mut key).ok().map(|()| key)
    }

    /// Whether the hub signed a statement of this kind.
    #[must_use]
    pub fn hub_signed(&self, kind: &str, payload: &str, signature: &str) -> bool {
        let bytes = SignedStatement::signed_bytes(kind, payload);
        hex::decode(signature).is_ok_and(|signature| {
            UnparsedPublicKey::new(&ED25519, self.hub_key()).verify(&bytes, &signature).is_ok()
        })
    }
}

/// Why a station is not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// Not an enrolment code.
    #[error("reading the enrolment code")]
    Code(#[source] protocol::enrolment::EnrolmentCodeError),
    /// Not a station's name.
    #[error("reading the station's name")]
    Name(#[source] protocol::IdError),
    /// The code names another root than R&D does.
    #[error("the code's root has the words \"{found}\", R&D's root has \"{expected}\"")]
    OtherRoot {
        /// The words of the code's root.
        found: String,
        /// What was expected.
        expected: String,
    },
    /// It has a membership.
    #[error("the station belongs to {station} of {tenant} already")]
    AlreadyEnrolled {
        /// The tenant.
        tenant: String,
        /// The station.
        station: String,
    },
    /// The exchange.
    #[error("enrolling")]
    Exchange(#[source] EnrolError),
    /// The hub gave another root than the code names.
    #[error("comparing the tenant's root with the enrolment code")]
    Root(#[source] TrustError),
    /// The hub gave something that does not belong together.
    #[error("checking the hub's answer: {0}")]
    Answer(&'static str),
    /// The keys.
    #[error("making the station's keys")]
    Keys(#[from] KeyError),
    /// The store.
    #[error("keeping the enrolment")]
    Store(#[from] StoreError),
    /// The journal.
    #[error("beginning the journal")]
    Journal(#[from] JournalError),
}

impl From<&JoinError> for TroubleCode {
    fn from(error: &JoinError) -> Self {
        match error {
            JoinError::Code(_) | JoinError::Name(_) | JoinError::AlreadyEnrolled { .. } => {
                Self::EnrolmentCodeBad
            }
            JoinError::Exchange(error) => Self::from(error),
            JoinError::Root(_) | JoinError::OtherRoot { .. } => Self::ReleaseNotTrusted,
            JoinError::Answer(_) => Self::HubCertificate,
            JoinError::Keys(error) => Self::from(error),
            JoinError::Store(error) => Self::from(error),
            JoinError::Journal(JournalError::Store(error)) => Self::from(error),
            JoinError::Journal(_) => Self::Internal,
        }
    }
}

/// What IT compares with the paper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Joined {
    /// The company.
    pub tenant: String,
    /// The station's name.
    pub station: String,
    /// The line.
    pub line: String,
    /// Short words of the tenant's root: the same on R&D's screen.
    pub root_words: String,
    /// One signature is enough to change the root or its targets.
    pub thin_root: bool,
    /// Public key of journal and allotments, hexadecimal: what R&D certifies an allotment for.
    pub journal_key: String,
}

/// Enrols this station: makes its keys, asks the hub, proves the answer, keeps everything.
///
/// The code comes from the hub. `root_words` do not: whoever has them from R&D need not believe the
/// hub about the root, and a code with another one is refused before it is used.
///
/// # Errors
/// [`JoinError`]; nothing is kept then.
pub async fn join(
    store: &mut Store,
    secret: &StationSecret,
    code: &str,
    name: Option<&str>,
    root_words: Option<&str>,
    protection: KeyProtection,
) -> Result<Joined, JoinError> {
    let code: EnrolmentCode = code.parse().map_err(JoinError::Code)?;
    if let Some(expected) = root_words {
        let found = Digest::from_bytes(code.root_sha256.0).words();
        let told = expected.split_whitespace().map(str::to_lowercase);
        if !told.eq(found.split(' ').map(str::to_owned)) {
            return Err(JoinError::OtherRoot { found, expected: expected.to_owned() });
        }
    }
    let station_name: Option<StationName> =
        name.map(str::parse).transpose().map_err(JoinError::Name)?;
    if let Some(known) = store.read(Membership::load)? {
        let Membership { tenant, station, .. } = known;
        return Err(JoinError::AlreadyEnrolled { tenant, station });
    }
    let random = SystemRandom::new();
    let keys = StationKeys::generate(&random)?;
    let request = EnrolRequest {
        secret: code.secret,
        station_name,
        tls_csr_pem: keys.certificate_request()?,
        hpke_key: HpkeKey(*keys.hpke_public().as_bytes()),
        journal_key: Ed25519Key(keys.journal_public()),
        key_protection: protection,
    };
    let answer: Enrolled = sync::enrol(&code.hub, code.hub_ca_sha256.0, &request)
        .await
        .map_err(JoinError::Exchange)?;
    let membership = prove(&code, &request, &answer)?;
    let pin = membership.pinned_root().map_err(JoinError::Root)?;
    if pin.tenant().as_str() != membership.tenant {
        return Err(JoinError::Answer("the root belongs to another tenant"));
    }
    keep(store, secret, &keys, &membership, answer.hub_time_ms)?;
    Ok(Joined {
        tenant: membership.tenant,
        station: membership.station,
        line: membership.line,
        root_words: pin.words(),
        thin_root: pin.is_thin(),
        journal_key: hex::encode(keys.journal_public()),
    })
}

fn prove(
    code: &EnrolmentCode,
    request: &EnrolRequest,
    answer: &Enrolled,
) -> Result<Membership, JoinError> {
    let ca = CertificateDer::from_pem_slice(answer.ca_pem.as_bytes())
        .map_err(|_| JoinError::Answer("its CA certificate is unreadable"))?;
    if Digest::of(&ca).as_bytes() != code.hub_ca_sha256.as_bytes() {
        return Err(JoinError::Answer("its CA is not the one of the code"));
    }
    let membership = Membership {
        tenant: answer.tenant.as_str().to_owned(),
        station: answer.station.as_str().to_owned(),
        line: answer.line.as_str().to_owned(),
        hub: code.hub.clone(),
        hub_ca_pem: answer.ca_pem.clone(),
        certificate_pem: answer.certificate_pem.clone(),
        certificate_from_ms: answer.hub_time_ms,
        certificate_not_after_ms: answer.certificate_not_after_ms,
        cosign_name: answer.hub_cosign_name.clone(),
        cosign_key: hex::encode(answer.hub_cosign_key.0),
        stick_key: hex::encode(answer.hub_stick_key.0),
        root_json: answer.root_json.clone(),
        root_sha256: hex::encode(code.root_sha256.0),
    };
    let SignedStatement { payload, signature } = &answer.statement;
    if !membership.hub_signed(EnrolmentStatement::KIND, payload, signature) {
        return Err(JoinError::Answer("its enrolment statement is not signed"));
    }
    let statement: EnrolmentStatement = serde_json::from_str(payload)
        .map_err(|_| JoinError::Answer("its enrolment statement is unreadable"))?;
    if statement.tenant != answer.tenant
        || statement.station != answer.station
        || statement.hpke_key != request.hpke_key
        || statement.journal_key != request.journal_key
    {
        return Err(JoinError::Answer("its enrolment statement is about another station"));
    }
    Ok(membership)
}

/// Keeps an enrolment whose answer was proven, with its keys and the first record, in one commit.
///
/// # Errors
/// [`JoinError`]; nothing is kept then.
pub fn keep(
    store: &mut Store,
    secret: &StationSecret,
    keys: &StationKeys,
    membership: &Membership,
    hub_time_ms: i64,
) -> Result<(), JoinError> {
    let (tenant, station) = (&membership.tenant, &membership.station);
    let journal = Journal::open(store, tenant, station, keys.journal(), keys.journal_public())?;
    let root = Digest::of(&STANDARD.decode(&membership.root_json).unwrap_or_default());
    let enrolled = audit::Event::Enrolled {
        tenant: tenant.clone(),
        station: station.clone(),
        root_sha256: audit::Digest(*root.as_bytes()),
    };
    let draft = journal.draft(hub_time_ms, vec![enrolled])?;
    let now = reading();
    let mut clock = Clock::start(None, now);
    clock.hear_hub(hub_time_ms, now);
    let saved = serde_json::to_vec(&clock.saved(now)).unwrap_or_default();
    store.commit(|commit| {
        keys.save(commit, secret, &SystemRandom::new())?;
        membership.save(commit)?;
        journal.keep(&draft, commit)?;
        commit.put_setting(crate::desk::CLOCK, &saved)?;
        commit.put_setting(crate::desk::HUB_HEARD, hub_time_ms.to_string().as_bytes())?;
        Ok::<(), JoinError>(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    use ring::signature::{Ed25519KeyPair, KeyPair};

    /// A hub of this test: its CA, its key, and the answer it gives.
    struct Hub {
        ca_pem: String,
        ca_sha256: protocol::Sha256,
        key: Ed25519KeyPair,
    }

    impl Hub {
        fn new() -> Self {
            let ca = rcgen::generate_simple_self_signed(vec!["hub".to_owned()]).expect("CA");
            let random = SystemRandom::new();
            let key = Ed25519KeyPair::generate_pkcs8(&random).expect("key");
            Self {
                ca_pem: ca.cert.pem(),
                ca_sha256: protocol::Sha256(*Digest::of(ca.cert.der()).as_bytes()),
                key: Ed25519KeyPair::from_pkcs8(key.as_ref()).expect("key"),
            }
        }

        fn code(&self) -> EnrolmentCode {
            EnrolmentCode {
                hub: "localhost:1".to_owned(),
                hub_ca_sha256: self.ca_sha256,
                root_sha256: protocol::Sha256(*Digest::of(b"root").as_bytes()),
                secret: protocol::EnrolmentSecret([1; 16]),
            }
        }

        fn answer(&self, request: &EnrolRequest) -> Enrolled {
            let (tenant, station) = ("acme", "l1-s1");
            let statement = EnrolmentStatement {
                v: 1,
                tenant: tenant.parse().expect("name"),
                station: station.parse().expect("name"),
                tls_key_sha256: protocol::Sha256([0; 32]),
                hpke_key: request.hpke_key,
                journal_key: request.journal_key,
                key_protection: KeyProtection::None,
                issued_ms: 5,
            };
            let payload = serde_json::to_string(&statement).expect("statement");
            let signed = SignedStatement::signed_bytes(EnrolmentStatement::KIND, &payload);
            let mut key = [0; 32];
            key.copy_from_slice(self.key.public_key().as_ref());
            Enrolled {
                tenant: statement.tenant,
                station: statement.station,
                line: "l1".parse().expect("name"),
                certificate_pem: String::new(),
                certificate_not_after_ms: 5 + 300,
                ca_pem: self.ca_pem.clone(),
                hub_cosign_name: "hub".to_owned(),
                hub_cosign_key: Ed25519Key(key),
                hub_stick_key: HpkeKey([7; 32]),
                root_json: STANDARD.encode(b"root"),
                statement: SignedStatement {
                    payload,
                    signature: hex::encode(self.key.sign(&signed)),
                },
                hub_time_ms: 5,
            }
        }
    }

    #[test]
    fn an_answer_counts_only_from_the_codes_hub_about_this_station() {
        let (hub, stranger) = (Hub::new(), Hub::new());
        let request = EnrolRequest {
            secret: protocol::EnrolmentSecret([1; 16]),
            station_name: None,
            tls_csr_pem: String::new(),
            hpke_key: HpkeKey([2; 32]),
            journal_key: Ed25519Key([3; 32]),
            key_protection: KeyProtection::None,
        };
        let other = EnrolRequest { journal_key: Ed25519Key([4; 32]), ..request.clone() };
        let check = |what: &str, answer: Enrolled, good: bool| {
            assert_eq!(prove(&hub.code(), &request, &answer).is_ok(), good, "{what}");
        };
        let good = || hub.answer(&request);
        check("good", good(), true);
        check("another hub", stranger.answer(&request), false);
        check("about another station", hub.answer(&other), false);
        check("no CA", Enrolled { ca_pem: "nothing".to_owned(), ..good() }, false);
        let key = Ed25519Key([9; 32]);
        check("another key", Enrolled { hub_cosign_key: key, ..good() }, false);
        let station = "l1-s2".parse().expect("name");
        check("another name", Enrolled { station, ..good() }, false);

        let membership = prove(&hub.code(), &request, &good()).expect("proven");
        for (now_ms, due) in [(i64::MIN, false), (5, false), (204, false), (205, true), (900, true)]
        {
            assert_eq!(membership.renewal_is_due(now_ms), due, "at {now_ms} of 5 to 305");
        }
        assert!(membership.pinned_root().is_err(), "bytes with the right hash are no root yet");
        let swapped = Membership { root_json: STANDARD.encode(b"Root"), ..membership };
        assert!(matches!(swapped.pinned_root(), Err(TrustError::NotThePinnedRoot { .. })));
    }
}
