//! What the gateway tells of itself.

pub mod access;
pub mod ended;
pub mod filter;
pub mod history;
pub mod json_lines;
pub mod logs;
pub mod metrics;
pub mod observer;
pub mod process;
pub mod recent;
pub mod traces;
pub mod writer;
