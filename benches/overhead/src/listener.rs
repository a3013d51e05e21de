//! Connections over HTTP/1.1, each answered by the same service.

use std::convert::Infallible;
use std::future::Future;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Serves until the process ends.
///
/// Fails where no connection can be taken.
pub(crate) async fn serve<S, B>(listener: TcpListener, service: S) -> Result<Infallible, Error>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error: Into<Error>>
        + Clone
        + Send
        + 'static,
    S::Future: Future + Send,
    B: Body<Data: Send, Error: Into<Error>> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                stream.set_nodelay(true)?;
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}
