//! How long acknowledged records stay.
//!
//! Owns the moment. A record that is let go leaves its hash behind, so that the journal's head, its
//! proofs and its comparison at the next start stay what they are.
//!
//! Promise: nothing goes before the hub has it, nothing younger than what is configured, and what
//! went is itself a record.

use audit::Event;

use super::Desk;
use super::quarantine::sent;
use crate::store::StoreError;
use crate::trouble::chain;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;
/// How often the desk looks for records to let go, in station time.
const LOOK_MS: i64 = 60 * 60 * 1000;

/// What is configured, and when it was last looked at.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Retention {
    /// Days that an acknowledged record stays; none: for ever.
    days: Option<u32>,
    looked_ms: Option<i64>,
}

impl Desk {
    /// Keeps acknowledged records for so many days; none: for ever, which is how a desk begins.
    pub fn keep_records_for(&mut self, days: Option<u32>) {
        self.retention = Retention { days, looked_ms: None };
    }

    /// Lets go what is acknowledged and old enough, once an hour.
    pub(super) fn let_old_records_go(&mut self) {
        let now_ms = self.now_ms();
        let Some(days) = self.retention.days else { return };
        if self.retention.looked_ms.is_some_and(|last| (last..last + LOOK_MS).contains(&now_ms)) {
            return;
        }
        self.retention.looked_ms = Some(now_ms);
        // In quarantine the records are evidence.
        if self.enrolled.is_none() || self.stopped().is_some() {
            return;
        }
        let before_ms = now_ms.saturating_sub(i64::from(days) * DAY_MS);
        let found = self.store.read(|commit| {
            let mut found = Vec::new();
            for (epoch, size) in commit.own_heads()? {
                let acknowledged = sent(commit, epoch)?.min(size);
                let from = commit.first_kept(epoch)?.unwrap_or(acknowledged);
                let to = commit.first_since(epoch, before_ms)?.unwrap_or(size).min(acknowledged);
                if from < to {
                    found.push((epoch, from, to));
                }
            }
            Ok::<_, StoreError>(found)
        });
        let found = match found {
            Ok(found) if found.is_empty() => return,
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(error = %chain(&error), "old records were not looked for");
                return;
            }
        };
        let gone = |(epoch, from, to)| Event::RecordsLetGo { of_epoch: epoch, from, to, days };
        let events = found.iter().copied().map(gone).collect();
        let done = self.record(events, |commit| {
            found.iter().try_for_each(|(epoch, from, to)| commit.let_records_go(*epoch, *from, *to))
        });
        if let Err(code) = done {
            tracing::warn!(code = code.text(), "old records were not let go");
        }
    }
}
