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

const MIGRATIONS: &[(&str, &[&str])] = &[
    ("0001_first_form", FIRST_FORM),
    ("0002_custody", CUSTODY),
    ("0003_people", PEOPLE),
    ("0004_sticks", STICKS),
    ("0005_branches_epochs_recovery", BRANCHES_EPOCHS_RECOVERY),
    ("0006_key_protection", KEY_PROTECTION),
];

/// What must guard a station's keys before the tenant grants it anything.
const KEY_PROTECTION: &[&str] =
    &["ALTER TABLE tenants ADD COLUMN least_protection TEXT NOT NULL DEFAULT 'none'"];

/// Pools, secrets, and the register of units.
const CUSTODY: &[&str] = &[
    "CREATE TABLE pools (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
        product TEXT NOT NULL, schema TEXT NOT NULL, pepper $BYTES NOT NULL,
        imported BIGINT NOT NULL, few BIGINT NOT NULL, days BIGINT NOT NULL,
        UNIQUE (tenant_id, product))",
    // Public columns in the clear, secret ones sealed by the vault.
    "CREATE TABLE pool_credentials (id $IDENTITY,
        tenant_id BIGINT NOT NULL REFERENCES tenants(id),
        pool_id BIGINT NOT NULL REFERENCES pools(id), number BIGINT NOT NULL,
        body $BYTES NOT NULL, UNIQUE (pool_id, number))",
    // What was ever imported, as fingerprints under the pool's own key.
    "CREATE TABLE pool_values (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
        pool_id BIGINT NOT NULL REFERENCES pools(id), column_name TEXT NOT NULL,
        fingerprint $BYTES NOT NULL, source TEXT NOT NULL,
        UNIQUE (pool_id, column_name, fingerprint))",
    "CREATE TABLE pool_shares (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
        pool_id BIGINT NOT NULL REFERENCES pools(id),
        station_id BIGINT NOT NULL REFERENCES stations(id), allotment $BYTES NOT NULL,
        certificate $BYTES NOT NULL, numbers TEXT NOT NULL, given_back TEXT NOT NULL,
        only_family TEXT, only_uid TEXT, statement $BYTES, granted_ms BIGINT NOT NULL,
        UNIQUE (tenant_id, allotment))",
    "CREATE TABLE mac_secrets (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
        product TEXT NOT NULL, secret_sha256 $BYTES NOT NULL, sealed $BYTES NOT NULL,
        UNIQUE (tenant_id, product))",
    "CREATE TABLE mac_parcels (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
        station_id BIGINT NOT NULL REFERENCES stations(id), product TEXT NOT NULL,
        statement $BYTES NOT NULL, UNIQUE (station_id, product))",
    // What stations and administrators said about units, in the order the hub learnt it: the order
    // that "first recorded wins" means.
    "CREATE TABLE unit_facts (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
        product TEXT NOT NULL, kind TEXT NOT NULL, family TEXT NOT NULL, uid TEXT NOT NULL,
        station_key $BYTES, code TEXT, allotment $BYTES, number BIGINT, serial TEXT,
        new_family TEXT, new_uid TEXT, operator BIGINT, at_ms BIGINT NOT NULL)",
    "CREATE INDEX unit_facts_by_uid ON unit_facts (tenant_id, product, uid)",
    "CREATE INDEX unit_facts_by_new_uid ON unit_facts (tenant_id, product, new_uid)",
    "CREATE INDEX unit_facts_by_code ON unit_facts (tenant_id, product, code)",
    "CREATE INDEX unit_facts_by_number ON unit_facts (tenant_id, product, allotment, number)",
    "CREATE INDEX unit_facts_by_kind ON unit_facts (tenant_id, kind)",
    "CREATE TABLE conflicts (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
        product TEXT NOT NULL, kind TEXT NOT NULL, family TEXT NOT NULL, uid TEXT NOT NULL,
        station TEXT, detail TEXT NOT NULL, found_ms BIGINT NOT NULL)",
];

/// Other histories of journals, new epochs, and a hub that was set back.
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

/// People, their PINs, and rosters.
const PEOPLE: &[&str] = &[
    // Badge and PIN are sealed by the vault; the digest tells badges apart. Names are apart,
    // so that one can be erased while its number stays.
    "CREATE TABLE people (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
            number BIGINT NOT NULL, role TEXT NOT NULL, lines TEXT NOT NULL,
            badge $BYTES NOT NULL, badge_digest $BYTES NOT NULL, pin $BYTES,
            pin_serial BIGINT NOT NULL, ends_ms BIGINT, disabled BOOLEAN NOT NULL,
            serial BIGINT NOT NULL, changed_ms BIGINT NOT NULL, UNIQUE (tenant_id, number),
            UNIQUE (tenant_id, badge_digest))",
    "CREATE TABLE people_names (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
            number BIGINT NOT NULL, name TEXT NOT NULL, UNIQUE (tenant_id, number))",
    // Made of a PIN and a station's pepper; made again when either changes.
    "CREATE TABLE pin_verifiers (id $IDENTITY,
            tenant_id BIGINT NOT NULL REFERENCES tenants(id),
            station_id BIGINT NOT NULL REFERENCES stations(id), number BIGINT NOT NULL,
            pin_serial BIGINT NOT NULL, verifier $BYTES NOT NULL, UNIQUE (station_id, number))",
    // A station's pepper, sealed by the vault, and the last roster that was signed for it.
    "CREATE TABLE rosters (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
            station_id BIGINT NOT NULL UNIQUE REFERENCES stations(id), pepper $BYTES NOT NULL,
            version BIGINT NOT NULL, content_sha256 $BYTES, bytes $BYTES)",
];

/// Sticks, and what waits at stations.
const STICKS: &[&str] = &[
    // The newest parcel of each way, and what the station asked for in its own.
    "CREATE TABLE sticks (id $IDENTITY, tenant_id BIGINT NOT NULL REFERENCES tenants(id),
        station_id BIGINT NOT NULL UNIQUE REFERENCES stations(id),
        read_number BIGINT NOT NULL, written_number BIGINT NOT NULL, request TEXT)",
    // What the station last said waits there, as JSON.
    "ALTER TABLE stations ADD COLUMN backlog TEXT",
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
