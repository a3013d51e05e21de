//! What a client gets from the rehearsal, through the trait that the host calls.

mod chat;
mod completions;
mod embeddings;
mod faults;
mod models;
mod responses;
mod robustness;
mod tool_calls;

use std::time::Duration;

use millgate_plugin::{Answer, Call, Endpoint, Gone, Provider, Refusal};
use serde_json::{Value, json};

use super::Rehearsal;

/// An answer that is written down, by a reader that leaves after some steps if told so.
#[derive(Default)]
struct Collected {
    emitted: Vec<Vec<u8>>,
    waits: Vec<Duration>,
    patience: Option<usize>,
}

impl Collected {
    fn step(&mut self) -> Result<(), Gone> {
        match &mut self.patience {
            Some(0) => Err(Gone),
            Some(steps) => {
                *steps -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Answer for Collected {
    fn emit(&mut self, bytes: Vec<u8>) -> Result<(), Gone> {
        self.step()?;
        self.emitted.push(bytes);
        Ok(())
    }

    fn wait(&mut self, time: Duration) -> Result<(), Gone> {
        self.step()?;
        self.waits.push(time);
        Ok(())
    }
}

fn provider(table: &str) -> Rehearsal {
    Rehearsal::new("rehearsal", toml::from_str(table).unwrap()).unwrap()
}

/// A call with an id, whose body is `body`.
fn call<'a>(endpoint: Endpoint, body: &'a [u8], stream: bool, request_id: &'a str) -> Call<'a> {
    let path = match endpoint {
        Endpoint::Chat => "/chat/completions",
        Endpoint::Completions => "/completions",
        Endpoint::Embeddings => "/embeddings",
        Endpoint::Responses => "/responses",
        _ => "/models",
    };
    Call {
        endpoint,
        method: "POST",
        path,
        query: None,
        model: "gpt-4",
        stream,
        body,
        request_id,
        created: 1_700_000_000,
    }
}

fn emitted(endpoint: Endpoint, body: &Value, stream: bool) -> Result<Vec<Vec<u8>>, Refusal> {
    let body = body.to_string();
    let mut collected = Collected::default();
    let call = call(endpoint, body.as_bytes(), stream, "r-1");
    provider("").answer(&call, &mut collected)?;
    Ok(collected.emitted)
}

/// The JSON document that a call is answered with.
fn document(endpoint: Endpoint, body: &Value) -> Value {
    let emitted = emitted(endpoint, body, false).unwrap();
    assert_eq!(emitted.len(), 1);
    serde_json::from_slice(&emitted[0]).unwrap()
}

/// The data of the stream that a call is answered with, less a `[DONE]` at its end.
fn stream(endpoint: Endpoint, body: &Value) -> Vec<Value> {
    let emitted = emitted(endpoint, body, true).unwrap();
    let data = emitted.iter().map(|event| {
        let event = std::str::from_utf8(event).unwrap();
        let event = event.strip_suffix("\n\n").unwrap();
        let data = match event.split_once('\n') {
            Some((name, data)) => {
                let data = data.strip_prefix("data: ").unwrap();
                let kind = &serde_json::from_str::<Value>(data).unwrap()["type"];
                assert_eq!(name.strip_prefix("event: "), kind.as_str());
                data
            }
            None => event.strip_prefix("data: ").unwrap(),
        };
        assert!(!data.contains('\n'));
        data
    });
    let mut data: Vec<&str> = data.collect();
    if endpoint == Endpoint::Responses {
        assert!(!data.contains(&"[DONE]"));
    } else {
        assert_eq!(data.pop(), Some("[DONE]"));
    }
    data.into_iter()
        .map(|data| serde_json::from_str(data).unwrap())
        .collect()
}

fn refusal(endpoint: Endpoint, body: &Value) -> Refusal {
    emitted(endpoint, body, false).unwrap_err()
}

/// Asserts that each body is refused as invalid, because of the member named beside it.
fn assert_refused(endpoint: Endpoint, cases: &[(Value, &str)]) {
    for (body, param) in cases {
        let refusal = refusal(endpoint, body);
        assert_eq!(
            refusal.kind,
            millgate_plugin::RefusalKind::InvalidRequest,
            "{body}"
        );
        assert_eq!(
            refusal.param.as_deref(),
            Some(*param),
            "{body}: {}",
            refusal.message
        );
    }
}

/// A message of the user.
fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}
