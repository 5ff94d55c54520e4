//! What one station may flash, until when.
//!
//! [`LeaseTerms`] is the plain document a hub writes and signs; [`Lease`] is the same document
//! after every check, and only it answers whether something may be flashed.
//!
//! The signed part names each wrapped content key by its digest; the keys themselves lie beside it.
//! So a station can erase one of them and keep the rest of the lease, signature and all.

use std::collections::BTreeSet;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::canonical::{self, DocumentError, NoCanonicalForm};
use crate::digest::Digest;
use crate::envelope::{self, Envelope, Signature};
use crate::key::SigningKey;
use crate::limits::{
    ALLOTMENT_CHARACTERS_MAX, INTEGER_MAX, LEASE_BYTES_MAX, LEASE_EARLY_MS_MAX, LEASE_PORTIONS_MAX,
    LEASE_PROBE_KINDS_MAX, LEASE_RELEASES_MAX, ORDER_BYTES_MAX,
};
use crate::names::{Channel, Label, Name};
use crate::tuf::LeaseKeys;
use crate::wrap::{ContentKey, Receiver, WrapBinding, WrapError, WrapKey, WrappedKey};

const WHAT: &str = "a lease";

/// The lease's `format`.
pub const LEASE_FORMAT: &str = "flashline-lease";
/// The lease's `v`.
pub const LEASE_VERSION: u64 = 2;

/// The terms of a lease, version 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseTerms {
    /// Always [`LEASE_FORMAT`].
    pub format: String,
    /// Always [`LEASE_VERSION`].
    pub v: u64,
    /// Whose firmware.
    pub tenant: Name,
    /// The station's name, for people.
    pub station: Name,
    /// SHA-256 of the station's X25519 public key: whose lease it is.
    pub station_key_sha256: Digest,
    /// One more with each lease of this station.
    pub version: u64,
    /// When it was written, in milliseconds since the Unix epoch.
    pub issued_ms: i64,
    /// The last millisecond in which it counts.
    pub not_after_ms: i64,
    /// What may be flashed.
    pub releases: Vec<LeasedRelease>,
    /// The station's shares of work orders.
    pub portions: Vec<Portion>,
    /// The roster of operators that goes with it.
    pub roster_version: u64,
    /// The newest revocations the hub knew.
    pub revocation_version: u64,
    /// Kinds of ports the station may flash through: `cmsis-dap`, `jlink`, `stlink`, `blackmagic`,
    /// `blackmagic-tcp`, `ftdi`, `dfu`, `uart`, or a probe's ids as `1234-abcd`.
    pub probe_kinds: Vec<Label>,
    /// Whether a board that answers over a network may be flashed.
    pub allow_simulated: bool,
    /// What operators' PINs must be like.
    pub pin_policy: PinPolicy,
}

/// One release the station may flash for one channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeasedRelease {
    /// SHA-256 of its manifest.
    pub manifest_sha256: Digest,
    /// For what.
    pub channel: Channel,
    /// SHA-256 of the 80 bytes of the wrapped key.
    pub wrapped_key_sha256: Digest,
    /// The channel's content key, for this station and this lease version only; none once it was
    /// erased. It lies beside the signed part.
    #[serde(skip)]
    pub wrapped_key: Option<WrappedKey>,
}

impl LeasedRelease {
    /// A release with its content key.
    #[must_use]
    pub fn new(manifest_sha256: Digest, channel: Channel, wrapped_key: WrappedKey) -> Self {
        let wrapped_key_sha256 = wrapped_key.digest();
        Self { manifest_sha256, channel, wrapped_key_sha256, wrapped_key: Some(wrapped_key) }
    }
}

/// A lease as it travels and lies: what was signed, and the wrapped keys it names, in its order.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LeaseDocument {
    signatures: Vec<Signature>,
    signed: LeaseTerms,
    wraps: Vec<WrappedKey>,
}

/// The station's share of a work order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Portion {
    /// The order's number, printable ASCII.
    pub order: String,
    /// The product.
    pub product: Name,
    /// The release to flash: one of the lease's.
    pub manifest_sha256: Digest,
    /// The channel to flash it for.
    pub channel: Channel,
    /// Units that may pass.
    pub quantity: u32,
    /// The allotment certificate in lower-case hex; absent where nothing is activated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allotment: Option<String>,
    /// The first index of the allotment that belongs to this portion.
    pub index_from: u32,
    /// The index after the last.
    pub index_to: u32,
}

/// What operators' PINs must be like at this station.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinPolicy {
    /// Digits of a worker's PIN.
    pub worker_digits_min: u8,
    /// Digits of a lead's or IT's PIN.
    pub lead_digits_min: u8,
    /// Days without the hub after which lead rights end.
    pub lead_offline_days_max: u16,
}

impl Default for PinPolicy {
    fn default() -> Self {
        Self { worker_digits_min: 4, lead_digits_min: 6, lead_offline_days_max: 7 }
    }
}

/// A lease that was checked: right tenant, right station, signed, not older than the last.
#[derive(Debug, Clone)]
pub struct Lease {
    terms: LeaseTerms,
}

/// What a lease is checked against.
#[derive(Debug, Clone, Copy)]
pub struct LeaseCheck<'a> {
    /// The tenant of the station's pinned root.
    pub tenant: &'a Name,
    /// SHA-256 of the station's own X25519 public key.
    pub station_key: Digest,
    /// Who may sign leases, from the trusted repository.
    pub keys: &'a LeaseKeys,
    /// The version of the newest lease the station ever took; none before the first.
    pub version_seen: Option<u64>,
    /// Station time, in milliseconds since the Unix epoch.
    pub now_ms: i64,
}

/// Why a lease was refused.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// Not a lease in canonical form.
    #[error("checking the lease")]
    Unreadable(#[from] DocumentError),
    /// Too few good signatures by the tenant's lease keys.
    #[error("checking the lease: {found} good signatures of the {threshold} needed")]
    TooFewSignatures {
        /// Good signatures by distinct keys.
        found: usize,
        /// How many are needed.
        threshold: usize,
    },
    /// Another tenant's.
    #[error("checking the lease: it belongs to the tenant {found}")]
    OtherTenant {
        /// Whose it is.
        found: Name,
    },
    /// Another station's.
    #[error("checking the lease: it was made for the station {station}")]
    OtherStation {
        /// Whose it is.
        station: Name,
    },
    /// An older one than the station already took.
    #[error("checking the lease: version {offered} is older than {seen}")]
    OlderVersion {
        /// The version already taken.
        seen: u64,
        /// The version offered.
        offered: u64,
    },
    /// It has ended.
    #[error("checking the lease: it ended at {not_after_ms} ms, now is {now_ms} ms")]
    Over {
        /// Its last millisecond.
        not_after_ms: i64,
        /// Station time.
        now_ms: i64,
    },
    /// It was written in the future.
    #[error("checking the lease: it was written at {issued_ms} ms, now is {now_ms} ms")]
    NotYet {
        /// When it was written.
        issued_ms: i64,
        /// Station time.
        now_ms: i64,
    },
}

/// Why something may not be flashed under a good lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MayNot {
    /// The lease has ended since.
    #[error("asking the lease: it ended at {not_after_ms} ms, now is {now_ms} ms")]
    Over {
        /// Its last millisecond.
        not_after_ms: i64,
        /// Station time.
        now_ms: i64,
    },
    /// Station time is before the lease was written.
    #[error("asking the lease: it was written at {issued_ms} ms, now is {now_ms} ms")]
    NotYet {
        /// When it was written.
        issued_ms: i64,
        /// Station time.
        now_ms: i64,
    },
    /// The lease does not name the release for this channel.
    #[error("asking the lease: it does not name {manifest_sha256} for {channel}")]
    NotLeased {
        /// The release.
        manifest_sha256: Digest,
        /// The channel.
        channel: Channel,
    },
}

impl LeaseTerms {
    /// Signs the terms: the lease document.
    ///
    /// # Errors
    /// [`DocumentError`] when the terms break a rule: what a station would refuse is not signed.
    pub fn sign(&self, keys: &[&SigningKey]) -> Result<Vec<u8>, DocumentError> {
        self.check()?;
        if self.releases.iter().any(|leased| leased.wrapped_key.is_none()) {
            let rule = "every release must have its wrapped key when the lease is signed";
            return Err(DocumentError::Rule { what: WHAT, rule });
        }
        let envelope = Envelope::sign(self, keys).map_err(not_canonical)?;
        let bytes = written(envelope.signatures, envelope.signed)?;
        if bytes.len() > LEASE_BYTES_MAX {
            let (bytes, bytes_max) = (bytes.len(), LEASE_BYTES_MAX);
            return Err(DocumentError::TooLong { what: WHAT, bytes, bytes_max });
        }
        Ok(bytes)
    }

    /// What a content key must be bound to for one of this lease's releases.
    #[must_use]
    pub fn binding(&self, manifest_sha256: Digest, channel: Channel) -> WrapBinding {
        WrapBinding {
            tenant: self.tenant.clone(),
            release: manifest_sha256,
            channel,
            receiver: Receiver::Station { lease_version: self.version },
        }
    }

    fn check(&self) -> Result<(), DocumentError> {
        let rule = |holds: bool, rule: &'static str| {
            if holds { Ok(()) } else { Err(DocumentError::Rule { what: WHAT, rule }) }
        };
        if self.format != LEASE_FORMAT || self.v != LEASE_VERSION {
            let (format, version) = (self.format.chars().take(64).collect(), self.v);
            return Err(DocumentError::UnknownFormat { what: WHAT, format, version });
        }
        let time = 0..=INTEGER_MAX.cast_signed();
        rule(
            time.contains(&self.issued_ms)
                && time.contains(&self.not_after_ms)
                && self.issued_ms < self.not_after_ms,
            "a lease must end after it was written",
        )?;
        rule(
            (1..=INTEGER_MAX).contains(&self.version)
                && self.roster_version <= INTEGER_MAX
                && self.revocation_version <= INTEGER_MAX,
            "versions must be below 2^53 and the lease's at least 1",
        )?;
        rule(
            self.releases.len() <= LEASE_RELEASES_MAX
                && self.portions.len() <= LEASE_PORTIONS_MAX
                && self.probe_kinds.len() <= LEASE_PROBE_KINDS_MAX,
            "at most 256 releases, 256 portions and 32 kinds of probes",
        )?;
        let leased: BTreeSet<(Digest, Channel)> =
            self.releases.iter().map(|leased| (leased.manifest_sha256, leased.channel)).collect();
        rule(leased.len() == self.releases.len(), "a release must be named once for a channel")?;
        let orders: BTreeSet<&str> = self.portions.iter().map(|p| p.order.as_str()).collect();
        rule(orders.len() == self.portions.len(), "an order must have one portion")?;
        for portion in &self.portions {
            rule(
                (1..=ORDER_BYTES_MAX).contains(&portion.order.len())
                    && portion.order.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
                "an order's number must be 1 to 64 printable ASCII characters",
            )?;
            rule(
                leased.contains(&(portion.manifest_sha256, portion.channel)),
                "a portion must be of a release that the lease names",
            )?;
            rule(portion.index_from <= portion.index_to, "a portion's indices must not run back")?;
            let allotment = portion.allotment.as_deref().unwrap_or("00");
            rule(
                (2..=ALLOTMENT_CHARACTERS_MAX).contains(&allotment.len())
                    && allotment.len().is_multiple_of(2)
                    && allotment.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')),
                "an allotment must be lower-case hex of at most 2048 bytes",
            )?;
        }
        Ok(())
    }
}

impl Lease {
    /// Checks a lease document in full.
    ///
    /// # Errors
    /// [`LeaseError`] by kind of refusal.
    pub fn verify(document: &[u8], check: &LeaseCheck<'_>) -> Result<Self, LeaseError> {
        let envelope: Envelope<LeaseTerms> = read(document)?;
        let terms = &envelope.signed;
        let found = envelope
            .signers(check.keys.keys())
            .map_err(|NoCanonicalForm| DocumentError::NotCanonical { what: WHAT })?;
        let threshold = check.keys.threshold();
        if found < threshold {
            return Err(LeaseError::TooFewSignatures { found, threshold });
        }
        terms.check()?;
        if terms.tenant != *check.tenant || check.keys.tenant() != check.tenant {
            return Err(LeaseError::OtherTenant { found: terms.tenant.clone() });
        }
        if terms.station_key_sha256 != check.station_key {
            return Err(LeaseError::OtherStation { station: terms.station.clone() });
        }
        if let Some(seen) = check.version_seen.filter(|&seen| terms.version < seen) {
            return Err(LeaseError::OlderVersion { seen, offered: terms.version });
        }
        let lease = Self { terms: envelope.signed };
        match lease.in_time(check.now_ms) {
            Err(MayNot::Over { not_after_ms, now_ms }) => {
                Err(LeaseError::Over { not_after_ms, now_ms })
            }
            Err(MayNot::NotYet { issued_ms, now_ms }) => {
                Err(LeaseError::NotYet { issued_ms, now_ms })
            }
            Ok(()) | Err(MayNot::NotLeased { .. }) => Ok(lease),
        }
    }

    /// The terms.
    #[must_use]
    pub const fn terms(&self) -> &LeaseTerms {
        &self.terms
    }

    /// Whether a release may be flashed for a channel now.
    ///
    /// # Errors
    /// [`MayNot`] with the reason.
    pub fn may_flash(
        &self,
        manifest_sha256: &Digest,
        channel: Channel,
        now_ms: i64,
    ) -> Result<&LeasedRelease, MayNot> {
        self.in_time(now_ms)?;
        self.terms
            .releases
            .iter()
            .find(|leased| leased.manifest_sha256 == *manifest_sha256 && leased.channel == channel)
            .ok_or(MayNot::NotLeased { manifest_sha256: *manifest_sha256, channel })
    }

    /// Opens the content key of one of this lease's releases with the station's own key.
    ///
    /// # Errors
    /// [`WrapError::DoesNotOpen`] or [`WrapError::Erased`].
    pub fn unwrap_key(
        &self,
        leased: &LeasedRelease,
        station_key: &WrapKey,
    ) -> Result<ContentKey, WrapError> {
        let binding = self.terms.binding(leased.manifest_sha256, leased.channel);
        leased.wrapped_key.as_ref().ok_or(WrapError::Erased)?.unwrap_with(station_key, &binding)
    }

    /// Forgets the wrapped keys of the releases that are `gone`; gives those that had one.
    pub fn erase(&mut self, gone: impl Fn(&LeasedRelease) -> bool) -> Vec<(Digest, Channel)> {
        let releases = self.terms.releases.iter_mut();
        releases
            .filter(|leased| leased.wrapped_key.is_some() && gone(leased))
            .map(|leased| {
                leased.wrapped_key = None;
                (leased.manifest_sha256, leased.channel)
            })
            .collect()
    }

    fn in_time(&self, now_ms: i64) -> Result<(), MayNot> {
        let LeaseTerms { issued_ms, not_after_ms, .. } = self.terms;
        if now_ms > not_after_ms {
            return Err(MayNot::Over { not_after_ms, now_ms });
        }
        if now_ms < issued_ms.saturating_sub(LEASE_EARLY_MS_MAX) {
            return Err(MayNot::NotYet { issued_ms, now_ms });
        }
        Ok(())
    }
}

impl Deref for Lease {
    type Target = LeaseTerms;

    fn deref(&self) -> &LeaseTerms {
        &self.terms
    }
}

/// Reads a lease without judging it: for showing, never for deciding.
///
/// # Errors
/// [`DocumentError`] when it is not a lease in canonical form.
pub fn show_lease(document: &[u8]) -> Result<LeaseTerms, DocumentError> {
    Ok(read(document)?.signed)
}

/// The same lease without the wrapped keys of the releases that are `gone`. Its signatures stay
/// good; what is not a lease is refused, nothing else is judged.
///
/// # Errors
/// [`DocumentError`] when it is not a lease in canonical form.
pub fn without_keys(
    document: &[u8],
    gone: impl Fn(&LeasedRelease) -> bool,
) -> Result<Vec<u8>, DocumentError> {
    let mut envelope = read(document)?;
    for leased in envelope.signed.releases.iter_mut().filter(|leased| gone(leased)) {
        leased.wrapped_key = None;
    }
    written(envelope.signatures, &envelope.signed)
}

fn not_canonical(NoCanonicalForm: NoCanonicalForm) -> DocumentError {
    DocumentError::NotCanonical { what: WHAT }
}

/// The document of terms that were signed, with the wrapped keys they hold.
fn written(signatures: Vec<Signature>, terms: &LeaseTerms) -> Result<Vec<u8>, DocumentError> {
    let wraps = terms.releases.iter().filter_map(|leased| leased.wrapped_key.clone()).collect();
    let document = LeaseDocument { signatures, signed: terms.clone(), wraps };
    canonical::to_bytes(&document).map_err(not_canonical)
}

fn read(document: &[u8]) -> Result<Envelope<LeaseTerms>, DocumentError> {
    let value = canonical::require(WHAT, document, LEASE_BYTES_MAX)?;
    let signed = value.get("signed").unwrap_or(&value);
    canonical::is_format(WHAT, signed, (LEASE_FORMAT, LEASE_VERSION))?;
    let LeaseDocument { signatures, mut signed, wraps } =
        canonical::from_bytes(WHAT, document, LEASE_BYTES_MAX)?;
    envelope::check_signatures(WHAT, &signatures)?;
    // Each wrapped key belongs to the next release that names it: one order, no stranger.
    let mut wraps = wraps.into_iter().peekable();
    for leased in &mut signed.releases {
        leased.wrapped_key = wraps.next_if(|wrap| wrap.digest() == leased.wrapped_key_sha256);
    }
    if wraps.next().is_some() {
        let rule = "a wrapped key must be one that a release names, in their order";
        return Err(DocumentError::Rule { what: WHAT, rule });
    }
    Ok(Envelope { signatures, signed })
}
