//! What the gateway tells of itself.

pub mod access;
pub mod ended;
pub mod filter;
pub mod json_lines;
pub mod logs;
pub mod observer;
pub mod recent;
pub mod traces;
pub mod writer;
