//! Every answer that is not the one asked for, as problem+json.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use protocol::{Problem, ProblemType};
use release::ReleaseTrouble;

use crate::blobs::BlobError;
use crate::ca::CaError;
use crate::hub::HubError;
use crate::store::StoreError;

/// A refusal on its way out.
#[derive(Debug)]
pub(crate) struct Refusal(pub(crate) Box<Problem>);

impl Refusal {
    pub(crate) fn of(kind: ProblemType) -> Self {
        Self(Box::new(Problem::of(kind)))
    }

    pub(crate) fn because(kind: ProblemType, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem::of(kind).detail(detail)))
    }

    /// Something about a release that was to be published, with the trouble's code and act.
    pub(crate) fn release(trouble: ReleaseTrouble, detail: impl Into<String>) -> Self {
        let kind = match trouble {
            ReleaseTrouble::NotTrusted => ProblemType::ReleaseNotTrusted,
            ReleaseTrouble::Damaged => ProblemType::ReleaseDamaged,
            ReleaseTrouble::ImageOutOfRange
            | ReleaseTrouble::WrongChip
            | ReleaseTrouble::ChipNotSupported
            | ReleaseTrouble::ImageUnreadable
            | ReleaseTrouble::RecipeRefused
            | ReleaseTrouble::Withdrawn
            | ReleaseTrouble::Machine => ProblemType::ReleaseRefused,
        };
        let mut problem = Problem::of(kind).detail(detail);
        problem.act = trouble.act().to_owned();
        problem.code = Some(trouble.code().to_owned());
        Self(Box::new(problem))
    }

    /// The hub's own trouble: the log gets the chain of causes, the caller does not.
    pub(crate) fn internal(error: &(dyn std::error::Error + 'static)) -> Self {
        tracing::error!(error = %chain(error), "request failed");
        Self::of(ProblemType::Internal)
    }
}

/// An error with its causes in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        text.push_str(": ");
        text.push_str(&current.to_string());
        cause = current.source();
    }
    text
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self.0)).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Exists { .. } => {
                Self::because(ProblemType::AlreadyExists, error.to_string())
            }
            StoreError::Missing { .. } => Self::because(ProblemType::NotFound, error.to_string()),
            StoreError::OrderExhausted { .. } => {
                Self::because(ProblemType::OrderExhausted, error.to_string())
            }
            StoreError::AllotmentTaken { .. } => {
                Self::because(ProblemType::AllotmentRefused, error.to_string())
            }
            StoreError::Database(_)
            | StoreError::Newer { .. }
            | StoreError::Damaged { .. }
            | StoreError::JournalMoved => Self::internal(&error),
        }
    }
}

impl From<BlobError> for Refusal {
    fn from(error: BlobError) -> Self {
        match &error {
            BlobError::Differs(_) => Self::release(ReleaseTrouble::Damaged, error.to_string()),
            BlobError::Io { .. } => Self::internal(&error),
        }
    }
}

impl From<CaError> for Refusal {
    fn from(error: CaError) -> Self {
        match &error {
            CaError::Request(_) | CaError::KeyKind => {
                Self::because(ProblemType::EnrolmentKeyRefused, error.to_string())
            }
            CaError::Authority(_) | CaError::Server(_) | CaError::Station(_) => {
                Self::internal(&error)
            }
        }
    }
}

impl From<HubError> for Refusal {
    fn from(error: HubError) -> Self {
        Self::internal(&error)
    }
}
