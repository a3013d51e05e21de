//! How connections to upstreams are made: TCP without delay, through a proxy where one is configured, TLS where the
//! URL says so. Each connection counts the replies it has brought, so that a failure on a reused one can be told.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use http::{Uri, uri::Scheme};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector, proxy::Tunnel},
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower_service::Service;

use super::pool::{Open, Pool};

/// Replies that a connection has brought.
#[derive(Clone, Debug, Default)]
pub struct Replies(Arc<AtomicU32>);

impl Replies {
    /// One more.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether there was one before, so that the connection had been sitting in the pool.
    #[must_use]
    pub fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Makes TCP connections, directly or through a proxy.
#[derive(Clone, Debug)]
pub struct Dial {
    direct: HttpConnector,
    proxy: Option<Uri>,
    proxy_authorization: Option<http::HeaderValue>,
    pool: Pool,
}

impl Dial {
    /// `proxy`: an `http://` proxy; credentials in it are sent to the proxy alone. Connections are counted in `pool`.
    #[must_use]
    pub fn new(connect_timeout: Duration, proxy: Option<Proxy>, pool: Pool) -> Self {
        let mut direct = HttpConnector::new();
        direct.enforce_http(false);
        direct.set_nodelay(true);
        // Shared out among the addresses of a name, so that a dead one leaves time for the next.
        direct.set_connect_timeout(Some(connect_timeout));
        direct.set_keepalive(Some(Duration::from_mins(1)));
        let (proxy, proxy_authorization) =
            proxy.map_or((None, None), |proxy| (Some(proxy.uri), proxy.authorization));
        Self {
            direct,
            proxy,
            proxy_authorization,
            pool,
        }
    }
}

/// A configured proxy.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Where it listens.
    pub uri: Uri,
    /// `Proxy-Authorization`, where it wants one.
    pub authorization: Option<http::HeaderValue>,
}

impl Proxy {
    /// Reads `http://[user:password@]host:port`.
    pub fn parse(url: &str) -> Result<Self, &'static str> {
        let uri: Uri = url.parse().map_err(|_| "not a URL")?;
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err("a proxy is spoken to over http://");
        }
        let authority = uri.authority().ok_or("the URL has no host")?.as_str();
        let (credentials, host) = authority
            .rsplit_once('@')
            .map_or((None, authority), |(left, host)| (Some(left), host));
        let authorization = match credentials {
            None => None,
            Some(credentials) => {
                let decoded =
                    percent_encoding::percent_decode_str(credentials).collect::<Vec<u8>>();
                let mut value =
                    http::HeaderValue::from_str(&format!("Basic {}", BASE64.encode(decoded)))
                        .map_err(|_| "the credentials cannot be sent")?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        let uri = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(host)
            .path_and_query("/")
            .build()
            .map_err(|_| "not a URL")?;
        Ok(Self { uri, authorization })
    }
}

impl Service<Uri> for Dial {
    type Response = Wire;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Wire, Error>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let mut direct = self.direct.clone();
        let pool = self.pool.clone();
        let Some(proxy) = self.proxy.clone() else {
            return Box::pin(async move {
                Ok(Wire::new(direct.call(destination).await?, false, &pool))
            });
        };
        if destination.scheme() == Some(&Scheme::HTTPS) {
            let mut tunnel = Tunnel::new(proxy, direct);
            if let Some(authorization) = self.proxy_authorization.clone() {
                tunnel = tunnel.with_auth(authorization);
            }
            return Box::pin(async move {
                Ok(Wire::new(tunnel.call(destination).await?, false, &pool))
            });
        }
        Box::pin(async move { Ok(Wire::new(direct.call(proxy).await?, true, &pool)) })
    }
}

/// Bounds the making of a connection as a whole: name, TCP, proxy and TLS.
#[derive(Clone, Debug)]
pub struct Bounded<C> {
    inner: C,
    limit: Duration,
    pool: Pool,
}

impl<C> Bounded<C> {
    /// `inner`, given up on after `limit`, and counted in `pool`.
    #[must_use]
    pub fn new(inner: C, limit: Duration, pool: Pool) -> Self {
        Self { inner, limit, pool }
    }
}

impl<C> Service<Uri> for Bounded<C>
where
    C: Service<Uri, Error = Error>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, destination: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.limit, self.inner.call(destination));
        let making = self.pool.make();
        Box::pin(async move {
            let begun = Instant::now();
            let connected = connecting
                .await
                .unwrap_or_else(|_| Err("no connection within connect_timeout".into()));
            match &connected {
                Ok(_) => making.made(begun.elapsed()),
                Err(_) => making.failed(),
            }
            connected
        })
    }
}

/// One connection.
#[derive(Debug)]
pub struct Wire {
    stream: TokioIo<TcpStream>,
    proxied: bool,
    replies: Replies,
    _open: Open,
}

impl Wire {
    fn new(stream: TokioIo<TcpStream>, proxied: bool, pool: &Pool) -> Self {
        Self {
            stream,
            proxied,
            replies: Replies::default(),
            _open: pool.open(),
        }
    }
}

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
            .proxy(self.proxied)
            .extra(self.replies.clone())
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }
}
