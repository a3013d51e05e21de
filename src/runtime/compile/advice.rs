//! What a file may say, but hardly means.

use std::net::IpAddr;

use super::{listeners::is_loopback, providers::provider_of};
use crate::{
    config::{
        self, Loaded, Severity,
        route::{Strategy, Target},
    },
    providers::rehearsal::Rehearsal,
};

/// Gives all of it.
pub(super) fn check(loaded: &Loaded) {
    for (name, route) in loaded.config.routes.iter() {
        weights(loaded, name, route);
        timers(loaded, name, route);
        rehearsal_first(loaded, name, route);
        same_targets(loaded, name, route);
    }
    for (name, provider) in loaded.config.providers.iter() {
        secrets_in_the_clear(loaded, name, provider);
    }
}

/// Weights count for some strategies only.
fn weights(loaded: &Loaded, name: &str, route: &config::Route) {
    if route.strategy != Strategy::Fallback {
        return;
    }
    for index in 0..route.targets.len() {
        let place = ["routes", name, "targets", &index.to_string(), "weight"];
        if loaded.tree.at(&place).is_none() {
            continue;
        }
        loaded.report_key(
            &place,
            Severity::Warning,
            "`weight` means nothing where targets are asked in their order",
            Some("set strategy = \"weighted\" or \"least_busy\", or take it out".to_owned()),
        );
    }
}

/// An attempt ends with its exchange.
fn timers(loaded: &Loaded, name: &str, route: &config::Route) {
    if route.attempt_timeout <= route.deadline {
        return;
    }
    let message = format!(
        "an attempt may take {}, but all attempts together only {}",
        route.attempt_timeout, route.deadline
    );
    let key = if loaded
        .tree
        .at(&["routes", name, "attempt_timeout"])
        .is_some()
    {
        "attempt_timeout"
    } else {
        "deadline"
    };
    let help = "raise `deadline`, or lower `attempt_timeout`".to_owned();
    loaded.report(
        &["routes", name, key],
        Severity::Warning,
        message,
        Some(help),
    );
}

/// Rehearsed answers stand in for real ones, wherever they are listed.
fn rehearsal_first(loaded: &Loaded, name: &str, route: &config::Route) {
    let is_rehearsal = |target: &Target| {
        let provider = provider_of(loaded, target);
        let table = loaded.config.providers.get(provider);
        let kind = table.map(|table| table.kind.as_deref().unwrap_or(provider));
        kind == Some(<Rehearsal as millgate_plugin::Provider>::KIND)
    };
    let Some(last_real) = route
        .targets
        .iter()
        .rposition(|target| !is_rehearsal(target))
    else {
        return;
    };
    for (index, target) in route.targets[..last_real].iter().enumerate() {
        if is_rehearsal(target) {
            loaded.report(
                &["routes", name, "targets", &index.to_string()],
                Severity::Warning,
                "the rehearsal provider is asked after all others, wherever it stands",
                Some("write it last".to_owned()),
            );
        }
    }
}

/// Asking the same target again is what `retries` are for.
fn same_targets(loaded: &Loaded, name: &str, route: &config::Route) {
    let [first, rest @ ..] = route.targets.as_slice() else {
        return;
    };
    if rest.is_empty() || rest.iter().any(|target| target != first) {
        return;
    }
    loaded.report(
        &["routes", name, "targets"],
        Severity::Warning,
        "all targets of this route are the same",
        Some("name it once, and set `retries` for further tries".to_owned()),
    );
}

/// A key that crosses the network without encryption is anybody's.
fn secrets_in_the_clear(loaded: &Loaded, name: &str, provider: &config::Provider) {
    let Some(authority) = provider.base_url.as_ref().and_then(plain_authority) else {
        return;
    };
    let is_keyed = provider
        .api_key
        .as_ref()
        .is_some_and(|key| !key.expose().is_empty());
    let secret = match (is_keyed, provider.forward_auth) {
        (true, _) => "the key",
        (false, true) => "the clients' own keys",
        (false, false) => return,
    };
    if is_this_machine(&authority) {
        return;
    }
    loaded.report(
        &["providers", name, "base_url"],
        Severity::Warning,
        format!("{secret} would cross the network unencrypted"),
        Some("use https://".to_owned()),
    );
}

/// The host of a URL that is not encrypted.
fn plain_authority(url: &config::url::BaseUrl) -> Option<String> {
    let uri: http::Uri = url.as_str().parse().ok()?;
    let is_plain = uri.scheme() == Some(&http::uri::Scheme::HTTP);
    is_plain.then(|| uri.host().map(str::to_owned)).flatten()
}

fn is_this_machine(host: &str) -> bool {
    let name = host.to_ascii_lowercase();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    name == "localhost"
        || name.ends_with(".localhost")
        || address.parse::<IpAddr>().is_ok_and(is_loopback)
}
