//! Canaries: keys, tickets, queries and prompts that must be in no log line, header or error body, whatever befalls a request.

use http::Method;
use millgate::mock::{Fault, Mock, Script};
use serde_json::json;

use crate::support::{Client, Gateway, chat_body, nobody};

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

/// Every stage there is; the client's own key is a caller's. Whatever may be kept is kept, all that may be captured is.
const EVERY_STAGE: &str = r#"
        pipeline = ["redact", "auth", "limit", "cache", "route", "provider_limit", "ticket"]
        [stages.redact]
        capture = "redacted"
        patterns = { prompt = { regex = "canary-prompt-[0-9]+", type = "PROMPT" } }
        [stages.auth]
        [callers.app]
        key = "${OWN}"
        team = "blue"
        meta = { ticket = "${TICKET}" }
        [stages.limit]
        kind = "rate_limit"
        requests = "100k/min"
        limits = [{ per = "team", tokens = "100M/min" }, { concurrent = 100, queue = {} }, { budget = { usd = "1000000/day" } }]
        [stages.cache]
        cacheable = "always"
        [stages.provider_limit]
        kind = "rate_limit"
        per = "provider"
        requests = "100k/min"
"#;

#[tokio::test]
async fn no_secret_is_in_any_log_line_or_error_body() {
    nothing_is_told("pipeline = [\"route\", \"ticket\"]").await;
}

#[tokio::test]
async fn nor_is_one_with_every_stage_on() {
    nothing_is_told(EVERY_STAGE).await;
}

async fn nothing_is_told(stages: &str) {
    let mock = Mock::with(Script::default()).await.unwrap();
    let ollama = Mock::with(Script::default()).await.unwrap();
    let config = format!(
        r#"
        {stages}
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
    let gateway =
        Gateway::start_with(&config, &[("KEY", KEY), ("TICKET", TICKET), ("OWN", OWN)]).await;
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
    let mut asked = 0;
    let mut chat = |model: &str, stream: bool| {
        // None that a cache has the answer to.
        asked += 1;
        let mut body = chat_body(&format!("{asked} {PROMPT}"), stream);
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
    for (index, script) in scripts.into_iter().enumerate() {
        mock.set_script(script.clone());
        ollama.set_script(script);
        for stream in [false, true] {
            statuses.push(send(Method::POST, chats, json, chat("m", stream)).await);
            statuses.push(send(Method::POST, chats, json, chat("ollama", stream)).await);
        }
        let embed = json!({"model": "m", "input": format!("{index} {PROMPT}")}).to_string();
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
