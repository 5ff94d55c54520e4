//! The roster: who may work at one station, signed as its lease is.
//!
//! A roster holds numbers, roles, digests and verifiers, never a name, a badge's text or a PIN. It
//! is made for one station: its digests and verifiers are keyed with that station's pepper, which
//! it carries sealed. It has no end of its own: the lease names the version that must be here.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::canonical::{self, DocumentError, NoCanonicalForm};
use crate::digest::Digest;
use crate::envelope::{self, Envelope};
use crate::key::SigningKey;
use crate::limits::{INTEGER_MAX, LINE_BYTES_MAX, OPERATORS_MAX, ROSTER_BYTES_MAX};
use crate::names::Name;
use crate::pin::{Pepper, PinVerifier};
use crate::tuf::LeaseKeys;
use crate::wrap::{WrapError, WrapKey, WrappedKey};

const WHAT: &str = "a roster";

/// The roster's `format`.
pub const ROSTER_FORMAT: &str = "flashline-roster";
/// The roster's `v`.
pub const ROSTER_VERSION: u64 = 1;

/// What an operator may do. A badge alone gives [`Role::Worker`]'s rights to anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Sets boards in, takes them out, chooses a work order.
    Worker,
    /// Approves, opens closed slots, opens and closes orders.
    Lead,
    /// Sets the station up.
    It,
}

impl Role {
    /// The word used in documents and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Lead => "lead",
            Self::It => "it",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One person of the line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operator {
    /// The number that records hold; from 1.
    pub number: u32,
    /// What they may do once their PIN was proven.
    pub role: Role,
    /// The digest of their badge's text under the station's pepper.
    pub badge: Digest,
    /// The verifier of their PIN; absent while they have none, then their badge is all they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<PinVerifier>,
    /// The last millisecond of station time in which they may work; absent without an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_ms: Option<i64>,
    /// Turned away for now.
    pub disabled: bool,
}

/// The content of a roster, version 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RosterTerms {
    /// Always [`ROSTER_FORMAT`].
    pub format: String,
    /// Always [`ROSTER_VERSION`].
    pub v: u64,
    /// Whose people.
    pub tenant: Name,
    /// The station's name, for people.
    pub station: Name,
    /// The line, for people.
    pub line: String,
    /// SHA-256 of the station's X25519 public key: whose roster it is.
    pub station_key_sha256: Digest,
    /// One more with each roster of this station.
    pub version: u64,
    /// When it was written, in milliseconds since the Unix epoch.
    pub issued_ms: i64,
    /// The station's pepper, sealed to its key.
    pub pepper: WrappedKey,
    /// The people, by rising number.
    pub operators: Vec<Operator>,
}

/// What a roster is checked against.
#[derive(Debug, Clone, Copy)]
pub struct RosterCheck<'a> {
    /// The tenant of the station's pinned root.
    pub tenant: &'a Name,
    /// The station's own X25519 key: opens the pepper.
    pub station_key: &'a WrapKey,
    /// Who may sign it: the lease keys of the trusted repository.
    pub keys: &'a LeaseKeys,
    /// The lowest version that counts: the newest taken before, or the lease's if that is higher.
    pub version_min: u64,
}

/// Why a roster was refused.
#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    /// Not a roster in canonical form.
    #[error("checking the roster")]
    Unreadable(#[from] DocumentError),
    /// Too few good signatures by the tenant's lease keys.
    #[error("checking the roster: {found} good signatures of the {threshold} needed")]
    TooFewSignatures {
        /// Good signatures by distinct keys.
        found: usize,
        /// How many are needed.
        threshold: usize,
    },
    /// Another tenant's.
    #[error("checking the roster: it belongs to the tenant {found}")]
    OtherTenant {
        /// Whose it is.
        found: Name,
    },
    /// Another station's.
    #[error("checking the roster: it was made for the station {station}")]
    OtherStation {
        /// Whose it is.
        station: Name,
    },
    /// An older one than the station must have.
    #[error("checking the roster: version {offered} is older than {needed}")]
    OlderVersion {
        /// The lowest that counts.
        needed: u64,
        /// The version offered.
        offered: u64,
    },
    /// Its pepper was not sealed for this station.
    #[error("opening the roster's pepper")]
    Pepper(#[source] WrapError),
}

/// A roster that was checked, with its pepper open.
#[derive(Debug)]
pub struct Roster {
    terms: RosterTerms,
    pepper: Pepper,
}

impl RosterTerms {
    /// Signs the terms: the roster document.
    ///
    /// # Errors
    /// [`DocumentError`] when they break a rule: what a station would refuse is not signed.
    pub fn sign(&self, keys: &[&SigningKey]) -> Result<Vec<u8>, DocumentError> {
        self.check()?;
        let not_canonical = |NoCanonicalForm| DocumentError::NotCanonical { what: WHAT };
        let bytes = Envelope::sign(self, keys).and_then(|e| e.to_bytes()).map_err(not_canonical)?;
        if bytes.len() > ROSTER_BYTES_MAX {
            let (bytes, bytes_max) = (bytes.len(), ROSTER_BYTES_MAX);
            return Err(DocumentError::TooLong { what: WHAT, bytes, bytes_max });
        }
        Ok(bytes)
    }

    fn check(&self) -> Result<(), DocumentError> {
        let rule = |holds: bool, rule: &'static str| {
            if holds { Ok(()) } else { Err(DocumentError::Rule { what: WHAT, rule }) }
        };
        if self.format != ROSTER_FORMAT || self.v != ROSTER_VERSION {
            let (format, version) = (self.format.chars().take(64).collect(), self.v);
            return Err(DocumentError::UnknownFormat { what: WHAT, format, version });
        }
        let time = 0..=INTEGER_MAX.cast_signed();
        rule((1..=INTEGER_MAX).contains(&self.version), "a version must be from 1 to below 2^53")?;
        rule(time.contains(&self.issued_ms), "a time must be from 0 to below 2^53")?;
        rule(
            (1..=LINE_BYTES_MAX).contains(&self.line.len())
                && self.line.bytes().all(|byte| (0x21..0x7f).contains(&byte)),
            "a line must be 1 to 63 printable ASCII characters",
        )?;
        rule(self.operators.len() <= OPERATORS_MAX, "at most 1024 operators")?;
        rule(
            self.operators.first().is_none_or(|first| first.number > 0)
                && self.operators.windows(2).all(|pair| pair[0].number < pair[1].number),
            "operators must come by rising number from 1",
        )?;
        let badges: BTreeSet<&Digest> = self.operators.iter().map(|one| &one.badge).collect();
        rule(badges.len() == self.operators.len(), "a badge must belong to one operator")?;
        rule(
            self.operators.iter().filter_map(|one| one.ends_ms).all(|ends| time.contains(&ends)),
            "an end must be from 0 to below 2^53",
        )
    }
}

impl Roster {
    /// Checks a roster document in full and opens its pepper.
    ///
    /// # Errors
    /// [`RosterError`] by kind of refusal.
    pub fn verify(document: &[u8], check: &RosterCheck<'_>) -> Result<Self, RosterError> {
        let envelope: Envelope<RosterTerms> = read(document)?;
        let terms = &envelope.signed;
        let found = envelope
            .signers(check.keys.keys())
            .map_err(|NoCanonicalForm| DocumentError::NotCanonical { what: WHAT })?;
        let threshold = check.keys.threshold();
        if found < threshold {
            return Err(RosterError::TooFewSignatures { found, threshold });
        }
        terms.check()?;
        if terms.tenant != *check.tenant || check.keys.tenant() != check.tenant {
            return Err(RosterError::OtherTenant { found: terms.tenant.clone() });
        }
        if terms.station_key_sha256 != check.station_key.public().digest() {
            return Err(RosterError::OtherStation { station: terms.station.clone() });
        }
        if terms.version < check.version_min {
            let (needed, offered) = (check.version_min, terms.version);
            return Err(RosterError::OlderVersion { needed, offered });
        }
        let pepper = Pepper::open(&terms.pepper, check.station_key, &terms.tenant)
            .map_err(RosterError::Pepper)?;
        Ok(Self { terms: envelope.signed, pepper })
    }

    /// Its version.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.terms.version
    }

    /// The people, by rising number.
    #[must_use]
    pub fn operators(&self) -> &[Operator] {
        &self.terms.operators
    }

    /// The operator of a number.
    #[must_use]
    pub fn operator(&self, number: u32) -> Option<&Operator> {
        self.terms.operators.iter().find(|one| one.number == number)
    }

    /// The operator of a badge, by its text.
    #[must_use]
    pub fn operator_of_badge(&self, badge: &str) -> Option<&Operator> {
        let digest = self.pepper.badge_digest(badge);
        self.terms.operators.iter().find(|one| one.badge == digest)
    }

    /// What PINs are proven with.
    #[must_use]
    pub const fn pepper(&self) -> &Pepper {
        &self.pepper
    }
}

fn read(document: &[u8]) -> Result<Envelope<RosterTerms>, DocumentError> {
    let value = canonical::require(WHAT, document, ROSTER_BYTES_MAX)?;
    let signed = value.get("signed").unwrap_or(&value);
    canonical::is_format(WHAT, signed, (ROSTER_FORMAT, ROSTER_VERSION))?;
    let envelope: Envelope<RosterTerms> = canonical::from_bytes(WHAT, document, ROSTER_BYTES_MAX)?;
    envelope::check_signatures(WHAT, &envelope.signatures)?;
    Ok(envelope)
}

/// Reads a roster without judging it: for showing, never for deciding.
///
/// # Errors
/// [`DocumentError`] when it is not a roster in canonical form.
pub fn show_roster(document: &[u8]) -> Result<RosterTerms, DocumentError> {
    Ok(read(document)?.signed)
}
