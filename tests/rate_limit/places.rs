//! Requests at a time, and the queue for them.

use millgate::mock::Script;
use serde_json::{Value, json};

use super::{
    Bench, CHAT, body, refused_for,
    support::{Client, chat_body},
};

fn gated() -> Script {
    Script {
        gate: true,
        ..Script::default()
    }
}

/// A streamed request that says who asks in its prompt.
fn asked_by(who: &str) -> Value {
    chat_body(who, true)
}

/// Sends it as an exchange `who`, and lets it go on by itself.
fn send(client: &Client, who: &str) -> tokio::task::JoinHandle<u16> {
    let (client, who) = (client.clone(), who.to_owned());
    tokio::spawn(async move {
        let headers = [
            ("content-type", "application/json"),
            ("x-request-id", &*who),
        ];
        let body = asked_by(&who).to_string();
        let live = client.send(http::Method::POST, CHAT, &headers, body).await;
        let status = live.status.as_u16();
        assert!(live.rest().await.complete);
        status
    })
}

/// Sends it and waits until it stands in the queue.
async fn queue(bench: &Bench, client: &Client, who: &str) -> tokio::task::JoinHandle<u16> {
    let sent = send(client, who);
    let waits = |line: &Value| line["message"] == "waits for a place" && line["request_id"] == who;
    bench.gateway.log_line(waits).await;
    sent
}

/// Who was asked for at the upstream, in order.
fn served(bench: &Bench) -> Vec<String> {
    let prompt = |request: millgate::mock::Request| {
        request.json()["messages"][0]["content"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    bench.mock.requests().into_iter().map(prompt).collect()
}

#[tokio::test]
async fn beyond_the_places_requests_are_refused_until_one_ends_or_is_given_up() {
    let bench = Bench::start(gated(), "concurrent = 1").await;
    let first = send(&bench.client, "first");
    bench.mock.wait_for(|counts| counts.in_flight == 1).await;
    let reply = bench.ask("a", 10).await;
    assert_eq!(refused_for(&reply, "rate_limit_exceeded"), 1000);
    first.abort();
    bench.gateway.access_line("first").await;
    let second = send(&bench.client, "second");
    bench.mock.wait_for(|counts| counts.requests == 2).await;
    assert_eq!(bench.ask("a", 10).await.status, 429);
    bench.mock.release(1000);
    assert_eq!(second.await.unwrap(), 200);
    bench.gateway.access_line("second").await;
    assert_eq!(bench.ask("a", 10).await.status, 200);
}

#[tokio::test]
async fn the_queue_is_fair_between_callers_and_passes_over_who_has_left() {
    let bench = Bench::start(
        gated(),
        "per = \"all\"\nconcurrent = 1\nqueue = { size = 9 }",
    )
    .await;
    let other = Client::from_address(&bench.gateway, "127.0.0.2");
    let mut all = vec![send(&bench.client, "first")];
    bench.mock.wait_for(|counts| counts.in_flight == 1).await;
    for who in ["a1", "a2", "a3"] {
        all.push(queue(&bench, &bench.client, who).await);
    }
    for who in ["b1", "b2"] {
        all.push(queue(&bench, &other, who).await);
    }
    // a2 loses patience.
    all.remove(2).abort();
    let left = bench.gateway.access_line("a2").await;
    assert_eq!(left["outcome"], "client_closed");
    assert_eq!(left["attempts"], 0);
    bench.mock.release(1000);
    for sent in all {
        assert_eq!(sent.await.unwrap(), 200);
    }
    assert_eq!(served(&bench), ["first", "a1", "b1", "a3", "b2"]);
}

#[tokio::test]
async fn a_full_queue_refuses_and_waiting_has_an_end() {
    let bench = Bench::start(
        gated(),
        "concurrent = 1\nqueue = { size = 1, wait = \"100ms\" }",
    )
    .await;
    let _first = send(&bench.client, "first");
    bench.mock.wait_for(|counts| counts.in_flight == 1).await;
    let waiting = queue(&bench, &bench.client, "second").await;
    let reply = bench.ask("a", 10).await;
    // Whichever of the two got there: the second is still waiting, or it has given up and this one waited.
    refused_for(&reply, "rate_limit_exceeded");
    assert_eq!(waiting.await.unwrap(), 429);
    let access = bench.gateway.access_line("second").await;
    assert!(access["ms"].as_f64().unwrap() >= 100.0, "{access}");
    assert_eq!(bench.mock.counts().requests, 1);
}

#[tokio::test]
async fn nobody_waits_beyond_the_deadline() {
    let mut config = String::new();
    let bench = Bench::start(gated(), "concurrent = 1\nqueue = {}").await;
    config += &super::config(&bench.mock, "concurrent = 1\nqueue = {}");
    let config = config.replace("retries = 0", "retries = 0\ndeadline = \"200ms\"");
    let gateway = super::Gateway::start(&config).await;
    let client = Client::new(&gateway);
    bench.mock.release(2);
    let first = client.open(CHAT, &asked_by("first")).await;
    let mut second = body("a", 10);
    second["stream"] = json!(true);
    let reply = client.post(CHAT, &second).await;
    refused_for(&reply, "rate_limit_exceeded");
    assert!(
        reply.text().contains("while this one waited"),
        "{}",
        reply.text()
    );
    drop(first);
}

#[tokio::test]
async fn a_request_that_gives_up_waiting_has_used_nothing() {
    let limits = "requests = \"2/h\"\nconcurrent = 1\nqueue = { wait = \"1ms\" }";
    let bench = Bench::start(gated(), limits).await;
    let first = send(&bench.client, "first");
    bench.mock.wait_for(|counts| counts.in_flight == 1).await;
    for _ in 0..5 {
        let reply = bench.ask("a", 10).await;
        assert!(reply.text().contains("at a time"), "{}", reply.text());
    }
    bench.mock.release(1000);
    assert_eq!(first.await.unwrap(), 200);
    bench.gateway.access_line("first").await;
    assert_eq!(bench.ask("a", 10).await.status, 200);
    assert!(bench.ask("a", 10).await.text().contains("2/h"));
}
