//! What a stage or a provider of millgate is: the traits that authors implement.
//!
//! A [`Stage`] is one step of the pipeline: it may look at a request, change it, answer it or refuse it,
//! watch the reply pass and learn how it ended. A [`Provider`] is a codec: it turns an OpenAI-shaped call
//! into what an upstream speaks and the upstream's bytes back into the OpenAI shape. Neither does any
//! I/O of its own; the host owns sockets, TLS, pools, timeouts, retries and cancellation.
//!
//! millgate's built-in stages and providers implement these very traits, and the host cannot tell
//! them from anybody else's.

#![warn(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

pub mod border;
mod chunk;
mod exchange;
mod host;
mod provider;
mod refusal;
mod stage;
pub mod testing;
pub mod units;
mod wait;

pub use bytes::Bytes;
pub use chunk::Chunk;
pub use exchange::{CacheStatus, Endpoint, Exchange, Field, SetError};
pub use host::{
    CallError, Count, Counter, Done, Histogram, Host, HttpAnswer, HttpCall, Metric, MetricKind,
    Services, Tally,
};
pub use provider::{Answer, Call, Gone, HeadFlow, Provider, UpstreamHead, UpstreamRequest};
pub use refusal::{Refusal, RefusalKind};
pub use stage::{
    BoxFuture, ChunkFlow, Flow, Hooks, Outcome, Place, Reply, SetupError, Stage, StageError,
};
pub use wait::WaitCell;

/// What a plugin says it was written with.
pub const SDK: &str = concat!("millgate-plugin ", env!("CARGO_PKG_VERSION"));
