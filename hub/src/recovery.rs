//! A hub that was set back to an older backup finds out, and becomes whole again.
//!
//! Owns the proof and what follows from it. The proof is the hub's own word, in the hands of
//! stations: a cosigned head or a signed lease that goes beyond what is held here.
//!
//! Promise: a recovering hub grants nothing, gives out no document, and goes no version back; no
//! station can make it recover with anything that this hub did not sign itself.

use audit::{Cosigner, Origin, SignedCheckpoint};
use protocol::{ProblemType, ReportAnswer, StationReport};
use release::{Lease, LeaseCheck, LeaseKeys, WrapPublicKey};

use crate::hub::{Hub, TenantKeys};
use crate::publish;
use crate::refusal::Refusal;
use crate::store::{Missed, StationRow, TenantScope};

/// How far versions of the metadata may jump: a day of work has a handful, and a station that lies
/// cannot use them up.
const VERSIONS_JUMP_MAX: u64 = 1_000_000;

/// Hears a station's report.
pub(crate) async fn hear(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    report: &StationReport,
) -> Result<ReportAnswer, Refusal> {
    let keys = hub.keys(scope).await?;
    let held = hub.store.journal(scope, station, report.epoch).await?;
    let head = report.cosigned.as_deref().and_then(|note| {
        cosigned_size(scope, station, report.epoch.0, note, &keys).filter(|size| *size > held.size)
    });
    let lease = report.lease.as_deref().and_then(|lease| {
        let lease = lease_of(scope, station, lease, &keys)?;
        (lease.version > station.lease_version).then_some(lease)
    });
    if lease.as_ref().is_some_and(|lease| lease.roster_version > 0) {
        // The roster's version is held beside the station's pepper, which may be lost with it.
        hub.pepper(scope, station).await?;
    }
    let lease = lease.map(|lease| (lease.version, lease.roster_version));
    let now_ms = hub.now_ms();
    if head.is_some() || lease.is_some() {
        tracing::error!(
            tenant = %scope.name(), station = %station.name, epoch = %report.epoch, ?head, ?lease,
            held = held.size, held_lease = station.lease_version,
            "a station holds what this hub signed and does not know: the hub was set back"
        );
        let missed = Missed { head: head.map(|size| (report.epoch, size)), lease };
        hub.store.missed(scope, station, &missed, now_ms).await?;
    }
    hub.store.reported(scope, station, now_ms).await?;
    let recovering = is_recovering(hub, scope).await?;
    if recovering {
        let versions = (report.snapshot_version, report.timestamp_version);
        publish::pass(hub, scope, versions, VERSIONS_JUMP_MAX).await?;
    }
    let journal = hub.store.journal_state(scope, station, report.epoch).await?;
    Ok(ReportAnswer { recovering, journal })
}

/// Whether the tenant's hub is recovering, after a look whether it still is.
pub(crate) async fn is_recovering(hub: &Hub, scope: &TenantScope) -> Result<bool, Refusal> {
    let recovery = hub.store.recovery(scope).await?;
    if recovery.since_ms.is_none() {
        return Ok(false);
    }
    if !recovery.waits_for.is_empty() {
        return Ok(true);
    }
    hub.store.whole(scope, "hub", hub.now_ms()).await?;
    hub.announce_change();
    tracing::info!(tenant = %scope.name(), "every station has reported: the hub is whole again");
    Ok(false)
}

/// Refuses what a recovering hub must not do.
pub(crate) async fn refuse_while_recovering(hub: &Hub, scope: &TenantScope) -> Result<(), Refusal> {
    if is_recovering(hub, scope).await? {
        return Err(Refusal::of(ProblemType::HubRecovering));
    }
    Ok(())
}

/// The size of a head that this hub cosigned for this station's journal.
fn cosigned_size(
    scope: &TenantScope,
    station: &StationRow,
    epoch: u32,
    note: &str,
    keys: &TenantKeys,
) -> Option<u64> {
    let signed: SignedCheckpoint = note.parse().ok()?;
    let origin = Origin::new(scope.name().as_str(), station.name.as_str(), epoch).ok()?;
    let cosigner = Cosigner { name: Hub::cosign_name(scope), key: keys.cosign_public() };
    let proven = signed.verify_cosigned(&origin, &station.journal_key.0, &cosigner).ok()?;
    Some(proven.checkpoint.size)
}

/// A lease that this hub signed for this station, whether it is in force or not.
fn lease_of(
    scope: &TenantScope,
    station: &StationRow,
    lease: &str,
    keys: &TenantKeys,
) -> Option<Lease> {
    let document = hex::decode(lease).ok()?;
    let issued_ms = release::lease::show_lease(&document).ok()?.issued_ms;
    let tenant = release::Name::new(scope.name().as_str()).ok()?;
    let own = LeaseKeys::new(tenant.clone(), 1, keys.leases()).ok()?;
    let check = LeaseCheck {
        tenant: &tenant,
        station_key: WrapPublicKey::from_bytes(station.hpke_key.0).digest(),
        keys: &own,
        version_seen: None,
        now_ms: issued_ms,
    };
    Lease::verify(&document, &check).ok()
}
