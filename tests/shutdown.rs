//! The end: in good order, within a time, or at once.

mod support;

use std::time::Duration;

use millgate::mock::{Mock, Script};
use support::{
    Client, Gateway, Live, PATIENCE, chat_body, config,
    raw::RawClient,
    wire::{self, Raw},
};
use tokio::net::TcpStream;

/// A gateway before a mock that sends an event each time it is told to.
async fn gateway(server: &str) -> (Gateway, Mock) {
    let script = Script {
        gate: true,
        ..Script::default()
    };
    let mock = Mock::with(script).await.unwrap();
    let base = format!("{}/v1", mock.url());
    let config = config(&[("up", "openai", &base)], "") + &format!("[server]\n{server}\n");
    (Gateway::start(&config).await, mock)
}

/// A stream of which the first content has come.
async fn stream(gateway: &Gateway, mock: &Mock) -> Live {
    mock.release(2);
    let mut live = Client::new(gateway)
        .open("/v1/chat/completions", &chat_body("hi", true))
        .await;
    assert_eq!(live.status, 200);
    live.next().await.unwrap().unwrap();
    live
}

async fn stopping(gateway: &Gateway) {
    let begins = |line: &serde_json::Value| {
        line["message"]
            .as_str()
            .is_some_and(|message| message.starts_with("stopping:"))
    };
    gateway.log_line(begins).await;
}

/// Waits until nobody can connect any more.
async fn refused(gateway: &Gateway) {
    let connecting = async {
        while TcpStream::connect(gateway.address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, connecting)
        .await
        .expect("still listening");
}

#[tokio::test]
async fn what_is_under_way_is_finished_and_nothing_new_begun() {
    for signal in ["TERM", "INT"] {
        let (mut gateway, mock) = gateway("").await;
        let admin = Client::at(&format!("http://{}", gateway.admin));
        assert_eq!(admin.get("/readyz").await.status, 200);
        let mut idle = Raw::with(gateway.address, wire::get("/v1/nowhere")).await;
        idle.reply().await;
        let mut silent = Raw::connect(gateway.address).await;
        // A refused body might not have been read, which must not hold the end up either.
        let mut refused_once =
            Raw::with(gateway.address, wire::post("/v1/chat/completions", "{")).await;
        refused_once.reply().await;
        let live = stream(&gateway, &mock).await;

        gateway.signal(signal);
        stopping(&gateway).await;
        let ready = admin.get("/readyz").await;
        assert_eq!(ready.status, 503);
        assert_eq!(ready.json()["status"], "draining");
        assert_eq!(admin.get("/healthz").await.status, 200);
        refused(&gateway).await;
        assert_eq!(idle.closed().await, "");
        assert_eq!(silent.closed().await, "");
        assert_eq!(refused_once.closed().await, "");

        mock.release(100);
        let reply = live.rest().await;
        assert!(
            reply.complete && reply.text().ends_with("data: [DONE]\n\n"),
            "{}",
            reply.text()
        );
        assert_eq!(gateway.ended().await.code(), Some(0));
    }
}

/// Nobody has left: what the gateway itself cuts off is booked as that.
#[tokio::test]
async fn what_is_stuck_is_cut_when_the_time_is_over() {
    let (mut gateway, mock) = gateway("drain_timeout = \"200ms\"").await;
    let live = stream(&gateway, &mock).await;
    let body = chat_body("hi", false);
    let headless = RawClient::post(&gateway, "/v1/chat/completions", "headless", &body).await;
    mock.wait_for(|counts| counts.requests == 2).await;
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await.code(), Some(1));
    assert!(!live.rest().await.complete);
    mock.wait_for(|counts| counts.aborted == 2).await;
    for status in [200, 0] {
        let access = gateway
            .log_line(|line| line["target"] == "millgate::access" && line["status"] == status)
            .await;
        assert_eq!(access["outcome"], "timeout", "{access}");
        assert_eq!(access["error"], "shutting_down", "{access}");
    }
    drop(headless);
}

#[tokio::test]
async fn a_second_signal_waits_for_nothing() {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let (mut gateway, mock) = gateway("drain_timeout = \"1h\"").await;
        let live = stream(&gateway, &mock).await;
        gateway.signal(first);
        stopping(&gateway).await;
        gateway.signal(second);
        assert_eq!(gateway.ended().await.code(), Some(130));
        assert!(!live.rest().await.complete);
    }
}

#[tokio::test]
async fn with_nothing_under_way_it_ends_at_once() {
    let (mut gateway, _mock) = gateway("drain_timeout = \"1h\"").await;
    gateway.signal("TERM");
    assert_eq!(gateway.ended().await.code(), Some(0));
}

#[tokio::test]
async fn a_reload_while_stopping_changes_nothing_about_the_end() {
    let (mut gateway, mock) = gateway("drain_timeout = \"1h\"").await;
    let live = stream(&gateway, &mock).await;
    gateway.signal("TERM");
    stopping(&gateway).await;
    gateway.signal("HUP");
    gateway
        .log_line(|line| line["message"] == "config reloaded")
        .await;
    let admin = Client::at(&format!("http://{}", gateway.admin));
    assert_eq!(admin.get("/readyz").await.status, 503);
    mock.release(100);
    assert!(live.rest().await.complete);
    assert_eq!(gateway.ended().await.code(), Some(0));
}
