//! The built-in provider kinds, one codec each.

pub mod answer;
pub mod chat;
mod choices;
pub mod completion;
pub mod erased;
pub mod ollama;
pub mod openai;
mod registry;
pub mod rehearsal;
pub mod responses;

pub use registry::ProviderKind;

/// Every built-in kind, in the order of the documentation.
pub const KINDS: &[ProviderKind] = &[
    ProviderKind::native::<openai::OpenAi>(),
    ProviderKind::native::<ollama::Ollama>(),
    ProviderKind::native::<rehearsal::Rehearsal>(),
];
