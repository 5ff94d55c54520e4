//! What a verified record says about a unit.

use activation::Chip;
use activation::books::{Activation, Fact};
use audit::{Event, HexBytes, Record};

use crate::store::{NewFact, Returned, UnitChange, UnitKey};

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

/// What a record of the station with this key says for the register, if it says something.
pub(crate) fn fact_of(record: &[u8], station: [u8; 32]) -> Option<NewFact> {
    let Record { at_ms, event, .. } = Record::decode(record).ok()?;
    let chip = |family: &str, uid: &HexBytes| Chip::new(family, &uid.0).ok();
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "Event is non_exhaustive: later kinds of records must not stop an older hub"
    )]
    let (product, fact, operator) = match event {
        Event::Reserved { product, family, uid, code, allotment, index, .. }
        | Event::Adopted { product, family, uid, code, allotment, index, .. } => {
            let allotment = allotment.0.try_into().ok()?;
            let activation = Activation { code, allotment, index };
            (product, Fact::Activated { station, chip: chip(&family, &uid)?, activation }, None)
        }
        Event::Passed { product, family, uid: Some(uid), .. } => {
            (product, Fact::Passed { station, chip: chip(&family, &uid)? }, None)
        }
        Event::Scrapped { product, family, uid, operator } => {
            let (station, chip) = (Some(station), chip(&family, &uid)?);
            (product, Fact::Scrapped { station, chip }, Some(operator))
        }
        Event::ChipReplaced {
            product,
            serial,
            old_family,
            old_uid,
            new_family,
            new_uid,
            operator,
        } => {
            let (old, new) = (chip(&old_family, &old_uid)?, chip(&new_family, &new_uid)?);
            let station = Some(station);
            (product, Fact::ChipReplaced { station, serial, old, new }, Some(operator))
        }
        _ => return None,
    };
    Some(NewFact { product, fact, operator, at_ms })
}

/// What a record gives back of a portion, if it gives something back.
pub(crate) fn returned_by(record: &[u8]) -> Option<Returned> {
    let Record { event, .. } = Record::decode(record).ok()?;
    let Event::PortionReturned { order, passed, allotment, unused_from, unused_to } = event else {
        return None;
    };
    let allotment = allotment.map(|name| name.0);
    Some(Returned { order, passed, allotment, unused: unused_from..unused_to })
}

fn shown(uid: &HexBytes) -> String {
    hex::encode_upper(&uid.0)
}
