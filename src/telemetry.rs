//! What the gateway tells of itself.

pub mod access;
pub mod filter;
pub mod json_lines;
pub mod logs;
pub mod writer;
