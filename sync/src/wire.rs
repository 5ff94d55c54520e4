//! The hub's answers as far as the postman must read them; spelt in `protocol`, which this room
//! does not know.

use serde::{Deserialize, Serialize};

/// Largest document, in bytes.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest answer that is not a document or chunk, in bytes.
pub(crate) const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// Most documents in a list.
pub(crate) const DOCUMENTS_MAX: usize = 10_000;
/// Most records in one push.
pub(crate) const PUSH_RECORDS_MAX: usize = 1024;
/// Most records in a push from the journal's beginning, when the hub asks for all of it.
pub(crate) const PUSH_WHOLE_RECORDS_MAX: usize = 4096;
/// About how many bytes then.
pub(crate) const PUSH_WHOLE_BYTES_MAX: usize = 6 * 1024 * 1024;
/// About how many bytes of records go into one push.
pub(crate) const PUSH_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Listed {
    pub(crate) name: String,
    pub(crate) etag: String,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DocumentList {
    pub(crate) documents: Vec<Listed>,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct JournalState {
    pub(crate) size: u64,
    pub(crate) cosigned: Option<String>,
    #[serde(default)]
    pub(crate) newest_epoch: u32,
}

#[derive(Debug, Serialize)]
pub(crate) struct StationReport {
    pub(crate) epoch: u32,
    pub(crate) journal_size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cosigned: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lease: Option<String>,
    pub(crate) snapshot_version: u64,
    pub(crate) timestamp_version: u64,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct ReportAnswer {
    pub(crate) recovering: bool,
    pub(crate) journal: JournalState,
}

#[derive(Debug, Serialize)]
pub(crate) struct JournalPush<'a> {
    pub(crate) from: u64,
    pub(crate) records: &'a [String],
    pub(crate) checkpoint: &'a str,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct JournalAck {
    pub(crate) size: u64,
    pub(crate) cosigned: String,
    pub(crate) next: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct CertificateRenewal<'a> {
    pub(crate) tls_csr_pem: &'a str,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct RenewedCertificate {
    pub(crate) certificate_pem: String,
    pub(crate) from_ms: i64,
    pub(crate) not_after_ms: i64,
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct SignedStatement {
    pub(crate) payload: String,
    pub(crate) signature: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Problem {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) detail: Option<String>,
    #[serde(default)]
    pub(crate) expected: Option<u64>,
    #[serde(default)]
    pub(crate) seq: Option<u64>,
}
