//! What clients get wrong is answered in the shape that they know, and no upstream hears of it.

#[path = "bad_input/heads.rs"]
mod heads;
#[path = "bad_input/sizes.rs"]
mod sizes;
mod support;

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
    let config = config(&[("up", "openai", &base)], "") + &format!("[server]\n{server}\n");
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
async fn bodies_that_cannot_be_read() {
    let (gateway, mock) = gateway("").await;
    let deep = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(r#"{{"model":"m","messages":{open}{close}}}"#).into_bytes()
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        (CHAT, b"".to_vec()),
        (CHAT, b"{".to_vec()),
        (CHAT, b"[]".to_vec()),
        (CHAT, b"null".to_vec()),
        (CHAT, b"{\"model\":\"m\",}".to_vec()),
        (CHAT, b"{'model':'m'}".to_vec()),
        (CHAT, b"{\"model\":\"m\"} x".to_vec()),
        (CHAT, b"{\"model\":NaN}".to_vec()),
        (CHAT, b"{\"model\":\"\xff\"}".to_vec()),
        (CHAT, b"\xef\xbb\xbf{".to_vec()),
        (CHAT, b"\x00\x01\x02".to_vec()),
        (CHAT, deep(128)),
        (CHAT, deep(100_000)),
        (CHAT, br#"{"model":"a","model":"b","messages":[]}"#.to_vec()),
        (
            CHAT,
            br#"{"model":"a","mod\u0065l":"b","messages":[]}"#.to_vec(),
        ),
        ("/v1/moderations", b"{".to_vec()),
    ];
    for (path, body) in cases {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let reply = answer(&gateway, wire::post(path, body)).await;
        assert_eq!(reply.status, 400, "{shown}");
        assert_eq!(reply.refusal(), "invalid_json", "{shown}");
        assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
    }
    nothing_happened(&gateway, &mock).await;
}

#[tokio::test]
async fn bodies_that_lack_something() {
    let (gateway, mock) = gateway("").await;
    let cases: Vec<(&str, &str, &str, &str)> = vec![
        (
            CHAT,
            r#"{"messages":[]}"#,
            "missing_required_parameter",
            "model",
        ),
        (
            CHAT,
            r#"{"model":7,"messages":[]}"#,
            "invalid_type",
            "model",
        ),
        (
            CHAT,
            r#"{"model":null,"messages":[]}"#,
            "invalid_type",
            "model",
        ),
        (
            CHAT,
            r#"{"model":"","messages":[]}"#,
            "invalid_type",
            "model",
        ),
        (
            CHAT,
            r#"{"model":"m"}"#,
            "missing_required_parameter",
            "messages",
        ),
        (
            CHAT,
            r#"{"model":"m","messages":"hi"}"#,
            "invalid_type",
            "messages",
        ),
        (
            CHAT,
            r#"{"model":"m","messages":[],"stream":"yes"}"#,
            "invalid_type",
            "stream",
        ),
        (
            CHAT,
            r#"{"model":"m","messages":[],"stream":1}"#,
            "invalid_type",
            "stream",
        ),
        (
            "/v1/embeddings",
            r#"{"model":"m"}"#,
            "missing_required_parameter",
            "input",
        ),
        (
            "/v1/embeddings",
            r#"{"input":"x"}"#,
            "missing_required_parameter",
            "model",
        ),
        (
            "/v1/responses",
            r#"{"input":"x"}"#,
            "missing_required_parameter",
            "model",
        ),
        (
            "/v1/completions",
            r#"{"prompt":"x"}"#,
            "missing_required_parameter",
            "model",
        ),
    ];
    for (path, body, code, param) in cases {
        let reply = answer(&gateway, wire::post(path, body)).await;
        assert_eq!(reply.status, 400, "{body}");
        assert_eq!(reply.refusal(), code, "{body}");
        assert_eq!(reply.json()["error"]["param"], param, "{body}");
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
        ("POST", "/v1/audio/..;/files", 404, "unknown_path", ""),
        ("GET", "/v1/audio/voice_consents", 404, "no_route", ""),
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
        // An upstream would answer TRACE with the gateway's own key.
        ("TRACE", "/v1/audio/speech", 405, "method_not_allowed", ""),
        ("CONNECT", "/v1/images/x", 405, "method_not_allowed", ""),
        ("PURGE", "/v1/moderations", 405, "method_not_allowed", ""),
        ("OPTIONS", "/v1/files", 405, "method_not_allowed", ""),
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
