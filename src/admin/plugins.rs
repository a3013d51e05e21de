//! `/api/plugins`: the libraries that were loaded, how they do, and what they count.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::reply::{Reply, json};
use crate::{
    calendar,
    plugin::{
        image::Image,
        metrics::{self, Snapshot},
    },
    runtime::gateway::Gateway,
};

/// `GET /api/plugins`
pub(super) fn list(gateway: &Gateway) -> Reply {
    let runtime = gateway.runtime();
    let is_used = |image: &Image| {
        runtime
            .plugins
            .iter()
            .any(|used| std::ptr::eq(*used, image))
    };
    let plugins = gateway
        .images()
        .into_iter()
        .map(|image| plugin(image, is_used(image)));
    let document = json!({
        "plugins": plugins.collect::<Vec<_>>(),
        "metrics": metrics::snapshot().iter().map(metric).collect::<Vec<_>>(),
    });
    json(StatusCode::OK, document.to_string())
}

/// A library. One that the config in force does not name any more serves what began with it, and stays in memory.
fn plugin(image: &Image, is_used: bool) -> Value {
    let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let plugin = image.plugin;
    json!({
        "name": image.name,
        "version": image.version,
        "sdk": image.sdk,
        "abi_minor": image.minor,
        "path": image.path.to_string_lossy(),
        "sha256": image.sha256,
        "loaded_at": timestamp(image.loaded_at),
        "in_use": is_used,
        "stages": image.stages.iter().map(|kind| kind.kind).collect::<Vec<_>>(),
        "providers": image.providers.iter().map(|kind| kind.kind).collect::<Vec<_>>(),
        "panics": count(&plugin.panics),
        "failures": count(&plugin.failures),
        "blocked": count(&plugin.blocked),
        "off": plugin.is_off(),
    })
}

fn metric(metric: &Snapshot) -> Value {
    let labels = metric.labels.iter();
    let labels: Map<_, _> = labels
        .map(|(name, value)| (name.clone(), value.as_str().into()))
        .collect();
    json!({ "name": metric.name, "labels": labels, "value": metric.value })
}

fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    calendar::timestamp(since.unwrap_or_default().as_secs()) + "Z"
}
