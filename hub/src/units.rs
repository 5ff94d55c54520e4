//! What a verified record says about a unit.

use audit::{Event, HexBytes, Record};

use crate::store::{UnitChange, UnitKey};

/// The change a record makes, if it is about a unit. A record of a kind that this program does not
/// know is kept like every other and changes nothing here.
pub(crate) fn change_of(record: &[u8]) -> Option<UnitChange> {
    let Record { at_ms, event, .. } = Record::decode(record).ok()?;
    let key = |product: String, family: String, uid: &HexBytes| UnitKey {
        product,
        family,
        uid: shown(uid),
    };
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "Event is non_exhaustive: later kinds of records must not stop an older hub"
    )]
    match event {
        Event::Reserved { order, product, family, uid, code, .. }
        | Event::Adopted { order, product, family, uid, code, .. } => {
            Some(UnitChange::InWork { unit: key(product, family, &uid), code, order, at_ms })
        }
        // A unit without a unique id is in its journal only: nothing tells it from the next one.
        Event::Passed { order, product, family, uid: Some(uid), code, release, .. } => {
            Some(UnitChange::Passed {
                unit: key(product, family, &uid),
                code,
                order,
                release: hex::encode(release.0),
                at_ms,
            })
        }
        Event::SeenBefore { uid, code, .. } => {
            Some(UnitChange::SeenBefore { uid: shown(&uid), code, at_ms })
        }
        Event::Failed { uid: Some(uid), .. } => {
            Some(UnitChange::Failed { uid: shown(&uid), at_ms })
        }
        _ => None,
    }
}

fn shown(uid: &HexBytes) -> String {
    hex::encode_upper(&uid.0)
}
