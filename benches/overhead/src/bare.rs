//! The bare pass-through: the least that a proxy on hyper can do, and so the measure of the others.
//!
//! A pooled client, bodies streamed both ways, `TCP_NODELAY` on both sides, and no look at any header.

use std::convert::Infallible;
use std::net::SocketAddr;

use hyper::body::Incoming;
use hyper::http::uri::{Authority, Scheme};
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::net::TcpListener;

use crate::listener;

type Upstream = Client<HttpConnector, Incoming>;
type Error = Box<dyn std::error::Error + Send + Sync>;

/// Passes what comes to `listen` on to `upstream`, until the process ends.
///
/// Fails where `listen` cannot be listened on.
pub(crate) async fn run(listen: SocketAddr, upstream: SocketAddr) -> Result<Infallible, Error> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Upstream = Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(connector);
    let upstream: Authority = upstream.to_string().parse()?;
    let service = service_fn(move |request| pass(client.clone(), upstream.clone(), request));
    listener::serve(TcpListener::bind(listen).await?, service).await
}

async fn pass(
    client: Upstream,
    upstream: Authority,
    mut request: Request<Incoming>,
) -> Result<Response<Incoming>, Error> {
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(upstream);
    *request.uri_mut() = Uri::from_parts(parts)?;
    Ok(client.request(request).await?)
}
