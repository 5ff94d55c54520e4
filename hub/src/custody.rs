//! What a station is handed beside releases and leases: its shares of pools, its products' secrets,
//! the units that are void.

use std::collections::BTreeSet;

use protocol::{DocumentName, VoidsStatement};

use crate::hub::Hub;
use crate::pools;
use crate::refusal::Refusal;
use crate::store::{StationRow, TenantScope};

/// The documents with their bytes. A station to which grants are stopped gets no new secrets.
pub(crate) async fn documents(
    hub: &Hub,
    scope: &TenantScope,
    station: &StationRow,
) -> Result<Vec<(DocumentName, Vec<u8>)>, Refusal> {
    let mut documents = Vec::new();
    let (version, units) = hub.store.voids(scope).await?;
    if !units.is_empty() {
        let voids = VoidsStatement { v: 1, tenant: scope.name().clone(), version, units };
        let bytes = pools::signed(hub, scope, VoidsStatement::KIND, &voids).await?;
        documents.push((DocumentName::Voids, bytes));
    }
    for (pool, share) in hub.store.shares_of_station(scope, station).await? {
        // What came back whole is the station's no longer.
        let left = share.numbers.count() - share.given_back.count();
        if left == 0 || (station.forked && share.statement.is_none()) {
            continue;
        }
        let bytes = pools::statement(hub, scope, station, &pool, &share).await?;
        documents.push((DocumentName::Credentials(share.certificate.allotment()), bytes));
    }
    let portions = hub.store.portions(scope, station).await?;
    let products: BTreeSet<_> = portions.into_iter().map(|portion| portion.order.product).collect();
    for product in products {
        if station.forked {
            break;
        }
        if let Some(bytes) = pools::mac_statement(hub, scope, station, &product).await? {
            documents.push((DocumentName::MacSecret(product), bytes));
        }
    }
    Ok(documents)
}
