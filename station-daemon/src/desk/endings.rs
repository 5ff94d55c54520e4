//! The ends of visits among the records, for the lead's figures.

use audit::{Event, HexBytes};

use super::Desk;
use crate::figures::Ending;
use crate::store::EndedVisit;

impl Desk {
    /// What the records say of visits that end with them.
    pub(super) fn ended(&self, events: &[Event], now_ms: i64) -> Vec<EndedVisit> {
        events.iter().filter_map(|event| self.ending(event, now_ms)).collect()
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "three of many records end a visit")]
    fn ending(&self, event: &Event, now_ms: i64) -> Option<EndedVisit> {
        match event {
            Event::Passed { slot, visit, order, uid, code, took_ms, .. } => Some(EndedVisit {
                order_number: Some(order.clone()),
                code: Some(code.clone()).filter(|code| !code.is_empty()),
                took_ms: u32::try_from(*took_ms).unwrap_or(u32::MAX),
                ..self.common(*slot, visit, uid.as_ref(), Ending::Pass, now_ms)
            }),
            Event::SeenBefore { slot, visit, uid, code, .. } => Some(EndedVisit {
                code: Some(code.clone()),
                ..self.common(*slot, visit, Some(uid), Ending::SeenBefore, now_ms)
            }),
            Event::Failed { slot, visit, uid, trouble, step, .. } => Some(EndedVisit {
                trouble: Some(trouble.clone()),
                step: word_of(step),
                ..self.common(*slot, visit, uid.as_ref(), Ending::Fail, now_ms)
            }),
            _ => None,
        }
    }

    fn common(
        &self,
        slot: u32,
        visit: &str,
        uid: Option<&HexBytes>,
        ending: Ending,
        now_ms: i64,
    ) -> EndedVisit {
        // A visit that an earlier run of this program began is not open here.
        let open = self.visits.get(&slot).filter(|open| open.id == visit);
        let portion = open.and_then(|open| open.portion.as_ref());
        let took = open.map(|open| open.begun.elapsed().as_millis()).unwrap_or_default();
        EndedVisit {
            at_ms: now_ms,
            order_number: portion.map(|portion| portion.order.clone()),
            slot,
            visit: visit.to_owned(),
            unit: uid.map(|uid| hex::encode_upper(&uid.0)),
            ending,
            trouble: None,
            step: None,
            code: open.and_then(|open| open.code.clone()),
            took_ms: u32::try_from(took).unwrap_or(u32::MAX),
        }
    }
}

/// A step's word in the records.
fn word_of(step: &audit::Step) -> Option<String> {
    serde_json::to_value(step).ok()?.as_str().map(str::to_owned)
}
