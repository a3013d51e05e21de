//! Spans of exchanges, as a collector gets them: all of a trace, its way in and out, sampling, content, and what happens
//! where the collector is away, slow or refusing.

#[path = "traces/agreement.rs"]
mod agreement;
#[path = "traces/collector.rs"]
mod collector;
#[path = "traces/delivery.rs"]
mod delivery;
#[cfg(feature = "otlp-grpc")]
#[path = "traces/grpc.rs"]
mod grpc;
#[path = "traces/revalidated.rs"]
mod revalidated;
#[allow(
    dead_code,
    clippy::expect_used,
    clippy::panic,
    reason = "it belongs to the tests of metrics"
)]
#[path = "metrics/scrape.rs"]
mod scrape;
mod support;

use collector::{Collector, attributes, normalised};
use http::Method;
use millgate::mock::{Fault, Mock, Script};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};
use support::{Client, Gateway, chat_body, config, refused};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// `[traces]` for this collector, and nothing that makes a test wait.
fn traced(base: &str, collector: &Collector, more: &str) -> String {
    let url = &collector.url;
    format!("{base}\n[traces]\nendpoint = \"{url}\"\ndelay = \"20ms\"\n{more}\n")
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

async fn ask(client: &Client, headers: &[(&str, &str)], body: &Value) -> support::Reply {
    let mut all = vec![("content-type", "application/json")];
    all.extend(headers);
    let path = "/v1/chat/completions";
    let live = client.send(Method::POST, path, &all, body.to_string());
    live.await.rest().await
}

/// The server span first, then the attempts in their order.
fn in_order(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| (span.kind, span.start_time_unix_nano));
    spans
}

#[tokio::test]
async fn a_stream_that_another_target_answers_is_the_golden_trace() {
    let collector = Collector::start().await;
    let broken = Mock::with(Script::status(503)).await.unwrap();
    let answering = Mock::with(Script {
        text: Some("Ein kleines Rad".to_owned()),
        prompt_tokens: Some(7),
        ..Script::default()
    })
    .await
    .unwrap();
    let providers = [
        ("first", "openai", &*broken.url()),
        ("second", "ollama", &*answering.url()),
        ("third", "openai", &*answering.url()),
    ];
    let base = config(&providers, "retries = 1\nparams = { top_p = 0.5, seed = 3 }")
        .replace(
            "targets = [\"first\", \"second\", \"third\"]",
            "targets = [\"first\", { provider = \"third\", model = \"served\", params = { seed = 4 } }]",
        )
        .replace("pipeline = [\"route\"]", "pipeline = [\"limit\", \"route\", \"ticket\"]")
        + "[stages.limit]\nkind = \"rate_limit\"\nrequests = \"600/min\"\n[stages.ticket]\nkind = \"auth_header\"\nheaders = { x-ticket = \"t-1\" }\n[prices.served]\ninput = 1\noutput = 2\n";
    let more = "resource = { \"deployment.environment.name\" = \"test\" }";
    let gateway = Gateway::start(&traced(&base, &collector, more)).await;
    let mut body = chat_body("hallo", true);
    for (name, value) in [
        ("temperature", json!(0.25)),
        ("max_completion_tokens", json!(64)),
        ("frequency_penalty", json!(0.5)),
        ("presence_penalty", json!(-0.5)),
        ("top_k", json!(40)),
        ("stop", json!(["\n\n", "END"])),
        ("n", json!(1)),
        ("response_format", json!({"type": "json_object"})),
    ] {
        body[name] = value;
    }
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let headers = [
        ("traceparent", &*parent),
        ("tracestate", "rojo=1,congo=2"),
        ("x-request-id", "golden-1"),
    ];
    let before = now();
    let reply = ask(&Client::new(&gateway), &headers, &body).await;
    let after = now();
    assert_eq!(reply.streamed_text(), "Ein kleines Rad");

    let spans = in_order(collector.spans(4).await);
    assert_eq!(spans.len(), 4, "{spans:#?}");
    let server = &spans[0];
    assert_eq!(hex(&server.parent_span_id), PARENT);
    for span in &spans {
        assert_eq!(hex(&span.trace_id), TRACE);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
        assert!(span.start_time_unix_nano >= server.start_time_unix_nano);
        assert!(
            span.end_time_unix_nano <= server.end_time_unix_nano,
            "{spans:#?}"
        );
        assert!((before..=after + 1_000_000_000).contains(&span.start_time_unix_nano));
        let times = span.events.iter().map(|event| event.time_unix_nano);
        assert!(times.clone().is_sorted(), "{span:#?}");
        let within = span.start_time_unix_nano..=span.end_time_unix_nano;
        assert!(
            times.into_iter().all(|time| within.contains(&time)),
            "{span:#?}"
        );
    }
    for pair in spans[1..].windows(2) {
        assert!(pair[0].end_time_unix_nano <= pair[1].start_time_unix_nano);
    }
    golden("fallback_streamed", &normalised(&spans));

    // Every upstream was told which span has asked it.
    let asked: Vec<_> = broken
        .requests()
        .into_iter()
        .chain(answering.requests())
        .collect();
    let told: Vec<_> = asked
        .iter()
        .map(|request| request.header("traceparent").unwrap())
        .collect();
    let expected: Vec<_> = spans[1..]
        .iter()
        .map(|span| format!("00-{TRACE}-{}-01", hex(&span.span_id)))
        .collect();
    assert_eq!(told, expected);
    assert!(
        asked
            .iter()
            .all(|request| request.header("tracestate") == Some("rojo=1,congo=2"))
    );
    let resource = collector.resource();
    assert_eq!(resource["service.name"], "millgate");
    assert_eq!(resource["service.version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(resource["deployment.environment.name"], "test");
    assert_eq!(resource["service.instance.id"].as_str().unwrap().len(), 36);
}

fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.unwrap().as_nanos() as u64
}

/// `UPDATE_GOLDEN=1 cargo test --test traces` writes it anew; read the difference before it is committed.
fn golden(name: &str, found: &Value) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = root.join(format!("tests/golden/traces/{name}.json"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let text = serde_json::to_string_pretty(found).unwrap();
        std::fs::write(&path, text + "\n").unwrap();
    }
    let expected: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let (found_spans, expected_spans) = (found.as_array().unwrap(), expected.as_array().unwrap());
    for (found, expected) in found_spans.iter().zip(expected_spans) {
        for (key, value) in expected.as_object().unwrap() {
            assert_eq!(&found[key], value, "{key} of {}", expected["name"]);
        }
    }
    assert_eq!(found, &expected);
}

#[tokio::test]
async fn a_bad_traceparent_begins_a_new_trace_and_without_traces_it_passes_as_it_is() {
    let collector = Collector::start().await;
    let mock = Mock::with(Script::default()).await.unwrap();
    let base = config(&[("a", "openai", &mock.url())], "");
    let gateway = Gateway::start(&traced(&base, &collector, "")).await;
    let bad = format!("00-{TRACE}-{PARENT}-1");
    let headers = [("traceparent", &*bad), ("tracestate", "rojo=1")];
    ask(&Client::new(&gateway), &headers, &chat_body("hi", false)).await;
    let spans = in_order(collector.spans(2).await);
    assert_ne!(hex(&spans[0].trace_id), TRACE);
    assert!(spans[0].parent_span_id.is_empty());
    assert_eq!(spans[1].parent_span_id, spans[0].span_id);
    let asked = &mock.requests()[0];
    assert_eq!(asked.header("tracestate"), None, "it belongs to no trace");
    assert!(
        asked
            .header("traceparent")
            .unwrap()
            .contains(&hex(&spans[1].span_id))
    );

    mock.clear_requests();
    let plain = Gateway::start(&base).await;
    ask(&Client::new(&plain), &headers, &chat_body("hi", false)).await;
    assert_eq!(mock.requests()[0].header("traceparent"), Some(&*bad));
}

#[tokio::test]
async fn what_is_not_sampled_makes_no_spans_and_says_so_to_the_upstream() {
    let collector = Collector::start().await;
    let mock = Mock::with(Script::default()).await.unwrap();
    let base = config(&[("a", "openai", &mock.url())], "");
    let gateway = Gateway::start(&traced(&base, &collector, "")).await;
    let client = Client::new(&gateway);
    let unsampled = format!("00-{TRACE}-{PARENT}-00");
    ask(
        &client,
        &[("traceparent", &unsampled)],
        &chat_body("hi", true),
    )
    .await;
    let told = mock.requests()[0].header("traceparent").unwrap().to_owned();
    assert!(
        told.starts_with(&format!("00-{TRACE}-")) && told.ends_with("-00"),
        "{told}"
    );
    assert!(!told.contains(PARENT), "{told}");
    // Its own span comes after what would have been the other's.
    ask(
        &client,
        &[("x-request-id", "sampled")],
        &chat_body("hi", true),
    )
    .await;
    let spans = collector.spans(2).await;
    assert_eq!(spans.len(), 2);
    assert!(spans.iter().all(|span| hex(&span.trace_id) != TRACE));

    // The variables of the environment say the same as the file would.
    for (variables, is_sampled) in [
        (vec![("OTEL_TRACES_SAMPLER", "always_off")], false),
        (
            vec![
                ("OTEL_TRACES_SAMPLER", "traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", "0"),
            ],
            false,
        ),
        (
            vec![
                ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", "0.0"),
            ],
            true,
        ),
        (vec![("OTEL_TRACES_SAMPLER", "always_on")], true),
        (vec![("OTEL_SDK_DISABLED", "true")], true),
    ] {
        mock.clear_requests();
        let url = &*collector.url;
        let mut environment = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", url)];
        environment.extend(&variables);
        let gateway = Gateway::start_with(&base, &environment).await;
        let sampled = format!("00-{TRACE}-{PARENT}-01");
        ask(
            &Client::new(&gateway),
            &[("traceparent", &sampled)],
            &chat_body("hi", false),
        )
        .await;
        let told = mock.requests()[0].header("traceparent").unwrap().to_owned();
        assert_eq!(told.ends_with("-01"), is_sampled, "{variables:?}: {told}");
        let is_disabled = variables[0].0 == "OTEL_SDK_DISABLED";
        assert_eq!(told == sampled, is_disabled, "{variables:?}: {told}");
    }
}

#[tokio::test]
async fn wrong_variables_are_told_by_their_names_and_never_by_their_values() {
    let base = config(&[("a", "rehearsal", "http://127.0.0.1:9")], "")
        .replace("base_url = \"http://127.0.0.1:9\"\n", "");
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "canary-no-url"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "canary"),
        ("OTEL_BSP_SCHEDULE_DELAY", "canary"),
        ("OTEL_TRACES_SAMPLER", "canary"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "canary"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "canary"),
    ] {
        let environment = [("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "100"), (name, value)];
        let (code, told) = refused(&base, &environment).await;
        assert_eq!(code, Some(1), "{name}: {told}");
        assert!(told.contains(name) && told.contains('^'), "{told}");
        assert!(!told.contains("canary"), "{told}");
    }
}

#[tokio::test]
async fn content_is_in_spans_only_where_it_is_captured_and_redacted_and_secrets_are_nowhere() {
    const EMAIL: &str = "kim@example.com";
    const SECRET: &str = "sk-canary-0123456789abcdef";
    let collector = Collector::start().await;
    let mock = Mock::with(Script {
        text: Some(format!("write to {EMAIL} now")),
        ..Script::default()
    })
    .await
    .unwrap();
    let base = config(&[("a", "openai", &mock.url())], "")
        .replace("[routes", &format!("api_key = \"{SECRET}\"\n[routes"))
        .replace("pipeline = [", "pipeline = [\"redact\", ");
    for capture in ["none", "redacted"] {
        let stage = format!("[stages.redact]\ncapture = \"{capture}\"\n");
        let more = format!("headers = {{ authorization = \"Bearer {SECRET}-2\" }}");
        let config = traced(&(base.clone() + &stage), &collector, &more);
        let gateway = Gateway::start(&config).await;
        let already = collector.taken();
        let mut body = chat_body(&format!("I am {EMAIL}, key {SECRET}"), true);
        body["stop"] = json!([SECRET]);
        body["model"] = json!(format!("model-{EMAIL}"));
        let key = format!("Bearer {SECRET}-3");
        ask(&Client::new(&gateway), &[("authorization", &key)], &body).await;
        let spans = in_order(collector.spans(already + 2).await[already..].to_vec());
        let client = attributes(&spans[1].attributes);
        assert!(!attributes(&spans[0].attributes).contains_key("gen_ai.input.messages"));
        if capture == "none" {
            assert!(!client.contains_key("gen_ai.input.messages"), "{client:#?}");
            assert!(
                !client.contains_key("gen_ai.output.messages"),
                "{client:#?}"
            );
            continue;
        }
        let input: Value =
            serde_json::from_str(client["gen_ai.input.messages"].as_str().unwrap()).unwrap();
        let said = input[0]["parts"][0]["content"].as_str().unwrap();
        assert!(said.starts_with("user: I am <EMAIL>, key "), "{said}");
        let output: Value =
            serde_json::from_str(client["gen_ai.output.messages"].as_str().unwrap()).unwrap();
        assert_eq!(output[0]["parts"][0]["content"], "write to <EMAIL> now");
        assert_eq!(output[0]["finish_reason"], "stop");
    }
    assert_eq!(
        collector.heads()[0]["authorization"],
        format!("Bearer {SECRET}-2")
    );
    for body in collector.bodies() {
        for canary in [EMAIL, SECRET] {
            let found = memchr::memmem::find(&body, canary.as_bytes());
            assert_eq!(
                found,
                None,
                "{canary} in {:?}",
                String::from_utf8_lossy(&body)
            );
        }
    }
}

#[tokio::test]
async fn a_hit_of_the_cache_asks_nobody_and_has_no_span_of_a_call() {
    let collector = Collector::start().await;
    let mock = Mock::with(Script::default()).await.unwrap();
    let base = config(&[("a", "openai", &mock.url())], "")
        .replace("[\"route\"]", "[\"cache\", \"route\"]")
        + "[stages.cache]\ncacheable = \"always\"\n";
    let gateway = Gateway::start(&traced(&base, &collector, "")).await;
    let client = Client::new(&gateway);
    let body = chat_body("hi", false);
    ask(&client, &[], &body).await;
    collector.spans(2).await;
    ask(&client, &[], &body).await;
    let spans = collector.spans(3).await;
    assert_eq!(spans.len(), 3, "{spans:#?}");
    let hit = attributes(&spans[2].attributes);
    assert_eq!(hit["millgate.cache"], "hit");
    assert_eq!(hit["millgate.attempts"], 0);
    assert!(
        !hit.keys().any(|key| key.starts_with("gen_ai.")),
        "{hit:#?}"
    );
    assert!(
        spans[2]
            .events
            .iter()
            .any(|event| event.name == "millgate.cache.lookup")
    );
}

#[tokio::test]
async fn a_stream_that_breaks_off_after_its_commit_has_failed() {
    let collector = Collector::start().await;
    let mock = Mock::with(Script {
        at: Some(3),
        ..Script::fault(Fault::ErrorEvent)
    })
    .await
    .unwrap();
    let base = config(&[("a", "openai", &mock.url())], "retries = 0");
    let gateway = Gateway::start(&traced(&base, &collector, "")).await;
    ask(&Client::new(&gateway), &[], &chat_body("hi", true)).await;
    let spans = in_order(collector.spans(2).await);
    for span in &spans {
        assert_eq!(
            span.status.as_ref().unwrap().code().as_str_name(),
            "STATUS_CODE_ERROR"
        );
        assert!(
            attributes(&span.attributes).contains_key("error.type"),
            "{span:#?}"
        );
    }
    let client = attributes(&spans[1].attributes);
    assert!(
        !client.contains_key("gen_ai.usage.output_tokens"),
        "nobody has counted them"
    );
    assert_eq!(client["millgate.usage.is_estimate"], true);
}
