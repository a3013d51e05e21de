//! For tests: built-in stages and providers driven through the C interface, by the tables of functions that a plugin of
//! theirs would export. Only the library is missing.

use std::{
    any::TypeId,
    collections::HashMap,
    sync::{Arc, Mutex, Once, PoisonError},
};

use millgate_plugin::{Host, Provider, SetupError, Stage, border};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::{host, provider, stage, watch};
use crate::{
    config::{
        Section,
        tree::{self, Node, Text},
    },
    pipeline::erased::ErasedStage,
    providers::erased::ErasedProvider,
};

/// Makes a built-in stage as if it came from a plugin.
pub fn stage<S: Stage>(
    name: &str,
    section: &Section<'_>,
    host: &Host,
) -> Option<Arc<dyn ErasedStage>> {
    connect();
    host::serve(host);
    let table = table::<S::Config>(section)?;
    let kind = kind_of::<S, _>(border::stage_type::<S>);
    let made = stage::Foreign::create(watch::built_in(), kind, name, &table, host.is_shadow());
    told(section, made).map(|stage| Arc::new(stage) as _)
}

/// Makes a built-in provider as if it came from a plugin.
pub fn provider<P: Provider>(name: &str, section: &Section<'_>) -> Option<Arc<dyn ErasedProvider>> {
    connect();
    let table = table::<P::Config>(section)?;
    let kind = kind_of::<P, _>(border::provider_type::<P>);
    let made = provider::Foreign::create(watch::built_in(), kind, name, &table);
    told(section, made).map(|provider| Arc::new(provider) as _)
}

/// Gives the SDK within this process the host's table, as `init` gives it to that within a plugin.
fn connect() {
    static ONCE: Once = Once::new();
    // SAFETY: the functions of the table do what the interface says.
    ONCE.call_once(|| unsafe { border::connect(&host::TABLE) });
}

/// The functions of a type, always at the same address.
fn kind_of<T: 'static, K: Sync>(make: fn() -> K) -> &'static K {
    static KINDS: Mutex<Option<HashMap<TypeId, usize>>> = Mutex::new(None);
    let mut kinds = KINDS.lock().unwrap_or_else(PoisonError::into_inner);
    let kinds = kinds.get_or_insert_default();
    let kind = kinds
        .entry(TypeId::of::<T>())
        .or_insert_with(|| std::ptr::from_ref(Box::leak(Box::new(make()))).expose_provenance());
    // SAFETY: leaked above; a type is a stage or a provider, so that what was leaked for it is of this kind.
    unsafe { &*std::ptr::with_exposed_provenance(*kind) }
}

fn told<T>(section: &Section<'_>, made: Result<T, SetupError>) -> Option<T> {
    made.map_err(|error| section.report(&error.path, error.message))
        .ok()
}

/// The table as JSON, once it is known to be good; a text that is wholly one placeholder takes the form that can be read.
fn table<C: DeserializeOwned>(section: &Section<'_>) -> Option<String> {
    let _ = section.read::<C>()?;
    let forms = read(section.node());
    let good = forms
        .iter()
        .find(|form| serde_json::from_value::<C>((*form).clone()).is_ok());
    Some(good.or(forms.first())?.to_string())
}

/// Every form that a node may have as JSON.
fn read(node: &Node) -> Vec<Value> {
    match &node.value {
        tree::Value::Bool(value) => vec![(*value).into()],
        tree::Value::Integer(value) => vec![(*value).into()],
        tree::Value::Float(value) => vec![(*value).into()],
        tree::Value::Datetime(text) => vec![text.as_str().into()],
        tree::Value::String(text) => texts(text),
        tree::Value::Unset(_) => vec![Value::Null],
        tree::Value::Array(elements) => {
            elements
                .iter()
                .fold(vec![Value::Array(vec![])], |wholes, element| {
                    combine(&wholes, &read(element), |whole, part| {
                        whole
                            .as_array_mut()
                            .into_iter()
                            .for_each(|array| array.push(part.clone()));
                    })
                })
        }
        tree::Value::Table(table) => {
            table
                .iter()
                .fold(vec![Value::Object(Map::new())], |wholes, (key, node)| {
                    combine(&wholes, &read(node), |whole, part| {
                        if let (Some(object), false) = (whole.as_object_mut(), part.is_null()) {
                            object.insert(key.name.clone(), part.clone());
                        }
                    })
                })
        }
    }
}

/// Every whole with every part in it.
fn combine(wholes: &[Value], parts: &[Value], put: impl Fn(&mut Value, &Value)) -> Vec<Value> {
    let pairs = wholes
        .iter()
        .flat_map(|whole| parts.iter().map(move |part| (whole.clone(), part)));
    pairs
        .map(|(mut whole, part)| {
            put(&mut whole, part);
            whole
        })
        .collect()
}

/// The forms of a text: a placeholder may also be the number or boolean that it reads like, or nothing.
fn texts(text: &Text) -> Vec<Value> {
    let mut forms = vec![Value::from(text.text.as_str())];
    if text.adapts {
        forms.extend(serde_json::from_str(text.text.trim()));
        if text.text.trim().is_empty() {
            forms.push(Value::Null);
        }
    }
    forms
}

#[cfg(test)]
mod tests {
    use std::any::Any;

    use super::*;
    use crate::{
        config,
        runtime::{compile::compile, host::Process},
    };

    #[test]
    fn what_is_built_in_goes_through_the_border() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        let text = r#"
            pipeline = ["limit", "redact", "route", "auth_header"]
            [stages.limit]
            kind = "rate_limit"
            requests = "${MANY:-5}/min"
            [stages.redact]
            [stages.auth_header]
            headers = { x-a = "${A:-1}" }
            [providers.rehearsal]
            [routes.all]
            targets = ["rehearsal"]
        "#;
        std::fs::write(&path, text).unwrap();
        let loaded = config::load(&path, &|_| None);
        let runtime = compile(&loaded, None, &Process::default());
        let runtime = runtime.unwrap_or_else(|| panic!("{:?}", loaded.findings));
        let (above, below) = (&runtime.pipeline.above, &runtime.pipeline.below);
        let stages: Vec<_> = above.stages().iter().chain(below.stages()).collect();
        assert_eq!(stages.len(), 3);
        for mounted in stages {
            let stage: &dyn Any = &*mounted.stage;
            assert!(stage.is::<stage::Foreign>(), "{}", mounted.name);
        }
    }
}
