//! Department tickets: headers that tell an upstream who is calling, filled from what is known of the caller.
//!
//! Below `route`, so that each provider can have its own. The README shows its table.

#![warn(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod template;

use std::collections::BTreeMap;

use millgate_plugin::{
    Counter, Exchange, Field, Flow, Hooks, Host, Place, Refusal, RefusalKind, SetupError, Stage,
    StageError,
};
use schemars::JsonSchema;
use serde::Deserialize;

use template::{Filled, Template};

/// Keys of a stage of kind `ticket-header/headers`, beside those of every stage.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Headers for the upstream, by name. In a value, `{caller}` is the caller's id, `{team}` the caller's team and
    /// `{meta.KEY}` what the caller's key or token says under `KEY`; `{{` and `}}` are braces.
    headers: BTreeMap<String, String>,
    /// What to do where the caller has not what a value asks for: `"refuse"` the attempt, so that the route's next target
    /// is asked, or `"leave_out"` the header. Default: `"refuse"`.
    #[serde(default)]
    missing: Missing,
}

/// What to do where the caller has not what a value asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Refuse the attempt.
    #[default]
    Refuse,
    /// Leave the header out.
    LeaveOut,
}

/// The stage.
pub struct Headers {
    set: Vec<(String, Template)>,
    missing: Missing,
    missed: Counter,
}

impl Stage for Headers {
    const KIND: &'static str = "headers";
    const PLACE: Place = Place::BelowRoute;
    type Config = Config;
    type State = ();

    fn new(name: &str, config: Config, host: &Host) -> Result<Self, SetupError> {
        let parse = |(header, value): (String, String)| match Template::parse(&value) {
            Ok(template) if is_header_name(&header) => Ok((header.to_ascii_lowercase(), template)),
            Ok(_) => Err(SetupError::at(
                ["headers", &header],
                "this is not the name of a header",
            )),
            Err(message) => Err(SetupError::at(["headers", &header], message)),
        };
        Ok(Self {
            set: config
                .headers
                .into_iter()
                .map(parse)
                .collect::<Result<_, _>>()?,
            missing: config.missing,
            missed: host.counter("ticket_header_missing_total", &[("stage", name)]),
        })
    }

    fn hooks(&self) -> Hooks {
        Hooks::REQUEST
    }

    fn begin(&self) {}

    fn on_request(&self, (): &mut (), exchange: &mut dyn Exchange) -> Result<Flow, StageError> {
        for (header, template) in &self.set {
            match template.fill(exchange) {
                Filled::Value(value) => {
                    exchange.set(Field::UpstreamHeader, header, Some(value.as_bytes()))?;
                }
                Filled::Missing(what) => {
                    self.missed.add(1);
                    if self.missing == Missing::Refuse {
                        return Ok(Flow::Reject(missing(&what)));
                    }
                    // Whatever the client sent under this name says nothing of who it is.
                    exchange.set(Field::UpstreamHeader, header, None)?;
                }
            }
        }
        Ok(Flow::Next)
    }
}

fn missing(what: &str) -> Refusal {
    let message = format!(
        "The model wants to know the {what} of who is calling, which your key does not say. Ask an operator to add it."
    );
    Refusal::new(RefusalKind::Forbidden, message).code("ticket_missing")
}

/// RFC 9110, section 5.6.2.
fn is_header_name(name: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_token)
}

millgate_plugin::export_plugin! {
    name: "ticket-header",
    stages: [Headers],
}
