//! What the file defines and never uses.

use super::providers::provider_of;
use crate::config::{
    Loaded, Patterns, Severity,
    tree::{Node, Value},
};
use crate::nearest::nearest;

/// Tells of providers that no route of any environment names, and of stages for providers that there are not.
pub(super) fn check(loaded: &Loaded) {
    unused_providers(loaded);
    stages_for_nobody(loaded);
}

fn unused_providers(loaded: &Loaded) {
    if loaded.findings.has_errors() {
        // A target that was written wrong would be told of twice.
        return;
    }
    let written: Vec<&str> = written_targets(&loaded.written).collect();
    if written.iter().any(|target| target.contains("${")) {
        // It may be any of them.
        return;
    }
    let config = &loaded.config;
    let used: Vec<&str> = config
        .routes
        .iter()
        .flat_map(|(_, route)| &route.targets)
        .map(|target| provider_of(loaded, target))
        .collect();
    for name in config.providers.names() {
        let is_meant = |target: &&str| {
            target
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if used.contains(&name) || written.iter().any(is_meant) {
            continue;
        }
        loaded.report_key(
            &["providers", name],
            Severity::Warning,
            format!("no route uses the provider `{name}`"),
            Some("name it among the `targets` of a route, or take it out".to_owned()),
        );
    }
}

/// The targets of all routes, those of every environment included, each as far as its provider goes.
fn written_targets(file: &Node) -> impl Iterator<Item = &str> {
    let environments = children(file.child("environment"));
    std::iter::once(file)
        .chain(environments)
        .flat_map(|tables| children(tables.child("routes")))
        .flat_map(|route| children(route.child("targets")))
        .filter_map(|target| text(target.child("provider").unwrap_or(target)))
}

fn children(node: Option<&Node>) -> Vec<&Node> {
    match node.map(|node| &node.value) {
        Some(Value::Table(table)) => table.iter().map(|(_, child)| child).collect(),
        Some(Value::Array(elements)) => elements.iter().collect(),
        _ => Vec::new(),
    }
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::String(text) => Some(&text.text),
        _ => None,
    }
}

/// A name in `when.provider` that is no pattern has to be one of a provider.
fn stages_for_nobody(loaded: &Loaded) {
    for (name, stage) in loaded.config.stages.iter() {
        let globs = stage.when.provider.iter().flat_map(Patterns::iter);
        for (index, glob) in globs.enumerate() {
            let is_pattern = glob.contains(['*', '?']);
            if is_pattern || loaded.config.providers.get(glob).is_some() {
                continue;
            }
            let help = nearest(glob, loaded.config.providers.names())
                .map(|near| format!("did you mean `{near}`?"));
            loaded.report(
                &["stages", name, "when", "provider", &index.to_string()],
                Severity::Warning,
                format!("there is no provider `{glob}`"),
                help,
            );
        }
    }
}
