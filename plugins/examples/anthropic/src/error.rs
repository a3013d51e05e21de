//! How this codec says no, and what Anthropic's errors mean.
//!
//! Anthropic's shape is `{"type":"error","error":{"type","message"},"request_id"}`, as a reply with an error's status
//! and as an event in mid-stream (API reference, "Errors").

use millgate_plugin::{Refusal, RefusalKind};
use serde::Deserialize;
use serde_json::Value;

/// The longest message of Anthropic's that is passed on, in bytes.
const LONGEST: usize = 1000;

/// An error as Anthropic words it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Reported {
    #[serde(rename = "type")]
    kind: String,
    message: String,
}

/// A request member that is wrong, whatever target is asked.
pub(crate) fn invalid(param: impl Into<String>, message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::InvalidRequest, message.into()).param(param.into())
}

/// A request member that Anthropic cannot honour; another target may.
pub(crate) fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Refusal {
    Refusal::new(RefusalKind::Unsupported, message.into()).param(param.into())
}

/// The answer is not what Anthropic would say.
pub(crate) fn garbled() -> Refusal {
    Refusal::new(
        RefusalKind::BadUpstream,
        "the upstream sent something that is not an answer of Anthropic's Messages API",
    )
}

/// The answer stopped before its end.
pub(crate) fn cut() -> Refusal {
    Refusal::new(
        RefusalKind::BadUpstream,
        "the upstream's answer ended before it was complete",
    )
}

/// What an error reply means; `None` where it is not in Anthropic's shape.
pub(crate) fn of_reply(status: u16, body: &[u8]) -> Option<Refusal> {
    #[derive(Deserialize)]
    struct Body {
        error: Reported,
    }
    let Body { error } = serde_json::from_slice(body).ok()?;
    Some(meaning(&error, Some(status)))
}

/// What an error means that came under status 200, alone or in mid-stream.
pub(crate) fn in_answer(error: Value) -> Refusal {
    let error: Reported = serde_json::from_value(error).unwrap_or_default();
    meaning(&error, None)
}

/// Where the type is not known, the status speaks.
fn meaning(error: &Reported, status: Option<u16>) -> Refusal {
    match (error.kind.as_str(), status) {
        ("authentication_error", _) | (_, Some(401)) => Refusal::new(
            RefusalKind::Unauthorized,
            "Anthropic does not know the key that the gateway uses; operators: check `x_api_key`",
        ),
        ("permission_error", _) | (_, Some(403)) => Refusal::new(
            RefusalKind::Forbidden,
            "the gateway's key may not be used for this at Anthropic; operators: check what it may do",
        ),
        ("billing_error", _) | (_, Some(402)) => unpaid(),
        ("not_found_error", _) | (_, Some(404)) => not_found(error),
        ("request_too_large", _) | (_, Some(413)) => Refusal::new(
            RefusalKind::InvalidRequest,
            "the request is larger than Anthropic takes (32 MB): send less, or smaller images",
        )
        .code("request_too_large"),
        // Its words name the gateway's own organisation and limits.
        ("rate_limit_error", _) | (_, Some(429)) => Refusal::new(
            RefusalKind::RateLimited,
            "Anthropic wants fewer requests of the gateway for now: try again later",
        )
        .code("rate_limit_exceeded"),
        ("overloaded_error", _) | (_, Some(503 | 529)) => Refusal::new(
            RefusalKind::Unavailable,
            "Anthropic is overloaded: try again later",
        )
        .code("overloaded"),
        ("timeout_error", _) | (_, Some(504)) => Refusal::new(
            RefusalKind::Timeout,
            "Anthropic took too long: stream the answer, or try again",
        ),
        ("api_error", _) | (_, Some(500..)) => {
            Refusal::new(RefusalKind::BadUpstream, "Anthropic failed: try again")
        }
        ("invalid_request_error", _) | (_, Some(_)) => invalid_request(error),
        (_, None) => Refusal::new(
            RefusalKind::BadUpstream,
            "Anthropic reported an error instead of an answer",
        ),
    }
}

/// A limit or a bill of the gateway's own account: nothing that a client can mend, whatever status it comes with.
fn unpaid() -> Refusal {
    Refusal::new(
        RefusalKind::Unavailable,
        "the gateway's account at Anthropic has no credit left, or has reached its limit; operators: see Anthropic's console",
    )
    .code("insufficient_quota")
}

/// Only of a model the message is `model: …`; other things that are not there are the base URL's fault.
fn not_found(error: &Reported) -> Refusal {
    match error.message.strip_prefix("model:") {
        Some(model) if model.len() <= LONGEST => {
            let message = format!(
                "Anthropic has no model `{}`, or the gateway's key may not use it",
                model.trim()
            );
            Refusal::new(RefusalKind::NotFound, message)
                .code("model_not_found")
                .param("model")
        }
        _ => Refusal::new(
            RefusalKind::NotFound,
            "there is no such thing at the upstream; operators: check `base_url`",
        ),
    }
}

fn invalid_request(error: &Reported) -> Refusal {
    let said = error.message.trim();
    let has = |marks: &[&str]| marks.iter().any(|mark| said.contains(mark));
    if has(&[
        "credit balance",
        "API usage limits",
        "organization has been disabled",
    ]) {
        return unpaid();
    }
    let mut message = if said.is_empty() || said.len() > LONGEST {
        "Anthropic refused the request".to_owned()
    } else {
        said.to_owned()
    };
    if let Some(remedy) = remedy(said) {
        message.truncate(message.trim_end_matches('.').len());
        message.push_str("; operators: ");
        message.push_str(remedy);
    }
    let refusal = Refusal::new(RefusalKind::InvalidRequest, message);
    if has(&["prompt is too long", "exceed context limit"]) {
        return refusal.code("context_length_exceeded").param("messages");
    }
    refusal
}

/// What to set where a model refuses what others take.
fn remedy(said: &str) -> Option<&'static str> {
    let is_about = |names: &[&str]| names.iter().any(|name| said.contains(name));
    let refuses = is_about(&["deprecated for this model", "not support"]);
    match () {
        () if refuses && is_about(&["temperature", "top_p", "top_k"]) => {
            Some("set `sampling = false` for this provider")
        }
        () if refuses && is_about(&["thinking", "effort"]) => {
            Some("set `thinking` of this provider to what the model takes")
        }
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reply(status: u16, kind: &str, message: &str) -> Refusal {
        let error = json!({"type": kind, "message": message});
        let body = json!({"type": "error", "error": error, "request_id": "req_1"});
        let under_200 = in_answer(error);
        let refusal = of_reply(status, body.to_string().as_bytes()).unwrap();
        assert_eq!(refusal, under_200, "the same in mid-stream");
        refusal
    }

    #[test]
    fn every_type_of_error_has_its_kind() {
        use RefusalKind as Kind;
        for (status, kind, expected) in [
            (400, "invalid_request_error", Kind::InvalidRequest),
            (401, "authentication_error", Kind::Unauthorized),
            (402, "billing_error", Kind::Unavailable),
            (403, "permission_error", Kind::Forbidden),
            (404, "not_found_error", Kind::NotFound),
            (413, "request_too_large", Kind::InvalidRequest),
            (429, "rate_limit_error", Kind::RateLimited),
            (500, "api_error", Kind::BadUpstream),
            (504, "timeout_error", Kind::Timeout),
            (529, "overloaded_error", Kind::Unavailable),
        ] {
            assert_eq!(reply(status, kind, "said").kind, expected, "{kind}");
            let unknown = json!({"error": {"type": "new_error", "message": "said"}});
            let by_status = of_reply(status, unknown.to_string().as_bytes()).unwrap();
            assert_eq!(by_status.kind, expected, "{status}");
        }
    }

    #[test]
    fn only_words_about_the_request_reach_the_client() {
        let said = "messages.0.content: canary";
        for kind in [
            "authentication_error",
            "billing_error",
            "rate_limit_error",
            "overloaded_error",
            "api_error",
        ] {
            assert!(!reply(400, kind, said).message.contains("canary"), "{kind}");
        }
        assert_eq!(reply(400, "invalid_request_error", said).message, said);
        let long = "x".repeat(2000);
        let refusal = reply(400, "invalid_request_error", &long);
        assert_eq!(refusal.message, "Anthropic refused the request");
    }

    #[test]
    fn a_setting_that_would_help_is_named() {
        let said = |message: &str| reply(400, "invalid_request_error", message).message;
        assert_eq!(
            said("`temperature` is deprecated for this model."),
            "`temperature` is deprecated for this model; operators: set `sampling = false` for this provider"
        );
        assert!(said("adaptive thinking is not supported on this model").contains("`thinking`"));
        assert!(!said("temperature: range: 0..1").contains("operators"));
    }

    #[test]
    fn a_model_that_is_not_there_is_told_from_a_path() {
        let missing = reply(404, "not_found_error", "model: claude-0");
        assert_eq!(missing.code.as_deref(), Some("model_not_found"));
        assert!(missing.message.contains("`claude-0`"));
        assert_eq!(reply(404, "not_found_error", "Not Found").code, None);
    }

    #[test]
    fn a_prompt_that_is_too_long_and_an_empty_account_have_openais_codes() {
        let code = |message: &str| reply(400, "invalid_request_error", message).code;
        let too_long = Some("context_length_exceeded".into());
        assert_eq!(
            code("prompt is too long: 207791 tokens > 200000 maximum"),
            too_long
        );
        assert_eq!(
            code("input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000"),
            too_long
        );
        assert_eq!(
            code("Your credit balance is too low to access the Anthropic API."),
            Some("insufficient_quota".into())
        );
    }

    #[test]
    fn what_is_not_in_anthropics_shape_is_the_hosts() {
        for body in ["", "<html>", "{}", r#"{"error":"text"}"#] {
            assert_eq!(of_reply(502, body.as_bytes()), None, "{body}");
        }
    }
}
