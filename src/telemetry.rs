//! What the gateway tells of itself.

pub mod access;
pub mod logs;
