//! The listener for clients: connections in, requests to [`exchange::serve`], and an orderly end.

mod busy;
mod exchanges;
mod framing;
mod refusal;
mod stall;
mod streams;
mod tap;
pub(crate) mod tasks;
mod wire;

pub(crate) use stall::Stall;
pub(crate) use tasks::spawn as spawn_connection;

use std::{convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use http::{Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::{rt::TokioTimer, server::conn::auto};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};

use crate::{
    pipeline::{
        exchange::{self, Ends, Misframed, Unread},
        reply::ReplyBody,
    },
    runtime::{Runtime, gateway::Gateway},
};
use exchanges::{Exchanges, Watched};
use streams::Streams;
use wire::Wire;

/// What a listener allows.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest head of a request, in bytes.
    pub max_header_size: usize,
    /// Most headers of a request.
    pub max_headers: usize,
    /// Most connections at a time.
    pub max_connections: usize,
    /// Longest time for the head of a request to arrive.
    pub header_timeout: Duration,
    /// Longest time for a connection to be kept without a request.
    pub keep_alive_timeout: Duration,
    /// Longest time for a client to take nothing of what is sent to it.
    pub write_timeout: Duration,
    /// Longest time for exchanges to finish once the server is told to stop.
    pub drain_timeout: Duration,
}

/// Streams that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 256;

/// How long accepting pauses when the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` says so, then lets exchanges finish for as long as `drain_timeout`. True if all of them did.
pub async fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    limits: Limits,
    mut stop: watch::Receiver<bool>,
) -> bool {
    let builder = Arc::new(connection_builder(&limits));
    let connections = Arc::new(Semaphore::new(limits.max_connections));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            tasks::spawn(busy::turn_away(stream));
            continue;
        };
        let Ok(ends) = prepare(&stream, peer) else {
            continue;
        };
        let gateway = gateway.clone();
        let exchanges = Exchanges::default();
        let wire = Wire::new(stream, peer, exchanges.clone(), &limits);
        let idle = exchanges.clone().idle(limits.keep_alive_timeout);
        // Boxed, since it is large: an idle connection then holds none of it.
        let service = hyper::service::service_fn(move |request| {
            Box::pin(answer(exchanges.clone(), gateway.runtime(), ends, request))
        });
        let connection = builder.serve_connection(wire, service).into_owned();
        let mut stop = stop.clone();
        tasks::spawn(async move {
            let mut connection = pin!(connection);
            let patience = tokio::select! {
                biased;
                ended = connection.as_mut() => {
                    tell(peer, ended);
                    drop(permit);
                    return;
                }
                // Who stops knows how long it waits: a connection that gave up by itself would count as drained.
                _ = stop.wait_for(|stop| *stop) => Duration::MAX,
                () = idle => limits.write_timeout,
            };
            connection.as_mut().graceful_shutdown();
            if let Ok(ended) = tokio::time::timeout(patience, connection).await {
                tell(peer, ended);
            }
            drop(permit);
        });
    }
    drop(listener);
    // All permits are there again once all connections have ended.
    let all = u32::try_from(limits.max_connections).unwrap_or(u32::MAX);
    tokio::time::timeout(limits.drain_timeout, connections.acquire_many(all))
        .await
        .is_ok()
}

fn tell(peer: SocketAddr, ended: Result<(), Box<dyn std::error::Error + Send + Sync>>) {
    if let Err(error) = ended {
        tracing::debug!(%peer, error = &*error, "connection ended");
    }
}

/// One exchange, watched by the wire that it is on. It has begun before anybody polls it: of a client that is gone at once
/// nobody ever does.
fn answer(
    exchanges: Exchanges,
    runtime: Arc<Runtime>,
    ends: Ends,
    mut request: Request<Incoming>,
) -> impl Future<Output = Result<Response<Watched<ReplyBody>>, Infallible>> + Send {
    let under_way = exchanges.begin();
    if under_way.is_distrusted() {
        request.extensions_mut().insert(Misframed);
    }
    let has_body = !request.body().is_end_stream();
    let answered = exchange::serve(runtime, ends, request);
    async move {
        let response = answered.await;
        let status = response.status();
        let is_error = status.is_client_error() || status.is_server_error();
        let is_early = response.extensions().get::<Unread>().is_some();
        if has_body && (is_error || is_early) {
            exchanges.leave_unread();
        }
        Ok(response.map(|body| Watched::new(body, under_way)))
    }
}

fn prepare(stream: &TcpStream, peer: SocketAddr) -> std::io::Result<Ends> {
    stream.set_nodelay(true)?;
    Ok(Ends {
        peer,
        local: stream.local_addr()?,
    })
}

/// HTTP/1.1, and HTTP/2 for clients that begin with its preface.
fn connection_builder(limits: &Limits) -> auto::Builder<Streams> {
    let mut builder = auto::Builder::new(Streams(limits.write_timeout));
    builder
        .http1()
        // The wire has a timer that costs less, and knows an idle connection from a slow one.
        .header_read_timeout(None)
        .max_buf_size(limits.max_header_size.max(8192));
    if limits.max_headers != hyper_default::MAX_HEADERS {
        builder.http1().max_headers(limits.max_headers);
    }
    builder
        .http2()
        .timer(TokioTimer::new())
        .adaptive_window(true)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(limits.max_header_size).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(30));
    builder
}

mod hyper_default {
    /// hyper keeps this many on the stack; any other number costs an allocation for each request.
    pub(super) const MAX_HEADERS: usize = 100;
}
