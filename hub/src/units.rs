//! What a verified record says about a unit.

use activation::Chip;
use activation::books::{Activation, Fact};
use audit::{Event, HexBytes, Record};
use protocol::{OrderNumber, ProductName};

use crate::store::{Impossible, NewFact, Returned, UnitChange, UnitKey};

/// Stands where a record names no product that there can be.
const NO_PRODUCT: &str = "no-product";
/// Longest family or UID, in bytes, that is shown of a record that names no chip there can be.
const SHOWN_BYTES_MAX: usize = 32;

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
        | Event::Adopted { order, product, family, uid, code, .. }
            if named(&product, &order) =>
        {
            Some(UnitChange::InWork { unit: key(product, family, &uid), code, order, at_ms })
        }
        // A unit without a unique id is in its journal only: nothing tells it from the next one.
        Event::Passed { order, product, family, uid: Some(uid), code, release, .. }
            if named(&product, &order) =>
        {
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

/// Whether a record names a product and an order that there can be. [`fact_of`] shows one that does
/// not.
fn named(product: &str, order: &str) -> bool {
    product.parse::<ProductName>().is_ok() && order.parse::<OrderNumber>().is_ok()
}

/// What a record of the station with this key says for the register, if it says something.
///
/// # Errors
/// [`Impossible`], to be shown to people, for a verified record about something that there cannot
/// be: no program of ours writes one, so the station's software or key is somebody else's.
pub(crate) fn fact_of(
    record: &[u8],
    seq: u64,
    station: [u8; 32],
) -> Result<Option<NewFact>, Impossible> {
    let Ok(Record { at_ms, event, .. }) = Record::decode(record) else { return Ok(None) };
    #[allow(
        clippy::wildcard_enum_match_arm,
        reason = "Event is non_exhaustive: later kinds of records must not stop an older hub"
    )]
    let (product, fact, operator) = match event {
        Event::Reserved { product, order, family, uid, code, allotment, index, .. }
        | Event::Adopted { product, order, family, uid, code, allotment, index, .. } => {
            let about = About { seq, product: &product, family: &family, uid: &uid };
            let chip = about.chip(Some(&order))?;
            let allotment = <[u8; 16]>::try_from(allotment.0).map_err(|bytes| {
                about.impossible(format!("an allotment's name of {} bytes", bytes.len()))
            })?;
            let activation = Activation { code, allotment, index };
            (product, Fact::Activated { station, chip, activation }, None)
        }
        Event::Passed { product, order, family, uid: Some(uid), .. } => {
            let about = About { seq, product: &product, family: &family, uid: &uid };
            let chip = about.chip(Some(&order))?;
            (product, Fact::Passed { station, chip }, None)
        }
        Event::Scrapped { product, family, uid, operator } => {
            let about = About { seq, product: &product, family: &family, uid: &uid };
            let (station, chip) = (Some(station), about.chip(None)?);
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
            let about = |family, uid| About { seq, product: &product, family, uid };
            let old = about(&old_family, &old_uid).chip(None)?;
            let new = about(&new_family, &new_uid).chip(None)?;
            let station = Some(station);
            (product, Fact::ChipReplaced { station, serial, old, new }, Some(operator))
        }
        _ => return Ok(None),
    };
    Ok(Some(NewFact { product, fact, operator, at_ms }))
}

/// What a record is about, as it says.
#[derive(Clone, Copy)]
struct About<'a> {
    seq: u64,
    product: &'a str,
    family: &'a str,
    uid: &'a HexBytes,
}

impl About<'_> {
    /// The chip, of a product and for an order that there can be.
    fn chip(self, order: Option<&str>) -> Result<Chip, Impossible> {
        if self.product.parse::<ProductName>().is_err() {
            return Err(self.impossible(format!("product {:?}", self.product)));
        }
        if let Some(order) = order.filter(|order| order.parse::<OrderNumber>().is_err()) {
            return Err(self.impossible(format!("order {order:?}")));
        }
        Chip::new(self.family, &self.uid.0).map_err(|_| {
            let bytes = self.uid.0.len();
            self.impossible(format!("a chip of family {:?} with {bytes} bytes of UID", self.family))
        })
    }

    fn impossible(self, what: String) -> Impossible {
        let product = self.product.parse::<ProductName>().is_ok();
        let uid = self.uid.0.iter().copied().take(SHOWN_BYTES_MAX).collect();
        Impossible {
            kind: "impossible-record",
            product: if product { self.product } else { NO_PRODUCT }.to_owned(),
            family: self.family.chars().take(SHOWN_BYTES_MAX).collect(),
            uid: shown(&HexBytes(uid)),
            detail: format!("record {} names {what}, which there cannot be", self.seq),
        }
    }
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
