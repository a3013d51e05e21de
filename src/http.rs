//! Shared HTTP parts.

pub mod json;
pub mod sse;
