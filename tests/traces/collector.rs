//! A collector of the test's own: it takes OTLP over HTTP and over gRPC, remembers every span, and can refuse or keep
//! silent.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::match_wild_err_arm,
    reason = "a test's own module"
)]

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    io::Read as _,
    sync::{Arc, Mutex},
};

use bytes::{BufMut as _, Bytes};
use flate2::read::GzDecoder;
use http::{HeaderMap, Request, Response, request::Parts};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
    },
    common::v1::{AnyValue, KeyValue, any_value::Value as Kind},
    trace::v1::Span,
};
use prost::Message;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

use crate::support::PATIENCE;

/// How a batch is answered.
#[derive(Clone, Copy)]
pub enum Answer {
    /// It is taken.
    Ok,
    /// It is taken, but for so many spans.
    Partial(i64),
    /// This status, and this `Retry-After`; over gRPC, this status of its own.
    Status(u16, Option<&'static str>),
    /// It is taken, with many words.
    Long,
    /// Nothing ever comes.
    Silence,
}

#[derive(Default)]
struct State {
    spans: Vec<Span>,
    resource: BTreeMap<String, Value>,
    heads: Vec<HeaderMap>,
    bodies: Vec<Bytes>,
    /// For the next batches, in order.
    next: VecDeque<Answer>,
    /// For all after them.
    then: Option<Answer>,
}

pub struct Collector {
    pub url: String,
    state: Arc<Mutex<State>>,
    news: watch::Receiver<usize>,
}

impl Collector {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let (tell, news) = watch::channel(0);
        let shared = state.clone();
        let tell = Arc::new(tell);
        tokio::task::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (state, tell) = (shared.clone(), tell.clone());
                let service = service_fn(move |request| {
                    let (state, tell) = (state.clone(), tell.clone());
                    async move { Ok::<_, Infallible>(take(request, &state, &tell).await) }
                });
                tokio::task::spawn(async move {
                    let connection = auto::Builder::new(TokioExecutor::new());
                    let served = connection.serve_connection(TokioIo::new(stream), service);
                    // A gateway that is gone is none of the collector's concern.
                    let _ = served.await;
                });
            }
        });
        Self { url, state, news }
    }

    /// How the next batches are answered, in order.
    pub fn next(&self, answers: impl IntoIterator<Item = Answer>) {
        self.state.lock().unwrap().next = answers.into_iter().collect();
    }

    /// How all others are.
    pub fn then(&self, answer: Answer) {
        self.state.lock().unwrap().then = Some(answer);
    }

    /// Waits until so many batches have come, taken or not.
    pub async fn batches(&self, count: usize) {
        let mut news = self.news.clone();
        let wait = news.wait_for(|batches| *batches >= count);
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        drop(waited.expect("no more batches came").unwrap());
    }

    /// So many spans that were taken, waiting for them.
    pub async fn spans(&self, count: usize) -> Vec<Span> {
        let mut news = self.news.clone();
        let wait = async {
            loop {
                news.borrow_and_update();
                let spans = self.state.lock().unwrap().spans.clone();
                if spans.len() >= count {
                    return spans;
                }
                news.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(spans) => spans,
            Err(_) => panic!("not so many spans: {:#?}", self.state.lock().unwrap().spans),
        }
    }

    pub fn taken(&self) -> usize {
        self.state.lock().unwrap().spans.len()
    }

    pub fn heads(&self) -> Vec<HeaderMap> {
        self.state.lock().unwrap().heads.clone()
    }

    /// All bodies as they came.
    pub fn bodies(&self) -> Vec<Bytes> {
        self.state.lock().unwrap().bodies.clone()
    }

    pub fn resource(&self) -> BTreeMap<String, Value> {
        self.state.lock().unwrap().resource.clone()
    }
}

async fn take(
    request: Request<Incoming>,
    state: &Mutex<State>,
    tell: &watch::Sender<usize>,
) -> Response<BoxBody<Bytes, Infallible>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let is_grpc = head.headers["content-type"] == "application/grpc";
    let message = message(&head, &body, is_grpc);
    let batch = ExportTraceServiceRequest::decode(&*message).unwrap();
    let answer = {
        let mut state = state.lock().unwrap();
        state.heads.push(head.headers);
        state.bodies.push(body);
        let answer = state.next.pop_front().or(state.then).unwrap_or(Answer::Ok);
        if matches!(answer, Answer::Ok | Answer::Partial(_) | Answer::Long) {
            for group in batch.resource_spans {
                state.resource = attributes(&group.resource.unwrap().attributes);
                for scope in group.scope_spans {
                    assert_eq!(scope.scope.unwrap().name, "millgate");
                    state.spans.extend(scope.spans);
                }
            }
        }
        answer
    };
    tell.send_modify(|batches| *batches += 1);
    let reply = |rejected_spans| {
        let partial_success = Some(ExportTracePartialSuccess {
            rejected_spans,
            error_message: "no".to_owned(),
        });
        ExportTraceServiceResponse { partial_success }.encode_to_vec()
    };
    match answer {
        Answer::Silence => std::future::pending().await,
        Answer::Ok | Answer::Long if is_grpc => trailed(&[]),
        Answer::Partial(rejected) if is_grpc => trailed(&reply(rejected)),
        Answer::Status(status, _) if is_grpc => {
            let response = Response::builder().header("content-type", "application/grpc");
            let response = response.header("grpc-status", status);
            response.body(Full::default().boxed()).unwrap()
        }
        Answer::Ok => Response::new(Full::default().boxed()),
        Answer::Long => Response::new(Full::from(vec![b' '; 1 << 20]).boxed()),
        Answer::Partial(rejected) => Response::new(Full::from(reply(rejected)).boxed()),
        Answer::Status(status, after) => {
            let mut response = Response::builder().status(status);
            if let Some(after) = after {
                response = response.header("retry-after", after);
            }
            response.body(Full::default().boxed()).unwrap()
        }
    }
}

/// The message of a request, as the protocol demands it.
fn message(head: &Parts, body: &[u8], is_grpc: bool) -> Vec<u8> {
    let unpacked = |packed: &[u8]| {
        let mut message = Vec::new();
        GzDecoder::new(packed).read_to_end(&mut message).unwrap();
        message
    };
    let headers = &head.headers;
    if !is_grpc {
        assert_eq!(head.uri.path(), "/v1/traces");
        assert_eq!(headers["content-type"], "application/x-protobuf");
        return match headers.get("content-encoding") {
            Some(encoding) => {
                assert_eq!(encoding, "gzip");
                unpacked(body)
            }
            None => body.to_vec(),
        };
    }
    assert_eq!(head.version, http::Version::HTTP_2);
    let call = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    assert_eq!(head.uri.path(), call);
    assert_eq!(headers["te"], "trailers");
    let (prefix, message) = body.split_at(5);
    assert_eq!(prefix[1..], u32::to_be_bytes(message.len() as u32));
    if prefix[0] == 0 {
        assert_eq!(headers.get("grpc-encoding"), None);
        return message.to_vec();
    }
    assert_eq!(
        (prefix[0], &headers["grpc-encoding"]),
        (1, &"gzip".parse().unwrap())
    );
    unpacked(message)
}

/// A reply over gRPC that ends well: its status comes last.
fn trailed(message: &[u8]) -> Response<BoxBody<Bytes, Infallible>> {
    let mut framed = vec![0];
    framed.put_u32(message.len() as u32);
    framed.extend(message);
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
    let body = Full::from(framed).with_trailers(async { Some(Ok(trailers)) });
    let response = Response::builder().header("content-type", "application/grpc");
    response.body(body.boxed()).unwrap()
}

/// Attributes as JSON, by name.
pub fn attributes(list: &[KeyValue]) -> BTreeMap<String, Value> {
    let mut all = BTreeMap::new();
    for pair in list {
        let old = all.insert(pair.key.clone(), value(pair.value.as_ref().unwrap()));
        assert_eq!(old, None, "{} is there twice", pair.key);
    }
    all
}

fn value(value: &AnyValue) -> Value {
    match value.value.as_ref().unwrap() {
        Kind::StringValue(text) => json!(text),
        Kind::BoolValue(flag) => json!(flag),
        Kind::IntValue(number) => json!(number),
        Kind::DoubleValue(number) => json!(number),
        Kind::ArrayValue(list) => list.values.iter().map(self::value).collect(),
        other => panic!("{other:?}"),
    }
}

/// The spans as the golden file has them: ids by what they refer to, what differs from run to run by its kind.
pub fn normalised(spans: &[Span]) -> Value {
    let name_of = |id: &[u8]| {
        let known = spans.iter().position(|span| span.span_id == id);
        known.map_or("remote".to_owned(), |at| format!("span {at}"))
    };
    let span = |span: &Span| {
        let events = span.events.iter().map(|event| {
            json!({ "name": event.name, "attributes": settled(attributes(&event.attributes)) })
        });
        let parent = if span.parent_span_id.is_empty() {
            Value::Null
        } else {
            name_of(&span.parent_span_id).into()
        };
        json!({
            "name": span.name,
            "kind": span.kind().as_str_name(),
            "parent": parent,
            "state": span.trace_state,
            "status": span.status.as_ref().map(|status| json!({
                "code": status.code().as_str_name(),
                "message": status.message,
            })),
            "attributes": settled(attributes(&span.attributes)),
            "events": events.collect::<Vec<_>>(),
        })
    };
    spans.iter().map(span).collect()
}

/// Numbers that no run shares with another are known by their unit alone.
fn settled(mut attributes: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    const SECONDS: [&str; 4] = [
        "gen_ai.response.time_to_first_chunk",
        "millgate.overhead",
        "millgate.stage.duration",
        "millgate.time_to_first_byte",
    ];
    for (key, value) in &mut attributes {
        let unit = match key.as_str() {
            key if SECONDS.contains(&key) => {
                let seconds = value.as_f64().unwrap();
                assert!((0.0..20.0).contains(&seconds), "{key}: {seconds}");
                "<seconds>"
            }
            "server.port" => "<port>",
            "millgate.exchange_id" => "<uuid>",
            _ => continue,
        };
        *value = unit.into();
    }
    attributes
}
