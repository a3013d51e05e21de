//! How an attempt ends that does not succeed: before its commit, or after it.

use http::StatusCode;
use millgate_plugin::{Outcome, Reply};

use crate::{
    api::error::ApiError,
    pipeline::Stop,
    routing::{failure::Failure, retry::FailureClass},
};

/// How an attempt ended without a commit.
pub enum NotCommitted {
    /// It failed; another one may be made.
    Failed(Box<Failure>),
    /// A stage answered: final.
    Reply(Reply),
}

impl From<Failure> for NotCommitted {
    fn from(failed: Failure) -> Self {
        Self::Failed(Box::new(failed))
    }
}

impl NotCommitted {
    /// A stage stopped it.
    pub(super) fn stopped(stop: Stop) -> Self {
        match stop {
            Stop::Reply(reply) => Self::Reply(reply),
            Stop::Reject(refusal) => Failure::refused(refusal).into(),
            // A stage that fails would fail for the next target too.
            Stop::Failed { stage, error } => {
                Failure::new(FailureClass::Client, stage_failed(&stage), error.0).into()
            }
        }
    }
}

/// An answer that broke off after its commit.
#[derive(Debug)]
pub struct Broken {
    /// The last event of the stream.
    pub error: ApiError,
    /// For the log.
    pub detail: String,
    /// How the exchange ended.
    pub outcome: Outcome,
}

impl From<Failure> for Broken {
    fn from(failed: Failure) -> Self {
        Self {
            outcome: failed.outcome(),
            detail: failed.detail.into_owned(),
            error: failed.error,
        }
    }
}

impl Broken {
    /// A stage stopped it.
    #[must_use]
    pub fn stopped(stop: Stop) -> Self {
        match stop {
            Stop::Reject(refusal) => Self {
                detail: refusal.message.to_string(),
                error: refusal.into(),
                outcome: Outcome::Rejected,
            },
            Stop::Reply(_) => Self {
                error: ApiError::internal("A stage answered in the middle of a reply."),
                detail: "a stage answered in the middle of a reply".to_owned(),
                outcome: Outcome::InternalError,
            },
            Stop::Failed { stage, error } => Self {
                error: stage_failed(&stage),
                detail: error.0,
                outcome: Outcome::InternalError,
            },
        }
    }
}

/// The 500 of a stage that failed.
fn stage_failed(stage: &str) -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "stage_failed",
        format!(
            "The stage `{stage}` failed. Operators: see the log, or set on_error = \"skip\" on it."
        ),
    )
}
