//! What a library holds as kinds of stages and providers, like those that are built in.

use std::sync::Arc;

use millgate_plugin::{Host, Place, SetupError, border::abi};

use super::{
    manifest::Kind, provider, refused::Refused, schema::TableSchema, stage, watch::Plugin,
};
use crate::{
    config::Section,
    pipeline::registry::{Make, StageKind},
    providers::ProviderKind,
};

/// A kind of stage of this plugin, of the image with this SHA-256.
pub(super) fn stage_kind(
    plugin: &'static Plugin,
    image: &'static str,
    kind: &Kind<abi::StageType>,
) -> Result<StageKind, Refused> {
    let functions = kind.functions;
    let full_name = full_name(plugin, kind.name);
    let schema = table_schema(full_name, stage::schema(functions).as_deref())?;
    let make = move |name: &str, section: &Section<'_>, host: &Host| {
        let table = schema.read(section)?.to_string();
        told(
            section,
            stage::Foreign::create(plugin, functions, name, &table, host.is_shadow()),
        )
        .map(|stage| Arc::new(stage) as _)
    };
    Ok(StageKind {
        kind: full_name,
        image: Some(image),
        // Where it may stand, a stage of a plugin says once it is made.
        place: Place::Anywhere,
        schema: None,
        make: Make::Stage(Box::leak(Box::new(make))),
    })
}

/// A kind of provider of this plugin, of the image with this SHA-256.
pub(super) fn provider_kind(
    plugin: &'static Plugin,
    image: &'static str,
    kind: &Kind<abi::ProviderType>,
) -> Result<ProviderKind, Refused> {
    let functions = kind.functions;
    let full_name = full_name(plugin, kind.name);
    let schema = table_schema(full_name, provider::schema(functions).as_deref())?;
    let make = move |name: &str, section: &Section<'_>| {
        let table = schema.read(section)?.to_string();
        told(
            section,
            provider::Foreign::create(plugin, functions, name, &table),
        )
        .map(|provider| Arc::new(provider) as _)
    };
    Ok(ProviderKind {
        kind: full_name,
        image: Some(image),
        answers: functions.flags & abi::PROVIDER_ANSWERS != 0,
        schema: None,
        make: Box::leak(Box::new(make)),
    })
}

/// What `kind = "…"` says. Like all of an image, it stays.
fn full_name(plugin: &Plugin, kind: &str) -> &'static str {
    format!("{}/{kind}", plugin.name).leak()
}

fn table_schema(kind: &str, text: Option<&str>) -> Result<TableSchema, Refused> {
    TableSchema::parse(text).map_err(|fault| {
        Refused::file(format!("the plugin's schema of `{kind}` is none: {fault}"))
            .help("tell the plugin's author; nothing in the config can help")
    })
}

/// What was made; `None` after telling what the plugin finds wrong with its table.
fn told<T>(section: &Section<'_>, made: Result<T, SetupError>) -> Option<T> {
    made.map_err(|error| section.report(&error.path, error.message))
        .ok()
}
