//! millgate: a lightweight OpenAI-compatible reverse proxy.

pub mod config;
pub mod http;
pub mod mock;
pub mod providers;
pub mod routing;
