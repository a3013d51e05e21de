use std::collections::BTreeMap;

use super::*;
use crate::{
    Answer, Call, CallError, Chunk, ChunkFlow, Counter, Endpoint, Exchange, Field, Flow, Gone,
    HeadFlow, Histogram, Hooks, HttpAnswer, HttpCall, Outcome, Refusal, RefusalKind, Reply,
    SetError, StageError, Tally, UpstreamHead, UpstreamRequest, WaitCell,
};

/// Asks a guard about every request, and hides a word of the answer.
struct Guard {
    url: String,
    host: Host,
    asked: Counter,
    slow: Histogram,
    pieces: Tally,
}

type Table = BTreeMap<String, String>;

impl Stage for Guard {
    const KIND: &'static str = "guard";
    type Config = Table;
    type State = WaitCell<Result<HttpAnswer, CallError>>;

    fn new(name: &str, mut table: Table, host: &Host) -> Result<Self, SetupError> {
        let url = table.remove("url");
        let url = url.ok_or_else(|| SetupError::at(["url"], format!("{name} needs one")))?;
        Ok(Self {
            url,
            asked: host.counter("asked", &[("who", "guard"), ("a", "b")]),
            slow: host.histogram("slow_seconds", &[]),
            pieces: host.tally("pieces"),
            host: host.clone(),
        })
    }

    fn hooks(&self) -> Hooks {
        Hooks::REQUEST_HEAD | Hooks::REQUEST | Hooks::RESPONSE | Hooks::CHUNK | Hooks::END
    }

    fn begin(&self) -> Self::State {
        WaitCell::new()
    }

    fn on_request_head(
        &self,
        _: &mut Self::State,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        assert_eq!(exchange.get(Field::RequestBody, ""), None);
        assert_eq!(exchange.number(Field::Stream), None);
        let early = exchange.set(Field::Model, "", Some(b"x"));
        assert_eq!(early, Err(SetError::ReadOnly));
        Ok(match exchange.request_header("x-early") {
            Some(_) => Flow::Reply(Reply {
                status: 204,
                headers: Vec::new(),
                body: Vec::new().into(),
            }),
            None => Flow::Next,
        })
    }

    fn on_request(
        &self,
        state: &mut Self::State,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        let Some(answer) = state.take() else {
            self.asked.add(1);
            let asked = state.clone();
            let call = HttpCall::get(format!("{}?{}", self.url, exchange.model()));
            self.host.call(call, move |answer| asked.put(answer));
            return Ok(Flow::Wait(state.filled()));
        };
        let answer = answer.map_err(|error| StageError(error.0))?;
        if answer.status != 200 {
            return Ok(Flow::Reject(Refusal::new(RefusalKind::Forbidden, "No.")));
        }
        exchange.set(Field::CallerId, "", Some(&answer.body))?;
        Ok(Flow::Next)
    }

    fn on_response(
        &self,
        state: &mut Self::State,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        let status = exchange.number(Field::ReplyStatus);
        if status == Some(503) && state.take().is_none() {
            let slept = self.host.sleep(Duration::from_mins(1));
            let cell = state.clone();
            return Ok(Flow::Wait(Box::pin(async move {
                slept.await;
                cell.put(Err(CallError(String::new())));
            })));
        }
        exchange.set(Field::ReplyHeader, "X-Guarded", Some(b"yes"))?;
        Ok(Flow::Next)
    }

    fn on_chunk(
        &self,
        _: &mut Self::State,
        _: &mut dyn Exchange,
        chunk: Chunk<'_>,
    ) -> Result<ChunkFlow, StageError> {
        self.pieces.add(1);
        Ok(match &*chunk {
            b"secret" => ChunkFlow::Drop,
            b"word" => ChunkFlow::Replace("****".into()),
            b"both" => ChunkFlow::Split(vec!["one".into(), "two".into()]),
            _ => ChunkFlow::Keep,
        })
    }

    fn on_end(&self, _: &mut Self::State, _: &mut dyn Exchange, _: Outcome) {
        self.slow.record(0.25);
    }
}

fn chat() -> FakeExchange {
    FakeExchange::chat(&json!({"model": "m", "stream": true, "messages": []}))
}

fn guard(host: &FakeHost) -> Guard {
    stage(&json!({"url": "http://guard"}), &host.host()).unwrap()
}

#[test]
fn a_stage_is_taken_through_an_exchange() {
    for later in [false, true] {
        let host = FakeHost::new().answering(|_| Ok(http_answer(200, "alice")));
        let host = if later { host.later() } else { host };
        let guard = guard(&host);
        let mut visit = Visit::new(&guard, chat());
        assert_eq!(visit.request(), Ok(Verdict::Next));
        assert_eq!(visit.exchange.text(Field::CallerId, ""), Some("alice"));
        assert_eq!(host.calls()[0].url, "http://guard?m");
        assert_eq!(
            visit.response(503, &[("X-Guarded", "no")]),
            Ok(Verdict::Next)
        );
        assert_eq!(host.slept(), [Duration::from_mins(1)]);
        assert_eq!(
            visit.exchange.text(Field::ReplyHeader, "x-guarded"),
            Some("yes")
        );
        let passed = visit.chunks(["a ", "word", "secret", "both"]).unwrap();
        assert_eq!(passed, "a ****onetwo");
        let exchange = visit.end(Outcome::Ok);
        let fields: Vec<_> = exchange.edits().iter().map(|edit| edit.field).collect();
        assert_eq!(fields, [Field::CallerId, Field::ReplyHeader]);
        assert_eq!(exchange.edits()[1].value.as_deref(), Some(&b"yes"[..]));
        assert_eq!(host.counted("asked", &[("a", "b"), ("who", "guard")]), 1);
        assert_eq!(host.recorded("slow_seconds", &[]), [0.25]);
        assert!(host.recorded("asked", &[]).is_empty());
        assert_eq!(host.total("pieces"), 4);
    }
}

#[test]
fn what_a_stage_says_is_its_verdict() {
    let refuses = FakeHost::new().answering(|_| Ok(http_answer(403, "")));
    let guard_ = guard(&refuses);
    let verdict = Visit::new(&guard_, chat()).request().unwrap();
    assert_eq!(
        verdict,
        Verdict::Reject(Refusal::new(RefusalKind::Forbidden, "No."))
    );

    let silent = FakeHost::new();
    let guard_ = guard(&silent);
    assert!(Visit::new(&guard_, chat()).request().is_err());
    let early = Visit::new(&guard_, chat().header("X-Early", "1")).request();
    assert!(matches!(early, Ok(Verdict::Reply(reply)) if reply.status == 204));
    assert_eq!(silent.calls().len(), 1, "the head alone asks nobody");

    let error = stage::<Guard>(&json!({}), &silent.host()).err().unwrap();
    assert_eq!(error, SetupError::at(["url"], "test needs one"));
    let error = stage::<Guard>(&json!({"url": 1}), &silent.host())
        .err()
        .unwrap();
    assert_eq!(error.path, ["url"]);
}

#[test]
fn fields_can_be_set_where_a_gateway_would_let_them() {
    let set = |exchange: &FakeExchange, field, value: Option<&[u8]>| {
        exchange.clone().set(field, "x-key", value)
    };
    let above = FakeExchange::new();
    let below = FakeExchange::new().below_route("ollama", "llama");
    for field in [
        Field::RequestHeader,
        Field::CallerId,
        Field::CallerMeta,
        Field::Model,
    ] {
        assert_eq!(set(&above, field, Some(b"1")), Ok(()));
        assert_eq!(set(&below, field, Some(b"1")), Err(SetError::ReadOnly));
    }
    assert_eq!(
        set(&above, Field::UpstreamHeader, None),
        Err(SetError::ReadOnly)
    );
    assert_eq!(set(&below, Field::UpstreamHeader, None), Ok(()));
    for exchange in [&above, &below] {
        assert_eq!(
            set(exchange, Field::ReplyHeader, None),
            Err(SetError::ReadOnly)
        );
        assert_eq!(
            set(exchange, Field::RequestBody, None),
            Err(SetError::ReadOnly)
        );
        assert_eq!(set(exchange, Field::Var, Some(b"\r\n\0")), Ok(()));
    }
    for broken in [&b"a\r\nb"[..], b"\0", b"\x7f"] {
        assert_eq!(
            set(&above, Field::RequestHeader, Some(broken)),
            Err(SetError::Invalid)
        );
    }
    let mut name = above.clone();
    assert_eq!(
        name.set(Field::RequestHeader, "a b", None),
        Err(SetError::Invalid)
    );
    assert_eq!(set(&above, Field::Model, None), Err(SetError::Invalid));
    assert_eq!(
        set(&above, Field::ForwardsAuth, Some(b"2")),
        Err(SetError::Invalid)
    );
    assert_eq!(below.text(Field::TargetModel, ""), Some("llama"));
    assert_eq!(below.number(Field::Attempt), Some(1));
}

#[test]
fn a_caller_is_found_by_the_hash_of_a_key() {
    let mut exchange = FakeExchange::new().with_caller(&[7; 32], "bob");
    let unknown = exchange.set(Field::CallerKey, "", Some(&[8; 32]));
    assert_eq!(unknown, Err(SetError::Unknown));
    assert_eq!(exchange.set(Field::CallerKey, "", Some(&[7; 32])), Ok(()));
    assert_eq!(exchange.text(Field::CallerId, ""), Some("bob"));
    assert_eq!(exchange.get(Field::CallerKey, ""), None);
}

#[test]
fn maps_are_visited_until_it_is_enough() {
    let exchange = chat().header("b", "2").header("a", "1").header("c", "3");
    let mut seen = Vec::new();
    exchange.each(Field::RequestHeader, &mut |name, _| {
        seen.push(name.to_owned());
        name != "b"
    });
    assert_eq!(seen, ["a", "b"]);
    let mut members = 0;
    exchange.each(Field::RequestMember, &mut |_, _| {
        members += 1;
        true
    });
    assert_eq!(members, 3);
    assert_eq!(exchange.text(Field::RequestMember, "stream"), Some("true"));
    exchange.each(Field::RequestId, &mut |_, _| panic!("not a map"));
}

/// Shouts. `by` says what it looks at: whole lines, or whatever comes.
struct Shout {
    by_lines: bool,
}

impl Provider for Shout {
    const KIND: &'static str = "shout";
    type Config = BTreeMap<String, bool>;
    type State = Vec<u8>;

    fn new(_: &str, table: Self::Config) -> Result<Self, SetupError> {
        Ok(Self {
            by_lines: table.get("by_lines") == Some(&true),
        })
    }

    fn serves(&self, _: Endpoint) -> bool {
        true
    }

    fn begin(&self) -> Vec<u8> {
        Vec::new()
    }

    fn encode(&self, _: &mut Vec<u8>, call: &Call<'_>) -> Result<UpstreamRequest, Refusal> {
        Ok(UpstreamRequest {
            path: format!("/shout/{}", call.model),
            ..UpstreamRequest::default()
        })
    }

    fn on_head(&self, _: &mut Vec<u8>, head: &UpstreamHead<'_>) -> HeadFlow {
        if head.content_type == "text/loud" {
            HeadFlow::Passthrough
        } else {
            HeadFlow::Decode
        }
    }

    fn on_data(
        &self,
        line: &mut Vec<u8>,
        data: &[u8],
        end: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        line.extend_from_slice(data);
        while let Some(at) = line.iter().position(|&byte| byte == b'\n') {
            let rest = line.split_off(at + 1);
            let whole = std::mem::replace(line, rest);
            let text = String::from_utf8_lossy(&whole).trim_end().to_uppercase();
            out.extend_from_slice(format!("data: \"{text}\"\n\n").as_bytes());
        }
        if !self.by_lines && !line.is_empty() {
            out.extend_from_slice(b"data: [PIECE]\n\n");
        }
        if end && !line.is_empty() {
            return Err(Refusal::new(RefusalKind::BadUpstream, "Half a line."));
        }
        Ok(())
    }

    fn answer(&self, _: &Call<'_>, answer: &mut dyn Answer) -> Result<(), Refusal> {
        for word in ["a", "b", "c"] {
            let said = answer.wait(Duration::from_secs(1));
            let said = said.and_then(|()| answer.emit(word.into()));
            said.map_err(|Gone| Refusal::new(RefusalKind::Internal, "gone"))?;
        }
        Ok(())
    }
}

#[test]
fn a_reply_means_the_same_however_it_is_cut() {
    let shout: Shout = provider(&json!({"by_lines": true})).unwrap();
    let call = FakeCall::chat(&json!({"model": "m", "stream": true}));
    let translated = translate(&shout, &call, "", "psst\näh\n".as_bytes()).unwrap();
    assert_eq!(translated.request.path, "/shout/m");
    assert_eq!(translated.events(), [json!("PSST"), json!("ÄH")]);
    let refused = translate(&shout, &call, "", b"psst");
    assert_eq!(refused.unwrap_err().message, "Half a line.");
    let loud = translate(&shout, &call, "text/loud", b"[1]").unwrap();
    assert_eq!(loud.json(), json!([1]));
    assert!(translate(&shout, &call, "", &b"word\n".repeat(900)).is_ok());
}

#[test]
#[should_panic = "byte by byte, the reply means"]
fn a_codec_that_minds_the_cuts_is_found_out() {
    let minds: Shout = provider(&json!({})).unwrap();
    let _ = translate(&minds, &FakeCall::chat(&json!({})), "", b"psst\n");
}

#[test]
fn a_reader_stays_or_leaves() {
    let shout: Shout = provider(&json!({})).unwrap();
    let call = FakeCall::to(Endpoint::Models, &Value::Null).path("/models/m");
    assert_eq!((call.call().method, call.call().path), ("GET", "/models/m"));
    assert_eq!(call.call().body, b"");
    let mut stays = FakeReader::new();
    assert_eq!(shout.answer(&call.call(), &mut stays), Ok(()));
    assert_eq!((stays.pieces.len(), stays.waited.as_secs()), (3, 3));
    let mut leaves = FakeReader::leaving_after(1);
    assert!(shout.answer(&call.call(), &mut leaves).is_err());
    assert_eq!(leaves.pieces, [b"a"]);
}
