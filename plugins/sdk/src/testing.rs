//! What it takes to test a stage or a provider without a gateway.
//!
//! ```
//! # use millgate_plugin::{Exchange, Field, Flow, Hooks, Host, SetupError, Stage, StageError};
//! # struct Stamp;
//! # impl Stage for Stamp {
//! #     const KIND: &'static str = "stamp";
//! #     type Config = std::collections::BTreeMap<String, String>;
//! #     type State = ();
//! #     fn new(_: &str, _: Self::Config, _: &Host) -> Result<Self, SetupError> { Ok(Self) }
//! #     fn hooks(&self) -> Hooks { Hooks::REQUEST }
//! #     fn begin(&self) {}
//! #     fn on_request(&self, _: &mut (), exchange: &mut dyn Exchange) -> Result<Flow, StageError> {
//! #         exchange.set(Field::RequestHeader, "x-stamp", Some(b"seen"))?;
//! #         Ok(Flow::Next)
//! #     }
//! # }
//! use millgate_plugin::testing::{FakeExchange, FakeHost, Verdict, Visit, json, stage};
//!
//! let stamp: Stamp = stage(&json!({}), &FakeHost::new().host()).unwrap();
//! let exchange = FakeExchange::chat(&json!({"model": "m", "messages": []})).header("x-team", "blue");
//! let mut visit = Visit::new(&stamp, exchange);
//! assert_eq!(visit.request(), Ok(Verdict::Next));
//! assert_eq!(visit.exchange.text(Field::RequestHeader, "x-stamp"), Some("seen"));
//! ```
#![allow(
    clippy::panic,
    reason = "a test that cannot go on has to say so, to its author"
)]

mod exchange;
mod host;
mod provider;
#[cfg(test)]
mod tests;
mod visit;

use std::{
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
    thread::{self, Thread},
    time::{Duration, Instant},
};

pub use serde_json::{Value, json};

use crate::{Host, Provider, SetupError, Stage};

pub use exchange::{Edit, FakeExchange};
pub use host::{FakeHost, http_answer};
pub use provider::{FakeCall, FakeReader, Translation, translate};
pub use visit::{Verdict, Visit};

/// How long [`block_on`] waits for somebody to wake it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes a stage called `test` from its table, as the gateway does.
pub fn stage<S: Stage>(table: &Value, host: &Host) -> Result<S, SetupError> {
    let table = crate::border::setup::read_config(table.to_string().as_bytes())?;
    S::new("test", table, host)
}

/// Makes a provider called `test` from its table, as the gateway does.
pub fn provider<P: Provider>(table: &Value) -> Result<P, SetupError> {
    let table = crate::border::setup::read_config(table.to_string().as_bytes())?;
    P::new("test", table)
}

/// Waits for a future.
///
/// # Panics
/// Where nobody wakes it within 10 seconds.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = std::pin::pin!(future);
    let waker = Waker::from(Arc::new(Parked(thread::current())));
    let mut context = Context::from_waker(&waker);
    let until = Instant::now() + PATIENCE;
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        let left = until.saturating_duration_since(Instant::now());
        assert!(
            !left.is_zero(),
            "nobody woke what waits, within {PATIENCE:?}"
        );
        thread::park_timeout(left);
    }
}

struct Parked(Thread);

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
