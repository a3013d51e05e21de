//! The built-in provider kinds, one codec each.

pub mod erased;
pub mod ollama;
pub mod openai;
pub mod rehearsal;
mod registry;

pub use registry::ProviderKind;

/// Every built-in kind, in the order of the documentation.
pub const KINDS: &[ProviderKind] = &[
    ProviderKind::native::<openai::OpenAi>(),
    ProviderKind::native::<ollama::Ollama>(),
    ProviderKind::native::<rehearsal::Rehearsal>(),
];
