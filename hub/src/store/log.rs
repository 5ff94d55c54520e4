//! The hub's own log of a tenant: an RFC 6962 Merkle log of who changed what.
//!
//! Owns appending, in the transaction of the change, and reading. The head is signed when somebody
//! asks for it: what is signed is always what is on disk. Records have the form of a station's
//! journal (`audit/FORMAT.md`), so that the same program checks both.

use audit::{Event, Frontier, Record};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::entities::{log_head, log_record};
use super::{Store, StoreError, TenantScope, column};

/// The log's only epoch.
pub(crate) const LOG_EPOCH: u32 = 1;

/// Longest description of a change, in bytes; far below what a record may hold.
const WORDS_BYTES_MAX: usize = 2048;

/// A page of the log, with the whole log's state at the same moment.
pub(crate) struct LogPage {
    pub(crate) frontier: Frontier,
    pub(crate) records: Vec<String>,
}

fn frontier_of(bytes: &[u8]) -> Result<Frontier, StoreError> {
    Frontier::from_bytes(bytes).map_err(|_| StoreError::Damaged { what: "the log's frontier" })
}

/// Appends who changed what, in the transaction of the change.
pub(super) async fn note_change(
    transaction: &DatabaseTransaction,
    scope: &TenantScope,
    at_ms: i64,
    who: &str,
    what: String,
) -> Result<(), StoreError> {
    let head = log_head::Entity::find()
        .filter(log_head::Column::TenantId.eq(scope.id()))
        .one(transaction)
        .await?;
    let mut frontier = match &head {
        Some(head) => frontier_of(&head.frontier)?,
        None => Frontier::new(),
    };
    let event = Event::HubChanged { who: words(who), what: words(&what) };
    let record = Record { epoch: LOG_EPOCH, seq: frontier.size(), at_ms, event };
    let text = record.encode().ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or(StoreError::Damaged { what: "a change to be logged" })?;
    let row = log_record::ActiveModel {
        tenant_id: Set(scope.id()),
        seq: Set(column(frontier.size())),
        text: Set(text.clone()),
        ..Default::default()
    };
    log_record::Entity::insert(row).exec(transaction).await?;
    frontier.append(text.as_bytes());
    if head.is_some() {
        log_head::Entity::update_many()
            .col_expr(log_head::Column::Size, Expr::value(column(frontier.size())))
            .col_expr(log_head::Column::Frontier, Expr::value(frontier.to_bytes()))
            .filter(log_head::Column::TenantId.eq(scope.id()))
            .exec(transaction)
            .await?;
    } else {
        let row = log_head::ActiveModel {
            tenant_id: Set(scope.id()),
            size: Set(column(frontier.size())),
            frontier: Set(frontier.to_bytes()),
            ..Default::default()
        };
        log_head::Entity::insert(row).exec(transaction).await?;
    }
    Ok(())
}

/// A text as a record may hold it: no control characters, not too long.
fn words(text: &str) -> String {
    let mut words: String =
        text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    while words.len() > WORDS_BYTES_MAX {
        words.pop();
    }
    words
}

impl Store {
    /// Records of the tenant's log from `from` on, at most `limit`.
    pub(crate) async fn log(
        &self,
        scope: &TenantScope,
        from: u64,
        limit: u64,
    ) -> Result<LogPage, StoreError> {
        // One writer: what the head says cannot outrun the records that are read after it.
        let head = log_head::Entity::find()
            .filter(log_head::Column::TenantId.eq(scope.id()))
            .one(&self.db)
            .await?;
        let frontier = match head {
            Some(head) => frontier_of(&head.frontier)?,
            None => Frontier::new(),
        };
        let records = log_record::Entity::find()
            .select_only()
            .column(log_record::Column::Text)
            .filter(log_record::Column::TenantId.eq(scope.id()))
            .filter(log_record::Column::Seq.gte(column(from)))
            .filter(log_record::Column::Seq.lt(column(frontier.size())))
            .order_by_asc(log_record::Column::Seq)
            .limit(limit)
            .into_tuple()
            .all(&self.db)
            .await?;
        Ok(LogPage { frontier, records })
    }
}
