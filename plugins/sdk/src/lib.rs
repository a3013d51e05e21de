//! What a stage or a provider of millgate is: the traits that authors implement.
//!
//! A [`Stage`] is one step of the pipeline: it may look at a request, change it, answer it or refuse it,
//! watch the reply pass and learn how it ended. A [`Provider`] is a codec: it turns an OpenAI-shaped call
//! into what an upstream speaks and the upstream's bytes back into the OpenAI shape. Neither does any
//! I/O of its own; the host owns sockets, TLS, pools, timeouts, retries and cancellation.
//!
//! millgate's built-in stages and providers implement these very traits, and the host cannot tell
//! them from anybody else's.
//!
//! # Ten minutes
//! A plugin is a crate of type `cdylib` that depends on this one, `serde` and `schemars`:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib", "rlib"]      # rlib for its tests
//!
//! [dependencies]
//! millgate-plugin = "0.1"
//! schemars = "1.2"
//! serde = { version = "1", features = ["derive"] }
//! ```
//! This is all of one, `src/lib.rs`. It refuses chats that hold a word, and counts them:
//!
//! ```standalone_crate
//! use millgate_plugin::{
//!     Counter, Exchange, Field, Flow, Hooks, Host, Refusal, RefusalKind, SetupError, Stage,
//!     StageError,
//! };
//!
//! /// The table in the config. Doc comments become its reference.
//! #[derive(serde::Deserialize, schemars::JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! pub struct Config {
//!     /// The word that nobody may say.
//!     word: String,
//! }
//!
//! pub struct Filter {
//!     word: String,
//!     refused: Counter,
//! }
//!
//! impl Stage for Filter {
//!     const KIND: &'static str = "filter";
//!     type Config = Config;
//!     type State = ();
//!
//!     fn new(name: &str, config: Config, host: &Host) -> Result<Self, SetupError> {
//!         if config.word.is_empty() {
//!             return Err(SetupError::at(["word"], "is empty: every request would be refused"));
//!         }
//!         Ok(Self {
//!             word: config.word,
//!             refused: host.counter("filter_refused_total", &[("stage", name)]),
//!         })
//!     }
//!
//!     fn hooks(&self) -> Hooks {
//!         Hooks::REQUEST
//!     }
//!
//!     fn begin(&self) {}
//!
//!     fn on_request(&self, _: &mut (), exchange: &mut dyn Exchange) -> Result<Flow, StageError> {
//!         let body = exchange.text(Field::RequestBody, "").unwrap_or_default();
//!         if !body.contains(&self.word) {
//!             return Ok(Flow::Next);
//!         }
//!         self.refused.add(1);
//!         let message = "The prompt holds a word that is not allowed. Leave it out.";
//!         Ok(Flow::Reject(Refusal::new(RefusalKind::Unprocessable, message)))
//!     }
//! }
//!
//! millgate_plugin::export_plugin! {
//!     name: "word-filter",
//!     stages: [Filter],
//! }
//!
//! // In a test of the plugin: no gateway needed.
//! use millgate_plugin::testing::{FakeExchange, FakeHost, Verdict, Visit, json, stage};
//!
//! # fn main() {
//! let host = FakeHost::new();
//! let filter: Filter = stage(&json!({"word": "xyzzy"}), &host.host()).unwrap();
//! let chat = |text| FakeExchange::chat(&json!({"messages": [{"role": "user", "content": text}]}));
//!
//! assert_eq!(Visit::new(&filter, chat("hello")).request(), Ok(Verdict::Next));
//! let verdict = Visit::new(&filter, chat("say xyzzy")).request();
//! assert!(matches!(verdict, Ok(Verdict::Reject(_))));
//! assert_eq!(host.counted("filter_refused_total", &[("stage", "test")]), 1);
//! # }
//! ```
//! `cargo build --release`, and then in `config.toml`:
//!
//! ```toml
//! pipeline = ["no_magic", "route"]
//!
//! [plugins.word-filter]
//! path = "target/release/libword_filter.so"
//!
//! [stages.no_magic]
//! kind = "word-filter/filter"
//! word = "xyzzy"
//! ```
//!
//! # State
//! One object serves all exchanges, on many threads at once: what belongs to the stage as a whole stands behind `&self`, in
//! atomics and locks that are held for moments. What belongs to one exchange, or below `route` to one attempt of it, is
//! the [`Stage::State`] that [`Stage::begin`] makes. It is handed to every hook as `&mut`, moves between threads, and
//! is dropped behind [`Stage::on_end`], which runs exactly once however it ended. Notes for other stages go into
//! [`Field::Var`]; what outlives a restart, into [`Host::tally`].
//!
//! # Waiting
//! Hooks never block: a thread of the gateway serves many exchanges. A hook that needs something first starts it and returns
//! [`Flow::Wait`] with a future, and *the same hook is called again* when that is done. The result finds its way to the
//! second call through a [`WaitCell`] in the state: see its example. Futures of [`Host::sleep`] and of a cell work
//! everywhere; the gateway polls them, so that a plugin needs no runtime and no thread. What wants a runtime of its
//! own, such as a database client, runs on one that the plugin starts, and puts its result into the cell from there. How
//! long a wait may last is the gateway's affair: when the deadline passes or the client leaves, the future is dropped.
//!
//! # The border
//! Behind the traits a plugin talks to the gateway through a C interface (the crate `millgate-plugin-abi`), so that a plugin
//! built today loads into the gateways of tomorrow, whatever compiler made either. Authors need to know this much of it:
//! bytes that a hook is given are borrowed until it returns, and those of [`Exchange::get`] until the next
//! [`Exchange::set`]; to keep them, copy them. A panic in a hook is caught, logged and counted, and ends that exchange with
//! a 500 (or passes the stage by, with `on_error = "skip"`), for which the plugin must be built with `panic = "unwind"`, the
//! default. Statics, thread-locals and the panic hook are the plugin's own; `tracing` and `log` lines go to the
//! gateway's log. A plugin is never unloaded: a reload loads the new image beside the old one, which lives on with what
//! threads it started.

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
