//! The listeners: connections, who may connect, and what every reply carries.

mod support;

use std::{process::Stdio, time::Duration};

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use millgate::mock::{Mock, Script};
use serde_json::json;
use support::{
    Client, Gateway, Reply, chat_body, config,
    wire::{self, Raw},
};
use tokio::net::{TcpListener, TcpStream};

const CHAT: &str = "/v1/chat/completions";

/// A gateway before a mock that answers well, with these tables after its own.
async fn gateway(tables: &str) -> (Gateway, Mock) {
    let mock = Mock::with(Script::default()).await.unwrap();
    let base = format!("{}/v1", mock.url());
    let mut config = config(&[("up", "openai", &base)], "");
    config.push_str(tables);
    (Gateway::start(&config).await, mock)
}

async fn get(gateway: &Gateway, path: &str, headers: &[(&str, &str)]) -> Reply {
    let client = Client::new(gateway);
    client
        .send(Method::GET, path, headers, "")
        .await
        .rest()
        .await
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let (gateway, mock) = gateway("").await;
    let mut client = Raw::connect(gateway.address).await;
    for _ in 0..3 {
        client.send(wire::chat()).await;
        assert_eq!(client.reply().await.status, 200);
    }
    // Of an error too, where nothing of the request is left unread.
    client.send(wire::post(CHAT, "{")).await;
    assert_eq!(client.reply().await.refusal(), "invalid_json");
    client.send(wire::chat()).await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(mock.counts().connections, 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let (gateway, _mock) = gateway("").await;
    let mut all = Vec::new();
    for n in 0..20 {
        let request = match n % 3 {
            0 => String::from_utf8(wire::chat()).unwrap(),
            1 => wire::get("/v1/nowhere"),
            _ => String::from_utf8(wire::post(CHAT, "[")).unwrap(),
        };
        let id = format!("\r\nx-request-id: number-{n}\r\n");
        all.extend_from_slice(request.replacen("\r\n", &id, 1).as_bytes());
    }
    let mut client = Raw::with(gateway.address, all).await;
    for n in 0..20 {
        let reply = client.reply().await;
        assert_eq!(reply.header("x-request-id"), format!("number-{n}"));
        assert_eq!(reply.status, [200, 404, 400][n % 3]);
    }
}

#[tokio::test]
async fn http2_is_spoken_with_clients_that_begin_with_it() {
    let (gateway, _mock) = gateway("").await;
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let mut driver = tokio::task::JoinSet::new();
    driver.spawn(connection);
    let mut replies = Vec::new();
    for path in [CHAT, CHAT, "/v1/nowhere"] {
        let request = Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/json")
            .body(Full::new(bytes::Bytes::from(
                chat_body("hi", path == CHAT).to_string(),
            )))
            .unwrap();
        replies.push(sender.send_request(request));
    }
    for (reply, status) in replies.into_iter().zip([200, 200, 404]) {
        let reply = reply.await.unwrap();
        assert_eq!(
            (reply.version(), reply.status().as_u16()),
            (http::Version::HTTP_2, status)
        );
        assert!(reply.headers().contains_key("x-request-id"));
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        let expected: &[u8] = if status == 200 {
            b"data: [DONE]\n\n"
        } else {
            b"}}"
        };
        assert!(body.ends_with(expected), "{body:?}");
    }
    drop(sender);
    driver.join_next().await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn only_known_names_may_be_called() {
    let (gateway, mock) = gateway("[server]\nhosts = [\"gate.corp\"]").await;
    for (host, known) in [
        ("localhost", true),
        ("127.0.0.1:8080", true),
        ("[::1]:8080", true),
        ("GATE.corp:443", true),
        ("evil.example", false),
        ("evil.example:8080", false),
        ("localhost.evil.example", false),
        ("gate.corp.evil.example", false),
        ("10.0.0.7", false),
        ("[::2]:8080", false),
        ("", false),
    ] {
        let request = wire::get("/v1/models").replace("host: localhost", &format!("host: {host}"));
        let reply = Raw::with(gateway.address, request).await.reply().await;
        if known {
            assert_eq!(reply.status, 200, "{host}");
        } else {
            assert_eq!(reply.status, 403, "{host}");
            assert_eq!(reply.refusal(), "unknown_host", "{host}");
        }
    }
    // Without any.
    let reply = Raw::with(gateway.address, "GET /v1/models HTTP/1.1\r\n\r\n")
        .await
        .reply()
        .await;
    assert_eq!(reply.refusal(), "unknown_host");
    // The name in the request line goes before the other (RFC 9112, 3.2.2).
    let absolute = "GET http://evil.example/v1/models HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let reply = Raw::with(gateway.address, absolute).await.reply().await;
    assert_eq!(reply.refusal(), "unknown_host");
    assert_eq!(mock.counts().paths.get(CHAT), None);
}

#[tokio::test]
async fn web_pages_call_only_from_origins_that_are_named() {
    let (gateway, mock) = gateway("[server]\ncors_origins = [\"https://app.example\"]").await;
    let client = Client::new(&gateway);
    let body = chat_body("hi", false).to_string();
    for origin in [
        "https://evil.example",
        "null",
        "http://app.example",
        "http://localhost:8080",
    ] {
        for method in [Method::POST, Method::OPTIONS] {
            let headers = [("origin", origin), ("content-type", "text/plain")];
            let reply = client
                .send(method, CHAT, &headers, body.clone())
                .await
                .rest()
                .await;
            assert_eq!(reply.status, 403, "{origin}");
            assert_eq!(reply.refusal(), "unknown_origin");
            assert_eq!(reply.header("access-control-allow-origin"), "");
        }
    }
    assert_eq!(mock.counts().requests, 0);

    let origin = ("origin", "https://app.example");
    let preflight = client
        .send(
            Method::OPTIONS,
            CHAT,
            &[
                origin,
                ("access-control-request-method", "POST"),
                (
                    "access-control-request-headers",
                    "authorization,content-type",
                ),
            ],
            "",
        )
        .await
        .rest()
        .await;
    assert_eq!(preflight.status, 204);
    assert_eq!(
        preflight.header("access-control-allow-origin"),
        "https://app.example"
    );
    assert!(
        preflight
            .header("access-control-allow-methods")
            .contains("POST")
    );
    assert!(
        preflight
            .header("access-control-allow-headers")
            .contains("authorization")
    );
    assert_eq!(mock.counts().requests, 0);

    let json = ("content-type", "application/json");
    for (body, status) in [(body, 200), ("{".to_owned(), 400)] {
        let reply = client
            .send(Method::POST, CHAT, &[origin, json], body)
            .await
            .rest()
            .await;
        assert_eq!(reply.status, status);
        assert_eq!(
            reply.header("access-control-allow-origin"),
            "https://app.example"
        );
        assert_eq!(reply.header("access-control-expose-headers"), "*");
        assert_eq!(reply.header("vary"), "origin");
    }
}

#[tokio::test]
async fn one_connection_too_many_is_told_when_to_come_back() {
    let (gateway, _mock) = gateway("[server]\nmax_connections = 2").await;
    let mut first = Raw::with(gateway.address, wire::chat()).await;
    let mut second = Raw::with(gateway.address, wire::chat()).await;
    assert_eq!(first.reply().await.status, 200);
    assert_eq!(second.reply().await.status, 200);
    let mut third = Raw::with(gateway.address, wire::chat()).await;
    let reply = third.reply().await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.refusal(), "too_many_connections");
    assert_eq!(reply.header("retry-after"), "1");
    assert_eq!(reply.header("connection"), "close");
    assert_eq!(third.closed().await, "");
    // Those that are there are served on, and one that leaves makes room.
    first.send(wire::chat()).await;
    assert_eq!(first.reply().await.status, 200);
    drop(second);
    loop {
        let mut next = Raw::with(gateway.address, wire::chat()).await;
        let reply = next.reply().await;
        if reply.status == 200 {
            break;
        }
        assert_eq!(reply.code(), "too_many_connections");
    }
}

#[tokio::test]
async fn clients_that_do_not_finish_their_heads_are_let_go() {
    let (gateway, _mock) = gateway("[server]\nheader_timeout = \"200ms\"").await;
    for (sent, status) in [
        ("", 408),
        ("GET /v1/mod", 408),
        ("PRI * HTTP/2.0\r\n", 408),
        ("GET /v1/models HTTP/1.1\r\nhost: localhost\r\nx: ", 408),
    ] {
        let mut client = Raw::with(gateway.address, sent).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, status, "{sent:?}");
        assert_eq!(reply.refusal(), "request_timeout");
        assert_eq!(client.closed().await, "");
    }
    // The same for a later request on a connection, byte after byte.
    let mut client = Raw::with(gateway.address, wire::chat()).await;
    assert_eq!(client.reply().await.status, 200);
    for byte in wire::get("/v1/models").bytes() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if !client.try_send([byte]).await {
            break;
        }
    }
    assert_eq!(client.reply().await.refusal(), "request_timeout");
}

#[tokio::test]
async fn a_connection_at_rest_is_not_a_slow_one() {
    let (gateway, _mock) = gateway("[server]\nheader_timeout = \"100ms\"").await;
    let mut client = Raw::with(gateway.address, wire::chat()).await;
    assert_eq!(client.reply().await.status, 200);
    assert!(client.stays_open(Duration::from_millis(500)).await);
    client.send(wire::chat()).await;
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn an_exchange_that_takes_long_is_not_a_slow_client() {
    let mock = Mock::with(Script {
        delay: 400,
        ..Script::default()
    })
    .await
    .unwrap();
    let base = format!("{}/v1", mock.url());
    let mut config = config(&[("up", "openai", &base)], "");
    config.push_str("[server]\nheader_timeout = \"100ms\"");
    let gateway = Gateway::start(&config).await;
    assert_eq!(Client::new(&gateway).chat("hi", false).await.status, 200);
}

#[tokio::test]
async fn a_body_that_does_not_come_to_its_end_is_not_waited_for() {
    let (gateway, mock) = gateway("[server]\nbody_timeout = \"200ms\"").await;
    let whole = String::from_utf8(wire::chat()).unwrap();
    let mut client = Raw::with(gateway.address, &whole[..whole.len() - 1]).await;
    let reply = client.reply().await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (408, "request_timeout")
    );
    assert_eq!(client.closed().await, "");
    assert_eq!(mock.counts().requests, 0);
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_reply_is_let_go() {
    let (gateway, mock) = gateway("[server]\nwrite_timeout = \"300ms\"").await;
    // More than all buffers on the way can hold.
    mock.set_script(Script {
        chunks: Some(4000),
        chunk_bytes: Some(16 << 10),
        ..Script::default()
    });
    let body = support::chat_body("hi", true).to_string();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {}\r\nx-request-id: deaf\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        gateway.address,
        body.len()
    );
    let deaf = Raw::with(gateway.address, head).await;
    let line = gateway.access_line("deaf").await;
    assert_eq!(line["outcome"], "client_closed", "{line}");
    mock.wait_for(|counts| counts.aborted == 1).await;
    drop(deaf);
}

#[tokio::test]
async fn silent_clients_keep_nobody_out() {
    let (gateway, _mock) = gateway("").await;
    let mut silent = Vec::new();
    for n in 0..1000 {
        silent.push(Raw::with(gateway.address, if n % 2 == 0 { "" } else { "GET /v1" }).await);
    }
    assert_eq!(Client::new(&gateway).chat("hi", true).await.status, 200);
    drop(silent);
    assert_eq!(Client::new(&gateway).chat("hi", true).await.status, 200);
}

#[tokio::test]
async fn the_clients_request_id_is_kept_if_it_is_sane() {
    let (gateway, _mock) = gateway("").await;
    let longest = "x".repeat(128);
    for id in ["req_1-2.3:4", "A", &longest] {
        let reply = get(&gateway, "/v1/nowhere", &[("x-request-id", id)]).await;
        assert_eq!(reply.header("x-request-id"), id);
    }
    let too_long = "x".repeat(129);
    for id in ["", "a b", "a\"b", "a\\nb", "<script>", "${jndi}", &too_long] {
        let reply = get(&gateway, "/v1/nowhere", &[("x-request-id", id)]).await;
        let ours = reply.header("x-request-id");
        assert!(
            ours.len() == 32 && ours.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{ours}"
        );
    }
}

#[tokio::test]
async fn replies_tell_of_the_way_they_took_only_where_they_may() {
    let telling = [
        "x-millgate-provider",
        "x-millgate-attempts",
        "server-timing",
    ];
    for (tables, tells) in [("", true), ("[server]\nexpose = \"minimal\"", false)] {
        let (gateway, _mock) = gateway(tables).await;
        let reply = Client::new(&gateway).chat("hi", false).await;
        assert_eq!(reply.status, 200);
        assert!(!reply.header("x-request-id").is_empty());
        for name in telling {
            assert_eq!(!reply.header(name).is_empty(), tells, "{name}");
        }
        let any = reply
            .headers
            .keys()
            .any(|name| name.as_str().starts_with("x-millgate"));
        assert_eq!(any, tells);
    }
}

#[tokio::test]
async fn operators_have_a_listener_of_their_own() {
    let (gateway, _mock) = gateway("[admin]\nhosts = [\"ops.corp\"]").await;
    let admin = Client::at(&format!("http://{}", gateway.admin));
    let health = admin.get("/healthz").await;
    assert_eq!(
        (health.status.as_u16(), health.json()),
        (200, json!({"status": "ok"}))
    );
    let ready = admin.get("/readyz").await;
    assert_eq!(
        (ready.status.as_u16(), ready.json()),
        (200, json!({"status": "ready"}))
    );
    assert_eq!(admin.get("/v1/models").await.status, 404);
    assert_eq!(admin.get("/v2").await.code(), "unknown_path");
    let page = admin.get("/").await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let posted = admin.post("/healthz", &json!({})).await;
    assert_eq!(
        (posted.status.as_u16(), posted.header("allow")),
        (405, "GET, HEAD")
    );
    let head = admin
        .send(Method::HEAD, "/readyz", &[], "")
        .await
        .rest()
        .await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    for (host, status) in [("ops.corp", 200), ("evil.example", 403)] {
        let reply = admin
            .send(Method::GET, "/healthz", &[("host", host)], "")
            .await
            .rest()
            .await;
        assert_eq!(reply.status, status, "{host}");
    }
    let page = admin
        .send(
            Method::GET,
            "/healthz",
            &[("origin", "https://evil.example")],
            "",
        )
        .await;
    assert_eq!(page.status, 403);
    // And it is not reached through the clients' one.
    assert_eq!(get(&gateway, "/healthz", &[]).await.status, 404);
}

#[tokio::test]
async fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("config.toml"),
        config(&[("rehearsal", "rehearsal", "")], "").replace("base_url = \"\"\n", ""),
    )
    .unwrap();
    for (listen, admin_listen, table) in [
        (&*address, "127.0.0.1:0", "[server] listen"),
        ("127.0.0.1:0", &*address, "[admin] listen"),
    ] {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_millgate"))
            .args(["serve", "--listen", listen, "--admin-listen", admin_listen])
            .current_dir(folder.path())
            .env_clear()
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(support::PATIENCE, output)
            .await
            .unwrap()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&address) && said.contains(table), "{said}");
    }
}
