//! The built-in provider kinds, one codec each, and the OpenAI shapes that several of them write.

pub mod answer;
pub mod chat;
pub mod completion;
pub mod ollama;
pub mod openai;
pub mod rehearsal;
pub mod responses;
