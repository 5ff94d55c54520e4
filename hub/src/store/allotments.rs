//! Whether stations spend only what was lent to them.
//!
//! The hub holds no product key and cannot tell a forged certificate (the station and the chip can).
//! It knows which allotments it handed out: a record that spends another one, or more of one than
//! its quota, is shown to people.

use std::collections::{BTreeMap, BTreeSet};

use activation::AllotmentCertificate;
use activation::books::Fact;
use audit::Digest;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QuerySelect};

use super::entities::{pool_share, portion, station};
use super::register::{Impossible, NewFact};
use super::{StoreError, TenantScope, stations::StationRow};

/// What a station calls its own count of codes of mode *hmac-sha256*, for which nothing is lent.
const MAC_DOMAIN: &[u8] = b"flashline mac allotment v1\n";

/// The kind of conflict in which a code is of an allotment that nobody has.
const UNLENT: &str = "allotment-not-lent";

/// What was lent of some allotments: by name, the certificates.
type Lent = BTreeMap<[u8; 16], AllotmentCertificate>;

/// What these facts spend that was not lent.
pub(super) async fn unlent(
    transaction: &DatabaseTransaction,
    scope: &TenantScope,
    station: &StationRow,
    facts: &[NewFact],
) -> Result<Vec<Impossible>, StoreError> {
    let mut wanted: BTreeSet<[u8; 16]> = facts.iter().filter_map(allotment_of).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut lent = Lent::new();
    let of_station = portion::Column::StationId.eq(station.id);
    take(&mut lent, &mut wanted, portions(transaction, scope, Some(of_station)).await?);
    if !wanted.is_empty() {
        let names = wanted.iter().map(|name| name.to_vec());
        let shares: Vec<Vec<u8>> = pool_share::Entity::find()
            .select_only()
            .column(pool_share::Column::Certificate)
            .filter(pool_share::Column::TenantId.eq(scope.id()))
            .filter(pool_share::Column::Allotment.is_in(names))
            .into_tuple()
            .all(transaction)
            .await?;
        take(&mut lent, &mut wanted, shares);
    }
    if !wanted.is_empty() {
        // A block that another station made is adopted.
        take(&mut lent, &mut wanted, portions(transaction, scope, None).await?);
    }
    let mut counted = BTreeSet::new();
    if !wanted.is_empty() {
        let keys: Vec<Vec<u8>> = station::Entity::find()
            .select_only()
            .column(station::Column::JournalKey)
            .filter(station::Column::TenantId.eq(scope.id()))
            .into_tuple()
            .all(transaction)
            .await?;
        let products: BTreeSet<&str> = facts.iter().map(|new| new.product.as_str()).collect();
        for key in &keys {
            counted.extend(products.iter().map(|product| mac_allotment(key, product)));
        }
    }
    Ok(facts.iter().filter_map(|new| judge(new, &lent, &counted)).collect())
}

fn allotment_of(new: &NewFact) -> Option<[u8; 16]> {
    match &new.fact {
        Fact::Activated { activation, .. } => Some(activation.allotment),
        Fact::Passed { .. } | Fact::Scrapped { .. } | Fact::ChipReplaced { .. } => None,
    }
}

fn judge(new: &NewFact, lent: &Lent, counted: &BTreeSet<[u8; 16]>) -> Option<Impossible> {
    let Fact::Activated { chip, activation, .. } = &new.fact else { return None };
    let name = hex::encode(activation.allotment);
    let (kind, detail) = match lent.get(&activation.allotment) {
        Some(certificate) if !certificate.names_product(&new.product) => (
            UNLENT,
            format!("codes of allotment {name} were given out, which is of another product"),
        ),
        Some(certificate) if activation.index >= certificate.quota() => {
            let (index, quota) = (activation.index, certificate.quota());
            let detail =
                format!("{chip} has index {index} of allotment {name}: its quota is {quota}");
            ("index-beyond-quota", detail)
        }
        None if !counted.contains(&activation.allotment) => (
            UNLENT,
            format!("codes of allotment {name} were given out, which nobody here was lent"),
        ),
        Some(_) | None => return None,
    };
    let (family, uid) = (chip.family.clone(), hex::encode_upper(&chip.uid));
    Some(Impossible { kind, product: new.product.clone(), family, uid, detail })
}

fn take(lent: &mut Lent, wanted: &mut BTreeSet<[u8; 16]>, certificates: Vec<Vec<u8>>) {
    for bytes in certificates {
        let Ok(certificate) = AllotmentCertificate::from_bytes(&bytes) else { continue };
        let name = certificate.allotment();
        if wanted.remove(&name) {
            lent.insert(name, certificate);
        }
    }
}

async fn portions(
    transaction: &DatabaseTransaction,
    scope: &TenantScope,
    only: Option<sea_orm::sea_query::Expr>,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut question = portion::Entity::find()
        .select_only()
        .column(portion::Column::Certificate)
        .filter(portion::Column::TenantId.eq(scope.id()))
        .filter(portion::Column::Certificate.is_not_null());
    if let Some(only) = only {
        question = question.filter(only);
    }
    Ok(question.into_tuple().all(transaction).await?)
}

fn mac_allotment(journal_key: &[u8], product: &str) -> [u8; 16] {
    let text = [MAC_DOMAIN, journal_key, product.as_bytes()].concat();
    let mut name = [0; 16];
    name.iter_mut().zip(Digest::of(&text).0).for_each(|(to, from)| *to = from);
    name
}
