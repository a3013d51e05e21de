//! Which kinds of stages there are, and how one is made from its table.

use std::sync::Arc;

use millgate_plugin::{Host, Place, Stage};
use schemars::{Schema, SchemaGenerator};

use super::erased::ErasedStage;
#[cfg(not(feature = "through-border"))]
use super::erased::Native;
use crate::{cache, config::Section};

/// A kind of stage.
pub struct StageKind {
    /// What `kind = "…"` says.
    pub kind: &'static str,
    /// The SHA-256 of the library that it comes from, in hexadecimal; `None` where it is linked in.
    pub image: Option<&'static str>,
    /// Where in the pipeline it makes sense.
    pub place: Place,
    /// The JSON Schema of its table, less the keys that every stage has; `None` where a library has it.
    pub schema: Option<fn(&mut SchemaGenerator) -> Schema>,
    /// Makes one.
    pub make: Make,
}

/// Makes a stage from its name and table; `None` after telling the section what is wrong.
pub type MakeStage =
    dyn Fn(&str, &Section<'_>, &Host) -> Option<Arc<dyn ErasedStage>> + Send + Sync;

/// How a stage is made.
pub enum Make {
    /// By a function.
    Stage(&'static MakeStage),
    /// It is the host's own [`Cache`](crate::cache::Cache), which no hooks could make.
    Cache,
}

impl StageKind {
    /// The kind of a stage that is linked in.
    #[must_use]
    pub const fn native<S: Stage>() -> Self {
        Self {
            kind: S::KIND,
            image: None,
            place: S::PLACE,
            schema: Some(SchemaGenerator::subschema_for::<S::Config>),
            #[cfg(feature = "through-border")]
            make: Make::Stage(&crate::plugin::through::stage::<S>),
            #[cfg(not(feature = "through-border"))]
            make: Make::Stage(&|name, section, host| {
                let config = section.read::<S::Config>()?;
                match S::new(name, config, host) {
                    Ok(stage) => Some(Arc::new(Native(stage))),
                    Err(error) => {
                        section.report(&error.path, error.message);
                        None
                    }
                }
            }),
        }
    }

    /// The kind of the cache.
    #[must_use]
    pub const fn cache() -> Self {
        Self {
            kind: cache::KIND,
            image: None,
            place: Place::AboveRoute,
            schema: Some(SchemaGenerator::subschema_for::<cache::config::Config>),
            make: Make::Cache,
        }
    }
}
