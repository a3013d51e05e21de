//! `auth_header`: the headers that an upstream wants to see of the gateway, set afresh for every attempt.

mod template;

use std::collections::BTreeMap;

use millgate_plugin::{
    Exchange, Field, Flow, Hooks, Host, Place, Refusal, RefusalKind, SetupError, Stage, StageError,
};
use schemars::JsonSchema;
use serde::Deserialize;

use self::template::{Rendered, Template};

/// Sets, removes and refuses headers on the way to an upstream. It stands below `route`, since every provider
/// wants its own, and wins over whatever the client or the codec has set.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Headers to set. In a value, `{uuid}` is a fresh UUID for every attempt; `{request.id}`, `{model}`, `{provider}`,
    /// `{caller.id}`, `{caller.team}` and `{caller.meta.NAME}` are of the request, and `{caller.id:-nobody}` has a
    /// default; `{{` is a brace. What is not ASCII is sent as percent-encoded UTF-8. A header whose value has a
    /// part that is not known is not sent at all, not even as the client sent it. Default: none.
    pub headers: BTreeMap<String, String>,
    /// Headers that never reach the upstream. Default: none.
    pub remove: Vec<String>,
    /// Headers that a client may not send: the request is refused with 400. Default: none.
    pub refuse: Vec<String>,
}

/// The stage.
pub struct AuthHeader {
    set: Vec<(String, Template)>,
    remove: Vec<String>,
    refuse: Vec<String>,
}

impl Stage for AuthHeader {
    const KIND: &'static str = "auth_header";
    const PLACE: Place = Place::BelowRoute;
    type Config = Config;
    type State = ();

    fn new(_name: &str, config: Config, _host: &Host) -> Result<Self, SetupError> {
        let mut set = Vec::with_capacity(config.headers.len());
        for (name, value) in config.headers {
            let header = header_name(&name)
                .map_err(|message| SetupError::at(["headers", &name], message))?;
            let template = Template::parse(&value)
                .map_err(|message| SetupError::at(["headers", &name], message))?;
            set.push((header, template));
        }
        Ok(Self {
            set,
            remove: names("remove", &config.remove)?,
            refuse: names("refuse", &config.refuse)?,
        })
    }

    fn hooks(&self) -> Hooks {
        Hooks::REQUEST
    }

    fn begin(&self) {}

    fn on_request(&self, _state: &mut (), exchange: &mut dyn Exchange) -> Result<Flow, StageError> {
        for name in &self.refuse {
            if exchange.request_header(name).is_some() {
                return Ok(Flow::Reject(refused(
                    name,
                    "is set by the gateway: do not send it",
                )));
            }
        }
        for name in &self.remove {
            exchange.set(Field::UpstreamHeader, name, None)?;
        }
        for (name, template) in &self.set {
            match template.render(exchange) {
                Rendered::Value(value) => {
                    exchange.set(Field::UpstreamHeader, name, Some(value.as_bytes()))?;
                }
                Rendered::Unknown => exchange.set(Field::UpstreamHeader, name, None)?,
                Rendered::Forbidden => {
                    return Ok(Flow::Reject(refused(
                        name,
                        "would hold a line break, which no header may",
                    )));
                }
            }
        }
        Ok(Flow::Next)
    }
}

fn refused(name: &str, why: &str) -> Refusal {
    Refusal::new(
        RefusalKind::InvalidRequest,
        format!("The header `{name}` {why}."),
    )
    .code("header_refused")
}

fn names(key: &str, names: &[String]) -> Result<Vec<String>, SetupError> {
    names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            header_name(name).map_err(|message| SetupError::at([key, &index.to_string()], message))
        })
        .collect()
}

/// The lower-case name, if it can be a header's and is not the connection's own.
fn header_name(name: &str) -> Result<String, &'static str> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err("this is not the name of a header");
    }
    let name = name.to_ascii_lowercase();
    match &*name {
        "host" | "content-length" | "connection" | "transfer-encoding" | "te" | "trailer"
        | "upgrade" => Err("this header belongs to the connection and cannot be changed"),
        _ => Ok(name),
    }
}

#[cfg(test)]
mod tests;
