//! The log: one access line for every exchange, whatever way it ended, and never a secret.

#![allow(clippy::too_many_lines, reason = "tables of cases")]

#[path = "logs/pretty.rs"]
mod pretty;
mod support;
#[path = "logs/tokens.rs"]
mod tokens;

use http::Method;
use millgate::mock::{Fault, Mock, Script};
use serde_json::{Value, json};
use support::{Client, Gateway, PATIENCE, Reply, chat_body, config, nobody};
use tokio::{io::AsyncWriteExt, net::TcpStream};

async fn alone(script: Script, route: &str) -> (Mock, Gateway, Client) {
    let mock = Mock::with(script).await.unwrap();
    let gateway = Gateway::start(&config(&[("a", "openai", &mock.url())], route)).await;
    let client = Client::new(&gateway);
    (mock, gateway, client)
}

/// The access line of a reply, which is the only one.
async fn line_of(gateway: &Gateway, reply: &Reply) -> Value {
    let id = reply.header("x-request-id");
    let line = gateway.access_line(id).await;
    assert_eq!(line["status"], reply.status.as_u16(), "{line}");
    assert_eq!(line["bytes"], reply.body.len(), "{line}");
    line
}

#[tokio::test]
async fn a_line_tells_who_asked_whom_for_what_and_what_came_of_it() {
    let (_mock, gateway, client) = alone(Script::default(), "").await;
    for stream in [false, true] {
        let body = chat_body("hi", stream).to_string();
        let headers = [
            ("content-type", "application/json"),
            ("x-request-id", if stream { "mine-2" } else { "mine-1" }),
        ];
        let coming = client
            .send(
                Method::POST,
                "/v1/chat/completions?a=1",
                &headers,
                body.clone(),
            )
            .await;
        let reply = coming.rest().await;
        let line = line_of(&gateway, &reply).await;
        for (name, value) in [
            ("level", json!("INFO")),
            ("peer", json!("127.0.0.1")),
            ("method", json!("POST")),
            ("path", json!("/v1/chat/completions")),
            ("endpoint", json!("chat")),
            ("route", json!("default")),
            ("asked", json!("gpt-test")),
            ("provider", json!("a")),
            ("model", json!("gpt-test")),
            ("stream", json!(stream)),
            ("attempts", json!(1)),
            ("status", json!(200)),
            ("outcome", json!("ok")),
            ("input_tokens", json!(11)),
            ("output_tokens", json!(4)),
            ("request_bytes", json!(body.len())),
        ] {
            assert_eq!(line[name], value, "{name} in {line}");
        }
        for absent in ["error", "failed", "caller"] {
            assert_eq!(line[absent], Value::Null, "{absent} in {line}");
        }
        assert!(line["ms"].as_f64().unwrap() >= line["first_ms"].as_f64().unwrap());
        assert!(line["timestamp"].is_string());
    }
}

#[tokio::test]
async fn every_way_to_end_has_its_line_and_its_outcome() {
    let (mock, gateway, client) = alone(
        Script::default(),
        "retries = 0\nattempt_timeout = \"250ms\"\nidle_timeout = \"250ms\"",
    )
    .await;
    let mut ids = Vec::new();
    let cut = |fault| Script {
        at: Some(3),
        ..Script::fault(fault)
    };
    for (script, stream, status, outcome, error) in [
        (
            Script::status(400),
            false,
            400,
            "client_error",
            "bad_request",
        ),
        (
            Script::status(401),
            false,
            502,
            "upstream_error",
            "upstream_auth",
        ),
        (
            Script::status(429),
            true,
            429,
            "upstream_error",
            "rate_limit_exceeded",
        ),
        (
            Script::status(500),
            true,
            500,
            "upstream_error",
            "upstream_error",
        ),
        (
            Script::fault(Fault::Garbage),
            false,
            502,
            "upstream_error",
            "upstream_bad_reply",
        ),
        (
            Script::fault(Fault::StallBeforeHead),
            true,
            504,
            "timeout",
            "upstream_timeout",
        ),
        (
            cut(Fault::ResetMidStream),
            true,
            200,
            "upstream_error",
            "upstream_bad_reply",
        ),
        (
            cut(Fault::CutMidStream),
            true,
            200,
            "upstream_error",
            "upstream_bad_reply",
        ),
        (
            cut(Fault::ErrorEvent),
            true,
            200,
            "upstream_error",
            "mock_error",
        ),
        (
            cut(Fault::StallMidStream),
            true,
            200,
            "timeout",
            "upstream_timeout",
        ),
    ] {
        mock.set_script(script.clone());
        let reply = client.chat("hi", stream).await;
        assert_eq!(reply.status, status, "{script:?}");
        let line = line_of(&gateway, &reply).await;
        assert_eq!(
            (&line["outcome"], &line["error"]),
            (&json!(outcome), &json!(error)),
            "{script:?}"
        );
        ids.push(reply.header("x-request-id").to_owned());
    }
    mock.stop().await;
    let invalid = json!({"model": "m"});
    for (reply, outcome, error) in [
        (
            client.chat("hi", false).await,
            "upstream_error",
            "upstream_unreachable",
        ),
        (
            client.post("/v1/chat/completions", &invalid).await,
            "client_error",
            "missing_required_parameter",
        ),
        (
            client.get("/v1/chat/completions").await,
            "client_error",
            "no_route",
        ),
        (client.get("/nowhere").await, "client_error", "unknown_path"),
        (
            client.get("/v1/embeddings").await,
            "client_error",
            "method_not_allowed",
        ),
        (client.get("/v1/models").await, "ok", ""),
        (
            client
                .send(Method::GET, "/v1/models", &[("host", "evil.example")], "")
                .await
                .rest()
                .await,
            "client_error",
            "unknown_host",
        ),
    ] {
        let line = line_of(&gateway, &reply).await;
        assert_eq!(line["outcome"], outcome, "{line}");
        assert_eq!(line["error"].as_str().unwrap_or_default(), error, "{line}");
        ids.push(reply.header("x-request-id").to_owned());
    }
    for id in ids {
        assert_eq!(gateway.access_lines(&id), 1);
    }
}

#[tokio::test]
async fn a_client_that_leaves_is_told_apart_wherever_it_leaves() {
    let gated = Script {
        gate: true,
        ..Script::default()
    };
    let (mock, gateway, _client) = alone(gated, "").await;
    let ask = async |id: &str, part: usize| {
        let body = chat_body("hi", true).to_string();
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nx-request-id: {id}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut socket = TcpStream::connect(gateway.address).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        socket
            .write_all(&body.as_bytes()[..body.len() / part])
            .await
            .unwrap();
        socket
    };
    // In the middle of its own request: nobody was asked.
    drop(ask("in-body", 2).await);
    let line = gateway.access_line("in-body").await;
    assert_eq!(line["outcome"], "client_closed");
    assert_eq!(line["attempts"], 0);
    assert_eq!(mock.counts().requests, 0);

    // Before there was a head.
    let socket = ask("before-head", 1).await;
    mock.wait_for(|counts| counts.in_flight == 1).await;
    drop(socket);
    let line = gateway.access_line("before-head").await;
    assert_eq!(
        (&line["outcome"], &line["status"]),
        (&json!("client_closed"), &json!(0))
    );

    // In mid-stream.
    mock.wait_for(|counts| counts.aborted == 1).await;
    let socket = ask("in-stream", 1).await;
    mock.wait_for(|counts| counts.in_flight == 1).await;
    mock.release(3);
    let mut seen = vec![0; 4096];
    let mut text = String::new();
    while !text.contains("word0") {
        socket.readable().await.unwrap();
        if let Ok(read) = socket.try_read(&mut seen) {
            assert_ne!(read, 0);
            text.push_str(&String::from_utf8_lossy(&seen[..read]));
        }
    }
    drop(socket);
    let line = gateway.access_line("in-stream").await;
    assert_eq!(
        (&line["outcome"], &line["status"]),
        (&json!("client_closed"), &json!(200))
    );
    assert_eq!(line["provider"], "a");
    assert!(line["bytes"].as_u64().unwrap() > 0);
    let left = mock.wait_for(|counts| counts.aborted == 2);
    tokio::time::timeout(PATIENCE, left).await.unwrap();
    for id in ["in-body", "before-head", "in-stream"] {
        assert_eq!(gateway.access_lines(id), 1, "{id}");
    }
}

const KEY: &str = "sk-canary-key-0123456789";
const TICKET: &str = "canary-ticket-0123456789";
const OWN: &str = "canary-authorization-0123456789";
const QUERY: &str = "canary-query-0123456789";
const PROMPT: &str = "canary-prompt-0123456789";

/// An upstream that quotes everything it was told.
fn quoting(status: Option<u16>, fault: Option<Fault>) -> Script {
    // Of a 401 the operator reads the words: such an upstream has not looked at the prompt.
    let prompt = if status == Some(401) { "" } else { PROMPT };
    let quote = format!("you sent {KEY} with {TICKET} and {prompt}");
    Script {
        status,
        fault,
        body: fault
            .is_none()
            .then(|| json!({"error": {"message": quote, "type": "t", "code": "c"}}).to_string()),
        ..Script::default()
    }
}

#[tokio::test]
async fn no_secret_is_in_any_log_line_or_error_body() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let ollama = Mock::with(Script::default()).await.unwrap();
    let config = format!(
        r#"
        pipeline = ["route", "ticket"]
        [log]
        level = "trace"
        [stages.ticket]
        kind = "auth_header"
        headers = {{ "x-dep-ticket" = "${{TICKET}}" }}
        [providers.a]
        kind = "openai"
        base_url = "{}"
        api_key = "${{KEY}}"
        [providers.o]
        kind = "ollama"
        base_url = "{}"
        api_key = "${{KEY}}"
        [providers.dead]
        kind = "openai"
        base_url = "{}"
        api_key = "${{KEY}}"
        [routes.default]
        targets = ["a"]
        retries = 1
        backoff = "1ms"
        attempt_timeout = "250ms"
        [routes.ollama]
        model = "ollama"
        targets = ["o"]
        retries = 0
        attempt_timeout = "250ms"
        [routes.dead]
        model = "dead"
        targets = ["dead"]
        [routes.files]
        paths = ["/v1/files*"]
        shared_state = true
        targets = ["a"]
        retries = 0
        attempt_timeout = "250ms"
        idle_timeout = "250ms"
        "#,
        mock.url(),
        ollama.url(),
        nobody()
    );
    let gateway = Gateway::start_with(&config, &[("KEY", KEY), ("TICKET", TICKET)]).await;
    let client = Client::new(&gateway);
    let send = async |method: Method, path: &str, content_type: &str, body: String| {
        let path = format!("{path}?q={QUERY}");
        let authorization = format!("Bearer {OWN}");
        let headers = [
            ("content-type", content_type),
            ("authorization", &*authorization),
            ("x-dep-ticket", OWN),
            ("cookie", OWN),
        ];
        let reply = client
            .send(method, &path, &headers, body)
            .await
            .rest()
            .await;
        let is_error = reply.status.is_client_error()
            || reply.status.is_server_error()
            || (path.starts_with("/v1/chat") && reply.text().contains("\"error\""));
        if is_error {
            for secret in [KEY, TICKET, OWN, QUERY] {
                assert!(!reply.text().contains(secret), "{path}: {}", reply.text());
            }
            // An upstream's own troubles are told in the gateway's words.
            if reply.status == 500 || reply.text().contains("upstream_auth") {
                assert!(!reply.text().contains(PROMPT), "{path}: {}", reply.text());
            }
        }
        for (name, value) in &reply.headers {
            assert!(!value.to_str().unwrap().contains("canary"), "{name}");
        }
        gateway.access_line(reply.header("x-request-id")).await;
        reply.status.as_u16()
    };
    let chat = |model: &str, stream: bool| {
        let mut body = chat_body(PROMPT, stream);
        body["model"] = json!(model);
        body.to_string()
    };
    let json = "application/json";
    let chats = "/v1/chat/completions";

    let scripts = [
        Script::default(),
        quoting(Some(400), None),
        quoting(Some(401), None),
        quoting(Some(403), None),
        quoting(Some(404), None),
        quoting(Some(422), None),
        quoting(Some(429), None),
        quoting(Some(500), None),
        quoting(None, None),
        quoting(None, Some(Fault::Garbage)),
        quoting(None, Some(Fault::ResetMidStream)),
        quoting(None, Some(Fault::StallBeforeHead)),
        quoting(None, Some(Fault::ErrorEvent)),
        Script {
            body: Some(format!(
                "data: {{\"error\":{{\"message\":\"{KEY} {TICKET} {PROMPT}\"}}}}\n\n"
            )),
            ..Script::default()
        },
        Script {
            body: Some(format!("not JSON at all: {KEY} {TICKET} {PROMPT}")),
            ..Script::default()
        },
        Script {
            body: Some(format!("{KEY} {TICKET} {PROMPT}")),
            headers: [("content-type".to_owned(), "text/plain".to_owned())].into(),
            ..Script::default()
        },
    ];
    let mut statuses = Vec::new();
    for script in scripts {
        mock.set_script(script.clone());
        ollama.set_script(script);
        for stream in [false, true] {
            statuses.push(send(Method::POST, chats, json, chat("m", stream)).await);
            statuses.push(send(Method::POST, chats, json, chat("ollama", stream)).await);
        }
        let embed = json!({"model": "m", "input": PROMPT}).to_string();
        statuses.push(send(Method::POST, "/v1/embeddings", json, embed).await);
        statuses.push(
            send(
                Method::POST,
                "/v1/files",
                "multipart/form-data; boundary=b",
                PROMPT.to_owned(),
            )
            .await,
        );
        statuses.push(send(Method::GET, "/v1/files/f", "", String::new()).await);
    }
    assert!(statuses.contains(&200) && statuses.contains(&422) && statuses.contains(&504));

    send(Method::POST, chats, json, chat("dead", true)).await;
    send(Method::GET, "/v1/models", "", String::new()).await;
    send(Method::GET, "/elsewhere", "", String::new()).await;
    for body in [
        format!("{{\"model\": \"m\", \"messages\": \"{PROMPT}\"}}"),
        format!("{{\"model\": \"m\", \"messages\": [\"{PROMPT}\""),
        format!("{{\"model\": \"m\", \"{PROMPT}\": tru, \"messages\": []}}"),
        format!(
            "{{\"model\": \"m\", \"messages\": [{{\"role\": \"{PROMPT}\"}}], \"stream\": \"{PROMPT}\"}}"
        ),
        PROMPT.to_owned(),
    ] {
        assert_eq!(send(Method::POST, chats, json, body).await, 400);
    }
    // What Ollama's codec refuses to translate, and what is no JSON for it.
    for messages in [
        json!([{"role": PROMPT, "content": "x"}]),
        json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": format!("https://x/{PROMPT}")}}]}]),
        json!([{"role": "user", "content": [{"type": PROMPT}]}]),
    ] {
        let body = json!({"model": "ollama", "messages": messages}).to_string();
        send(Method::POST, chats, json, body).await;
    }

    let lines = gateway.log();
    assert!(
        lines
            .iter()
            .any(|line| line["level"] == "DEBUG" || line["level"] == "TRACE")
    );
    for line in lines {
        assert!(!line.to_string().contains("canary"), "{line:#}");
    }
}
