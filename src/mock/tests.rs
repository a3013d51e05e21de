//! The mock over real sockets, read by a client that sees every byte.

mod client;
mod faults;
mod replies;
mod script;
mod steering;

use std::future::Future;
use std::time::Duration;

use client::Client;
use serde_json::json;

use super::{Mock, Options, Plan};

/// Turns a hang into a failure.
async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future)
        .await
        .expect("should end in time")
}

async fn mock(plan: &serde_json::Value) -> Mock {
    let plan: Plan = plan.to_string().parse().expect("a plan");
    Mock::with(plan).await.expect("a free port")
}

async fn quiet_mock() -> Mock {
    Mock::start(Options::default()).await.expect("a free port")
}

const CHAT: &str = "/v1/chat/completions";

fn chat(stream: bool) -> String {
    json!({ "model": "m", "stream": stream, "messages": [{ "role": "user", "content": "hi" }] })
        .to_string()
}

/// One chat on a connection of its own, read until the mock closes it.
async fn chat_to_the_end(mock: &Mock, stream: bool) -> client::Raw {
    let mut client = Client::connect(mock).await;
    client
        .send(
            "POST",
            CHAT,
            &[("connection", "close")],
            chat(stream).as_bytes(),
        )
        .await;
    client.read_to_end().await
}
