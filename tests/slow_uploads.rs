//! Whose fault it is when an upload takes long.

mod support;

use std::time::Duration;

use millgate::mock::{Fault, Mock, Script};
use support::{Gateway, config, wire::Raw};

/// A gateway before a mock, with these lines in its route and in `[server]`.
async fn gateway(script: Script, route: &str, server: &str) -> (Gateway, Mock) {
    let mock = Mock::with(script).await.unwrap();
    let config = config(&[("a", "openai", &mock.url())], route) + &format!("[server]\n{server}\n");
    (Gateway::start(&config).await, mock)
}

/// A client that has sent the head of an upload of so many bytes.
async fn uploading(gateway: &Gateway, id: &str, length: usize) -> Raw {
    let head = format!(
        "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: localhost\r\nx-request-id: {id}\r\ncontent-type: multipart/form-data; boundary=b\r\ncontent-length: {length}\r\n\r\n"
    );
    Raw::with(gateway.address, head).await
}

/// Sends so many bytes, with so much time before each.
async fn send_slowly(client: &mut Raw, length: usize, pause: Duration) {
    for _ in 0..length {
        tokio::time::sleep(pause).await;
        client.send("x").await;
    }
}

#[tokio::test]
async fn a_client_that_sends_slowly_has_the_time_it_takes() {
    let limits = "attempt_timeout = \"200ms\"\ndeadline = \"300ms\"";
    let (gateway, mock) = gateway(Script::default(), limits, "upload_timeout = \"5s\"").await;
    let mut client = uploading(&gateway, "slow", 10).await;
    send_slowly(&mut client, 10, Duration::from_millis(100)).await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(mock.requests()[0].body.len(), 10);
    let line = gateway.access_line("slow").await;
    assert!(line["ms"].as_f64().unwrap() > 900.0, "{line}");
}

#[tokio::test]
async fn a_client_that_sends_nothing_more_is_told_so() {
    let (gateway, mock) = gateway(Script::default(), "", "upload_timeout = \"300ms\"").await;
    let mut client = uploading(&gateway, "stalled", 10).await;
    send_slowly(&mut client, 3, Duration::from_millis(10)).await;
    let reply = client.reply().await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (408, "request_timeout")
    );
    assert_eq!(reply.header("connection"), "close");
    assert_eq!(client.closed().await, "");
    let line = gateway.access_line("stalled").await;
    assert_eq!(line["outcome"], "client_error", "{line}");
    assert_eq!(line["attempts"], 1);
    assert_eq!(mock.counts().completed, 0);
}

#[tokio::test]
async fn the_provider_has_its_own_time_once_it_has_everything() {
    let (gateway, mock) = gateway(
        Script::fault(Fault::StallBeforeHead),
        "attempt_timeout = \"500ms\"",
        "upload_timeout = \"20s\"",
    )
    .await;
    let mut client = uploading(&gateway, "waiting", 8).await;
    send_slowly(&mut client, 8, Duration::from_millis(100)).await;
    let reply = client.reply().await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (504, "upstream_timeout")
    );
    let line = gateway.access_line("waiting").await;
    assert_eq!(line["outcome"], "timeout", "{line}");
    let took = line["ms"].as_f64().unwrap();
    assert!(took > 1000.0, "{line}");
    mock.wait_for(|counts| counts.aborted == 1).await;
}

#[tokio::test]
async fn a_provider_that_takes_nothing_is_not_its_client_s_fault() {
    // It accepts connections and never reads.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let config = config(&[("a", "openai", &url)], "attempt_timeout = \"500ms\"")
        + "[server]\nupload_timeout = \"20s\"\n";
    let gateway = Gateway::start(&config).await;
    let length = 64 << 20;
    let mut client = uploading(&gateway, "blocked", length).await;
    client.try_send(vec![b'x'; length]).await;
    let reply = client.reply().await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (504, "upstream_timeout")
    );
}
