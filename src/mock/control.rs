//! `/mock/…`: the mock steered and asked over HTTP.

use serde_json::{Value, json};

use super::Request;
use super::reply::Reply;
use super::state::State;

pub(super) fn answer(request: &Request, state: &State) -> Reply {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/mock/counts") => Reply::json(200, &to_json(&*state.counts.borrow())),
        ("GET", "/mock/requests") => Reply::json(200, &to_json(&state.log().to_vec())),
        ("DELETE", "/mock/requests") => {
            state.log().clear();
            done()
        }
        ("PUT", "/mock/script") => match serde_json::from_slice(&request.body) {
            Ok(plan) => {
                state.set_plan(plan);
                done()
            }
            Err(error) => refused(400, &format!("The script cannot be used: {error}")),
        },
        ("POST", "/mock/gate") => match events_to_release(request) {
            Some(events) => {
                state.gate.add_permits(events);
                done()
            }
            None => refused(400, "n is the number of events to let go, 1 to 1000000."),
        },
        _ => refused(404, "The mock has no such control."),
    }
}

fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn done() -> Reply {
    Reply::json(200, &json!({ "ok": true }))
}

fn refused(status: u16, message: &str) -> Reply {
    Reply::json(status, &json!({ "error": message }))
}

/// The parameter `n`, 1 where it is missing.
fn events_to_release(request: &Request) -> Option<usize> {
    let query = request.query.as_deref().unwrap_or_default();
    let n = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("n="))
        .unwrap_or("1");
    n.parse().ok().filter(|n| (1..=1_000_000).contains(n))
}
