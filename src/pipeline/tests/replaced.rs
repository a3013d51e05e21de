//! Whole exchanges through stages that change or answer them: what the client, the attempts, the exchange and the access
//! log hear of it.

use std::{collections::BTreeMap, convert::Infallible, sync::Mutex};

use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{client::conn::http1 as client, server::conn::http1 as server, service::service_fn};
use hyper_util::rt::TokioIo;
use tracing::field::{Field, Visit};
use tracing_subscriber::{Layer, layer::SubscriberExt as _};

use super::script::{Act, Journal, Scripted, mounted};
use crate::{
    config,
    mock::{Mock, Script},
    pipeline::{Phases, Pipeline, exchange},
    runtime::{Runtime, compile::compile, host::Process},
};

/// The fields of the access lines, as texts.
#[derive(Clone, Default)]
struct AccessLog(super::Arc<Mutex<Vec<BTreeMap<&'static str, String>>>>);

impl<S: tracing::Subscriber> Layer<S> for AccessLog {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        if event.metadata().target() == "millgate::access" {
            let mut fields = Fields::default();
            event.record(&mut fields);
            self.0.lock().unwrap().push(fields.0);
        }
    }
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

/// A runtime with the routes `all` and `special` to `upstream`, through the stages `a`, `b` and `x`, changed.
fn runtime(upstream: &Mock, change: impl Fn(&mut Scripted), journal: &Journal) -> Runtime {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    let text = format!(
        "pipeline = [\"route\"]\n[providers.up]\nkind = \"openai\"\nbase_url = \"{}\"\n\
         [routes.all]\ntargets = [\"up\"]\nretries = 1\nbackoff = \"1ms\"\n\
         [routes.special]\nmodel = \"special-*\"\ntargets = [\"up\"]\n",
        upstream.url()
    );
    std::fs::write(&path, text).unwrap();
    let mut runtime = compile(&config::load(&path, &|_| None), None, &Process::default()).unwrap();
    let stages = |names: &[&'static str]| {
        let mounted = |name: &&'static str| mounted(name, journal, &change);
        Phases::new(names.iter().map(mounted).collect())
    };
    runtime.pipeline = super::Arc::new(Pipeline {
        above: stages(&["a", "b"]),
        below: stages(&["x"]),
        ..Pipeline::default()
    });
    runtime
}

/// What came of one exchange.
pub(super) struct Seen {
    pub(super) status: StatusCode,
    body: String,
    /// What the stages wrote down.
    notes: Vec<String>,
    pub(super) access: BTreeMap<&'static str, String>,
}

impl Seen {
    /// The notes with this word in them.
    pub(super) fn noted(&self, word: &str) -> Vec<&str> {
        let notes = self.notes.iter().map(String::as_str);
        notes
            .filter(|note| note.split(' ').any(|part| part == word))
            .collect()
    }
}

/// One chat completion through these stages.
pub(super) async fn chat(upstream: &Mock, change: impl Fn(&mut Scripted), stream: bool) -> Seen {
    let journal = Journal::default();
    let runtime = super::Arc::new(runtime(upstream, change, &journal));
    let log = AccessLog::default();
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(log.clone()));

    let (ours, theirs) = tokio::io::duplex(64 << 10);
    let loopback = "127.0.0.1:80".parse().unwrap();
    let ends = exchange::Ends {
        peer: loopback,
        local: loopback,
    };
    let service = service_fn(|request| {
        let reply = exchange::serve(runtime.clone(), ends, request);
        async { Ok::<_, Infallible>(reply.await) }
    });
    let serving = server::Builder::new().serve_connection(TokioIo::new(theirs), service);
    let (mut sender, connection) = client::handshake(TokioIo::new(ours)).await.unwrap();
    let body = serde_json::json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hi"}]});
    let request = Request::builder()
        .method(Method::POST)
        .uri("/v1/chat/completions")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(super::Bytes::from(body.to_string())))
        .unwrap();
    let asking = async move {
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (head.status, String::from_utf8_lossy(&body).into_owned())
    };
    // All three end: the client is done with its reply and leaves, so that the connection closes.
    let ((status, body), _, _) = tokio::join!(asking, connection, serving);

    let mut lines = std::mem::take(&mut *log.0.lock().unwrap());
    assert_eq!(lines.len(), 1, "one access line for each exchange");
    let notes = std::mem::take(&mut *journal.lock().unwrap());
    Seen {
        status,
        body,
        notes,
        access: lines.swap_remove(0),
    }
}

/// The stage of this name comes back from `on_response` with `act`.
fn answering(name: &'static str, act: Act) -> impl Fn(&mut Scripted) {
    move |stage| {
        if stage.name == name {
            stage.response = act;
        }
    }
}

#[tokio::test]
async fn the_attempt_did_its_part_and_the_log_tells_what_the_client_got() {
    for stream in [false, true] {
        for (act, status, outcome, error) in [
            (Act::Next, 200, "ok", None),
            (Act::Reply, 299, "ok", None),
            (Act::Reject, 403, "rejected", Some("forbidden")),
            (Act::Fail, 500, "internal_error", Some("stage_failed")),
            (Act::Panic, 500, "internal_error", Some("stage_failed")),
        ] {
            let upstream = Mock::with(Script::default()).await.unwrap();
            let seen = chat(&upstream, answering("b", act), stream).await;
            let case = format!("{act:?}, stream {stream}: {}", seen.body);
            assert_eq!(seen.status, status, "{case}");
            assert_eq!(seen.access["status"], status.to_string(), "{case}");
            assert_eq!(seen.access["outcome"], outcome, "{case}");
            assert_eq!(
                seen.access.get("error").map(String::as_str),
                error,
                "{case}"
            );
            assert_eq!(seen.access["attempts"], "1", "{case}");
            assert_eq!(seen.access["bytes"], seen.body.len().to_string(), "{case}");
            let [b, a] = ["b", "a"].map(|stage| format!("{stage} end {outcome}"));
            assert_eq!(seen.noted("end"), ["x end ok", &b, &a], "{case}");
            if act == Act::Reply {
                assert_eq!(seen.body, "a stage's own");
            }
        }
    }
}

#[tokio::test]
async fn a_reply_in_the_place_of_an_error_does_not_hide_it_from_the_log() {
    let upstream = Mock::with(Script::status(503)).await.unwrap();
    let seen = chat(&upstream, answering("b", Act::Reply), false).await;
    assert_eq!(seen.status, 299);
    assert_eq!(seen.body, "a stage's own");
    assert_eq!(seen.access["status"], "299");
    assert_eq!(seen.access["outcome"], "upstream_error");
    assert_eq!(seen.access["error"], "upstream_error");
    assert_eq!(
        seen.noted("end"),
        [
            "x end upstream_error",
            "x end upstream_error",
            "b end upstream_error",
            "a end upstream_error"
        ]
    );
}

#[tokio::test]
async fn a_stage_below_route_may_answer_before_or_instead_of_the_upstream() {
    for asks in [false, true] {
        let upstream = Mock::with(Script::default()).await.unwrap();
        let change = |stage: &mut Scripted| match (stage.name, asks) {
            ("x", true) => stage.response = Act::Reply,
            ("x", false) => stage.request = Act::Reply,
            _ => {}
        };
        let seen = chat(&upstream, change, false).await;
        assert_eq!(seen.status, 299);
        assert_eq!(seen.access["outcome"], "ok");
        assert_eq!(seen.noted("end"), ["x end ok", "b end ok", "a end ok"]);
        assert_eq!(upstream.counts().requests, u64::from(asks));
    }
}

#[tokio::test]
async fn what_is_noted_above_route_is_known_below_and_what_an_attempt_notes_dies_with_it() {
    let fails_once = Script {
        fail_first: Some(1),
        ..Script::status(503)
    };
    let upstream = Mock::with(fails_once).await.unwrap();
    let seen = chat(&upstream, |_| {}, false).await;
    assert_eq!(seen.status, 200);
    assert_eq!(
        seen.noted("knows"),
        ["b knows a", "x knows a b", "x knows a b"]
    );
    assert_eq!(
        seen.noted("end"),
        ["x end upstream_error", "x end ok", "b end ok", "a end ok"]
    );
}

#[tokio::test]
async fn a_model_that_a_stage_changes_is_routed_anew() {
    let upstream = Mock::with(Script::default()).await.unwrap();
    let change = |stage: &mut Scripted| {
        if stage.name == "a" {
            stage.model = Some("special-1");
        }
    };
    let seen = chat(&upstream, change, false).await;
    assert_eq!(seen.access["route"], "special");
    assert_eq!(upstream.requests()[0].json()["model"], "special-1");
}
