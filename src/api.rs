//! The OpenAI surface: which calls there are, how a request is read, what an answer and an error look like.

pub mod assemble;
pub mod budget;
pub mod endpoint;
pub mod error;
pub mod estimate;
pub mod models;
pub mod read;
pub mod stored;
