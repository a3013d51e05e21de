//! `[admin]`: the listener for operators.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Secret, server::Listen};

/// The listener for operators.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port of `/healthz`, `/readyz`, `/metrics`, the API for operators and their page. Beyond loopback
    /// only with a `token`. Default: `"127.0.0.1:9090"`.
    pub listen: Listen,
    /// What operators prove themselves with, of 16 characters or more, best given as `"${MILLGATE_ADMIN_TOKEN}"`: sent as
    /// `Authorization: Bearer …`, or typed once into the page. `/healthz`, `/readyz` and the page without its data need
    /// none. Empty counts as none. Default: none.
    pub token: Option<Secret>,
    /// `Host` names to accept beside loopback names and the address of `listen`. Default: none.
    pub hosts: Vec<String>,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: Listen(SocketAddr::from(([127, 0, 0, 1], 9090))),
            token: None,
            hosts: Vec::new(),
        }
    }
}

impl Admin {
    /// The token that operators have to show, where there is one.
    #[must_use]
    pub fn token(&self) -> Option<&str> {
        let token = self.token.as_ref()?.expose();
        (!token.is_empty()).then_some(token)
    }
}
