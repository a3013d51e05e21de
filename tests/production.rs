//! The shipped config in production: the company's service first, with its headers, and Ollama when it is down.

#![allow(
    clippy::disallowed_methods,
    reason = "a test's tasks end with its runtime"
)]

mod support;

use std::collections::BTreeSet;

use http::Method;
use millgate::mock::{Fault, Mock, Plan, Request, Script};
use serde_json::json;
use support::{Client, Gateway, PATIENCE, Reply, chat_body, refused};

const CONFIG: &str = include_str!("../config.toml");
const COMPANY_HEADERS: [&str; 6] = [
    "x-dep-ticket",
    "send-system-name",
    "user-id",
    "user-type",
    "prompt-msg-id",
    "completion-msg-id",
];

struct Production {
    internal: Mock,
    ollama: Mock,
    gateway: Gateway,
    client: Client,
}

impl Production {
    async fn start(internal: impl Into<Plan>, more: &[(&str, &str)]) -> Self {
        let internal = Mock::with(internal).await.unwrap();
        let ollama = Mock::start(millgate::mock::Options::default())
            .await
            .unwrap();
        let (internal_url, ollama_url) = (internal.url(), ollama.url());
        let mut environment = vec![
            ("ENVIRONMENT", "production"),
            ("INTERNAL_LLM_BASE_URL", &*internal_url),
            ("INTERNAL_LLM_API_KEY", "key-of-the-company"),
            ("INTERNAL_LLM_TICKET", "ticket-4711"),
            ("INTERNAL_LLM_MODEL", "company-large"),
            ("OLLAMA_BASE_URL", &*ollama_url),
        ];
        environment.extend(more);
        let gateway = Gateway::start_with(CONFIG, &environment).await;
        let client = Client::new(&gateway);
        Self {
            internal,
            ollama,
            gateway,
            client,
        }
    }

    /// The one request that the company's service got.
    fn asked(&self) -> Request {
        let requests = self.internal.requests();
        assert_eq!(requests.len(), 1);
        requests.into_iter().next().unwrap()
    }
}

/// Every value of a header.
fn all<'a>(request: &'a Request, name: &str) -> Vec<&'a str> {
    let named = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
    let values = request.headers.iter().filter(named);
    values.map(|(_, value)| value.as_str()).collect()
}

fn message_ids(request: &Request) -> [&str; 2] {
    ["prompt-msg-id", "completion-msg-id"].map(|name| {
        let [id] = all(request, name)[..] else {
            panic!("{name} is not there once");
        };
        assert!(uuid::Uuid::parse_str(id).is_ok(), "{name}: {id}");
        id
    })
}

fn text(reply: &Reply, stream: bool) -> String {
    if stream {
        reply.streamed_text()
    } else {
        let content = &reply.json()["choices"][0]["message"]["content"];
        content.as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn the_company_gets_its_headers_and_nothing_that_the_client_forged() {
    let production = Production::start(Script::default(), &[]).await;
    let forged = [
        ("content-type", "application/json"),
        ("authorization", "Bearer forged"),
        ("cookie", "session=forged"),
        ("x-dep-ticket", "forged"),
        ("Send-System-Name", "forged"),
        ("User-ID", "forged"),
        ("User-Type", "forged"),
        ("Prompt-Msg-Id", "forged"),
        ("Completion-Msg-Id", "forged"),
        ("proxy-authorization", "forged"),
        ("x-api-key", "forged"),
        ("x-forwarded-for", "10.6.6.6, forged"),
    ];
    let body = chat_body("hi", false).to_string();
    let live = production
        .client
        .send(Method::POST, "/v1/chat/completions", &forged, body)
        .await;
    let reply = live.rest().await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-millgate-provider"), "internal");
    assert_eq!(reply.header("x-millgate-model"), "company-large");

    let request = production.asked();
    assert_eq!(
        all(&request, "authorization"),
        ["Bearer key-of-the-company"]
    );
    assert_eq!(all(&request, "x-dep-ticket"), ["ticket-4711"]);
    assert_eq!(all(&request, "send-system-name"), ["millgate"]);
    assert_eq!(all(&request, "user-id"), ["system"]);
    assert_eq!(all(&request, "user-type"), ["AD"]);
    let [prompt, completion] = message_ids(&request);
    assert_ne!(prompt, completion);
    for (name, value) in &request.headers {
        assert!(!value.contains("forged"), "{name}: {value}");
    }
    assert_eq!(request.json()["model"], "company-large");
    assert_eq!(request.json()["temperature"], 0.7);
    assert_eq!(production.ollama.counts().requests, 0);
}

#[tokio::test]
async fn message_ids_are_fresh_for_every_attempt() {
    let fails_once = Script {
        fail_first: Some(1),
        ..Script::status(503)
    };
    let production = Production::start(fails_once, &[("LLM_MAX_RETRIES", "1")]).await;
    let first = production.client.chat("hi", false).await;
    assert_eq!(first.header("x-millgate-attempts"), "2");
    assert_eq!(production.client.chat("hi", true).await.status, 200);

    let requests = production.internal.requests();
    let ids: BTreeSet<_> = requests.iter().flat_map(message_ids).collect();
    assert_eq!(requests.len(), 3);
    assert_eq!(ids.len(), 6);
    for request in &requests {
        assert_eq!(all(request, "x-dep-ticket"), ["ticket-4711"]);
    }
}

#[tokio::test]
async fn ollama_takes_over_when_the_company_is_down_and_gets_no_company_header() {
    let production = Production::start(Script::default(), &[]).await;
    production.internal.stop().await;
    for stream in [false, true] {
        let reply = production.client.chat("hi", stream).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("x-millgate-provider"), "ollama");
        assert_eq!(reply.header("x-millgate-attempts"), "2");
        assert_eq!(text(&reply, stream), "word0 word1 word2 word3 ");
        if stream {
            assert_eq!(reply.events().last().unwrap(), "[DONE]");
        }
    }
    let requests = production.ollama.requests();
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert_eq!(request.path, "/api/chat");
        assert_eq!(request.json()["model"], "llama3.1");
        for name in COMPANY_HEADERS.iter().chain(&["authorization"]) {
            assert_eq!(request.header(name), None, "{name}");
        }
    }
}

#[tokio::test]
async fn ollama_takes_over_in_every_way_that_the_company_can_fail() {
    let failures = [
        Script::status(503),
        Script::status(401),
        Script::fault(Fault::ResetBeforeHead),
        Script::fault(Fault::Html200),
        Script {
            at: Some(1),
            ..Script::fault(Fault::ResetMidStream)
        },
    ];
    let production = Production::start(Script::default(), &[("LLM_MAX_RETRIES", "0")]).await;
    for failure in failures {
        production.internal.set_script(failure.clone());
        for stream in [false, true] {
            let reply = production.client.chat("hi", stream).await;
            assert_eq!(reply.status, 200, "{failure:?}");
            assert_eq!(reply.header("x-millgate-provider"), "ollama", "{failure:?}");
            assert_eq!(text(&reply, stream), "word0 word1 word2 word3 ");
        }
    }
}

#[tokio::test]
async fn a_client_reads_the_same_shape_whoever_answers() {
    let production = Production::start(Script::default(), &[]).await;
    let members = |reply: &Reply| -> BTreeSet<String> {
        let body = reply.json();
        let members = body.as_object().unwrap().keys().cloned();
        members
            .filter(|name| name != "system_fingerprint")
            .collect()
    };
    let company = production.client.chat("hi", false).await;
    production.internal.stop().await;
    let ollama = production.client.chat("hi", false).await;
    assert_eq!(ollama.header("x-millgate-provider"), "ollama");
    assert_eq!(members(&company), members(&ollama));
    for count in ["prompt_tokens", "completion_tokens", "total_tokens"] {
        assert_eq!(
            company.json()["usage"][count],
            ollama.json()["usage"][count]
        );
    }
}

#[tokio::test]
async fn a_user_id_that_is_not_ascii_is_percent_encoded() {
    let variables = [("USER_ID", "홍길동"), ("USER_TYPE", "")];
    let production = Production::start(Script::default(), &variables).await;
    assert_eq!(production.client.chat("hi", false).await.status, 200);
    let request = production.asked();
    assert_eq!(all(&request, "user-id"), ["%ED%99%8D%EA%B8%B8%EB%8F%99"]);
    assert_eq!(all(&request, "user-type"), ["AD"], "empty counts as unset");
}

#[tokio::test]
async fn the_company_s_key_being_refused_is_not_the_client_s_affair() {
    let body = json!({"error": {"message": "Incorrect API key: key-of-the-company, ticket-4711"}});
    let refuses = Script {
        body: Some(body.to_string()),
        ..Script::status(401)
    };
    let production = Production::start(refuses, &[]).await;
    production.ollama.stop().await;
    let reply = production.client.chat("hi", false).await;
    assert_eq!(reply.status, 502);
    assert_eq!(reply.code(), "upstream_auth");
    for secret in ["key-of-the-company", "ticket-4711", "Incorrect"] {
        assert!(!reply.text().contains(secret), "{}", reply.text());
    }
    // The operator learns what the company said, less the secrets that it quoted.
    let told = production
        .gateway
        .log_line(|line| line["class"] == "upstream_auth")
        .await;
    let detail = told["detail"].as_str().unwrap();
    assert!(
        detail.contains("Incorrect API key: [secret], [secret]"),
        "{detail}"
    );
}

#[tokio::test]
async fn variables_that_are_missing_are_shown_where_they_are_used() {
    let (code, said) = refused(CONFIG, &[("ENVIRONMENT", "production")]).await;
    assert_eq!(code, Some(1));
    for name in [
        "INTERNAL_LLM_BASE_URL",
        "INTERNAL_LLM_API_KEY",
        "INTERNAL_LLM_TICKET",
    ] {
        let line = said
            .lines()
            .position(|line| line.contains(&format!("${{{name}}}")))
            .unwrap_or_else(|| panic!("{name} is not shown in {said}"));
        let below = said.lines().nth(line + 1).unwrap();
        assert!(below.contains('^'), "{said}");
    }
    assert!(said.contains("config.toml:"), "{said}");
    // Those that have a default are not missing.
    assert!(!said.contains("INTERNAL_LLM_MODEL:"), "{said}");
}

#[tokio::test]
async fn a_client_that_leaves_closes_the_company_s_connection() {
    let gated = Script {
        gate: true,
        ..Script::default()
    };
    let production = Production::start(gated, &[]).await;
    let client = production.client.clone();
    let waiting = tokio::spawn(async move { client.chat("hi", true).await });
    production
        .internal
        .wait_for(|counts| counts.in_flight == 1)
        .await;
    waiting.abort();
    let gone = production.internal.wait_for(|counts| counts.aborted == 1);
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
    assert_eq!(production.ollama.counts().requests, 0);
}
