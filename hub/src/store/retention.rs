//! How long the text of stations' records is kept.
//!
//! Promise: what is let go leaves its hash, so that every head and proof stays what it is; nothing
//! younger than what is configured goes, no reservation (it says which index is spent), no branch,
//! and what went stands in the hub's log.

use audit::Envelope;
use protocol::Epoch;
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::entities::{journal, record, station};
use super::{Store, StoreError, TenantScope, column, count, note_change};

/// Records looked at together.
const PAGE: u64 = 1000;
/// The text of every record of a reservation, as a pattern.
const RESERVED: &str = "%\"event\":\"reserved\"%";

impl Store {
    /// Lets go the text of records that were written before `before_ms`; how many.
    pub(crate) async fn let_records_go(
        &self,
        scope: &TenantScope,
        before_ms: i64,
        days: u32,
        now_ms: i64,
    ) -> Result<u64, StoreError> {
        let journals = journal::Entity::find()
            .filter(journal::Column::TenantId.eq(scope.id()))
            .all(&self.db)
            .await?;
        let mut gone = 0;
        for journal in journals {
            let to = self.first_since(scope, &journal, before_ms).await?;
            let writing = self.write().await?;
            let transaction = &writing.transaction;
            let done = record::Entity::update_many()
                .col_expr(record::Column::Text, Expr::value(""))
                .filter(record::Column::TenantId.eq(scope.id()))
                .filter(record::Column::StationId.eq(journal.station_id))
                .filter(record::Column::Epoch.eq(journal.epoch))
                .filter(record::Column::Seq.lt(column(to)))
                .filter(record::Column::Text.ne(""))
                .filter(record::Column::Text.not_like(RESERVED))
                .exec(transaction)
                .await?;
            if done.rows_affected == 0 {
                continue;
            }
            let name = station::Entity::find_by_id(journal.station_id)
                .filter(station::Column::TenantId.eq(scope.id()))
                .one(transaction)
                .await?
                .ok_or(StoreError::Damaged { what: "a journal's station" })?
                .name;
            let epoch = Epoch(count(journal.epoch, "a journal's epoch")?);
            let what = format!(
                "{} records before {to} of journal {epoch} of station {name} let go after {days} days",
                done.rows_affected
            );
            note_change(transaction, scope, now_ms, "hub", what).await?;
            writing.commit().await?;
            gone += done.rows_affected;
        }
        Ok(gone)
    }

    /// The first record of a journal that was written at or after `since_ms`, by its own word; its
    /// size when there is none.
    async fn first_since(
        &self,
        scope: &TenantScope,
        journal: &journal::Model,
        since_ms: i64,
    ) -> Result<u64, StoreError> {
        let mut from = 0_i64;
        loop {
            let page: Vec<(i64, String)> = record::Entity::find()
                .select_only()
                .column(record::Column::Seq)
                .column(record::Column::Text)
                .filter(record::Column::TenantId.eq(scope.id()))
                .filter(record::Column::StationId.eq(journal.station_id))
                .filter(record::Column::Epoch.eq(journal.epoch))
                .filter(record::Column::Seq.gte(from))
                .filter(record::Column::Text.ne(""))
                .order_by_asc(record::Column::Seq)
                .limit(PAGE)
                .into_tuple()
                .all(&self.db)
                .await?;
            let Some((last, _)) = page.last() else {
                return count(journal.size, "a journal's size");
            };
            from = last + 1;
            for (seq, text) in page {
                let envelope = Envelope::read(text.as_bytes())
                    .map_err(|_| StoreError::Damaged { what: "a record" })?;
                if envelope.at_ms >= since_ms {
                    return count(seq, "a record's place");
                }
            }
        }
    }
}
