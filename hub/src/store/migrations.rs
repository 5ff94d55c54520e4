//! The store's forms, oldest first. Each is applied once, in its own transaction; none is ever
//! edited after a release, and there is no way back.
//!
//! Written in the SQL that SQLite and PostgreSQL share, except for what [`IDENTITY`] and [`BYTES`]
//! stand for.

use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, Statement, TransactionTrait,
};

use super::StoreError;

/// Replaced by the backend's word for a counted primary key.
const IDENTITY: &str = "$IDENTITY";
/// Replaced by the backend's word for bytes.
const BYTES: &str = "$BYTES";

const MIGRATIONS: &[(&str, &[&str])] =
    &[("0001_first_form", FIRST_FORM), ("0005_branches_epochs_recovery", BRANCHES_EPOCHS_RECOVERY)];

const BRANCHES_EPOCHS_RECOVERY: &[&str] = &[
    // Other histories of a journal, each from the first place where it differs from the journal
    // that was there first. A record is known by (station, epoch, seq, leaf).
    "CREATE TABLE journal_branches (id $IDENTITY,
        tenant_id BIGINT NOT NULL REFERENCES tenants(id),
        station_id BIGINT NOT NULL REFERENCES stations(id), epoch BIGINT NOT NULL,
        at_seq BIGINT NOT NULL, size BIGINT NOT NULL, frontier $BYTES NOT NULL,
        checkpoint TEXT NOT NULL, received_ms BIGINT NOT NULL)",
    "CREATE INDEX branches_by_journal ON journal_branches (station_id, epoch)",
    "CREATE TABLE branch_records (id $IDENTITY,
        tenant_id BIGINT NOT NULL REFERENCES tenants(id),
        branch_id BIGINT NOT NULL REFERENCES journal_branches(id), seq BIGINT NOT NULL,
        leaf $BYTES NOT NULL, text TEXT NOT NULL, UNIQUE (branch_id, seq))",
    // Held the records of branches without saying of which; no program that wrote it was released.
    "DROP TABLE journal_forks",
    "ALTER TABLE stations ADD COLUMN quarantined BOOLEAN NOT NULL DEFAULT FALSE",
    "ALTER TABLE stations ADD COLUMN epoch_opened BIGINT NOT NULL DEFAULT 1",
    // The signed instruction to begin `epoch_opened`, until its first record arrived.
    "ALTER TABLE stations ADD COLUMN epoch_document $BYTES",
    // Since when a hub that was set back is recovering, who has reported to it since, and up to
    // where it had cosigned their journals.
    "ALTER TABLE tenants ADD COLUMN recovering_ms BIGINT",
    "ALTER TABLE stations ADD COLUMN reported_ms BIGINT",
    "ALTER TABLE stations ADD COLUMN owed_epoch BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE stations ADD COLUMN owed_size BIGINT NOT NULL DEFAULT 0",
];

const FIRST_FORM: &[&str] = &[
    // Values of the hub itself: its CA's certificate and sealed key, its server names.
    "CREATE TABLE hub_values (id $IDENTITY, name TEXT NOT NULL UNIQUE, bytes $BYTES NOT NULL)",
    "CREATE TABLE tenants (id $IDENTITY, name TEXT NOT NULL UNIQUE, root_json $BYTES,
            created_ms BIGINT NOT NULL, freshened_ms BIGINT NOT NULL)",
    // Private keys, sealed by the vault; never plain.
    "CREATE TABLE tenant_keys (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
            name TEXT NOT NULL, sealed $BYTES NOT NULL, UNIQUE (tenant_id, name))",
    "CREATE TABLE tokens (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
            sha256 $BYTES NOT NULL UNIQUE, label TEXT NOT NULL, created_ms BIGINT NOT NULL)",
    "CREATE TABLE enrolment_codes (id $IDENTITY,
            tenant_id BIGINT NOT NULL REFERENCES tenants(id), secret_sha256 $BYTES NOT NULL UNIQUE,
            station TEXT NOT NULL, line TEXT NOT NULL, expires_ms BIGINT NOT NULL, used_ms BIGINT)",
    "CREATE TABLE stations (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
            name TEXT NOT NULL, line TEXT NOT NULL, journal_key $BYTES NOT NULL,
            hpke_key $BYTES NOT NULL, key_protection TEXT NOT NULL, enrolled_ms BIGINT NOT NULL,
            last_contact_ms BIGINT, revoked_ms BIGINT, forked BOOLEAN NOT NULL,
            lease_version BIGINT NOT NULL, lease $BYTES, lease_terms_sha256 $BYTES,
            lease_renew_ms BIGINT NOT NULL, UNIQUE (tenant_id, name))",
    "CREATE TABLE certificates (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
            station_id BIGINT NOT NULL REFERENCES stations(id), sha256 $BYTES NOT NULL UNIQUE,
            not_after_ms BIGINT NOT NULL)",
    "CREATE TABLE documents (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
            name TEXT NOT NULL, sha256 $BYTES NOT NULL, bytes $BYTES NOT NULL,
            UNIQUE (tenant_id, name))",
    "CREATE TABLE releases (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
            product TEXT NOT NULL, version TEXT NOT NULL, manifest_sha256 $BYTES NOT NULL,
            hub_wrap $BYTES NOT NULL, summary TEXT NOT NULL, published_ms BIGINT NOT NULL,
            UNIQUE (tenant_id, manifest_sha256), UNIQUE (tenant_id, product, version))",
    "CREATE TABLE release_chunks (id $IDENTITY,
            tenant_id BIGINT NOT NULL REFERENCES tenants(id),
            release_id BIGINT NOT NULL REFERENCES releases(id), sha256 $BYTES NOT NULL,
            UNIQUE (tenant_id, sha256, release_id))",
    "CREATE TABLE work_orders (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
            number TEXT NOT NULL, product TEXT NOT NULL,
            release_id BIGINT NOT NULL REFERENCES releases(id), quantity BIGINT NOT NULL,
            closed BOOLEAN NOT NULL, created_ms BIGINT NOT NULL, UNIQUE (tenant_id, number))",
    "CREATE TABLE portions (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
            station_id BIGINT NOT NULL REFERENCES stations(id),
            order_id BIGINT NOT NULL REFERENCES work_orders(id), channel TEXT NOT NULL,
            quantity BIGINT NOT NULL, certificate $BYTES, index_from BIGINT NOT NULL,
            index_to BIGINT NOT NULL, granted_ms BIGINT NOT NULL, UNIQUE (station_id, order_id))",
    "CREATE TABLE journals (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
            station_id BIGINT NOT NULL REFERENCES stations(id), epoch BIGINT NOT NULL,
            size BIGINT NOT NULL, frontier $BYTES NOT NULL, cosigned TEXT NOT NULL,
            UNIQUE (station_id, epoch))",
    "CREATE TABLE journal_records (id $IDENTITY,
            tenant_id BIGINT NOT NULL REFERENCES tenants(id),
            station_id BIGINT NOT NULL REFERENCES stations(id), epoch BIGINT NOT NULL,
            seq BIGINT NOT NULL, leaf $BYTES NOT NULL, text TEXT NOT NULL,
            UNIQUE (station_id, epoch, seq))",
    // The other branch of a journal: every record that claimed a number already taken, and
    // those that came after it.
    "CREATE TABLE journal_forks (id $IDENTITY,
            tenant_id BIGINT NOT NULL REFERENCES tenants(id),
            station_id BIGINT NOT NULL REFERENCES stations(id), epoch BIGINT NOT NULL,
            seq BIGINT NOT NULL, leaf $BYTES NOT NULL, text TEXT NOT NULL,
            checkpoint TEXT NOT NULL, received_ms BIGINT NOT NULL,
            UNIQUE (station_id, epoch, seq, leaf))",
    // What the verified records say about each unit; can be built again from them.
    "CREATE TABLE units (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
            product TEXT NOT NULL, family TEXT NOT NULL, uid TEXT NOT NULL, code TEXT,
            station TEXT NOT NULL, work_order TEXT, release TEXT, first_passed_ms BIGINT,
            last_seen_ms BIGINT NOT NULL, state TEXT NOT NULL, seen_before_count BIGINT NOT NULL,
            passed_count BIGINT NOT NULL, failed_count BIGINT NOT NULL,
            UNIQUE (tenant_id, product, family, uid))",
    "CREATE INDEX units_by_uid ON units (tenant_id, uid)",
    // The hub's own log of a tenant: who changed what, in the transaction of the change.
    "CREATE TABLE log_heads (id $IDENTITY,
            tenant_id BIGINT NOT NULL UNIQUE REFERENCES tenants(id), size BIGINT NOT NULL,
            frontier $BYTES NOT NULL)",
    "CREATE TABLE log_records (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
            seq BIGINT NOT NULL, text TEXT NOT NULL, UNIQUE (tenant_id, seq))",
];

/// The newest form this program knows.
pub(crate) const SCHEMA: u32 = MIGRATIONS.len() as u32;

/// Brings the store to [`SCHEMA`], or refuses one that is newer.
pub(super) async fn migrate(db: &DatabaseConnection) -> Result<(), StoreError> {
    db.execute_unprepared(
        "CREATE TABLE IF NOT EXISTS hub_schema (version BIGINT NOT NULL, name TEXT NOT NULL)",
    )
    .await?;
    let found = version(db).await?;
    if found > SCHEMA {
        return Err(StoreError::Newer { found, known: SCHEMA });
    }
    for (index, (name, statements)) in MIGRATIONS.iter().enumerate().skip(found as usize) {
        let transaction = db.begin().await?;
        apply(&transaction, statements).await?;
        transaction
            .execute_unprepared(&format!(
                "INSERT INTO hub_schema (version, name) VALUES ({}, '{name}')",
                index + 1
            ))
            .await?;
        transaction.commit().await?;
    }
    Ok(())
}

async fn apply(transaction: &DatabaseTransaction, statements: &[&str]) -> Result<(), StoreError> {
    for statement in statements {
        let statement =
            statement.replace(IDENTITY, "INTEGER PRIMARY KEY AUTOINCREMENT").replace(BYTES, "BLOB");
        transaction.execute_unprepared(&statement).await?;
    }
    Ok(())
}

async fn version(db: &DatabaseConnection) -> Result<u32, StoreError> {
    let row = db
        .query_one_raw(Statement::from_string(
            db.get_database_backend(),
            "SELECT COALESCE(MAX(version), 0) AS version FROM hub_schema",
        ))
        .await?;
    let version: i64 = match row {
        Some(row) => row.try_get("", "version")?,
        None => 0,
    };
    u32::try_from(version).map_err(|_| StoreError::Damaged { what: "the schema's version" })
}
