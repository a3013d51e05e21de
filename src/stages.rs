//! The built-in stages, one file (or folder) each.

pub mod auth;
pub mod auth_header;
pub mod rate_limit;
pub mod redact;

use crate::pipeline::registry::StageKind;

/// Every built-in kind, in the order of the documentation.
pub const KINDS: &[StageKind] = &[
    StageKind::native::<auth::Auth>(),
    StageKind::native::<rate_limit::RateLimit>(),
    StageKind::cache(),
    StageKind::native::<auth_header::AuthHeader>(),
    StageKind::native::<redact::Redact>(),
];
