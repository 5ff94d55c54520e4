//! What a station may flash until when: composed from its portions, signed when that changes or
//! half of its time is over.
//!
//! Promise: a station's lease versions only rise; two listeners cannot sign the same version.

use protocol::ProblemType;
use release::{
    Channel, Digest, HubWrap, Label, LeaseTerms, LeasedRelease, Name, PinPolicy, Portion,
    WrapPublicKey,
};

use crate::digest::sha256;
use crate::hub::Hub;
use crate::refusal::Refusal;
use crate::roster;
use crate::store::{PortionRow, SignedLease, StationRow, TenantScope};

const REVOCATION_VERSION: u64 = 0;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// The stations' words: `flash::PortKind`.
const PROBE_KINDS: [&str; 7] =
    ["blackmagic", "cmsis-dap", "dfu", "ftdi", "jlink", "stlink", "uart"];
const SIMULATED_PROBE_KIND: &str = "blackmagic-tcp";
/// How often signing may find that another listener was faster.
const ATTEMPTS_MAX: u32 = 3;

/// The station's lease as it should be now. None before the tenant has a root; the last one for a
/// station to which grants are stopped, and for one whose keys are guarded less than the tenant asks.
pub(crate) async fn current(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    beyond: Option<u64>,
) -> Result<Option<SignedLease>, Refusal> {
    let mut station = station.clone();
    for _ in 0..ATTEMPTS_MAX {
        if station.in_quarantine() || hub.store.root(scope).await?.is_none() {
            return Ok(station.lease);
        }
        if station.key_protection < hub.store.least_protection(scope).await? {
            return Ok(station.lease);
        }
        let portions = hub.store.portions(scope, &station).await?;
        let now_ms = hub.now_ms();
        let roster = roster::current(hub, scope, &station).await?;
        let mut terms = draft(hub, scope, &station, &portions, now_ms)?;
        // A line that never had people has no roster, which is version 0.
        terms.roster_version = roster.map_or(0, |roster| roster.version);
        let signer = hub.keys(scope).await?.lease().public().key_id();
        let content = (&terms.portions, &terms.probe_kinds, terms.roster_version, signer);
        let content = serde_json::to_vec(&content).map_err(|error| Refusal::internal(&error))?;
        let content = sha256(&[content, vec![u8::from(terms.allow_simulated)]].concat());
        let wanted = beyond.is_some();
        if let Some(lease) = &station.lease
            && lease.terms_sha256 == content
            && now_ms < lease.renew_ms
            && !wanted
        {
            return Ok(station.lease);
        }
        terms.version = (station.lease_version + 1).max(beyond.unwrap_or(0).saturating_add(1));
        let lease = sign(hub, scope, &station, &portions, terms, content).await?;
        if hub.store.keep_lease(scope, &station, &lease, now_ms).await? {
            return Ok(Some(lease));
        }
        station = hub.store.station(scope, &station.name).await?;
    }
    Ok(station.lease)
}

fn name(text: &str) -> Result<Name, Refusal> {
    Name::new(text).map_err(|error| Refusal::internal(&error))
}

fn channel(text: &str) -> Result<Channel, Refusal> {
    channel_of(text).ok_or_else(|| Refusal::because(ProblemType::RequestMalformed, "channel"))
}

/// A channel by its word.
pub(crate) fn channel_of(text: &str) -> Option<Channel> {
    [Channel::Production, Channel::Rework, Channel::AfterSales]
        .into_iter()
        .find(|channel| channel.as_str() == text)
}

/// The terms without wrapped keys; the version is not decided yet.
fn draft(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    portions: &[PortionRow],
    now_ms: i64,
) -> Result<LeaseTerms, Refusal> {
    let receiver = WrapPublicKey::from_bytes(station.hpke_key.0);
    let simulated = hub.terms.allow_simulated.then_some(SIMULATED_PROBE_KIND);
    let portions = portions
        .iter()
        .map(|portion| {
            Ok(Portion {
                order: portion.order.number.to_string(),
                product: name(portion.order.product.as_str())?,
                manifest_sha256: Digest::from_bytes(portion.order.release.manifest_sha256.0),
                channel: channel(&portion.channel)?,
                quantity: portion.quantity,
                allotment: portion.certificate.as_ref().map(hex::encode),
                index_from: portion.index_from,
                index_to: portion.index_to,
            })
        })
        .collect::<Result<Vec<_>, Refusal>>()?;
    Ok(LeaseTerms {
        format: release::lease::LEASE_FORMAT.to_owned(),
        v: release::lease::LEASE_VERSION,
        tenant: name(scope.name().as_str())?,
        station: name(station.name.as_str())?,
        station_key_sha256: receiver.digest(),
        version: 0,
        issued_ms: now_ms,
        not_after_ms: now_ms.saturating_add(i64::from(hub.terms.lease_days) * DAY_MS),
        releases: Vec::new(),
        portions,
        roster_version: 0,
        revocation_version: REVOCATION_VERSION,
        probe_kinds: PROBE_KINDS
            .into_iter()
            .chain(simulated)
            .map(|kind| Label::new(kind).map_err(|error| Refusal::internal(&error)))
            .collect::<Result<_, _>>()?,
        allow_simulated: hub.terms.allow_simulated,
        pin_policy: PinPolicy::default(),
    })
}

async fn sign(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    portions: &[PortionRow],
    mut terms: LeaseTerms,
    terms_sha256: protocol::Sha256,
) -> Result<SignedLease, Refusal> {
    let keys = hub.keys(scope).await?;
    let receiver = WrapPublicKey::from_bytes(station.hpke_key.0);
    for portion in portions {
        let manifest_sha256 = Digest::from_bytes(portion.order.release.manifest_sha256.0);
        let channel = channel(&portion.channel)?;
        let leased = |release: &LeasedRelease| {
            release.manifest_sha256 == manifest_sha256 && release.channel == channel
        };
        if terms.releases.iter().any(leased) {
            continue;
        }
        let wrap = HubWrap::from_bytes(&portion.order.release.hub_wrap)
            .map_err(|error| Refusal::internal(&error))?;
        let key = wrap
            .content_key(keys.release(), &terms.tenant, channel)
            .map_err(|error| Refusal::internal(&error))?;
        let binding = terms.binding(manifest_sha256, channel);
        let wrapped_key = key
            .wrap_for(&receiver, &binding, &mut release::SystemRandom)
            .map_err(|error| Refusal::internal(&error))?;
        terms.releases.push(LeasedRelease::new(manifest_sha256, channel, wrapped_key));
    }
    let bytes = terms.sign(&[keys.lease()]).map_err(|error| Refusal::internal(&error))?;
    Ok(SignedLease {
        version: terms.version,
        bytes,
        terms_sha256,
        renew_ms: terms.issued_ms.midpoint(terms.not_after_ms),
    })
}
