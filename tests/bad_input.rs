//! What clients get wrong is answered in the shape that they know, and no upstream hears of it.

mod support;

use std::time::Duration;

use millgate::mock::{Mock, Script};
use serde_json::json;
use support::{
    Client, Gateway, Reply, config,
    wire::{self, Raw},
};

const CHAT: &str = "/v1/chat/completions";

/// A gateway before a mock that answers well.
async fn gateway(server: &str) -> (Gateway, Mock) {
    let mock = Mock::with(Script::default()).await.unwrap();
    let base = format!("{}/v1", mock.url());
    let mut config = config(&[("up", "openai", &base)], "");
    config.push_str(&format!("[server]\n{server}\n"));
    (Gateway::start(&config).await, mock)
}

/// Sends bytes on a connection of their own, and reads the one reply.
async fn answer(gateway: &Gateway, request: impl AsRef<[u8]>) -> Reply {
    Raw::with(gateway.address, request).await.reply().await
}

/// The gateway still serves, and the mock has seen nothing before.
async fn nothing_happened(gateway: &Gateway, mock: &Mock) {
    assert_eq!(mock.counts().requests, 0);
    assert_eq!(Client::new(gateway).chat("hi", false).await.status, 200);
}

#[tokio::test]
async fn bodies_that_cannot_be_read_or_lack_something() {
    let (gateway, mock) = gateway("").await;
    let deep = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"model":"m","messages":{open}{close}}}"#).into_bytes()
    };
    let cases: Vec<(&str, Vec<u8>, &str, Option<&str>)> = vec![
        (CHAT, b"".to_vec(), "invalid_json", None),
        (CHAT, b"{".to_vec(), "invalid_json", None),
        (CHAT, b"[]".to_vec(), "invalid_json", None),
        (CHAT, b"null".to_vec(), "invalid_json", None),
        (CHAT, b"{\"model\":\"m\",}".to_vec(), "invalid_json", None),
        (CHAT, b"{'model':'m'}".to_vec(), "invalid_json", None),
        (CHAT, b"{\"model\":\"m\"} x".to_vec(), "invalid_json", None),
        (CHAT, b"{\"model\":NaN}".to_vec(), "invalid_json", None),
        (CHAT, b"{\"model\":\"\xff\"}".to_vec(), "invalid_json", None),
        (CHAT, b"\xef\xbb\xbf{".to_vec(), "invalid_json", None),
        (CHAT, b"\x00\x01\x02".to_vec(), "invalid_json", None),
        (CHAT, deep(128), "invalid_json", None),
        (CHAT, deep(100_000), "invalid_json", None),
        (
            CHAT,
            br#"{"model":"a","model":"b","messages":[]}"#.to_vec(),
            "invalid_json",
            None,
        ),
        (
            CHAT,
            br#"{"model":"a","mod\u0065l":"b","messages":[]}"#.to_vec(),
            "invalid_json",
            None,
        ),
        (
            CHAT,
            br#"{"messages":[]}"#.to_vec(),
            "missing_required_parameter",
            Some("model"),
        ),
        (
            CHAT,
            br#"{"model":7,"messages":[]}"#.to_vec(),
            "invalid_type",
            Some("model"),
        ),
        (
            CHAT,
            br#"{"model":null,"messages":[]}"#.to_vec(),
            "invalid_type",
            Some("model"),
        ),
        (
            CHAT,
            br#"{"model":"","messages":[]}"#.to_vec(),
            "invalid_type",
            Some("model"),
        ),
        (
            CHAT,
            br#"{"model":"m"}"#.to_vec(),
            "missing_required_parameter",
            Some("messages"),
        ),
        (
            CHAT,
            br#"{"model":"m","messages":"hi"}"#.to_vec(),
            "invalid_type",
            Some("messages"),
        ),
        (
            CHAT,
            br#"{"model":"m","messages":[],"stream":"yes"}"#.to_vec(),
            "invalid_type",
            Some("stream"),
        ),
        (
            CHAT,
            br#"{"model":"m","messages":[],"stream":1}"#.to_vec(),
            "invalid_type",
            Some("stream"),
        ),
        (
            "/v1/embeddings",
            br#"{"model":"m"}"#.to_vec(),
            "missing_required_parameter",
            Some("input"),
        ),
        (
            "/v1/embeddings",
            br#"{"input":"x"}"#.to_vec(),
            "missing_required_parameter",
            Some("model"),
        ),
        (
            "/v1/responses",
            br#"{"input":"x"}"#.to_vec(),
            "missing_required_parameter",
            Some("model"),
        ),
        (
            "/v1/completions",
            br#"{"prompt":"x"}"#.to_vec(),
            "missing_required_parameter",
            Some("model"),
        ),
        ("/v1/moderations", b"{".to_vec(), "invalid_json", None),
    ];
    for (path, body, code, param) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let reply = answer(&gateway, wire::post(path, body)).await;
        assert_eq!(reply.status, 400, "{shown}");
        assert_eq!(reply.refusal(), code, "{shown}");
        assert_eq!(reply.json()["error"]["param"], json!(param), "{shown}");
        assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
    }
    nothing_happened(&gateway, &mock).await;
}

#[tokio::test]
async fn the_deepest_nesting_that_is_read_and_a_null_stream_are_no_errors() {
    let (gateway, _mock) = gateway("").await;
    let levels = 127;
    let body = format!(
        r#"{{"model":"m","stream":null,"messages":[],"x":{}{}}}"#,
        "[".repeat(levels),
        "]".repeat(levels)
    );
    assert_eq!(answer(&gateway, wire::post(CHAT, body)).await.status, 200);
}

#[tokio::test]
async fn bodies_of_another_kind() {
    let (gateway, mock) = gateway("").await;
    for field in [
        "content-type: text/plain",
        "content-type: multipart/form-data; boundary=x",
        "content-type: application/x-www-form-urlencoded",
        "content-type: application/json\r\ncontent-encoding: gzip",
        "content-type: application/json\r\ncontent-encoding: br",
    ] {
        let request = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\n{field}\r\ncontent-length: 2\r\n\r\n{{}}"
        );
        let reply = answer(&gateway, request).await;
        assert_eq!(reply.status, 415, "{field}");
        assert_eq!(reply.refusal(), "unsupported_media_type");
    }
    nothing_happened(&gateway, &mock).await;
}

#[tokio::test]
async fn a_body_that_is_cut_short() {
    let (gateway, mock) = gateway("").await;
    let fields = "host: localhost\r\ncontent-type: application/json";
    for request in [
        format!("POST {CHAT} HTTP/1.1\r\n{fields}\r\ncontent-length: 100\r\n\r\n{{\"model\":"),
        format!("POST {CHAT} HTTP/1.1\r\n{fields}\r\ncontent-length: 100\r\n\r\n"),
        format!(
            "POST {CHAT} HTTP/1.1\r\n{fields}\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{{\"mo"
        ),
        format!(
            "POST {CHAT} HTTP/1.1\r\n{fields}\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{{}}\r\n"
        ),
    ] {
        let mut client = Raw::with(gateway.address, &request).await;
        client.half_close().await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 400, "{request}");
        assert_eq!(reply.refusal(), "body_cut_short", "{request}");
        assert_eq!(client.closed().await, "");
    }
    nothing_happened(&gateway, &mock).await;
}

#[tokio::test]
async fn an_unknown_model_names_those_that_are_near() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let config = format!(
        "[providers.up]\nkind = \"openai\"\nbase_url = \"{}/v1\"\n[routes.small]\nmodel = \"gpt-4o-mini\"\ntargets = [\"up\"]\n[routes.embed]\nmodel = \"text-embedding-3-small\"\ntargets = [\"up\"]\n",
        mock.url()
    );
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    let body = json!({"model": "gpt-4o-mimi", "messages": []});
    let reply = client.post(CHAT, &body).await;
    assert_eq!(reply.status, 404);
    assert_eq!(reply.refusal(), "model_not_found");
    assert_eq!(reply.json()["error"]["param"], "model");
    let message = reply.text();
    assert!(
        message.contains("`gpt-4o-mini`") && !message.contains("embedding"),
        "{message}"
    );
    let reply = client.get("/v1/models/gpt-4o-mimi").await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (404, "model_not_found")
    );
    assert_eq!(mock.counts().paths.get("/v1/chat/completions"), None);
}

#[tokio::test]
async fn paths_and_methods_that_do_not_exist() {
    let (gateway, mock) = gateway("").await;
    let cases = [
        ("GET", "/", 404, "unknown_path", "/v1"),
        ("POST", "/chat/completions", 404, "unknown_path", "/v1"),
        ("POST", "/v1", 404, "unknown_path", ""),
        ("POST", "/v1/chat/complete", 404, "unknown_path", ""),
        ("POST", "/v1/filesystem", 404, "unknown_path", ""),
        ("POST", "/v1/audio/../../admin", 404, "unknown_path", ""),
        ("POST", "/v1/audio/%2e%2e/admin", 404, "unknown_path", ""),
        ("POST", "/v1/audio/%2e%2e%2fadmin", 404, "unknown_path", ""),
        ("POST", "/v1/audio/..%5cadmin", 404, "unknown_path", ""),
        ("POST", "/v1/audio//speech", 404, "unknown_path", ""),
        ("POST", "/v1/audio/a%0d%0ab", 404, "unknown_path", ""),
        ("GET", CHAT, 404, "no_route", ""),
        ("PUT", CHAT, 405, "method_not_allowed", "POST"),
        ("GET", "/v1/embeddings", 405, "method_not_allowed", "POST"),
        ("POST", "/v1/models", 405, "method_not_allowed", "GET"),
        ("BREW", CHAT, 405, "method_not_allowed", "POST"),
        ("POST", "/v1/files", 404, "no_route", "shared_state"),
        (
            "GET",
            "/v1/responses/resp_1",
            404,
            "no_route",
            "shared_state",
        ),
        ("OPTIONS", CHAT, 405, "method_not_allowed", "POST"),
    ];
    for (method, path, status, code, hint) in cases {
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n");
        let reply = answer(&gateway, request).await;
        assert_eq!(reply.status, status, "{method} {path}");
        assert_eq!(reply.refusal(), code, "{method} {path}");
        let message = reply.json()["error"]["message"].to_string();
        assert!(message.contains(hint), "{method} {path}: {message}");
    }
    nothing_happened(&gateway, &mock).await;
}

#[tokio::test]
async fn heads_that_cannot_be_read() {
    let (gateway, mock) = gateway("").await;
    let host = "host: localhost";
    let cases = [
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{7f}\x03\x03 a TLS client says hello\r\n\r\n".to_owned(),
        "\0\0\0\0\0\0\0\0".to_owned(),
        "SSH-2.0-OpenSSH_9.6\r\n".to_owned(),
        "hello\r\n\r\n".to_owned(),
        "GET /v1/models\r\n\r\n".to_owned(),
        format!("GET /v1/models HTTP/9.9\r\n{host}\r\n\r\n"),
        format!("GET /v1/ models HTTP/1.1\r\n{host}\r\n\r\n"),
        format!("GET /v1/m\x01dels HTTP/1.1\r\n{host}\r\n\r\n"),
        format!("GET /v1/models HTTP/1.1\r\n{host}\r\nbad name: x\r\n\r\n"),
        format!("GET /v1/models HTTP/1.1\r\n{host}\r\nname : x\r\n\r\n"),
        format!("GET /v1/models HTTP/1.1\r\n{host}\r\n: x\r\n\r\n"),
        format!("GET /v1/models HTTP/1.1\r\n{host}\r\nno colon\r\n\r\n"),
        format!("GET /v1/models HTTP/1.1\r\n{host}\r\n(){{:;}}: x\r\n\r\n"),
        format!("GET /v1/models HTTP/1.1\r\n{host}\r\nx: a\0b\r\n\r\n"),
        format!("GET /v1/models HTTP/1.1\r\n{host}\r\n folded: x\r\n\r\n"),
        format!(
            "POST {CHAT} HTTP/1.1\r\n{host}\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!"
        ),
        format!("POST {CHAT} HTTP/1.1\r\n{host}\r\ncontent-length: -1\r\n\r\n"),
        format!("POST {CHAT} HTTP/1.1\r\n{host}\r\ncontent-length: +5\r\n\r\nhello"),
        format!("POST {CHAT} HTTP/1.1\r\n{host}\r\ncontent-length: 99999999999999999999\r\n\r\n"),
        format!("POST {CHAT} HTTP/1.1\r\n{host}\r\ntransfer-encoding: gzip\r\n\r\n"),
        format!("POST {CHAT} HTTP/1.1\r\n{host}\r\ntransfer-encoding: chunked, gzip\r\n\r\n"),
        format!("POST {CHAT} HTTP/1.0\r\n{host}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    ];
    for request in cases {
        let mut client = Raw::with(gateway.address, &request).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 400, "{request:?}");
        assert_eq!(reply.refusal(), "bad_request", "{request:?}");
        assert_eq!(reply.header("connection"), "close");
        assert!(!reply.header("date").is_empty());
        let id = reply.header("x-request-id").to_owned();
        let line = gateway.log_line(|line| line["request_id"] == *id).await;
        assert_eq!(
            (&line["status"], &line["peer"]),
            (&json!(400), &json!("127.0.0.1"))
        );
        // The client sees the end of the reply although the gateway lingers for what it may still send.
        assert_eq!(client.closed().await, "", "{request:?}");
    }
    nothing_happened(&gateway, &mock).await;
}

#[tokio::test]
async fn a_refusal_after_good_requests_on_the_same_connection() {
    let (gateway, mock) = gateway("").await;
    // One after the other, then all at once.
    let mut client = Raw::with(gateway.address, wire::chat()).await;
    assert_eq!(client.reply().await.status, 200);
    client.send("garbage\r\n\r\n").await;
    assert_eq!(client.reply().await.refusal(), "bad_request");
    assert_eq!(client.closed().await, "");

    let mut all = wire::chat();
    all.extend_from_slice(wire::get("/v1/nowhere").as_bytes());
    all.extend_from_slice(&wire::chat());
    all.extend_from_slice(b"garbage\r\n\r\n");
    all.extend_from_slice(&wire::chat());
    let mut client = Raw::with(gateway.address, all).await;
    assert_eq!(client.reply().await.status, 200);
    assert_eq!(client.reply().await.refusal(), "unknown_path");
    assert_eq!(client.reply().await.status, 200);
    let reply = client.reply().await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (400, "bad_request")
    );
    assert_eq!(client.closed().await, "");
    assert_eq!(mock.counts().requests, 3);
}

#[tokio::test]
async fn a_reply_that_looks_like_a_refusal_is_passed_on_as_it_is() {
    let head = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\ndate: Fri, 02 Jan 2026 03:04:05 GMT\r\n\r\n";
    let mock = Mock::with(Script {
        body: Some(head.to_owned()),
        headers: [("content-type".to_owned(), "text/plain".to_owned())].into(),
        // The body comes apart from its head, so that it is a write of its own.
        first_byte_delay: 50,
        ..Script::default()
    })
    .await
    .unwrap();
    let base = format!("{}/v1", mock.url());
    let gateway = Gateway::start(&config(&[("up", "openai", &base)], "")).await;
    let mut client = Raw::connect(gateway.address).await;
    for _ in 0..2 {
        client
            .send(wire::post("/v1/moderations", r#"{"model":"m"}"#))
            .await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-length"), head.len().to_string());
        assert_eq!(reply.text(), head);
    }
    assert!(client.stays_open(Duration::from_millis(50)).await);
}

#[tokio::test]
async fn garbage_behind_a_request_does_not_spoil_a_reply_that_is_read_late() {
    let mock = Mock::with(Script {
        chunks: Some(1),
        chunk_bytes: Some(20 << 20),
        ..Script::default()
    })
    .await
    .unwrap();
    let base = format!("{}/v1", mock.url());
    let gateway = Gateway::start(&config(&[("up", "openai", &base)], "")).await;
    let mut both = wire::chat();
    both.extend_from_slice(b"garbage\r\n\r\n");
    let mut client = Raw::with(gateway.address, both).await;
    // More than the sockets hold: it waits in the gateway until it is read.
    mock.wait_for(|counts| counts.in_flight == 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    let reply = client.reply().await;
    assert_eq!(reply.status, 200);
    eprintln!(
        "DBG {:?} {} {:?}",
        reply.headers,
        reply.body.len(),
        String::from_utf8_lossy(&reply.body[reply.body.len() - 200..])
    );
    let text = reply.json()["choices"][0]["message"]["content"].to_string();
    assert_eq!(text.len(), (20 << 20) + 2);
    assert_eq!(client.reply().await.status, 400);
    client.closed().await;
}

#[tokio::test]
async fn conflicting_framing_ends_with_the_first_request() {
    let (gateway, mock) = gateway("").await;
    // RFC 9112, 6.3: chunks overrule a length, and the connection is closed; what a gateway that goes by the
    // length would take for the body is no second request.
    let smuggled = wire::get("/v1/smuggled");
    let fields = "host: localhost\r\ncontent-type: application/json";
    for framing in [
        "content-length: 4\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 4",
    ] {
        let request =
            format!("POST {CHAT} HTTP/1.1\r\n{fields}\r\n{framing}\r\n\r\n0\r\n\r\n{smuggled}");
        let mut client = Raw::with(gateway.address, request).await;
        let reply = client.reply().await;
        assert_eq!(
            (reply.status.as_u16(), &*reply.refusal()),
            (400, "invalid_json")
        );
        assert_eq!(client.closed().await, "");
    }
    nothing_happened(&gateway, &mock).await;
}

#[tokio::test]
async fn chunks_that_make_no_sense() {
    let (gateway, mock) = gateway("").await;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    for body in [
        "zz\r\n{}\r\n0\r\n\r\n",
        "-2\r\n{}\r\n0\r\n\r\n",
        "2 2\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}}}}}\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        "\r\n{}\r\n0\r\n\r\n",
    ] {
        let mut client = Raw::with(gateway.address, format!("{head}{body}")).await;
        let reply = client.reply().await;
        assert_eq!(reply.status, 400, "{body:?}");
        assert_eq!(reply.refusal(), "malformed_body", "{body:?}");
        assert_eq!(client.closed().await, "");
    }
    nothing_happened(&gateway, &mock).await;
}

#[tokio::test]
async fn a_body_that_is_too_large() {
    let (gateway, mock) = gateway("max_body_size = \"1KiB\"\nmax_upload_size = \"2KiB\"").await;
    // By its length, before a byte of it is sent, with and without waiting for leave.
    for expect in ["", "expect: 100-continue\r\n"] {
        let head = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\n{expect}content-type: application/json\r\ncontent-length: 1025\r\n\r\n"
        );
        let reply = answer(&gateway, head).await;
        assert_eq!(
            (reply.status.as_u16(), &*reply.refusal()),
            (413, "body_too_large")
        );
        assert_eq!(reply.header("connection"), "close");
    }
    // Chunked: once it is over, without waiting for its end.
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let chunk = format!("200\r\n{}\r\n", " ".repeat(0x200));
    let reply = answer(&gateway, format!("{head}{chunk}{chunk}1\r\n \r\n")).await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (413, "body_too_large")
    );
    // An upload by its length.
    let upload = "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data; boundary=x\r\n";
    let reply = answer(&gateway, format!("{upload}content-length: 2049\r\n\r\n")).await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (413, "body_too_large")
    );
    assert_eq!(mock.counts().requests, 0);
    // A chunked one has begun to pass when it turns out.
    let mut client = Raw::with(
        gateway.address,
        format!("{upload}transfer-encoding: chunked\r\n\r\n"),
    )
    .await;
    for _ in 0..5 {
        client.send(&chunk).await;
    }
    let reply = client.reply().await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (413, "body_too_large")
    );
    nothing_happened(&gateway, &mock).await;
}

#[tokio::test]
async fn a_client_that_is_still_sending_reads_why_it_was_refused() {
    let (gateway, mock) = gateway("max_body_size = \"64KiB\"").await;
    let length = 16 << 20;
    for path in [CHAT, "/v1/nowhere"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut client = Raw::with(gateway.address, head).await;
        // Clients in a hurry read only when all is sent.
        assert!(client.try_send(vec![b' '; length]).await, "{path}");
        let reply = client.reply().await;
        assert!([404, 413].contains(&reply.status.as_u16()));
        reply.refusal();
        assert_eq!(client.closed().await, "");
    }
    nothing_happened(&gateway, &mock).await;
}

#[tokio::test]
async fn a_client_that_waits_for_leave_to_send_gets_it() {
    let (gateway, _mock) = gateway("").await;
    let request = String::from_utf8(wire::chat()).unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut client = Raw::with(
        gateway.address,
        format!("{head}\r\nexpect: 100-continue\r\n\r\n"),
    )
    .await;
    assert_eq!(client.head().await.0, 100);
    client.send(body).await;
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn heads_that_are_too_large() {
    let (gateway, mock) = gateway("max_header_size = \"16KiB\"\nmax_headers = 20").await;
    let start = "GET /v1/models HTTP/1.1\r\nhost: localhost\r\n";
    let fields = |count: usize| {
        (0..count)
            .map(|n| format!("x-{n}: y\r\n"))
            .collect::<String>()
    };
    assert_eq!(
        answer(&gateway, format!("{start}{}\r\n", fields(19)))
            .await
            .status,
        200
    );
    let mock_before = mock.counts().requests;
    for request in [
        format!("{start}x: {}\r\n\r\n", "y".repeat(20 << 10)),
        format!("{start}x: {}", "y".repeat(1 << 20)),
        format!("{start}{}\r\n", fields(20)),
        format!("{start}{}\r\n", fields(1000)),
    ] {
        let mut client = Raw::connect(gateway.address).await;
        assert!(client.try_send(request).await);
        let reply = client.reply().await;
        assert_eq!(reply.status, 431);
        assert_eq!(reply.refusal(), "headers_too_large");
        assert_eq!(client.closed().await, "");
    }
    let path = "a".repeat(15 << 10);
    let reply = answer(&gateway, wire::get(&format!("/v1/{path}"))).await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (404, "unknown_path")
    );
    assert_eq!(mock.counts().requests, mock_before);
}
