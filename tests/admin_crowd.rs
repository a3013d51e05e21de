//! The operators' listener when it is crowded: whoever has no token takes nobody's room, however it uses its connections.

mod support;

use http::Method;
use millgate::mock::{Mock, Script};
use support::{
    Client, Gateway, Live, config,
    wire::{self, Raw},
};

const TOKEN: &str = "a-token-of-the-operators";
const BEARER: &str = "Bearer a-token-of-the-operators";

/// More than there is room for, guests and operators together.
const CROWD: usize = 150;

async fn gateway(tables: &str) -> (Gateway, Mock) {
    let mock = Mock::with(Script::default()).await.unwrap();
    let config = config(&[("up", "openai", &mock.url())], "");
    let admin = format!("[admin]\ntoken = \"{TOKEN}\"\n");
    (Gateway::start(&(config + &admin + tables)).await, mock)
}

fn operators(gateway: &Gateway) -> Client {
    Client::at(&format!("http://{}", gateway.admin))
}

/// A POST whose body does not come.
fn unfinished(path: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    )
}

/// More replies than sockets hold.
fn many_gets() -> String {
    wire::get("/assets/uplot.js").repeat(400)
}

async fn follow(gateway: &Gateway) -> Live {
    let headers = [("authorization", BEARER)];
    let client = operators(gateway);
    let live = client.send(Method::GET, "/api/events", &headers, "").await;
    assert_eq!(live.status, 200);
    live
}

/// Waits for so many statuses, of which there is one a second.
async fn hear(live: &mut Live, count: usize) {
    let mut heard = 0;
    while heard < count {
        let piece = live.next().await.expect("the events have ended").unwrap();
        heard += std::str::from_utf8(&piece)
            .unwrap()
            .matches("event: status")
            .count();
    }
}

#[tokio::test]
async fn probes_and_operators_are_answered_whatever_others_do_with_their_connections() {
    // Nobody is let go because he takes long.
    let (gateway, _mock) = gateway("[server]\nheader_timeout = \"1h\"\n").await;
    let mut followed = follow(&gateway).await;
    let bearer = [("authorization", BEARER)];
    let hostile = [
        String::new(),
        "GET /hea".to_owned(),
        unfinished("/api/session"),
        unfinished("/api/cache/purge"),
        unfinished("/api/reload"),
        unfinished("/healthz"),
        wire::get("/healthz"),
        many_gets(),
    ];
    let mut held = Vec::new();
    for bytes in &hostile {
        for _ in 0..CROWD {
            let mut one = Raw::connect(gateway.admin).await;
            // It may have had to go already.
            let _ = one.try_send(bytes).await;
            held.push(one);
        }
        let client = operators(&gateway);
        for path in ["/healthz", "/readyz"] {
            assert_eq!(client.get(path).await.status, 200, "{path} {bytes:.20}");
        }
        let status = client.send(Method::GET, "/api/status", &bearer, "").await;
        assert_eq!(status.status, 200, "{bytes:.20}");
    }
    hear(&mut followed, 2).await;
    // There is room because others had to go, and not because there is no end to it.
    assert_eq!(held[0].closed().await, "");
}

#[tokio::test]
async fn operators_leave_room_for_probes() {
    let (gateway, _mock) = gateway("[server]\nheader_timeout = \"1h\"\n").await;
    let asked = |path: &str| {
        let head = format!("\r\nauthorization: {BEARER}\r\n\r\n");
        wire::get(path).replace("\r\n\r\n", &head)
    };
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut one = Raw::with(gateway.admin, asked("/api/session")).await;
        // What everybody may ask makes no operator.
        assert_eq!(one.reply().await.status, 200);
        one.send(asked("/api/cache")).await;
        assert_eq!(one.reply().await.code(), "no_cache");
        held.push(one);
    }
    let mut refused = Raw::with(gateway.admin, asked("/api/cache")).await;
    let reply = refused.reply().await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.code()),
        (503, "too_many_connections")
    );
    assert_eq!(reply.header("retry-after"), "1");
    assert_eq!(refused.closed().await, "");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(operators(&gateway).get(path).await.status, 200, "{path}");
    }
    // They are not sent away for it, and may ask on.
    for one in &mut held {
        one.send(asked("/api/cache")).await;
        assert_eq!(one.reply().await.code(), "no_cache");
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let (gateway, _mock) = gateway("[server]\nheader_timeout = \"300ms\"\n").await;
    let proof = format!("\r\nauthorization: {BEARER}\r\n\r\n");
    for path in ["/api/session", "/api/cache/purge", "/api/reload"] {
        let request = unfinished(path).replace("\r\n\r\n", &proof);
        let mut client = Raw::with(gateway.admin, request).await;
        let reply = client.reply().await;
        assert_eq!(
            (reply.status.as_u16(), &*reply.code()),
            (408, "request_timeout"),
            "{path}"
        );
        assert_eq!(client.closed().await, "");
    }
}

#[tokio::test]
async fn who_takes_nothing_is_let_go_and_who_follows_is_not() {
    let limits = "[server]\nheader_timeout = \"100ms\"\n[log]\nlevel = \"debug\"\n";
    let (gateway, _mock) = gateway(limits).await;
    let mut followed = follow(&gateway).await;
    let _stalled = Raw::with(gateway.admin, many_gets()).await;
    let ended = gateway
        .log_line(|line| line["message"] == "admin connection ended")
        .await;
    let why = ended["error"].as_str().unwrap();
    assert!(why.contains("error writing"), "{why}");
    // For far longer than anybody else may take.
    hear(&mut followed, 3).await;
}

#[tokio::test]
async fn those_who_follow_do_not_keep_others_out() {
    let (gateway, _mock) = gateway("[log]\nlevel = \"debug\"\n").await;
    let bearer = [("authorization", BEARER)];
    let ask = async |path| {
        let client = operators(&gateway);
        client.send(Method::GET, path, &bearer, "").await
    };
    let mut followers = Vec::new();
    for _ in 0..32 {
        followers.push(follow(&gateway).await);
    }
    for _ in 0..20 {
        let refused = ask("/api/events").await.rest().await;
        assert_eq!(
            (refused.status.as_u16(), &*refused.code()),
            (503, "too_many_followers")
        );
        assert_eq!(ask("/api/status").await.status, 200);
    }
    drop(followers.pop());
    gateway
        .log_line(|line| line["message"] == "a follower of the events has left")
        .await;
    assert_eq!(ask("/api/events").await.status, 200);
}
