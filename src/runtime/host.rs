//! What stages may call on: [`millgate_plugin::Host`] as this process offers it.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use http_body_util::{BodyExt, Limited};
use millgate_plugin::{
    BoxFuture, CallError, Done, Host, HttpAnswer, HttpCall, Metric, MetricKind, Services, Tally,
};

use crate::{
    cache::disk::Disk,
    plugin::{image::Images, metrics},
    routing::{
        transport::{Base, Options, SendError, Transport},
        upload::UpstreamBody,
    },
    server::tasks,
    store::Store,
    telemetry::observer::Observer,
};

/// What lasts as long as the process, whatever is reloaded. Cheap to clone.
#[derive(Clone)]
pub struct Process {
    /// What stages may call on.
    pub host: Host,
    /// Keys, and sums that outlive a restart; in memory alone until it is opened.
    pub store: Arc<Store>,
    /// Where a cache keeps what is to survive a restart; idle until one asks for it.
    pub disk: Arc<Disk>,
    /// Who keeps account of exchanges.
    pub observer: Arc<Observer>,
    /// The libraries of plugins that were loaded; `None` where none is to be.
    pub images: Option<Arc<Images>>,
}

impl Process {
    /// A process that loads no plugins.
    #[must_use]
    pub fn without_plugins() -> Self {
        Self {
            images: None,
            ..Self::default()
        }
    }
}

impl Default for Process {
    fn default() -> Self {
        let store = Arc::new(Store::default());
        let host = Host::new(Hosting {
            store: store.clone(),
        });
        Self {
            host,
            store,
            disk: Arc::default(),
            observer: Arc::default(),
            images: Some(Arc::default()),
        }
    }
}

struct Hosting {
    store: Arc<Store>,
}

impl Services for Hosting {
    fn call(&self, call: HttpCall, done: Done) {
        tasks::spawn(async move {
            let answer = tokio::time::timeout(call.timeout, fetch(&call)).await;
            done(answer.unwrap_or_else(|_| Err(CallError("it took too long".to_owned()))));
        });
    }

    fn sleep(&self, time: Duration) -> BoxFuture {
        Box::pin(tokio::time::sleep(time))
    }

    fn tally(&self, key: &str) -> Tally {
        self.store.tally(key)
    }

    fn metric(&self, kind: MetricKind, name: &str, labels: &[(&str, &str)]) -> Arc<dyn Metric> {
        metrics::built_in(kind, name, labels)
    }
}

async fn fetch(call: &HttpCall) -> Result<HttpAnswer, CallError> {
    let uri: http::Uri = call
        .url
        .parse()
        .map_err(|_| CallError("not a URL".to_owned()))?;
    let origin = format!(
        "{}://{}",
        uri.scheme_str().unwrap_or_default(),
        uri.authority().map_or("", http::uri::Authority::as_str)
    );
    let base = Base::parse(&origin, "").map_err(|error| CallError(error.to_owned()))?;
    let options = Options {
        connect_timeout: call.timeout,
        pool_idle_timeout: Duration::ZERO,
        pool_max_idle: 0,
        proxy: None,
        ca_file: None,
    };
    let transport = Transport::new(base, options).map_err(CallError)?;
    let method =
        Method::from_bytes(call.method.as_bytes()).map_err(|error| CallError(error.to_string()))?;
    let body = UpstreamBody::Full((!call.body.is_empty()).then(|| call.body.clone()));
    let response = transport
        .send(method, uri.path(), uri.query(), headers(call)?, body)
        .await
        .map_err(|error| match error {
            SendError::Connect(detail)
            | SendError::StaleConnection(detail)
            | SendError::Broken(detail)
            | SendError::Unsendable(detail) => CallError(detail),
        })?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, call.max_body)
        .collect()
        .await
        .map_err(|error| CallError(error.to_string()))?
        .to_bytes();
    let headers = head.headers.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        Some((name.as_str().to_owned(), value.to_owned()))
    });
    Ok(HttpAnswer {
        status: head.status.as_u16(),
        headers: headers.collect(),
        body,
    })
}

fn headers(call: &HttpCall) -> Result<HeaderMap, CallError> {
    let mut headers = HeaderMap::with_capacity(call.headers.len());
    for (name, value) in &call.headers {
        let name = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| CallError(format!("{name:?} is no header")))?;
        let value = HeaderValue::from_str(value)
            .map_err(|_| CallError(format!("the value of {name} cannot be sent")))?;
        headers.append(name, value);
    }
    Ok(headers)
}
