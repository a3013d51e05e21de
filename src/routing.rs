//! From a requested model to an answer.

pub mod balance;
pub mod pattern;
pub mod retry;
pub mod scanner;
