//! millgate: a lightweight OpenAI-compatible reverse proxy.
//!
//! The way of a request:
//!
//! 1. [`server`] accepts a connection and hands each request to
//! 2. [`pipeline::exchange::serve`], which tells the whole story from top to bottom: who may connect
//!    ([`http::guard`]), what is asked ([`api::endpoint`]), what stages say to its head ([`pipeline`]), its body ([`api::read`]), which rule it
//!    falls under ([`routing::route`]), and the stages above `route`, any of which may answer.
//! 3. [`routing::flight`] asks target after target until one commits. Each try is a
//!    [`routing::attempt`]: the stages below `route`, the codec's encode ([`providers`]), the request over
//!    [`routing::transport`], a verdict on its head, and reading up to the commit point ([`routing::answer`]).
//! 4. [`pipeline::reply`] is the body on its way out: pieces as they come, through the stages again, and at its
//!    end or when the client leaves the access line ([`telemetry::access`]).
//! 5. What is known of it by then ([`telemetry::ended`]) is left to the [`telemetry::observer`]: off the way of any request it
//!    becomes metrics, history, spans, and a row of the [`ledger`]; [`admin`] shows all of it to operators.
//!
//! Between the stages and `route` may stand a [`cache`]: it answers from memory, or joins a flight that is under way.
//! Stages and providers may come from shared libraries: [`plugin`].
//! [`callers`] knows whose key is whose, [`store`] what outlives a restart, [`prices`] what tokens cost, and [`redact`] what
//! logs may not see.
//!
//! What all of it runs on is a [`runtime::Runtime`], compiled from the TOML file ([`config`]) and swapped as a whole.

#![warn(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

pub mod admin;
pub mod api;
pub mod cache;
pub mod calendar;
pub mod callers;
pub mod cli;
pub mod config;
pub mod http;
pub mod ledger;
pub mod mock;
pub mod nearest;
pub mod pipeline;
pub mod plugin;
pub mod prices;
pub mod providers;
pub mod redact;
pub mod routing;
pub mod runtime;
pub mod server;
pub mod stages;
pub mod store;
pub mod telemetry;
