//! The OpenAI surface: which calls there are, how a request is read, what an error looks like.

pub mod endpoint;
pub mod error;
pub mod estimate;
pub mod models;
pub mod read;
