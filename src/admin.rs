//! The listener for operators: whether the process lives, whether it should be sent requests, its cache and its plugins.

mod cache;
mod page;
mod plugins;

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};

use crate::{
    api::error::ApiError,
    http::guard::{Guard, Unwelcome},
    runtime::gateway::Gateway,
    server,
};

/// The most connections at a time: some operators, probes and scrapers.
const MAX_CONNECTIONS: usize = 64;

/// Serves until the future is dropped. A connection may take `header_timeout` to send a head, and be idle for as long.
pub async fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    guard: Guard,
    header_timeout: Duration,
) {
    let guard = Arc::new(guard);
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let Ok(local) = stream.local_addr() else {
            continue;
        };
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            server::spawn_connection(server::turn_away(stream));
            continue;
        };
        let (gateway, guard) = (gateway.clone(), guard.clone());
        server::spawn_connection(async move {
            let service = hyper::service::service_fn(|request| {
                let (gateway, guard) = (gateway.clone(), guard.clone());
                async move {
                    let response = match admit(&guard, &request, peer, local) {
                        Ok(()) => answer(&gateway, request).await,
                        Err(_) => error(&ApiError::new(
                            StatusCode::FORBIDDEN,
                            "forbidden",
                            "Not from there. Operators: see [admin] hosts.",
                        )),
                    };
                    Ok::<_, Infallible>(response)
                }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(header_timeout)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "admin connection ended");
            }
            drop(permit);
        });
    }
}

/// Whether a request is let in. Simple probes of this machine speak HTTP/1.0 and name no host; no browser does.
fn admit(
    guard: &Guard,
    request: &Request<Incoming>,
    peer: SocketAddr,
    local: SocketAddr,
) -> Result<(), Unwelcome> {
    let headers = request.headers();
    let is_plain_probe = request.version() == Version::HTTP_10
        && !headers.contains_key(header::HOST)
        && request.uri().authority().is_none()
        && peer.ip().to_canonical().is_loopback();
    let admitted = if is_plain_probe {
        guard.admit_page(headers)
    } else {
        guard.admit(request.uri(), headers, local)
    };
    admitted.map(drop)
}

async fn answer(gateway: &Gateway, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    match request.uri().path() {
        "/api/cache/purge" if request.method() == Method::POST => {
            cache::purge(gateway, request).await
        }
        "/api/cache/purge" => wrong_method("POST"),
        "/healthz" | "/readyz" | "/api/cache" | "/api/plugins" if !is_read => {
            wrong_method("GET, HEAD")
        }
        "/healthz" => status(StatusCode::OK, r#"{"status":"ok"}"#),
        "/readyz" if gateway.is_ready() => status(StatusCode::OK, r#"{"status":"ready"}"#),
        "/readyz" => status(StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"draining"}"#),
        "/api/cache" => cache::stats(gateway),
        "/api/plugins" => plugins::list(gateway),
        path => match page::serve(path) {
            Some(_) if !is_read => wrong_method("GET, HEAD"),
            Some(asset) => asset.response(request.headers()),
            None => unknown_path(),
        },
    }
}

fn unknown_path() -> Response<Full<Bytes>> {
    error(&ApiError::new(
        StatusCode::NOT_FOUND,
        "unknown_path",
        "There are /healthz, /readyz, /api/cache, /api/cache/purge and /api/plugins.",
    ))
}

fn wrong_method(allowed: &'static str) -> Response<Full<Bytes>> {
    let mut response = error(&ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        format!("Use {allowed}."),
    ));
    let allowed = HeaderValue::from_static(allowed);
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}

fn status(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    json(status, Bytes::from_static(body.as_bytes()))
}

fn error(error: &ApiError) -> Response<Full<Bytes>> {
    json(error.status, error.to_json())
}

fn json(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}
