//! `[admin]`: the listener for operators.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::server::Listen;

/// The listener for operators.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port of `/healthz`, `/readyz` and `/metrics`. Default: `"127.0.0.1:9090"`.
    pub listen: Listen,
    /// `Host` names to accept beside loopback names and the address of `listen`. Default: none.
    pub hosts: Vec<String>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: Listen(SocketAddr::from(([127, 0, 0, 1], 9090))),
            hosts: Vec::new(),
        }
    }
}
