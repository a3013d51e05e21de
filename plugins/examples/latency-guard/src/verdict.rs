//! What the service's answer means.

use std::time::Duration;

use millgate_plugin::{CallError, HttpAnswer, Refusal, RefusalKind};

/// Yes, no, or neither.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// 2xx
    Pass,
    /// 403, 429 or 503.
    Refuse(Refusal),
    /// No answer, or any other. Why, for the log.
    None(String),
}

impl Verdict {
    pub(crate) fn of(answer: Result<HttpAnswer, CallError>) -> Self {
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => return Self::None(error.to_string()),
        };
        let (kind, message, code) = match answer.status {
            200..=299 => return Self::Pass,
            403 => (
                RefusalKind::Forbidden,
                "The request may not pass. Ask an operator why.",
                "guard_refused",
            ),
            429 | 503 => (
                RefusalKind::RateLimited,
                "There is no room for the request now. Try again later.",
                "guard_busy",
            ),
            status => return Self::None(format!("it answers with status {status}")),
        };
        let mut refusal = Refusal::new(kind, message).code(code);
        refusal.retry_after = retry_after(&answer);
        Self::Refuse(refusal)
    }
}

/// `Retry-After` in seconds (RFC 9110, section 10.2.3); its other form, a date, is left out.
fn retry_after(answer: &HttpAnswer) -> Option<Duration> {
    let mut headers = answer.headers.iter();
    let (_, value) = headers.find(|(name, _)| name == "retry-after")?;
    value.trim().parse().ok().map(Duration::from_secs)
}
