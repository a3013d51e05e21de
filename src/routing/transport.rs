//! One provider's HTTP client: its pool, its base URL, and what a failure to get a reply means.

use std::{path::Path, sync::Arc, time::Duration};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, Uri, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{
    connect::{Bounded, Dial, Proxy, Replies},
    pool::{Pool, UpstreamReply},
    upload::UpstreamBody,
};

/// Where a provider is, as its `base_url` says.
#[derive(Clone, Debug)]
pub struct Base {
    scheme: Scheme,
    authority: Authority,
    /// Path without a slash at its end.
    prefix: Box<str>,
}

impl Base {
    /// Reads a base URL. A path that names no version (`/v1`, `/v1beta` …) is completed with `base_path`. Of a kind whose
    /// API has no versions (an empty `base_path`) a `/v1` at the end is dropped: it is how the same server's
    /// OpenAI layer is written, as of `http://localhost:11434/v1`.
    pub fn parse(url: &str, base_path: &str) -> Result<Self, &'static str> {
        let uri: Uri = url.parse().map_err(|_| "not a URL")?;
        let parts = uri.into_parts();
        let scheme = parts
            .scheme
            .ok_or("the URL has no scheme: write http://… or https://…")?;
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err("the scheme is neither http nor https");
        }
        let authority = parts.authority.ok_or("the URL has no host")?;
        if authority.as_str().contains('@') {
            return Err("credentials do not belong in the URL: use api_key");
        }
        let path = parts.path_and_query.as_ref().map_or("", PathAndQuery::path);
        if parts
            .path_and_query
            .as_ref()
            .is_some_and(|path| path.query().is_some())
        {
            return Err("a base URL has no query");
        }
        let mut prefix = path.trim_end_matches('/').to_owned();
        if base_path.is_empty() {
            let root = prefix.strip_suffix("/v1").unwrap_or(&prefix);
            prefix.truncate(root.len());
        } else if !prefix.split('/').any(is_version) {
            prefix.push_str(base_path);
        }
        Ok(Self {
            scheme,
            authority,
            prefix: prefix.into(),
        })
    }

    fn uri(&self, path: &str, query: Option<&str>) -> Result<Uri, http::Error> {
        let mut whole = String::with_capacity(
            self.prefix.len() + path.len() + query.map_or(0, |query| query.len() + 1),
        );
        whole.push_str(&self.prefix);
        whole.push_str(path);
        if let Some(query) = query {
            whole.push('?');
            whole.push_str(query);
        }
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(PathAndQuery::from_maybe_shared(bytes::Bytes::from(whole))?)
            .build()
    }

    /// Its host and port.
    #[must_use]
    pub fn host_and_port(&self) -> (&str, u16) {
        let usual = if self.is_https() { 443 } else { 80 };
        let port = self.authority.port_u16().unwrap_or(usual);
        (self.authority.host(), port)
    }

    /// Whether connections are encrypted.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }
}

/// `v1`, `v2`, `v1beta` …
fn is_version(segment: &str) -> bool {
    segment
        .strip_prefix('v')
        .is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

/// How a provider's connections are made and kept.
#[derive(Debug)]
pub struct Options<'a> {
    /// Bounds a connection's making, TLS included.
    pub connect_timeout: Duration,
    /// How long an idle connection is kept.
    pub pool_idle_timeout: Duration,
    /// How many idle connections are kept.
    pub pool_max_idle: usize,
    /// The proxy, where one is configured.
    pub proxy: Option<Proxy>,
    /// PEM file of further certificate authorities.
    pub ca_file: Option<&'a Path>,
}

/// One provider's HTTP client.
pub struct Transport {
    client: Client<Bounded<HttpsConnector<Dial>>, UpstreamBody>,
    base: Base,
    pool: Pool,
    /// For a proxy that plain requests are sent through; one that is tunnelled through learns it as it connects.
    proxy_authorization: Option<HeaderValue>,
}

impl std::fmt::Debug for Transport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transport")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

/// Why there is no reply.
#[derive(Debug)]
pub enum SendError {
    /// No connection could be made: refused, unknown host, TLS.
    Connect(String),
    /// A connection that had been waiting in the pool died before the first byte of a reply.
    StaleConnection(String),
    /// The connection failed, or what came is not HTTP.
    Broken(String),
    /// The request cannot be sent: its path or a header is not valid.
    Unsendable(String),
}

impl Transport {
    /// A client for `base`. Over TLS it speaks HTTP/2 where the server does, else HTTP/1.1.
    pub fn new(base: Base, options: Options<'_>) -> Result<Self, String> {
        Self::build(base, options, false)
    }

    /// The same for a server of which it is known that it speaks HTTP/2, also without TLS (RFC 9113, section 3.3).
    pub fn http2(base: Base, options: Options<'_>) -> Result<Self, String> {
        Self::build(base, options, true)
    }

    fn build(base: Base, options: Options<'_>, only_http2: bool) -> Result<Self, String> {
        let tls = tls_config(base.is_https(), options.ca_file)?;
        let proxy_authorization = match &options.proxy {
            Some(proxy) if !base.is_https() => proxy.authorization.clone(),
            _ => None,
        };
        let pool = Pool::default();
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(Dial::new(
                options.connect_timeout,
                options.proxy,
                pool.clone(),
            ));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(options.pool_idle_timeout)
            .pool_max_idle_per_host(options.pool_max_idle)
            .http2_adaptive_window(true)
            .http2_only(only_http2)
            .build(Bounded::new(
                connector,
                options.connect_timeout,
                pool.clone(),
            ));
        Ok(Self {
            client,
            base,
            pool,
            proxy_authorization,
        })
    }

    /// What is known of its connections.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Where it leads.
    #[must_use]
    pub const fn base(&self) -> &Base {
        &self.base
    }

    /// Sends a request and waits for the head of its reply. Dropping the future closes the connection.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        query: Option<&str>,
        headers: HeaderMap,
        body: UpstreamBody,
    ) -> Result<Response<UpstreamReply>, SendError> {
        let uri = self
            .base
            .uri(path, query)
            .map_err(|error| SendError::Unsendable(error.to_string()))?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        if let Some(authorization) = &self.proxy_authorization {
            request
                .headers_mut()
                .insert(header::PROXY_AUTHORIZATION, authorization.clone());
        }
        let busy = self.pool.send();
        match self.client.request(request).await {
            Ok(response) => {
                if let Some(replies) = response.extensions().get::<Replies>() {
                    if replies.any() {
                        self.pool.reuse();
                    }
                    replies.count();
                }
                Ok(response.map(|body| busy.with(body)))
            }
            Err(error) => Err(classify(&error)),
        }
    }
}

fn classify(error: &hyper_util::client::legacy::Error) -> SendError {
    let detail = chain(error);
    if error.is_connect() {
        return SendError::Connect(detail);
    }
    let mut extensions = http::Extensions::new();
    if let Some(connected) = error.connect_info() {
        connected.get_extras(&mut extensions);
    }
    let reused = extensions.get::<Replies>().is_some_and(Replies::any);
    if reused && died_before_reply(error) {
        SendError::StaleConnection(detail)
    } else {
        SendError::Broken(detail)
    }
}

/// Whether a connection closed or was reset with no byte of the reply read.
fn died_before_reply(error: &hyper_util::client::legacy::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<hyper::Error>()
            && (error.is_incomplete_message() || error.is_canceled() || error.is_closed())
        {
            return true;
        }
        if let Some(error) = error.downcast_ref::<std::io::Error>() {
            return matches!(
                error.kind(),
                std::io::ErrorKind::ConnectionReset
                    | std::io::ErrorKind::BrokenPipe
                    | std::io::ErrorKind::ConnectionAborted
            );
        }
        source = error.source();
    }
    false
}

/// An error with what caused it, for the log.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.ends_with(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
        source = error.source();
    }
    text
}

/// The system's trust and, beside it, the authorities of `ca_file`. Nothing is loaded for plain HTTP.
pub(crate) fn tls_config(needed: bool, ca_file: Option<&Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    if !needed {
        return Ok(builder
            .with_root_certificates(rustls::RootCertStore::empty())
            .with_no_client_auth());
    }
    let mut extra = Vec::new();
    if let Some(path) = ca_file {
        for certificate in CertificateDer::pem_file_iter(path)
            .map_err(|error| format!("the file cannot be read: {error}"))?
        {
            extra.push(
                certificate
                    .map_err(|error| format!("this is not a PEM file of certificates: {error}"))?,
            );
        }
        if extra.is_empty() {
            return Err("the file holds no certificate".to_owned());
        }
    }
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider)
        .map_err(|error| error.to_string())?;
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(base: &str, path: &str) -> String {
        Base::parse(base, "/v1")
            .unwrap()
            .uri(path, None)
            .unwrap()
            .to_string()
    }

    #[test]
    fn a_base_url_may_name_its_version_or_not() {
        for base in [
            "http://llm:8000",
            "http://llm:8000/",
            "http://llm:8000/v1",
            "http://llm:8000/v1/",
        ] {
            assert_eq!(
                uri(base, "/chat/completions"),
                "http://llm:8000/v1/chat/completions"
            );
        }
        assert_eq!(
            uri("https://x/openai/v1beta", "/models"),
            "https://x/openai/v1beta/models"
        );
        assert_eq!(uri("https://x/llm", "/models"), "https://x/llm/v1/models");
    }

    #[test]
    fn a_kind_without_versions_is_reached_at_the_root() {
        for (base, asked) in [
            ("http://localhost:11434", "http://localhost:11434/api/chat"),
            (
                "http://localhost:11434/v1",
                "http://localhost:11434/api/chat",
            ),
            (
                "http://localhost:11434/v1/",
                "http://localhost:11434/api/chat",
            ),
            ("https://x/ollama/v1", "https://x/ollama/api/chat"),
            ("https://x/v1/ollama", "https://x/v1/ollama/api/chat"),
        ] {
            let base = Base::parse(base, "").unwrap();
            assert_eq!(base.uri("/api/chat", None).unwrap(), asked);
        }
    }

    #[test]
    fn what_cannot_be_a_base_url_is_told() {
        for url in [
            "llm:8000",
            "ftp://x",
            "/v1",
            "http://user:key@x",
            "http://x/v1?key=1",
        ] {
            assert!(Base::parse(url, "/v1").is_err(), "{url}");
        }
    }
}
