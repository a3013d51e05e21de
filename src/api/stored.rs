//! Members of a request that keep something at the provider, or refer to what is kept there. One key of the gateway's
//! serves many callers there, so that each could read what another has left: only a route that says
//! `shared_state = true` lets them pass.

use millgate_plugin::Endpoint;

use super::error::ApiError;
use crate::{http::json, pipeline::request::ClientRequest};

/// A member that is about state.
struct Stateful {
    name: &'static str,
    /// What a client can do without it.
    instead: &'static str,
}

/// Of the Responses API.
const RESPONSES: [Stateful; 5] = [
    Stateful {
        name: "previous_response_id",
        instead: "send the whole conversation in `input`",
    },
    Stateful {
        name: "conversation",
        instead: "send the whole conversation in `input`",
    },
    Stateful {
        name: "prompt",
        instead: "send the prompt's text as `instructions`",
    },
    Stateful {
        name: "background",
        instead: "leave it out, and stream the response",
    },
    STORE,
];

/// Of chat completions.
const CHAT: [Stateful; 1] = [STORE];

const STORE: Stateful = Stateful {
    name: "store",
    instead: "leave it out, or send false",
};

/// Refuses a request that keeps something at the provider, or reads what is kept there; `null` and `false` do neither.
pub fn refuse(request: &ClientRequest) -> Result<(), ApiError> {
    let stateful: &[Stateful] = match request.endpoint {
        Endpoint::Responses => &RESPONSES,
        Endpoint::Chat => &CHAT,
        _ => return Ok(()),
    };
    let is_meant = |stateful: &&Stateful| {
        let value = request.members.get(&request.body, stateful.name);
        value.is_some_and(|value| !json::is_null(value) && json::as_bool(value) != Some(false))
    };
    match stateful.iter().find(is_meant) {
        Some(stateful) => Err(refusal(stateful, &request.path)),
        None => Ok(()),
    }
}

fn refusal(stateful: &Stateful, path: &str) -> ApiError {
    let Stateful { name, instead } = stateful;
    let message = format!(
        "`{name}` needs what is kept at the provider, where all callers of this gateway share one key: {instead}. Operators: a route with paths = [\"{path}\"] and shared_state = true passes it on."
    );
    ApiError::invalid("shared_state_refused", message).param(*name)
}

/// Whether a provider that keeps what it is not told to forget is left the choice: responses are kept unless `store` is
/// false. Chat completions are not touched: some servers refuse the member there.
#[must_use]
pub fn leaves_open(request: &ClientRequest) -> bool {
    request.endpoint == Endpoint::Responses
        && request
            .members
            .get(&request.body, "store")
            .is_none_or(json::is_null)
}
