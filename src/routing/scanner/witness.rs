//! What a trace wants to know of an answer beside its tokens: kept only of attempts that spans are made of.

use std::{
    num::NonZeroU64,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde::Deserialize;

use super::keys::{KEYS, response_kind};
use crate::{http::sse, telemetry::traces::context::new_span};

/// Names and reasons longer than this are none.
const LONGEST: usize = 256;

/// Events of which none has named the answer, before it is taken to have no name.
const MOST_NAMELESS: u32 = 8;

/// Watches the answer to one attempt.
#[derive(Debug)]
pub struct Witness {
    /// The id of the attempt's span.
    pub span: NonZeroU64,
    seen: Mutex<Witnessed>,
}

/// What has been seen of it.
#[derive(Clone, Debug, Default)]
pub struct Witnessed {
    /// Status of the upstream's reply.
    pub status: Option<u16>,
    /// When the first event of a stream came.
    pub first: Option<Instant>,
    /// Its id.
    pub id: Option<String>,
    /// The model that it says it is from.
    pub model: Option<String>,
    /// Why it ended, by choice.
    pub finish_reasons: Vec<(u64, String)>,
    nameless: u32,
}

impl Default for Witness {
    fn default() -> Self {
        Self {
            span: new_span(),
            seen: Mutex::default(),
        }
    }
}

/// An event or a document, as far as it matters here: of chat and completions, or of the Responses API.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Part {
    id: Option<String>,
    model: Option<String>,
    choices: Vec<Choice>,
    status: Option<String>,
    response: Option<Box<Part>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice {
    index: u64,
    finish_reason: Option<String>,
}

impl Witness {
    /// What has been seen so far.
    #[must_use]
    pub fn seen(&self) -> Witnessed {
        self.lock().clone()
    }

    /// The upstream has replied with this status.
    pub fn status(&self, status: u16) {
        self.lock().status = Some(status);
    }

    /// One event of a stream.
    pub fn event(&self, event: &[u8]) {
        let mut seen = self.lock();
        seen.first.get_or_insert_with(Instant::now);
        let data = sse::data(event);
        let is_named = seen.id.is_some() || seen.nameless >= MOST_NAMELESS;
        let ends = KEYS.finish_reason.has_something(&data)
            || matches!(
                response_kind(&data),
                Some(b"response.completed" | b"response.incomplete" | b"response.failed")
            );
        if is_named && !ends {
            return;
        }
        seen.nameless += 1;
        if let Ok(part) = serde_json::from_slice::<Part>(&data) {
            seen.take(part);
        }
    }

    /// A whole document.
    pub fn document(&self, document: &[u8]) {
        if let Ok(part) = serde_json::from_slice::<Part>(document) {
            self.lock().take(part);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Witnessed> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Witnessed {
    fn take(&mut self, part: Part) {
        // Of an event of the Responses API the response that it is about.
        if let Some(response) = part.response {
            return self.take(*response);
        }
        let short = |text: &String| !text.is_empty() && text.len() <= LONGEST;
        self.id = self.id.take().or(part.id.filter(short));
        self.model = self.model.take().or(part.model.filter(short));
        let of_choices = part
            .choices
            .into_iter()
            .filter_map(|choice| Some((choice.index, choice.finish_reason?)));
        let of_response = part.status.map(|status| (0, status));
        for (index, reason) in of_choices.chain(of_response) {
            let is_known = self.finish_reasons.iter().any(|(known, _)| *known == index);
            let is_final = short(&reason) && reason != "in_progress" && reason != "queued";
            if is_final && !is_known && self.finish_reasons.len() < LONGEST {
                self.finish_reasons.push((index, reason));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watched(events: &[&str]) -> Witnessed {
        let witness = Witness::default();
        for data in events {
            witness.event(format!("data: {data}\n\n").as_bytes());
        }
        witness.seen()
    }

    fn reasons(seen: &Witnessed) -> Vec<(u64, &str)> {
        let reasons = seen.finish_reasons.iter();
        reasons.map(|(at, reason)| (*at, reason.as_str())).collect()
    }

    #[test]
    fn a_stream_says_who_it_is_and_why_each_choice_ended() {
        let seen = watched(&[
            r#"{"id":"c-1","model":"m-2026","choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]}"#,
            r#"{"id":"c-2","model":"other","choices":[{"index":0,"delta":{"content":"\"finish_reason\":\"canary\""}}]}"#,
            r#"{"id":"c-1","choices":[{"index":1,"delta":{},"finish_reason":"length"}]}"#,
            r#"{"id":"c-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
            r#"{"id":"c-1","choices":[{"index":0,"delta":{},"finish_reason":"again"}]}"#,
            "[DONE]",
        ]);
        assert_eq!(seen.id.as_deref(), Some("c-1"));
        assert_eq!(seen.model.as_deref(), Some("m-2026"));
        assert_eq!(reasons(&seen), [(1, "length"), (0, "stop")]);
        assert!(seen.first.is_some());
    }

    #[test]
    fn of_the_responses_api_the_response_counts() {
        let seen = watched(&[
            r#"{"type":"response.created","response":{"id":"r-1","model":"m","status":"in_progress"}}"#,
            r#"{"type":"response.output_text.delta","item_id":"i-1","delta":"hi"}"#,
            r#"{"type":"response.completed","response":{"id":"r-1","model":"m","status":"completed"}}"#,
        ]);
        assert_eq!(seen.id.as_deref(), Some("r-1"));
        assert_eq!(reasons(&seen), [(0, "completed")]);
    }

    #[test]
    fn a_document_says_it_at_once_and_nonsense_says_nothing() {
        let witness = Witness::default();
        witness.document(br#"{"id":"c-1","model":"m","choices":[{"finish_reason":"tool_calls"}]}"#);
        let seen = witness.seen();
        assert_eq!(reasons(&seen), [(0, "tool_calls")]);
        assert!(seen.first.is_none(), "it is no stream");
        let long = format!(r#"{{"id":"{}","model":""}}"#, "x".repeat(LONGEST + 1));
        let seen = watched(&["not json", r#"{"choices":7}"#, &long]);
        assert_eq!((seen.id, seen.model), (None, None));
    }
}
