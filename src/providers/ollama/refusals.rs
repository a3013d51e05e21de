//! What Ollama's errors mean.

use std::net::{IpAddr, SocketAddr};

use millgate_plugin::{Refusal, RefusalKind};
use serde_json::Value;

/// What an error reply means, where this says more than the host knows by itself.
pub(super) fn reply(status: u16, body: &[u8]) -> Option<Refusal> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let said = said(&body["error"])?;
    let lower = said.to_ascii_lowercase();
    let kind = match status {
        404 if lower.contains("model") && lower.contains("not found") => RefusalKind::NotFound,
        400 => RefusalKind::InvalidRequest,
        429 => RefusalKind::RateLimited,
        503 => RefusalKind::Unavailable,
        _ => return None,
    };
    let refusal = |message: String| Refusal::new(kind, message);
    Some(match kind {
        RefusalKind::NotFound => refusal(format!(
            "{}: it has to be pulled on the Ollama server first (`ollama pull`), or another model asked for",
            tellable(said).unwrap_or("the model was not found")
        ))
        .code("model_not_found")
        .param("model"),
        RefusalKind::Unavailable => refusal(format!(
            "{}: try again later",
            tellable(said).unwrap_or("the upstream is busy")
        )),
        RefusalKind::InvalidRequest if lower.contains("context length") => {
            refusal(tellable(said).unwrap_or("the request is too long").to_owned())
                .code("context_length_exceeded")
        }
        RefusalKind::InvalidRequest => {
            refusal(tellable(said).unwrap_or("the upstream refused the request").to_owned())
        }
        _ => refusal(tellable(said).unwrap_or("the upstream wants fewer requests").to_owned()),
    })
}

/// An error that came instead of a part of the answer.
pub(super) fn in_stream(error: &Value) -> Refusal {
    let reason = said(error).and_then(tellable);
    Refusal::new(
        RefusalKind::BadUpstream,
        match reason {
            Some(reason) => format!("the upstream failed while it answered: {reason}"),
            None => "the upstream failed while it answered".to_owned(),
        },
    )
}

/// The answer stopped before its end.
pub(super) fn cut() -> Refusal {
    Refusal::new(
        RefusalKind::BadUpstream,
        "the upstream's answer ended before it was complete",
    )
}

/// The answer is not what Ollama would say.
pub(super) fn garbled() -> Refusal {
    Refusal::new(
        RefusalKind::BadUpstream,
        "the upstream sent something that is not an answer of Ollama",
    )
}

/// The text of an error, be it bare or in an object.
fn said(error: &Value) -> Option<&str> {
    error
        .as_str()
        .or_else(|| error["message"].as_str())
        .map(str::trim)
        .filter(|text| !text.is_empty())
}

/// An upstream's words, if a client may read them: none that look like they tell an address, as those of a failed
/// connection between Ollama and its runner or its cloud do.
fn tellable(said: &str) -> Option<&str> {
    const LONGEST: usize = 1000;
    let tells = ["://", "localhost", "dial ", "lookup "]
        .iter()
        .any(|mark| said.contains(mark))
        || said.split_whitespace().any(is_address);
    (!tells && said.len() <= LONGEST).then_some(said)
}

/// Whether a word is an IP address, with or without a port, or a host and its port.
fn is_address(word: &str) -> bool {
    let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '[' | ']'));
    // `[::1]:80->[::1]:81`, and arrows as Go writes them.
    let mut ends = word.split("->");
    ends.any(|end| {
        let has_port = end.rsplit_once(':').is_some_and(|(host, port)| {
            !host.is_empty() && port.len() >= 2 && port.parse::<u16>().is_ok()
        });
        has_port || end.parse::<IpAddr>().is_ok() || end.parse::<SocketAddr>().is_ok()
    })
}
