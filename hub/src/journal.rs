//! A range of a station's journal arrives: judge it, keep it, cosign it.
//!
//! Owns the order of these three. Leaves the judgement to `audit` and the keeping to the store.
//!
//! Promise: a cosignature is given only after the records are on disk, and every branch of a fork
//! is kept.

use std::sync::Arc;

use activation::books::Fact;
use audit::{Append, Origin, SignedCheckpoint, verify_append};
use protocol::journal::PUSH_RECORDS_MAX;
use protocol::{Epoch, JournalAck, JournalPush, Problem, ProblemType};

use crate::hub::Hub;
use crate::refusal::Refusal;
use crate::store::{Growth, HeldJournal, JournalRecord, StationRow, StoreError, TenantScope};
use crate::units::{change_of, fact_of, returned_by};

/// How often a push may find that another one was faster.
const ATTEMPTS_MAX: u32 = 3;

/// Takes a pushed range.
pub(crate) async fn take(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    epoch: Epoch,
    push: JournalPush,
) -> Result<JournalAck, Refusal> {
    if push.records.is_empty() || push.records.len() > PUSH_RECORDS_MAX {
        let detail = format!("a push has 1 to {PUSH_RECORDS_MAX} records");
        return Err(Refusal::because(ProblemType::RequestMalformed, detail));
    }
    let signed: SignedCheckpoint = push.checkpoint.parse().map_err(not_verified)?;
    let origin = Origin::new(scope.name().as_str(), station.name.as_str(), epoch.0)
        .map_err(|error| Refusal::because(ProblemType::RequestMalformed, error.to_string()))?;
    let push = Arc::new(push);
    for _ in 0..ATTEMPTS_MAX {
        let held = hub.store.journal(scope, station, epoch).await?;
        let leaves = if push.from < held.size {
            hub.store.leaves(scope, station, epoch, push.from).await?
        } else {
            Vec::new()
        };
        let verdict = {
            let (push, signed, origin) = (push.clone(), signed.clone(), origin.clone());
            let (frontier, key) = (held.frontier.clone(), station.journal_key.0);
            tokio::task::spawn_blocking(move || {
                verify_append(&origin, &key, &frontier, &leaves, push.from, &push.records, &signed)
            })
            .await
            .map_err(|error| Refusal::internal(&error))?
            .map_err(not_verified)?
        };
        match act_on(hub, scope, station, epoch, &push, &signed, &held, verdict).await {
            Err(Stopped::JournalMoved) => continue,
            Err(Stopped::Refused(refusal)) => return Err(*refusal),
            Ok(ack) => return Ok(ack),
        }
    }
    Err(Refusal::internal(&StoreError::JournalMoved))
}

/// Why a judged range was not taken.
enum Stopped {
    /// The journal grew since it was read: judge again.
    JournalMoved,
    /// For good.
    Refused(Box<Refusal>),
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

impl From<StoreError> for Stopped {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::JournalMoved) {
            Self::JournalMoved
        } else {
            Refusal::from(error).into()
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "one judged push, named part by part")]
async fn act_on(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    epoch: Epoch,
    push: &JournalPush,
    signed: &SignedCheckpoint,
    held: &HeldJournal,
    verdict: Append,
) -> Result<JournalAck, Stopped> {
    let next = push.from + push.records.len() as u64;
    match verdict {
        Append::Extends(extension) => {
            let now_s = u64::try_from(hub.now_ms() / 1000).unwrap_or(0);
            let keys = hub.keys(scope).await.map_err(Refusal::from)?;
            let cosigned = signed
                .cosign(&Hub::cosign_name(scope), keys.cosign_key(), now_s)
                .map_err(|error| Refusal::internal(&error))?;
            let fresh = &push.records[extension.held..];
            let from = push.from + extension.held as u64;
            let records = numbered(from, fresh, &extension.leaves);
            let units: Vec<_> =
                fresh.iter().filter_map(|record| change_of(record.as_bytes())).collect();
            let facts: Vec<_> = fresh
                .iter()
                .filter_map(|record| fact_of(record.as_bytes(), station.journal_key.0))
                .collect();
            let returned: Vec<_> =
                fresh.iter().filter_map(|record| returned_by(record.as_bytes())).collect();
            let growth = Growth {
                held,
                records: &records,
                frontier: &extension.frontier,
                cosigned: cosigned.as_str(),
                units: &units,
                facts: &facts,
                returned: &returned,
                now_ms: hub.now_ms(),
            };
            hub.store.grow(scope, station, epoch, &growth).await?;
            let voids = facts
                .iter()
                .any(|new| matches!(new.fact, Fact::Scrapped { .. } | Fact::ChipReplaced { .. }));
            if voids || !returned.is_empty() {
                hub.announce_change();
            }
            Ok(JournalAck { size: extension.checkpoint.size, cosigned: cosigned.to_string(), next })
        }
        Append::AlreadyHave => Ok(JournalAck {
            size: held.size,
            cosigned: held.cosigned.clone().unwrap_or_default(),
            next,
        }),
        Append::Gap { expected } => Err(gap(expected).into()),
        // Only the whole journal can show where it was rewritten, if it fits into one push.
        Append::Disagrees if held.size.max(next) <= PUSH_RECORDS_MAX as u64 => Err(gap(0).into()),
        verdict @ (Append::Disagrees | Append::Fork { .. }) => {
            let at = if let Append::Fork { at } = verdict { at } else { push.from };
            let differing =
                usize::try_from(at - push.from).unwrap_or(usize::MAX).min(push.records.len());
            let branch = &push.records[differing..];
            let leaves: Vec<_> =
                branch.iter().map(|record| audit::leaf_hash(record.as_bytes())).collect();
            let records = numbered(at, branch, &leaves);
            tracing::error!(
                tenant = %scope.name(), station = %station.name, %epoch, at,
                "journal forked; both branches kept, grants stopped"
            );
            let store = &hub.store;
            store
                .keep_fork(scope, station, epoch, &records, &push.checkpoint, hub.now_ms())
                .await?;
            let mut problem = Problem::of(ProblemType::JournalFork);
            problem.seq = Some(at);
            Err(Refusal(Box::new(problem)).into())
        }
    }
}

fn numbered<'a>(from: u64, texts: &'a [String], leaves: &[audit::Hash]) -> Vec<JournalRecord<'a>> {
    (from..)
        .zip(texts)
        .zip(leaves)
        .map(|((seq, text), leaf)| JournalRecord { seq, leaf: *leaf, text })
        .collect()
}

fn gap(expected: u64) -> Refusal {
    let mut problem = Problem::of(ProblemType::JournalGap);
    problem.expected = Some(expected);
    Refusal(Box::new(problem))
}

fn not_verified(error: impl std::error::Error + 'static) -> Refusal {
    Refusal::because(ProblemType::JournalNotVerified, crate::refusal::chain(&error))
}
