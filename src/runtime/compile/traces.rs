//! `[traces]`: where spans go, and of which exchanges they are made.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use crate::{
    config::{
        Loaded, Severity, Traces,
        traces::{Protocol, Sampler},
    },
    routing::transport::{Base, Options, Transport},
    runtime::Runtime,
    telemetry::{
        ended::id_of,
        traces::{sampling::Sampling, settings::Settings},
    },
};

/// What this process is called among others of its name, for as long as it lives.
static INSTANCE: LazyLock<String> =
    LazyLock::new(|| id_of(std::time::SystemTime::now()).to_string());

/// Headers that are the exporter's own.
const OWN: [HeaderName; 4] = [
    http::header::CONTENT_TYPE,
    http::header::CONTENT_LENGTH,
    http::header::HOST,
    http::header::TRANSFER_ENCODING,
];

/// Compiles the table; `None` where no spans are made, or where something is wrong with it.
pub(super) fn compile(loaded: &Loaded, previous: Option<&Runtime>) -> Option<Arc<Settings>> {
    let traces = &loaded.config.traces;
    let report = |key: &str, message: &str, help: &str| {
        let help = Some(help.to_owned());
        loaded.report(&["traces", key], Severity::Error, message, help);
    };
    let share = traces.sample.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&share) {
        report("sample", "this is no share", "a share is from 0 to 1");
    }
    if traces.max_batch_size > traces.max_queue_size {
        let message = "a batch cannot be larger than the queue that it is taken from";
        report("max_batch_size", message, "make max_queue_size larger");
    }
    let headers = headers(loaded, traces);
    if !traces.enabled {
        return None;
    }
    let endpoint = traces.endpoint.as_ref()?;
    if let Some(help) = not_built(traces.protocol) {
        let message = "this gateway was built without the code for it";
        report("endpoint", message, help);
        return None;
    }
    let table = loaded.section(&["traces"])?.node().clone();
    let kept = previous
        .and_then(|previous| previous.traces.as_ref())
        .filter(|settings| settings.table.says_the_same(&table));
    if let Some(kept) = kept {
        return Some(kept.clone());
    }
    let endpoint = whole(endpoint.as_str(), traces.protocol);
    let Ok(endpoint) = endpoint.parse::<Uri>() else {
        report("endpoint", "not a URL", "write http://host:port");
        return None;
    };
    let transport = match transport(&endpoint, traces) {
        Ok(transport) => transport,
        Err(error) => {
            report("endpoint", &error, "write http://host:port");
            return None;
        }
    };
    let by_share = traces.sample.map(|_| Sampler::ParentbasedTraceidratio);
    Some(Arc::new(Settings {
        sampling: Sampling {
            sampler: traces.sampler.or(by_share).unwrap_or_default(),
            share,
        },
        endpoint,
        protocol: traces.protocol,
        compression: traces.compression,
        transport,
        headers,
        timeout: traces.timeout.get(),
        max_queue_size: traces.max_queue_size.get().into(),
        max_batch_size: traces.max_batch_size.get().into(),
        delay: traces.delay.get(),
        resource: resource(traces),
        table,
    }))
}

/// What to do where this protocol is not built in.
const fn not_built(protocol: Protocol) -> Option<&'static str> {
    match protocol {
        _ if !cfg!(feature = "otlp") => Some("build it with the feature `otlp`"),
        Protocol::Grpc if !cfg!(feature = "otlp-grpc") => {
            Some("build it with the feature `otlp-grpc`, or use \"http/protobuf\"")
        }
        _ => None,
    }
}

/// The endpoint with the protocol's own path where it has none.
fn whole(endpoint: &str, protocol: Protocol) -> String {
    let has_path = endpoint
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains('/'));
    match protocol {
        Protocol::HttpProtobuf if !has_path => format!("{endpoint}/v1/traces"),
        _ => endpoint.to_owned(),
    }
}

fn transport(endpoint: &Uri, traces: &Traces) -> Result<Transport, String> {
    let origin = format!(
        "{}://{}",
        endpoint.scheme_str().unwrap_or_default(),
        endpoint
            .authority()
            .map_or("", http::uri::Authority::as_str)
    );
    let base = Base::parse(&origin, "")?;
    let options = Options {
        connect_timeout: traces.timeout.get(),
        pool_idle_timeout: Duration::from_secs(90),
        pool_max_idle: 1,
        proxy: None,
        ca_file: None,
    };
    match traces.protocol {
        Protocol::HttpProtobuf => Transport::new(base, options),
        Protocol::Grpc => Transport::http2(base, options),
    }
}

fn headers(loaded: &Loaded, traces: &Traces) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &traces.headers {
        let report = |message: &str| {
            let path = ["traces", "headers", name];
            loaded.report(&path, Severity::Error, message, None);
        };
        let Ok(header) = HeaderName::from_bytes(name.as_bytes()) else {
            report("this cannot be the name of a header");
            continue;
        };
        if OWN.contains(&header) {
            report("this header is the protocol's own");
            continue;
        }
        match HeaderValue::from_str(value.expose()) {
            Ok(mut value) => {
                value.set_sensitive(true);
                headers.insert(header, value);
            }
            Err(_) => report("its value cannot be sent in a header"),
        }
    }
    headers
}

/// What is known of the process: what the config says, and what nobody else knows better.
fn resource(traces: &Traces) -> BTreeMap<String, String> {
    let mut resource = traces.resource.clone();
    if let Some(name) = &traces.service_name {
        resource.insert("service.name".to_owned(), name.clone());
    }
    for (key, value) in [
        ("service.name", "millgate"),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("service.instance.id", &INSTANCE),
        ("telemetry.sdk.name", "opentelemetry"),
        ("telemetry.sdk.language", "rust"),
    ] {
        resource
            .entry(key.to_owned())
            .or_insert_with(|| value.to_owned());
    }
    resource
}
