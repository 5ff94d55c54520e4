//! A range that does not continue the journal held: is it another history, and which?
//!
//! Owns the search among what is held. Leaves the judgement to `audit` and the keeping to the store.
//!
//! Promise: whatever a station signed and sent is kept, however many histories it writes.

use std::sync::Arc;

use audit::{Append, Branch, Hash, Origin, SignedCheckpoint, verify_append, verify_branch};
use protocol::{Epoch, JournalPush, ProblemType};

use crate::hub::Hub;
use crate::journal::{Stopped, changes_of, not_verified, numbered};
use crate::refusal::Refusal;
use crate::store::{HeldBranch, NewBranch, StationRow, TenantScope};

/// A range that is kept as part of a branch.
pub(crate) struct Kept {
    /// The first place where the branch differs from the journal that was there first.
    pub(crate) at: u64,
    /// Records held of the branch now.
    pub(crate) size: u64,
}

/// What a range is among the histories held.
enum Place {
    /// It belongs to a branch that is held.
    Of { branch: usize, verdict: Append },
    /// It parts from the first journal, or from a branch of it.
    Parts { branch: Branch, from_branch: Option<usize> },
    /// It shows nothing: it begins after the place where it parts.
    Unproven,
}

/// Keeps a range that continues a branch or proves a new one; none when it proves nothing.
pub(crate) async fn take(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
    epoch: Epoch,
    push: &Arc<JournalPush>,
    signed: &SignedCheckpoint,
) -> Result<Option<Kept>, Stopped> {
    let origin = Origin::new(scope.name().as_str(), station.name.as_str(), epoch.0)
        .map_err(|error| Refusal::because(ProblemType::RequestMalformed, error.to_string()))?;
    let first = hub.store.leaves(scope, station, epoch, 0).await?;
    let held = Arc::new(hub.store.branches(scope, station, epoch).await?);
    let place = {
        let (push, signed, held) = (push.clone(), signed.clone(), held.clone());
        let key = station.journal_key.0;
        tokio::task::spawn_blocking(move || place(&origin, &key, &first, &held, &push, &signed))
            .await
            .map_err(|error| Refusal::internal(&error))?
            .map_err(not_verified)?
    };
    let checkpoint = push.checkpoint.as_str();
    match place {
        Place::Unproven => Ok(None),
        Place::Of { branch, verdict: Append::Extends(extension) } => {
            let branch = &held[branch];
            let fresh = &push.records[extension.held..];
            let from = push.from + extension.held as u64;
            let records = numbered(from, fresh, &extension.leaves);
            let store = &hub.store;
            store
                .grow_branch(
                    scope,
                    station,
                    branch,
                    &records,
                    (&extension.frontier, checkpoint),
                    &changes_of(fresh),
                )
                .await?;
            Ok(Some(Kept { at: branch.at, size: extension.frontier.size() }))
        }
        Place::Of { branch, verdict: _ } => {
            Ok(Some(Kept { at: held[branch].at, size: held[branch].size }))
        }
        Place::Parts { branch, from_branch } => {
            let other = from_branch.map(|index| &held[index]);
            let at = other.map_or(branch.at, |other| other.at);
            let own = &push.records[branch.shared..];
            let records = numbered(branch.at, own, &branch.leaves);
            let new = NewBranch {
                at,
                parted_from: other.map(|other| (other, branch.at)),
                records: &records,
                frontier: &branch.frontier,
                checkpoint,
                units: &changes_of(own),
            };
            tracing::error!(
                tenant = %scope.name(), station = %station.name, %epoch, at,
                "journal forked; both branches kept, grants stopped"
            );
            hub.store.keep_branch(scope, station, epoch, &new, hub.now_ms()).await?;
            hub.announce_change();
            Ok(Some(Kept { at, size: branch.frontier.size() }))
        }
    }
}

fn place(
    origin: &Origin,
    key: &[u8; 32],
    first: &[Hash],
    held: &[HeldBranch],
    push: &JournalPush,
    signed: &SignedCheckpoint,
) -> Result<Place, audit::AppendError> {
    let lines: Vec<Vec<Hash>> = held.iter().map(|branch| line_of(first, branch)).collect();
    for (index, (branch, line)) in held.iter().zip(&lines).enumerate() {
        let from = usize::try_from(push.from).unwrap_or(usize::MAX);
        let after = line.get(from..).unwrap_or_default();
        let verdict =
            verify_append(origin, key, &branch.frontier, after, push.from, &push.records, signed)?;
        // What agrees with a branch only before the place where it parts says nothing of it.
        let reaches = push.from + push.records.len() as u64 > branch.at;
        if reaches && matches!(verdict, Append::Extends(_) | Append::AlreadyHave) {
            return Ok(Place::Of { branch: index, verdict });
        }
    }
    let mut best = verify_branch(origin, key, first, push.from, &push.records, signed)?
        .map(|branch| (branch, None));
    for (index, (parent, line)) in held.iter().zip(&lines).enumerate() {
        let parted = verify_branch(origin, key, line, push.from, &push.records, signed)?;
        if let Some(parted) = parted
            && parted.at > parent.at
            && best.as_ref().is_none_or(|(branch, _)| branch.at < parted.at)
        {
            best = Some((parted, Some(index)));
        }
    }
    Ok(match best {
        Some((branch, from_branch)) => Place::Parts { branch, from_branch },
        None => Place::Unproven,
    })
}

/// The leaf hashes of a branch from place 0 on.
fn line_of(first: &[Hash], branch: &HeldBranch) -> Vec<Hash> {
    let shared = usize::try_from(branch.at).unwrap_or(usize::MAX).min(first.len());
    [&first[..shared], &branch.leaves].concat()
}
