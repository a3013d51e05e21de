//! From a requested model to an answer.

pub mod answer;
pub mod answering;
pub mod attempt;
pub mod balance;
pub mod connect;
pub mod effective;
pub mod failure;
pub mod flight;
pub mod pace;
pub mod pattern;
pub mod pool;
pub mod provider;
pub mod retry;
pub mod route;
pub mod scanner;
pub mod target;
pub mod transport;
pub mod upload;
