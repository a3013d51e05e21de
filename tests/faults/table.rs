//! The table: what goes wrong, and what the client sees of it.

use millgate::mock::{Fault, Script};
use serde_json::json;

/// Stands in headers and bodies of upstreams that no client may see.
pub(crate) const CANARY: &str = "canary-7f3a";

/// The text of a mock's answer.
pub(crate) const TEXT: &str = "word0 word1 word2 word3 ";

/// Who the faulty upstream is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Upstream {
    OpenAi,
    Ollama,
    /// Nobody listens at its address.
    Dead,
}

/// What the client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Whole,
    Stream,
    /// A stream of the Responses API.
    Responses,
}

/// What the client sees where only the faulty upstream is there.
#[derive(Clone, Debug)]
pub(crate) enum Sees {
    /// Nothing of the fault: the whole text.
    Text,
    /// A true status, with this `error.code`; the outcome as the access log says it.
    Error(u16, &'static str, &'static str),
    /// 200, this text, then one error event of this code, then the end.
    ErrorEvent(&'static str, &'static str, &'static str),
    /// 200, and a connection that breaks.
    Cut,
}

/// What changes where a healthy target comes second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Second {
    /// The healthy target's answer.
    Rescues,
    /// Nothing: it is not asked.
    Unasked,
}

pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) upstream: Upstream,
    pub(crate) asks: &'static [Ask],
    pub(crate) script: Script,
    pub(crate) sees: Sees,
    pub(crate) second: Second,
}

impl Row {
    /// Whether the exhausted chain tells the SDK not to multiply its tries. Only where tries were made.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.sees, Sees::Error(..)) && self.second == Second::Rescues
    }
}

use Ask::{Responses, Stream, Whole};
use Second::{Rescues, Unasked};
use Sees::{Cut, Error, ErrorEvent, Text};
use Upstream::{Dead, Ollama, OpenAi};

const BAD_REPLY: Sees = Error(502, "upstream_bad_reply", "upstream_error");
/// What a codec says of an answer that it cannot read.
const UNREADABLE: Sees = Error(502, "upstream_error", "upstream_error");
const TIMEOUT: Sees = Error(504, "upstream_timeout", "timeout");
const AUTH: Sees = Error(502, "upstream_auth", "upstream_error");

const fn broken_after(text: &'static str) -> Sees {
    ErrorEvent(text, "upstream_bad_reply", "upstream_error")
}

const fn unreadable_after(text: &'static str) -> Sees {
    ErrorEvent(text, "upstream_error", "upstream_error")
}

const BOTH: &[Ask] = &[Whole, Stream];

/// Every fault, with what the client sees of it.
pub(crate) fn rows() -> Vec<Row> {
    [before_the_head(), statuses(), wrong_replies(), streams()]
        .into_iter()
        .flatten()
        .collect()
}

fn row(
    name: &'static str,
    upstream: Upstream,
    asks: &'static [Ask],
    script: Script,
    sees: Sees,
    second: Second,
) -> Row {
    Row {
        name,
        upstream,
        asks,
        script,
        sees,
        second,
    }
}

fn fault(fault: Fault) -> Script {
    Script::fault(fault)
}

fn at(events: usize, fault: Fault) -> Script {
    Script {
        at: Some(events),
        ..Script::fault(fault)
    }
}

#[rustfmt::skip]
fn before_the_head() -> Vec<Row> {
    vec![
        row("refused", Dead, BOTH, Script::default(), Error(502, "upstream_unreachable", "upstream_error"), Rescues),
        row("reset-before-head", OpenAi, BOTH, fault(Fault::ResetBeforeHead), BAD_REPLY, Rescues),
        row("close-before-head", OpenAi, BOTH, fault(Fault::CloseBeforeHead), BAD_REPLY, Rescues),
        row("slow-stall-before-head", OpenAi, BOTH, fault(Fault::StallBeforeHead), TIMEOUT, Rescues),
        row("ollama-reset-before-head", Ollama, BOTH, fault(Fault::ResetBeforeHead), BAD_REPLY, Rescues),
        row("ollama-slow-stall-before-head", Ollama, BOTH, fault(Fault::StallBeforeHead), TIMEOUT, Rescues),
        row("early-hints", OpenAi, BOTH, fault(Fault::EarlyHints), Text, Unasked),
        row("continue-100", OpenAi, BOTH, fault(Fault::Continue100), Text, Unasked),
        row("huge-headers", OpenAi, BOTH, fault(Fault::HugeHeaders), BAD_REPLY, Rescues),
    ]
}

/// An error reply in the upstream's own words.
fn refusal(status: u16) -> Script {
    let body = json!({"error": {"message": "The upstream's own words.", "type": "t", "param": "p", "code": "own_code"}});
    Script {
        body: Some(body.to_string()),
        ..Script::status(status)
    }
}

/// An error reply with what no client may read.
fn secret(status: u16) -> Script {
    let body = json!({"error": {"message": format!("{CANARY} at http://10.1.2.3:8000"), "type": "t", "param": null, "code": CANARY}});
    Script {
        body: Some(body.to_string()),
        ..Script::status(status)
    }
}

fn plain(status: u16, body: &str) -> Script {
    Script {
        body: Some(body.to_owned()),
        headers: [("content-type".into(), "text/plain".into())].into(),
        ..Script::status(status)
    }
}

fn after(script: Script, seconds: &str) -> Script {
    Script {
        headers: [("retry-after".into(), seconds.into())].into(),
        ..script
    }
}

#[rustfmt::skip]
fn statuses() -> Vec<Row> {
    let own = |status| Error(status, "own_code", "client_error");
    let busy = |status| Error(status, "own_code", "upstream_error");
    let failed = |status| Error(status, "upstream_error", "upstream_error");
    vec![
        row("400", OpenAi, BOTH, refusal(400), own(400), Unasked),
        row("404-other", OpenAi, BOTH, refusal(404), own(404), Unasked),
        row("413", OpenAi, BOTH, refusal(413), own(413), Unasked),
        row("422", OpenAi, BOTH, refusal(422), own(422), Unasked),
        row("409", OpenAi, BOTH, refusal(409), busy(409), Unasked),
        row("408", OpenAi, BOTH, refusal(408), busy(408), Rescues),
        row("429", OpenAi, BOTH, after(refusal(429), "2"), busy(429), Rescues),
        row("400-in-plain-text", OpenAi, BOTH, plain(400, "too many tokens"), Error(400, "upstream_refused", "client_error"), Unasked),
        row("400-page", OpenAi, BOTH, plain(400, "<html>canary-7f3a</html>"), Error(400, "upstream_refused", "client_error"), Unasked),
        row("404-model", OpenAi, BOTH, Script::status(404), Error(404, "model_not_found", "upstream_error"), Rescues),
        row("401", OpenAi, BOTH, secret(401), AUTH, Rescues),
        row("403", OpenAi, BOTH, secret(403), AUTH, Rescues),
        row("407", OpenAi, BOTH, secret(407), AUTH, Rescues),
        row("500", OpenAi, BOTH, secret(500), failed(500), Rescues),
        row("502", OpenAi, BOTH, secret(502), failed(502), Rescues),
        row("503", OpenAi, BOTH, after(secret(503), "2"), failed(503), Rescues),
        row("504", OpenAi, BOTH, secret(504), failed(504), Rescues),
        row("529", OpenAi, BOTH, secret(529), failed(529), Rescues),
        row("429-stalled-body", OpenAi, BOTH, Script { fault: Some(Fault::StallMidStream), ..refusal(429) }, Error(429, "upstream_refused", "upstream_error"), Rescues),
        row("redirect", OpenAi, BOTH, fault(Fault::Redirect), BAD_REPLY, Rescues),
        row("304", OpenAi, BOTH, Script::status(304), BAD_REPLY, Rescues),
        row("ollama-400", Ollama, BOTH, Script::status(400), Error(400, "invalid_request", "client_error"), Unasked),
        row("ollama-404-model", Ollama, BOTH, Script { body: Some(r#"{"error":"model 'x' not found"}"#.into()), ..Script::status(404) },
            Error(404, "model_not_found", "upstream_error"), Rescues),
        row("ollama-401", Ollama, BOTH, secret(401), AUTH, Rescues),
        row("ollama-500", Ollama, BOTH, secret(500), failed(500), Rescues),
        row("ollama-503", Ollama, BOTH, secret(503), failed(503), Rescues),
    ]
}

/// A well-formed reply of the wrong kind.
fn dressed_as(content_type: &str, body: &str) -> Script {
    Script {
        headers: [("content-type".into(), content_type.into())].into(),
        body: Some(body.into()),
        ..Script::default()
    }
}

#[rustfmt::skip]
fn wrong_replies() -> Vec<Row> {
    let document = r#"{"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}"#;
    let large = |fault| Script { chunk_bytes: Some(1 << 20), ..Script::fault(fault) };
    vec![
        row("html", OpenAi, BOTH, fault(Fault::Html200), BAD_REPLY, Rescues),
        row("garbage", OpenAi, BOTH, fault(Fault::Garbage), BAD_REPLY, Rescues),
        row("compressed", OpenAi, BOTH, fault(Fault::Compressed), BAD_REPLY, Rescues),
        row("length-too-long", OpenAi, &[Whole], fault(Fault::WrongLengthLong), BAD_REPLY, Rescues),
        row("length-too-long-after-done", OpenAi, &[Stream], fault(Fault::WrongLengthLong), Text, Unasked),
        row("length-too-short", OpenAi, &[Whole], fault(Fault::WrongLengthShort), BAD_REPLY, Rescues),
        row("length-too-short-stream", OpenAi, &[Stream], fault(Fault::WrongLengthShort), broken_after("word0 word1 "), Unasked),
        row("error-under-200", OpenAi, &[Whole], fault(Fault::ErrorEvent), Error(502, "mock_error", "upstream_error"), Rescues),
        row("document-for-a-stream", OpenAi, &[Stream], dressed_as("application/json", document), BAD_REPLY, Rescues),
        row("error-document-for-a-stream", OpenAi, &[Stream], dressed_as("application/json", r#"{"error":{"message":"no"}}"#), BAD_REPLY, Rescues),
        row("stream-for-a-document", OpenAi, &[Whole], dressed_as("text/event-stream", "data: [DONE]\n\n"), BAD_REPLY, Rescues),
        row("no-content", OpenAi, BOTH, Script::status(204), BAD_REPLY, Rescues),
        row("cut-document", OpenAi, &[Whole], fault(Fault::CutMidStream), BAD_REPLY, Rescues),
        row("half-document", OpenAi, &[Whole], fault(Fault::HalfEvent), BAD_REPLY, Rescues),
        row("broken-document", OpenAi, &[Whole], fault(Fault::BadSse), BAD_REPLY, Rescues),
        row("reset-in-document", OpenAi, &[Whole], fault(Fault::ResetMidStream), BAD_REPLY, Rescues),
        row("close-in-document", OpenAi, &[Whole], fault(Fault::CloseMidStream), BAD_REPLY, Rescues),
        row("slow-stall-in-document", OpenAi, &[Whole], fault(Fault::StallMidStream), TIMEOUT, Rescues),
        row("large-document-closed", OpenAi, &[Whole], large(Fault::CloseMidStream), Cut, Unasked),
        row("slow-large-document-stalled", OpenAi, &[Whole], large(Fault::StallMidStream), Cut, Unasked),
        row("ollama-html", Ollama, BOTH, fault(Fault::Html200), UNREADABLE, Rescues),
        row("ollama-garbage", Ollama, BOTH, fault(Fault::Garbage), UNREADABLE, Rescues),
        row("ollama-compressed", Ollama, BOTH, fault(Fault::Compressed), BAD_REPLY, Rescues),
        row("ollama-error-under-200", Ollama, &[Whole], fault(Fault::ErrorLine), UNREADABLE, Rescues),
        row("ollama-cut-document", Ollama, &[Whole], fault(Fault::CutMidStream), UNREADABLE, Rescues),
        row("ollama-reset-in-document", Ollama, &[Whole], fault(Fault::ResetMidStream), BAD_REPLY, Rescues),
    ]
}

/// Of a chat stream the first event is the role alone, so that `at(1, …)` is before any content.
#[rustfmt::skip]
fn streams() -> Vec<Row> {
    let only: &[Ask] = &[Stream];
    let responses: &[Ask] = &[Responses];
    let reported = |text| ErrorEvent(text, "mock_error", "upstream_error");
    let idle = |text| ErrorEvent(text, "upstream_timeout", "timeout");
    vec![
        row("comments", OpenAi, only, Script { comments: 50, ..Script::default() }, Text, Unasked),
        row("no-done", OpenAi, only, fault(Fault::NoDone), Text, Unasked),
        row("no-finish", OpenAi, only, fault(Fault::NoFinish), Text, Unasked),
        row("error-first", OpenAi, only, at(0, Fault::ErrorEvent), Error(502, "mock_error", "upstream_error"), Rescues),
        row("error-after-role", OpenAi, only, at(1, Fault::ErrorEvent), Error(502, "mock_error", "upstream_error"), Rescues),
        row("error-midway", OpenAi, only, at(3, Fault::ErrorEvent), reported("word0 word1 "), Unasked),
        row("slow-role-then-stall", OpenAi, only, fault(Fault::RoleOnlyThenStall), TIMEOUT, Rescues),
        row("slow-comments-then-stall", OpenAi, only, Script { comments: 50, ..fault(Fault::RoleOnlyThenStall) }, TIMEOUT, Rescues),
        row("half-event-first", OpenAi, only, at(1, Fault::HalfEvent), BAD_REPLY, Rescues),
        row("half-event-midway", OpenAi, only, at(3, Fault::HalfEvent), broken_after("word0 word1 "), Unasked),
        row("broken-event-first", OpenAi, only, at(1, Fault::BadSse), BAD_REPLY, Rescues),
        row("broken-event-midway", OpenAi, only, at(3, Fault::BadSse), broken_after("word0 word1 "), Unasked),
        row("cut-at-once", OpenAi, only, at(0, Fault::CutMidStream), BAD_REPLY, Rescues),
        row("cut-after-role", OpenAi, only, at(1, Fault::CutMidStream), BAD_REPLY, Rescues),
        row("cut-midway", OpenAi, only, at(3, Fault::CutMidStream), broken_after("word0 word1 "), Unasked),
        row("reset-after-role", OpenAi, only, at(1, Fault::ResetMidStream), BAD_REPLY, Rescues),
        row("close-after-role", OpenAi, only, at(1, Fault::CloseMidStream), BAD_REPLY, Rescues),
        row("close-midway", OpenAi, only, at(3, Fault::CloseMidStream), broken_after("word0 word1 "), Unasked),
        row("reset-midway", OpenAi, only, at(3, Fault::ResetMidStream), broken_after("word0 word1 "), Unasked),
        row("slow-stall-midway", OpenAi, only, at(3, Fault::StallMidStream), idle("word0 word1 "), Unasked),
        row("close-after-finish", OpenAi, only, at(6, Fault::CloseMidStream), Text, Unasked),
        row("slow-stall-after-finish", OpenAi, only, at(6, Fault::StallMidStream), Text, Unasked),
        row("slow-stall-after-done", OpenAi, only, at(8, Fault::StallMidStream), Text, Unasked),
        row("responses-not-completed", OpenAi, responses, fault(Fault::NoFinish), broken_after(TEXT), Unasked),
        row("responses-cut", OpenAi, responses, at(6, Fault::CloseMidStream), broken_after("word0 word1 "), Unasked),
        row("responses-cut-early", OpenAi, responses, at(2, Fault::CloseMidStream), BAD_REPLY, Rescues),
        row("slow-responses-stall", OpenAi, responses, at(6, Fault::StallMidStream), idle("word0 word1 "), Unasked),
        row("responses-error", OpenAi, responses, at(6, Fault::ErrorEvent), reported("word0 word1 "), Unasked),
        row("slow-responses-open-end", OpenAi, responses, at(100, Fault::StallMidStream), Text, Unasked),
        row("ollama-error-first", Ollama, only, at(0, Fault::ErrorLine), UNREADABLE, Rescues),
        row("ollama-error-midway", Ollama, only, at(2, Fault::ErrorLine), unreadable_after("word0 word1 "), Unasked),
        row("ollama-half-line", Ollama, only, at(2, Fault::HalfEvent), unreadable_after("word0 word1 "), Unasked),
        row("ollama-broken-line", Ollama, only, at(2, Fault::BadSse), unreadable_after("word0 word1 "), Unasked),
        row("ollama-cut", Ollama, only, at(2, Fault::CutMidStream), unreadable_after("word0 word1 "), Unasked),
        row("ollama-no-done", Ollama, only, fault(Fault::NoDone), unreadable_after(TEXT), Unasked),
        row("ollama-close", Ollama, only, at(2, Fault::CloseMidStream), broken_after("word0 word1 "), Unasked),
        row("ollama-close-first", Ollama, only, at(0, Fault::CloseMidStream), BAD_REPLY, Rescues),
        row("slow-ollama-stall", Ollama, only, at(2, Fault::StallMidStream), idle("word0 word1 "), Unasked),
    ]
}
