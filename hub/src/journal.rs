//! A range of a station's journal arrives: judge it, keep it, cosign it.
//!
//! Owns the order of these three. Leaves the judgement to `audit` and the keeping to the store.
//!
//! Promise: a cosignature is given only after the records are on disk, and every branch of a fork
//! is kept.

use std::sync::Arc;

use activation::books::Fact;
use audit::{Append, Digest, Event, Origin, Record, SignedCheckpoint, verify_append};
use protocol::journal::PUSH_RECORDS_MAX;
use protocol::{
    Epoch, EpochStatement, JournalAck, JournalPush, Problem, ProblemType, SignedStatement,
};

use crate::hub::Hub;
use crate::refusal::Refusal;
use crate::store::{
    Growth, HeldJournal, JournalRecord, Standing, StationRow, StoreError, TenantScope, UnitChange,
};
use crate::units::{change_of, fact_of, returned_by};

/// How often a push may find that another one was faster.
const ATTEMPTS_MAX: u32 = 3;
/// In every record of the kind, and in few others.
const QUARANTINED: &str = "quarantined";

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
    if epoch > station.epoch_opened {
        return Err(Refusal::of(ProblemType::EpochNotOpened));
    }
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
pub(crate) enum Stopped {
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
    push: &Arc<JournalPush>,
    signed: &SignedCheckpoint,
    held: &HeldJournal,
    verdict: Append,
) -> Result<JournalAck, Stopped> {
    let next = push.from + push.records.len() as u64;
    match verdict {
        Append::Extends(extension) => {
            let now_ms = hub.now_ms();
            let keys = hub.keys(scope).await.map_err(Refusal::from)?;
            let cosigned = signed
                .cosign(
                    &Hub::cosign_name(scope),
                    keys.cosign_key(),
                    u64::try_from(now_ms / 1000).unwrap_or(0),
                )
                .map_err(|error| Refusal::internal(&error))?;
            let fresh = &push.records[extension.held..];
            let from = push.from + extension.held as u64;
            let records = numbered(from, fresh, &extension.leaves);
            let (mut facts, mut impossible) = (Vec::new(), Vec::new());
            for (seq, record) in (from..).zip(fresh) {
                match fact_of(record.as_bytes(), seq, station.journal_key.0) {
                    Ok(fact) => facts.extend(fact),
                    Err(record) => impossible.push(record),
                }
            }
            let returned: Vec<_> =
                fresh.iter().filter_map(|record| returned_by(record.as_bytes())).collect();
            let standing = standing(hub, scope, station, epoch, from, fresh).await?;
            if standing == Standing::Quarantined {
                tracing::error!(
                    tenant = %scope.name(), station = %station.name, %epoch,
                    "a station's journal was set back; grants stopped"
                );
            }
            let growth = Growth {
                held,
                records: &records,
                frontier: &extension.frontier,
                cosigned: cosigned.as_str(),
                units: &changes_of(fresh),
                facts: &facts,
                impossible: &impossible,
                returned: &returned,
                standing,
                now_ms,
            };
            hub.store.grow(scope, station, epoch, &growth).await?;
            let voids = facts
                .iter()
                .any(|new| matches!(new.fact, Fact::Scrapped { .. } | Fact::ChipReplaced { .. }));
            if voids || !returned.is_empty() || standing != Standing::Unchanged {
                hub.announce_change();
            }
            if station.owed.1 > 0 {
                // It may have been the last record that a hub that was set back waited for.
                crate::recovery::is_recovering(hub, scope).await?;
            }
            Ok(JournalAck { size: extension.checkpoint.size, cosigned: cosigned.to_string(), next })
        }
        Append::AlreadyHave => Ok(JournalAck {
            size: held.size,
            cosigned: held.cosigned.clone().unwrap_or_default(),
            next,
        }),
        Append::Gap { .. } | Append::Disagrees | Append::Fork { .. } => {
            let refused =
                match crate::branch::take(hub, scope, station, epoch, push, signed).await? {
                    Some(kept) => {
                        let mut problem = Problem::of(ProblemType::JournalFork);
                        problem.seq = Some(kept.at);
                        problem.expected = Some(kept.size);
                        Refusal(Box::new(problem))
                    }
                    // Ask from where the journals may part: at the latest from the beginning.
                    None if matches!(verdict, Append::Gap { .. }) => gap(held.size),
                    None => gap(0),
                };
            Err(refused.into())
        }
    }
}

/// What new records say about their journal.
async fn standing(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    epoch: Epoch,
    from: u64,
    fresh: &[String],
) -> Result<Standing, Refusal> {
    if from == 0 && epoch > Epoch::FIRST {
        // An epoch begins as it was opened, or not at all.
        return match (
            opening(station),
            fresh.first().map(|record| Record::decode(record.as_bytes())),
        ) {
            (Some(opened), Some(Ok(Record { event, .. })))
                if epoch == opened.epoch && event == opening_event(&opened) =>
            {
                Ok(Standing::EpochBegun)
            }
            // A hub that was set back has forgotten what it opened, and has its own word for it.
            (None, Some(Ok(Record { event: Event::EpochOpened { .. }, .. })))
                if epoch <= station.owed.0 =>
            {
                Ok(Standing::EpochBegun)
            }
            _ => Err(Refusal::because(
                ProblemType::JournalNotVerified,
                "the epoch does not begin with the record of its opening",
            )),
        };
    }
    let says_so = fresh.iter().any(|record| {
        record.contains(QUARANTINED)
            && matches!(
                Record::decode(record.as_bytes()),
                Ok(Record { event: Event::Quarantined { .. }, .. })
            )
    });
    // Whoever goes on in an old epoch does not know that a newer one has begun.
    let outdated = epoch < station.epoch_opened
        && hub
            .store
            .newest_journal(scope, station)
            .await?
            .is_some_and(|(newest, _)| newest > epoch);
    Ok(if says_so || outdated { Standing::Quarantined } else { Standing::Unchanged })
}

/// The instruction that the station was given and has not followed yet.
fn opening(station: &StationRow) -> Option<EpochStatement> {
    let signed: SignedStatement = serde_json::from_slice(station.epoch_document.as_ref()?).ok()?;
    serde_json::from_str(&signed.payload).ok()
}

fn opening_event(opened: &EpochStatement) -> Event {
    Event::EpochOpened {
        previous_epoch: opened.previous_epoch.0,
        previous_size: opened.previous_size,
        previous_root: Digest(opened.previous_root.0),
    }
}

/// What records mean for units, in their order.
pub(crate) fn changes_of(records: &[String]) -> Vec<UnitChange> {
    records.iter().filter_map(|record| change_of(record.as_bytes())).collect()
}

pub(crate) fn numbered<'a>(
    from: u64,
    texts: &'a [String],
    leaves: &[audit::Hash],
) -> Vec<JournalRecord<'a>> {
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

pub(crate) fn not_verified(error: impl std::error::Error + 'static) -> Refusal {
    Refusal::because(ProblemType::JournalNotVerified, crate::refusal::chain(&error))
}
