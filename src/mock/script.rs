//! What the mock is told to do: a [`Script`] for one request, a [`Plan`] for a server.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How one request is answered. Every key may be left out; an empty script answers well and at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a key of its own in a file that people write"
)]
pub struct Script {
    /// Milliseconds to wait before the head.
    pub delay: u64,
    /// Milliseconds to wait between the head and the first byte of the body.
    pub first_byte_delay: u64,
    /// Status code in place of the usual one. From 400 on, the body is an error in the upstream's shape.
    pub status: Option<u16>,
    /// Headers to add, or to put in place of those that the mock would send. `connection: close` is obeyed.
    pub headers: BTreeMap<String, String>,
    /// The body, sent as it stands. Where a stream was asked for, it is cut into events at the places
    /// where events end, so that `at`, `interval` and `gate` work on recorded streams too.
    pub body: Option<String>,
    /// Number of content events of a stream. Default: 4, or the words of `text`.
    pub chunks: Option<usize>,
    /// Milliseconds between two events.
    pub interval: u64,
    /// Bytes of content in each event. Default: the length of a word.
    pub chunk_bytes: Option<usize>,
    /// The content of the answer. Default: numbered words, so that a lost or doubled one shows.
    pub text: Option<String>,
    /// Reasoning that comes before the content, in one event.
    pub reasoning: Option<String>,
    /// Number of tool calls to make. Default: one where `tool_choice` demands it, else none.
    pub tool_calls: Option<usize>,
    /// Prompt tokens to report. Default: 11.
    pub prompt_tokens: Option<u64>,
    /// Completion tokens to report. Default: the number of content events.
    pub completion_tokens: Option<u64>,
    /// What goes wrong.
    pub fault: Option<Fault>,
    /// Number of events sent before the fault, comments left out. In a chat stream the first event is
    /// the role alone, so 1 means "before any content". Default: half of them, and for
    /// [`Fault::ErrorEvent`] and [`Fault::ErrorLine`] none.
    pub at: Option<usize>,
    /// The failing keys (`fault`, `status`, `headers`, `body`, `delay`, `first_byte_delay`) apply to the
    /// first so many requests that this script answers, and to none after them.
    pub fail_first: Option<u64>,
    /// Number of `: ping` comments before the first event of an event stream.
    pub comments: usize,
    /// Whether the body is written a byte per write.
    pub one_byte: bool,
    /// Whether lines of a stream end in CR LF.
    pub crlf: bool,
    /// Whether every event waits to be let go, one by one, by [`Mock::release`](super::Mock::release).
    /// The head does not wait.
    pub gate: bool,
    /// Whether the request is remembered. Default: true; load generators turn it off.
    pub log: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            delay: 0,
            first_byte_delay: 0,
            status: None,
            headers: BTreeMap::new(),
            body: None,
            chunks: None,
            interval: 0,
            chunk_bytes: None,
            text: None,
            reasoning: None,
            tool_calls: None,
            prompt_tokens: None,
            completion_tokens: None,
            fault: None,
            at: None,
            fail_first: None,
            comments: 0,
            one_byte: false,
            crlf: false,
            gate: false,
            log: true,
        }
    }
}

impl Script {
    /// A script whose only key is this fault.
    #[must_use]
    pub fn fault(fault: Fault) -> Self {
        Self {
            fault: Some(fault),
            ..Self::default()
        }
    }

    /// A script that answers with this status, and an error body where the status is one.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self {
            status: Some(status),
            ..Self::default()
        }
    }

    /// This script once its first failures are over.
    pub(super) fn recovered(&self) -> Self {
        Self {
            fault: None,
            status: None,
            headers: BTreeMap::new(),
            body: None,
            delay: 0,
            first_byte_delay: 0,
            ..self.clone()
        }
    }

    /// The content, in as many pieces as there are to be content events.
    pub(super) fn parts(&self) -> Vec<String> {
        match (&self.text, self.chunks, self.chunk_bytes) {
            (Some(text), None, None) => text.split_inclusive(' ').map(str::to_owned).collect(),
            (Some(text), None, Some(bytes)) => split(text, bytes),
            (Some(text), Some(chunks), _) => split(text, text.len().div_ceil(chunks.max(1))),
            (None, chunks, None) => (0..chunks.unwrap_or(4))
                .map(|n| format!("word{n} "))
                .collect(),
            (None, chunks, Some(bytes)) => (0..chunks.unwrap_or(4))
                .map(|n| numbered_filler(n, bytes))
                .collect(),
        }
    }
}

/// Cuts `text` into pieces of about `bytes` bytes, never inside a character.
fn split(text: &str, bytes: usize) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let mut end = bytes.clamp(1, rest.len());
        while !rest.is_char_boundary(end) {
            end += 1;
        }
        let (piece, after) = rest.split_at(end);
        pieces.push(piece.to_owned());
        rest = after;
    }
    pieces
}

/// Exactly `bytes` bytes that begin with `n`.
fn numbered_filler(n: usize, bytes: usize) -> String {
    let mut text = format!("{n} ");
    text.truncate(bytes);
    text.extend(std::iter::repeat_n('x', bytes - text.len()));
    text
}

/// What can go wrong with a reply, by the name that it has in a script.
///
/// "Events" are those of a stream; a body that is no stream counts as two events, its halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The connection is reset (RST) in place of a reply.
    ResetBeforeHead,
    /// The connection is closed (FIN) in place of a reply.
    CloseBeforeHead,
    /// No reply, and the connection stays open.
    StallBeforeHead,
    /// Nothing comes after `at` events, and the connection stays open.
    StallMidStream,
    /// The connection is reset after `at` events.
    ResetMidStream,
    /// The connection is closed after `at` events, so that the body is visibly incomplete.
    CloseMidStream,
    /// The body ends after `at` events as if it were whole: complete to HTTP, incomplete to its reader.
    CutMidStream,
    /// As [`CutMidStream`](Self::CutMidStream), with half of the next event.
    HalfEvent,
    /// A stream falls silent once the role has been sent.
    RoleOnlyThenStall,
    /// A body that is not JSON, under 200 and the usual content type.
    Garbage,
    /// The event at `at` holds broken JSON; the others are well.
    BadSse,
    /// After `at` events an error in the upstream's shape, under 200, then the end.
    ErrorEvent,
    /// The same; the name that fits Ollama's streams, whose events are lines.
    ErrorLine,
    /// `content-length` is larger than the body, and the connection closes.
    WrongLengthLong,
    /// `content-length` is smaller than the body, and the connection closes.
    WrongLengthShort,
    /// The body comes as gzip, though nobody asked.
    Compressed,
    /// 302 to `/v1/redirected` on this server.
    Redirect,
    /// `103 Early Hints` before the reply (RFC 8297).
    EarlyHints,
    /// `100 Continue` before the reply, though nobody waits for it.
    #[serde(rename = "continue_100")]
    Continue100,
    /// 1024 headers of a kilobyte each.
    HugeHeaders,
    /// An HTML page under 200.
    #[serde(rename = "html_200")]
    Html200,
    /// No event says why the stream finished, nor in `OpenAI`'s responses that it did.
    NoFinish,
    /// `[DONE]` is missing.
    NoDone,
}

/// One script, or several of which each answers one request and the last all the rest.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub enum Series {
    /// The same for every request.
    One(Box<Script>),
    /// One after the other.
    List(Vec<Script>),
}

/// The scripts of a server. A request is answered by the first of: its own (header `x-mock` or query
/// parameter `mock`), its path's, its model's, and where it is a POST the default. Else it is answered well.
///
/// In JSON a plan is one script, a list of scripts, or an object of `models`, `paths` and `only` beside
/// the keys of the default script:
///
/// ```json
/// {"delay": 20, "models": {"gpt-broken": {"fault": "reset_before_head"}, "gpt-late": [{"status": 503}, {}]}}
/// ```
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "Value")]
pub struct Plan {
    /// For POST requests that nothing else matches, so that probes do not use up a list.
    pub default: Option<Series>,
    /// By the name in the request's `model`.
    pub models: BTreeMap<String, Series>,
    /// By path, without the query.
    pub paths: BTreeMap<String, Series>,
    /// The models that exist: another is answered with 404. Default: every name exists.
    pub only: Option<Vec<String>>,
}

impl From<Script> for Plan {
    fn from(script: Script) -> Self {
        Self {
            default: Some(Series::One(Box::new(script))),
            ..Self::default()
        }
    }
}

impl From<Vec<Script>> for Plan {
    fn from(scripts: Vec<Script>) -> Self {
        Self {
            default: Some(Series::List(scripts)),
            ..Self::default()
        }
    }
}

impl TryFrom<Value> for Plan {
    type Error = serde_json::Error;

    /// Fails on a key that no script has, and on a value of the wrong type.
    fn try_from(mut value: Value) -> Result<Self, serde_json::Error> {
        let mut plan = Self::default();
        if let Value::Object(members) = &mut value {
            plan.models = take(members, "models")?;
            plan.paths = take(members, "paths")?;
            plan.only = take(members, "only")?;
            if members.is_empty() {
                return Ok(plan);
            }
        }
        plan.default = Some(Series::try_from(value)?);
        Ok(plan)
    }
}

impl FromStr for Plan {
    type Err = serde_json::Error;

    fn from_str(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }
}

type Members = serde_json::Map<String, Value>;

fn take<T: Default + serde::de::DeserializeOwned>(
    members: &mut Members,
    key: &str,
) -> Result<T, serde_json::Error> {
    members
        .shift_remove(key)
        .map_or_else(|| Ok(T::default()), serde_json::from_value)
}

impl TryFrom<Value> for Series {
    type Error = serde_json::Error;

    /// Reads a series by its outer type: an untagged enum would not say which key is unknown.
    fn try_from(value: Value) -> Result<Self, serde_json::Error> {
        Ok(match value {
            Value::Array(_) => Self::List(serde_json::from_value(value)?),
            _ => Self::One(serde_json::from_value(value)?),
        })
    }
}

impl Series {
    /// The script for the request that comes after `served` others.
    pub(super) fn at(&self, served: u64) -> Option<&Script> {
        match self {
            Self::One(script) => Some(script),
            Self::List(scripts) => scripts.get(served as usize).or(scripts.last()),
        }
    }
}
