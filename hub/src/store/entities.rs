//! The tables, one module each, as sea-orm sees them. The text that makes them is in
//! `migrations.rs`.
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "sea-orm's derive wants public models; columns are described where they are made"
)]

macro_rules! table {
    ($module:ident, $name:literal, { $($(#[$attribute:meta])* $field:ident : $kind:ty),* $(,)? }) => {
        pub mod $module {
            use sea_orm::entity::prelude::*;

            #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
            #[sea_orm(table_name = $name)]
            pub struct Model {
                #[sea_orm(primary_key)]
                pub id: i64,
                $($(#[$attribute])* pub $field: $kind,)*
            }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
        }
    };
}

table!(hub_value, "hub_values", { name: String, bytes: Vec<u8> });
table!(tenant, "tenants", {
    name: String,
    root_json: Option<Vec<u8>>,
    created_ms: i64,
    freshened_ms: i64,
    recovering_ms: Option<i64>,
    least_protection: String,
});
table!(tenant_key, "tenant_keys", { tenant_id: i64, name: String, sealed: Vec<u8> });
table!(token, "tokens", { tenant_id: i64, sha256: Vec<u8>, label: String, created_ms: i64 });
table!(code, "enrolment_codes", {
    tenant_id: i64,
    secret_sha256: Vec<u8>,
    station: String,
    line: String,
    expires_ms: i64,
    used_ms: Option<i64>,
});
table!(station, "stations", {
    tenant_id: i64,
    name: String,
    line: String,
    journal_key: Vec<u8>,
    hpke_key: Vec<u8>,
    key_protection: String,
    enrolled_ms: i64,
    last_contact_ms: Option<i64>,
    revoked_ms: Option<i64>,
    forked: bool,
    lease_version: i64,
    lease: Option<Vec<u8>>,
    lease_terms_sha256: Option<Vec<u8>>,
    lease_renew_ms: i64,
    backlog: Option<String>,
    quarantined: bool,
    epoch_opened: i64,
    epoch_document: Option<Vec<u8>>,
    reported_ms: Option<i64>,
    owed_epoch: i64,
    owed_size: i64,
});
table!(certificate, "certificates", {
    tenant_id: i64,
    station_id: i64,
    sha256: Vec<u8>,
    not_after_ms: i64,
});
table!(stick, "sticks", {
    tenant_id: i64,
    station_id: i64,
    read_number: i64,
    written_number: i64,
    request: Option<String>,
});
table!(document, "documents", {
    tenant_id: i64,
    name: String,
    sha256: Vec<u8>,
    bytes: Vec<u8>,
});
table!(release, "releases", {
    tenant_id: i64,
    product: String,
    version: String,
    manifest_sha256: Vec<u8>,
    hub_wrap: Vec<u8>,
    summary: String,
    published_ms: i64,
});
table!(chunk, "release_chunks", { tenant_id: i64, release_id: i64, sha256: Vec<u8> });
table!(order, "work_orders", {
    tenant_id: i64,
    number: String,
    product: String,
    release_id: i64,
    quantity: i64,
    closed: bool,
    created_ms: i64,
});
table!(portion, "portions", {
    tenant_id: i64,
    station_id: i64,
    order_id: i64,
    channel: String,
    quantity: i64,
    certificate: Option<Vec<u8>>,
    index_from: i64,
    index_to: i64,
    granted_ms: i64,
});
table!(journal, "journals", {
    tenant_id: i64,
    station_id: i64,
    epoch: i64,
    size: i64,
    frontier: Vec<u8>,
    cosigned: String,
});
table!(record, "journal_records", {
    tenant_id: i64,
    station_id: i64,
    epoch: i64,
    seq: i64,
    leaf: Vec<u8>,
    text: String,
});
table!(branch, "journal_branches", {
    tenant_id: i64,
    station_id: i64,
    epoch: i64,
    at_seq: i64,
    size: i64,
    frontier: Vec<u8>,
    checkpoint: String,
    received_ms: i64,
});
table!(branch_record, "branch_records", {
    tenant_id: i64,
    branch_id: i64,
    seq: i64,
    leaf: Vec<u8>,
    text: String,
});
table!(unit, "units", {
    tenant_id: i64,
    product: String,
    family: String,
    uid: String,
    code: Option<String>,
    station: String,
    work_order: Option<String>,
    release: Option<String>,
    first_passed_ms: Option<i64>,
    last_seen_ms: i64,
    state: String,
    seen_before_count: i64,
    passed_count: i64,
    failed_count: i64,
});
table!(person, "people", {
    tenant_id: i64,
    number: i64,
    role: String,
    lines: String,
    badge: Vec<u8>,
    badge_digest: Vec<u8>,
    pin: Option<Vec<u8>>,
    pin_serial: i64,
    ends_ms: Option<i64>,
    disabled: bool,
    serial: i64,
    changed_ms: i64,
});
table!(person_name, "people_names", { tenant_id: i64, number: i64, name: String });
table!(pin_verifier, "pin_verifiers", {
    tenant_id: i64,
    station_id: i64,
    number: i64,
    pin_serial: i64,
    verifier: Vec<u8>,
});
table!(roster, "rosters", {
    tenant_id: i64,
    station_id: i64,
    pepper: Vec<u8>,
    version: i64,
    content_sha256: Option<Vec<u8>>,
    bytes: Option<Vec<u8>>,
});
table!(log_head, "log_heads", { tenant_id: i64, size: i64, frontier: Vec<u8> });
table!(log_record, "log_records", { tenant_id: i64, seq: i64, text: String });
table!(pool, "pools", {
    tenant_id: i64,
    product: String,
    schema: String,
    pepper: Vec<u8>,
    imported: i64,
    few: i64,
    days: i64,
});
table!(pool_credential, "pool_credentials", {
    tenant_id: i64,
    pool_id: i64,
    number: i64,
    body: Vec<u8>,
});
table!(pool_value, "pool_values", {
    tenant_id: i64,
    pool_id: i64,
    column_name: String,
    fingerprint: Vec<u8>,
    source: String,
});
table!(pool_share, "pool_shares", {
    tenant_id: i64,
    pool_id: i64,
    station_id: i64,
    allotment: Vec<u8>,
    certificate: Vec<u8>,
    numbers: String,
    given_back: String,
    only_family: Option<String>,
    only_uid: Option<String>,
    statement: Option<Vec<u8>>,
    granted_ms: i64,
});
table!(mac_secret, "mac_secrets", {
    tenant_id: i64,
    product: String,
    secret_sha256: Vec<u8>,
    sealed: Vec<u8>,
});
table!(mac_parcel, "mac_parcels", {
    tenant_id: i64,
    station_id: i64,
    product: String,
    statement: Vec<u8>,
});
table!(fact, "unit_facts", {
    tenant_id: i64,
    product: String,
    kind: String,
    family: String,
    uid: String,
    station_key: Option<Vec<u8>>,
    code: Option<String>,
    allotment: Option<Vec<u8>>,
    number: Option<i64>,
    serial: Option<String>,
    new_family: Option<String>,
    new_uid: Option<String>,
    operator: Option<i64>,
    at_ms: i64,
});
table!(conflict, "conflicts", {
    tenant_id: i64,
    product: String,
    kind: String,
    family: String,
    uid: String,
    station: Option<String>,
    detail: String,
    found_ms: i64,
});
