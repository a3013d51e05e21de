//! Errors that come under a success status, in the shapes that servers give them.

use std::borrow::Cow;

use super::keys::is_something;
use crate::http::json::{self, Members};

/// An error as the upstream worded it. Not for clients as it is: it may name the upstream or its keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplyError {
    /// What the upstream says happened; empty where it does not say.
    pub message: String,
    /// `error.type`
    pub kind: Option<String>,
    /// `error.code`, numbers as text.
    pub code: Option<String>,
    /// `error.param`
    pub param: Option<String>,
}

impl ReplyError {
    /// The HTTP status that the code is, where it is one (400 to 599): vLLM and `OpenRouter` put it there.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        let code = self.code.as_deref()?.parse().ok()?;
        (400..600).contains(&code).then_some(code)
    }

    fn text(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            ..Self::default()
        }
    }

    /// From the raw value of an `error` member: an object, or a bare string.
    fn from_value(raw: &[u8]) -> Self {
        match json::scan(raw) {
            Ok(members) => Self::from_members(&members, raw),
            Err(_) => Self::text(loose_text(raw)),
        }
    }

    fn from_members(members: &Members, raw: &[u8]) -> Self {
        let text = |name| {
            let value = members.get(raw, name).filter(|value| !json::is_null(value));
            value.map(|value| loose_text(value).into_owned())
        };
        Self {
            message: text("message").unwrap_or_default(),
            kind: text("type"),
            code: text("code"),
            param: text("param"),
        }
    }
}

/// A string's text, or any other value as it is written.
fn loose_text(raw: &[u8]) -> Cow<'_, str> {
    json::as_str(raw).unwrap_or_else(|| String::from_utf8_lossy(raw))
}

/// The error in a whole JSON reply that came with a success status: `{"error":{…}}`, `{"error":"text"}`, or
/// `{"object":"error",…}` of older vLLM. `None` where it is no error, or no JSON object.
#[must_use]
pub fn reply_error(body: &[u8]) -> Option<ReplyError> {
    of_document(&json::scan(body).ok()?, body)
}

/// The error in a stream's event: what a whole reply may hold, the `error` and `response.failed` events of
/// the Responses API, or, where the event `is_named` an error, whatever its data says.
pub(super) fn of_event(is_named: bool, data: &[u8]) -> Option<ReplyError> {
    let Ok(members) = json::scan(data) else {
        return is_named.then(|| ReplyError::text(String::from_utf8_lossy(data)));
    };
    if let Some(error) = of_document(&members, data) {
        return Some(error);
    }
    let kind = members.get(data, "type").and_then(json::as_str);
    if kind.as_deref() == Some("response.failed") {
        let response = members.get(data, "response");
        return Some(response.and_then(reply_error).unwrap_or_default());
    }
    is_named.then(|| ReplyError::from_members(&members, data))
}

pub(super) fn of_document(members: &Members, body: &[u8]) -> Option<ReplyError> {
    let error = members.get(body, "error").filter(|raw| is_something(raw));
    if let Some(raw) = error {
        return Some(ReplyError::from_value(raw));
    }
    let says_error =
        |name| members.get(body, name).and_then(json::as_str).as_deref() == Some("error");
    (says_error("type") || says_error("object")).then(|| ReplyError::from_members(members, body))
}
