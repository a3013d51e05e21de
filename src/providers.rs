//! The built-in provider kinds, one codec each.

pub mod ollama;
pub mod openai;
pub mod rehearsal;
