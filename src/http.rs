//! Shared HTTP parts.

pub mod guard;
pub mod headers;
pub mod json;
pub mod sse;
