//! A scripted upstream: it speaks the APIs of `OpenAI` and Ollama, and fails in every way an upstream can.
//!
//! Tests, benchmarks and operators use it in place of a real one. It works on raw sockets and writes
//! HTTP/1.1 by hand, so that it can lie at the level of bytes; and it shares no code with the gateway's
//! own parsers, so that it is a witness of what the gateway sends.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use millgate::mock::{Fault, Mock, Options, Script};
//!
//! let script = Script { fail_first: Some(1), ..Script::fault(Fault::ResetBeforeHead) };
//! let mock = Mock::start(Options { script: Some(script.into()), ..Options::default() }).await?;
//! // … requests to mock.url() …
//! let counts = mock.wait_for(|counts| counts.completed == 2).await;
//! assert_eq!(counts.aborted, 0);
//! mock.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! # What it answers
//! | path | reply |
//! |---|---|
//! | `POST /v1/chat/completions`, `/v1/completions` | whole or streamed, with usage, tool calls, reasoning |
//! | `POST /v1/responses` | whole or as its event stream |
//! | `POST /v1/embeddings` | floats or base64 |
//! | `POST /v1/audio/speech` | binary, chunked |
//! | `POST /v1/files` | size and CRC-32 of the body |
//! | `GET /v1/models` | the models of the plan |
//! | any other `/v1/…` | an echo: method, path, query, size and CRC-32 of the body |
//! | `POST /api/chat`, `/api/generate`, `/api/embed`, `/api/embeddings`, `/api/show` | as Ollama, streams by default |
//! | `GET /api/tags`, `/api/version`, `/` | as Ollama |
//!
//! # How it is steered
//! By a [`Script`] per request, in JSON: in the header `x-mock` or the query parameter `mock`
//! (percent-encoded), else from the server's [`Plan`]: by path, by model, or the default.
//!
//! | call | effect |
//! |---|---|
//! | `PUT /mock/script` | sets the plan |
//! | `GET /mock/counts` | [`Counts`] |
//! | `GET /mock/requests`, `DELETE /mock/requests` | the requests of late (10 000, 256 MiB of bodies); forgets them |
//! | `POST /mock/gate?n=1` | lets `n` events of gated streams go |

mod chat;
mod connection;
mod control;
mod counts;
mod fault;
mod gzip;
mod ollama;
mod openai;
mod player;
mod reply;
mod request;
mod responses;
mod script;
mod shape;
mod state;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use counts::Counts;
pub use request::Request;
pub use script::{Fault, Plan, Script, Series};
use state::State;

/// How a mock is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address to listen on. Default: 127.0.0.1, and a port that is free.
    pub listen: SocketAddr,
    /// What it is told to do. Default: to answer well.
    pub script: Option<Plan>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            script: None,
        }
    }
}

/// A running mock. Dropping it stops it too, without waiting.
pub struct Mock {
    address: SocketAddr,
    state: Arc<State>,
    _acceptor: JoinSet<()>,
}

impl Mock {
    /// Listens and begins to answer, on the runtime that this is called on.
    ///
    /// Fails where the address cannot be listened on.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind(options.listen).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::new(options.script.unwrap_or_default()));
        let mut acceptor = JoinSet::new();
        acceptor.spawn(accept(listener, Arc::clone(&state)));
        Ok(Self {
            address,
            state,
            _acceptor: acceptor,
        })
    }

    /// As [`start`](Self::start), on a free port of loopback, with this plan.
    pub async fn with(script: impl Into<Plan>) -> io::Result<Self> {
        Self::start(Options {
            script: Some(script.into()),
            ..Options::default()
        })
        .await
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts a plan in place of the present one.
    pub fn set_script(&self, script: impl Into<Plan>) {
        self.state.set_plan(script.into());
    }

    /// The requests of late, the oldest first: at most 10 000, with 256 MiB of bodies.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.state.log().to_vec()
    }

    /// Forgets the requests so far. The counts stay.
    pub fn clear_requests(&self) {
        self.state.log().clear();
    }

    /// The counts as they are now. A reply is counted as completed only after its last byte was written,
    /// so a test that has read it should [`wait_for`](Self::wait_for) that count.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.state.counts.borrow().clone()
    }

    /// The counts once they satisfy `condition`, be it now or later. Without a limit of time.
    pub async fn wait_for(&self, mut condition: impl FnMut(&Counts) -> bool) -> Counts {
        let mut counts = self.state.counts.subscribe();
        match counts.wait_for(|counts| condition(counts)).await {
            Ok(counts) => counts.clone(),
            // The sender lives in `self.state`, so this is out of reach.
            Err(_) => self.counts(),
        }
    }

    /// Lets `events` events of gated streams go. What nobody waits for yet is kept for those who will.
    pub fn release(&self, events: usize) {
        self.state.gate.add_permits(events);
    }

    /// [`release`](Self::release) of one event.
    pub fn release_one(&self) {
        self.release(1);
    }

    /// Stops listening and resets every open connection, and returns when that is done. Requests and
    /// counts can still be read.
    pub async fn stop(&self) {
        self.state.stop.send_replace(true);
        self.state.stop.closed().await;
    }
}

/// Runs a mock for as long as the future is polled. `ready` is told the address once it listens.
///
/// Fails where the address cannot be listened on, and otherwise never returns.
pub async fn serve(options: Options, ready: impl FnOnce(SocketAddr)) -> io::Result<Infallible> {
    let mock = Mock::start(options).await?;
    ready(mock.address());
    std::future::pending().await
}

/// Accepts until the mock stops, then waits for its connections.
async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut stopping = state.stop.subscribe();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let state = Arc::clone(&state);
                    connections.spawn(async move { connection::serve(stream, &state).await });
                }
                // Out of descriptors, mostly: connections that end give some back.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            },
            Some(_) = connections.join_next() => {}
            () = state::stopped(&mut stopping) => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}
