//! Which kinds of stages there are, and how one is made from its table.

use std::sync::Arc;

use millgate_plugin::{Host, Place, Stage};
use schemars::{Schema, SchemaGenerator};

use super::erased::{ErasedStage, Native};
use crate::config::Section;

/// A kind of stage.
pub struct StageKind {
    /// What `kind = "…"` says.
    pub kind: &'static str,
    /// Where in the pipeline it makes sense.
    pub place: Place,
    /// The JSON Schema of its table, less the keys that every stage has.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Makes one from its name and table; `None` after telling the section what is wrong.
    pub make: fn(&str, &Section<'_>, &Host) -> Option<Arc<dyn ErasedStage>>,
}

impl StageKind {
    /// The kind of a stage that is linked in.
    #[must_use]
    pub const fn native<S: Stage>() -> Self {
        Self {
            kind: S::KIND,
            place: S::PLACE,
            schema: |generator| generator.subschema_for::<S::Config>(),
            make: |name, section, host| {
                let config = section.read::<S::Config>()?;
                match S::new(name, config, host) {
                    Ok(stage) => Some(Arc::new(Native(stage))),
                    Err(error) => {
                        section.report(&error.path, error.message);
                        None
                    }
                }
            },
        }
    }
}
