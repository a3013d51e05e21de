//! How a codec is made from its table.

use std::sync::Arc;

use millgate_plugin::Provider;
use schemars::{Schema, SchemaGenerator};

use super::erased::ErasedProvider;
#[cfg(not(feature = "through-border"))]
use super::erased::Native;
use crate::config::Section;

/// A kind of provider.
pub struct ProviderKind {
    /// What `kind = "…"` says.
    pub kind: &'static str,
    /// The SHA-256 of the library that it comes from, in hexadecimal; `None` where it is linked in.
    pub image: Option<&'static str>,
    /// Whether it answers by itself, so that it needs no `base_url`.
    pub answers: bool,
    /// The JSON Schema of its table, less the keys that every provider has; `None` where a library has it.
    pub schema: Option<fn(&mut SchemaGenerator) -> Schema>,
    /// Makes one.
    pub make: &'static MakeProvider,
}

/// Makes a codec from its name and table; `None` after telling the section what is wrong.
pub(super) type MakeProvider =
    dyn Fn(&str, &Section<'_>) -> Option<Arc<dyn ErasedProvider>> + Send + Sync;

impl ProviderKind {
    /// The kind of a codec that is linked in.
    #[must_use]
    pub const fn native<P: Provider>() -> Self {
        Self {
            kind: P::KIND,
            image: None,
            answers: P::ANSWERS,
            schema: Some(SchemaGenerator::subschema_for::<P::Config>),
            #[cfg(feature = "through-border")]
            make: &crate::plugin::through::provider::<P>,
            #[cfg(not(feature = "through-border"))]
            make: &|name, section| {
                let config = section.read::<P::Config>()?;
                match P::new(name, config) {
                    Ok(provider) => Some(Arc::new(Native(provider))),
                    Err(error) => {
                        section.report(&error.path, error.message);
                        None
                    }
                }
            },
        }
    }
}
