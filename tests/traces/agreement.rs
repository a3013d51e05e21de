//! Spans and metrics say the same of the same exchanges.

use std::collections::BTreeMap;

use millgate::{
    mock::{Mock, Plan, Script},
    telemetry::metrics::text::Form,
};
use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};

use crate::{
    collector::{Collector, attributes},
    scrape::Scrape,
    support::{Client, Gateway, chat_body, plugins::Folder, raw::RawClient},
    traced,
};

const CHAT: &str = "/v1/chat/completions";

const PLAN: &str = r#"{"models": {
    "broken": {"status": 503},
    "cut": {"fault": "error_event", "at": 3},
    "stalling": {"fault": "stall_mid_stream", "at": 3},
    "missing": {"status": 404}
}}"#;

/// What both tell of a call, by the names of the labels.
const LABELS: [&str; 5] = [
    "gen_ai_operation_name",
    "gen_ai_provider_name",
    "gen_ai_request_model",
    "millgate_provider",
    "error_type",
];

type Told = BTreeMap<Vec<String>, u64>;

/// What spans of this kind say, and how long they lasted together, in seconds.
fn of_spans(spans: &[Span], kind: SpanKind) -> (Told, f64) {
    let (mut told, mut lasted) = (Told::new(), 0.0);
    for span in spans.iter().filter(|span| span.kind() == kind) {
        let all = attributes(&span.attributes);
        let text = |label: &str| {
            let name = match label {
                "millgate_provider" => "millgate.provider".to_owned(),
                "error_type" => "error.type".to_owned(),
                label => label
                    .replacen("gen_ai_", "gen_ai.", 1)
                    .replacen("_name", ".name", 1)
                    .replacen("_model", ".model", 1),
            };
            let value = all.get(&name).and_then(|value| value.as_str());
            value.unwrap_or_default().to_owned()
        };
        let key = LABELS.iter().map(|label| text(label)).collect();
        *told.entry(key).or_default() += 1;
        lasted += (span.end_time_unix_nano - span.start_time_unix_nano) as f64 / 1e9;
    }
    (told, lasted)
}

/// What a histogram says.
fn of_metrics(scrape: &Scrape, name: &str) -> Told {
    let mut told = Told::new();
    let count = format!("{name}_count");
    let samples = scrape.families[name].samples.iter();
    for sample in samples.filter(|sample| sample.name == count) {
        let text = |label: &&str| sample.labels.get(*label).cloned().unwrap_or_default();
        let key = LABELS.iter().map(text).collect();
        *told.entry(key).or_default() += sample.value as u64;
    }
    told
}

#[tokio::test]
async fn of_every_call_spans_and_metrics_tell_the_same() {
    let collector = Collector::start().await;
    let folder = Folder::new();
    folder.build("oracle.so", "oracle", &[]);
    let mock = Mock::with(PLAN.parse::<Plan>().unwrap()).await.unwrap();
    let other = Mock::with(Script::default()).await.unwrap();
    let config = format!(
        r#"
[plugins.oracle]
path = "{library}"
[providers.first]
kind = "openai"
base_url = "{url}/v1"
[providers.second]
kind = "openai"
base_url = "{other}/v1"
[providers.asking]
kind = "oracle/asks"
base_url = "{url}"
[providers.seer]
kind = "oracle/answers"
[routes.plugins]
model = "asked"
targets = ["asking"]
[routes.answers]
model = "seen"
targets = ["seer"]
[routes.alone]
model = ["cut", "stalling", "missing", "gone"]
targets = ["first"]
retries = 0
[routes.main]
model = ["broken", "plain"]
targets = ["first", "second"]
retries = 1
backoff = "1ms"
"#,
        library = folder.path().join("oracle.so").display(),
        url = mock.url(),
        other = other.url(),
    );
    let gateway = Gateway::start(&traced(&config, &collector, "")).await;
    let client = Client::new(&gateway);
    for (model, stream) in [
        ("plain", false),
        ("plain", true),
        ("broken", false),
        ("cut", true),
        ("missing", false),
        ("asked", false),
        ("seen", false),
    ] {
        let mut body = chat_body("hi", stream);
        body["model"] = model.into();
        client.post(CHAT, &body).await;
    }
    let mut body = chat_body("hi", true);
    body["model"] = "stalling".into();
    let mut leaver = RawClient::post(&gateway, CHAT, "leaver", &body).await;
    leaver.read_until("word1 ").await;
    drop(leaver);
    gateway.access_line("leaver").await;

    // Eight exchanges; one of them was tried three times.
    let spans = collector.spans(8 + 10).await;
    let operators = Client::at(&format!("http://{}", gateway.admin));
    let text = operators.get("/metrics").await.text();
    let scrape = Scrape::read(&text, Form::Classic);

    let operations = "gen_ai_client_operation_duration_seconds";
    let (told, lasted) = of_spans(&spans, SpanKind::Client);
    assert_eq!(told, of_metrics(&scrape, operations));
    let sum = scrape.sum(&format!("{operations}_sum"), &[]);
    assert!((sum - lasted).abs() < 1e-6, "{sum} and {lasted}");
    let has = |at: usize, word: &str| told.keys().any(|key| key[at] == word);
    for provider in ["openai", "asks", "answers"] {
        assert!(has(1, provider), "{provider}: {told:#?}");
    }
    for error in ["", "503", "model_missing", "stream", "client_closed"] {
        assert!(has(4, error), "{error}: {told:#?}");
    }

    // Of requests, what a server's span calls an error: not what clients are to blame for.
    let errors = |told: Told| {
        let mut errors = BTreeMap::new();
        for (key, count) in told {
            let error = key[4].clone();
            let is_clients = error.starts_with('4') || error == "client_closed";
            if !error.is_empty() && !is_clients {
                *errors.entry(error).or_insert(0) += count;
            }
        }
        errors
    };
    let (told, lasted) = of_spans(&spans, SpanKind::Server);
    let requests = "gen_ai_server_request_duration_seconds";
    let counted = errors(of_metrics(&scrape, requests));
    assert_eq!(errors(told), counted);
    assert_eq!(counted, BTreeMap::from([("upstream_error".to_owned(), 1)]));
    let sum = scrape.sum(&format!("{requests}_sum"), &[]);
    assert!((sum - lasted).abs() < 1e-6, "{sum} and {lasted}");
}
