//! Providers: those that a route reaches are made, the others only checked.

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use http::HeaderValue;

use super::kinds::Kinds;
use crate::{
    config::{self, Loaded, Section, Severity, provider::KEYS, route},
    providers::ProviderKind,
    routing::{
        connect::Proxy,
        pattern::Glob,
        provider::Provider,
        retry::{BudgetSettings, RetryBudget},
        transport::{Base, Options, Transport},
    },
    runtime::{Compiled, Runtime},
};

/// Every provider that a route names, in the order of the file.
pub(super) fn compile(
    loaded: &Loaded,
    kinds: &Kinds<'_>,
    previous: Option<&Runtime>,
) -> Vec<Compiled<Provider>> {
    let reached = reached(loaded);
    let mut providers = Vec::new();
    for (name, common) in loaded.config.providers.iter() {
        let Some(kind) = kinds.of_provider(loaded, name, common) else {
            continue;
        };
        let Some(section) = loaded.section(&["providers", name]) else {
            continue;
        };
        if !reached.contains(name) {
            let _ = section.split(KEYS).0.read_lenient::<config::Provider>();
            continue;
        }
        let table = section.node().clone();
        let is_same = |old: &&Compiled<Provider>| {
            *old.made.name == *name && old.image == kind.image && old.table.says_the_same(&table)
        };
        let kept = previous
            .and_then(|previous| previous.providers.iter().find(is_same))
            .map(|old| old.made.clone());
        if let Some(made) = kept.or_else(|| make(loaded, name, kind, section)) {
            let image = kind.image;
            providers.push(Compiled { table, image, made });
        }
    }
    providers
}

/// The names of the providers that routes ask, whether those can be made or not.
pub(super) fn reached(loaded: &Loaded) -> BTreeSet<&str> {
    let routes = loaded.config.routes.iter();
    routes
        .flat_map(|(_, route)| &route.targets)
        .map(|target| provider_of(loaded, target))
        .collect()
}

/// The provider that a target names: `a/b` is provider and model only if `a` is a provider.
pub(super) fn provider_of<'a>(loaded: &Loaded, target: &'a route::Target) -> &'a str {
    match target {
        route::Target::Table(table) => &table.provider,
        route::Target::Name(name) => match name.split_once('/') {
            Some((provider, _))
                if loaded.config.providers.get(name).is_none()
                    && loaded.config.providers.get(provider).is_some() =>
            {
                provider
            }
            _ => name,
        },
    }
}

fn make(
    loaded: &Loaded,
    name: &str,
    kind: &ProviderKind,
    section: Section<'_>,
) -> Option<Arc<Provider>> {
    let (host, own) = section.split(KEYS);
    let common = host.read::<config::Provider>();
    let codec = (kind.make)(name, &own);
    let (common, codec) = (common?, codec?);
    let transport = if kind.answers {
        None
    } else {
        Some(transport(loaded, name, &common, codec.base_path())?)
    };
    Some(Arc::new(Provider {
        name: name.into(),
        codec,
        transport,
        authorization: authorization(&host, &common)?,
        model: common.model.map(Into::into),
        embedding_model: common.embedding_model.map(Into::into),
        forward_headers: common
            .forward_headers
            .iter()
            .map(|glob| Glob::new(&glob.to_ascii_lowercase()))
            .collect(),
        forward_auth: common.forward_auth,
        budget: RetryBudget::new(
            BudgetSettings {
                ratio: common.retry_ratio,
                ..BudgetSettings::default()
            },
            Instant::now(),
        ),
    }))
}

fn transport(
    loaded: &Loaded,
    name: &str,
    common: &config::Provider,
    base_path: &str,
) -> Option<Transport> {
    let path = |key| ["providers", name, key];
    let Some(base_url) = &common.base_url else {
        loaded.report_key(
            &["providers", name],
            Severity::Error,
            "`base_url` is missing",
            Some("write where the provider listens: base_url = \"http://…\"".to_owned()),
        );
        return None;
    };
    let base = Base::parse(base_url.as_str(), base_path)
        .map_err(|error| loaded.report(&path("base_url"), Severity::Error, error, None))
        .ok()?;
    let proxy = match &common.proxy {
        None => None,
        Some(url) => Some(
            Proxy::parse(url.expose())
                .map_err(|error| loaded.report(&path("proxy"), Severity::Error, error, None))
                .ok()?,
        ),
    };
    let options = Options {
        connect_timeout: common.connect_timeout.get(),
        pool_idle_timeout: common.pool_idle_timeout.get(),
        pool_max_idle: common.pool_max_idle as usize,
        proxy,
        ca_file: common.ca_file.as_deref(),
    };
    Transport::new(base, options)
        .map_err(|error| loaded.report(&path("ca_file"), Severity::Error, error, None))
        .ok()
}

/// `Authorization: Bearer` with the provider's key; the outer `None` where the key cannot be a header.
#[expect(
    clippy::option_option,
    reason = "no key is fine, a key that cannot be sent is not"
)]
fn authorization(host: &Section<'_>, common: &config::Provider) -> Option<Option<HeaderValue>> {
    let Some(key) = common
        .api_key
        .as_ref()
        .filter(|key| !key.expose().is_empty())
    else {
        return Some(None);
    };
    let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", key.expose())) else {
        host.report(&["api_key"], "the key holds a character that no header may");
        return None;
    };
    value.set_sensitive(true);
    Some(Some(value))
}
