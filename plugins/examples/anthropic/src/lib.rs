//! Anthropic's Messages API behind OpenAI's chat completions.
//!
//! A codec: calls are translated to `POST /v1/messages` and its replies, streams and errors back. Shapes as in
//! Anthropic's API reference (version `2023-06-01`) and in OpenAI's. The README has the whole mapping, and what is
//! refused.
//!
//! | asked for | asked of Anthropic |
//! |---|---|
//! | chat completions | `POST /v1/messages` |
//! | models | `GET /v1/models` |

#![warn(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod completion;
mod config;
mod content;
mod conversation;
mod error;
mod events;
mod format;
mod message;
mod models;
mod provider;
mod reply;
mod request;
mod sampling;
mod stream;
mod thinking;
mod tools;

pub use config::{CacheTime, Config, Key, ThinkingStyle};
pub use provider::{Anthropic, Attempt};

millgate_plugin::export_plugin! {
    name: "anthropic",
    stages: [],
    providers: [Anthropic],
}
