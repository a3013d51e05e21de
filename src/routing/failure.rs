//! A failed attempt: what kind of failure it was, what the client will read if it was the last one, and what only
//! the log may see.

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use millgate_plugin::{Endpoint, Outcome, Refusal, RefusalKind};

use super::retry::{self, FailureClass, FallbackOn};
use crate::{
    api::error::ApiError,
    http::json,
    routing::scanner::{self, ReplyError},
};

/// Why an attempt failed.
#[derive(Debug)]
pub struct Failure {
    /// Decides whether it is tried again.
    pub class: FailureClass,
    /// When the upstream wants to be asked again.
    pub retry_after: Option<Duration>,
    /// What the client reads if nothing else helps.
    pub error: ApiError,
    /// For the log: may name addresses.
    pub detail: Cow<'static, str>,
}

impl Failure {
    /// A failure of this class.
    pub fn new(class: FailureClass, error: ApiError, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            class,
            retry_after: None,
            error,
            detail: detail.into(),
        }
    }

    /// No connection.
    #[must_use]
    pub fn connect(provider: &str, detail: String) -> Self {
        let error = ApiError::new(
            StatusCode::BAD_GATEWAY,
            "upstream_unreachable",
            format!(
                "The provider `{provider}` could not be reached. Try again later; operators: see the log."
            ),
        );
        Self::new(FailureClass::Connect, error, detail)
    }

    /// The provider has no such endpoint: it is not even asked.
    #[must_use]
    pub fn unsupported(provider: &str, endpoint: Endpoint) -> Self {
        let error = ApiError::invalid(
            "unsupported_endpoint",
            format!(
                "The provider `{provider}` does not serve {} calls.",
                endpoint.name()
            ),
        );
        Self::new(FailureClass::Unsupported, error, "endpoint not served")
    }

    /// The client's own key is to be sent on, and the provider takes none: it is not even asked.
    #[must_use]
    pub fn takes_no_credential(provider: &str) -> Self {
        let error = ApiError::invalid(
            "no_target_for_key",
            format!(
                "The provider `{provider}` cannot be used with a key of your own. Ask for a model of another provider."
            ),
        );
        Self::new(FailureClass::Unsupported, error, "takes no client's key")
    }

    /// `attempt_timeout` or `deadline` ran out.
    #[must_use]
    pub fn timeout(provider: &str, limit: &'static str) -> Self {
        let error = ApiError::new(
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_timeout",
            format!("The provider `{provider}` did not begin to answer in time ({limit})."),
        );
        Self::new(FailureClass::Timeout, error, limit)
    }

    /// `idle_timeout` or `stream_timeout` ran out after the commit.
    #[must_use]
    pub fn stalled(provider: &str, limit: &'static str) -> Self {
        let error = ApiError::new(
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_timeout",
            format!("The provider `{provider}` did not end its answer in time ({limit})."),
        );
        Self::new(FailureClass::Timeout, error, limit)
    }

    /// The upstream's answer broke off or was not what it should be.
    pub fn bad_reply(provider: &str, what: impl Into<Cow<'static, str>>) -> Self {
        let what = what.into();
        let error = ApiError::new(
            StatusCode::BAD_GATEWAY,
            "upstream_bad_reply",
            format!("The provider `{provider}` answered wrongly: {what}."),
        );
        Self::new(FailureClass::Stream, error, what)
    }

    /// A stage below `route` refused.
    #[must_use]
    pub fn refused(refusal: Refusal) -> Self {
        let class = match refusal.kind {
            RefusalKind::InvalidRequest => FailureClass::Client,
            RefusalKind::Unsupported => FailureClass::Unsupported,
            RefusalKind::BadUpstream => FailureClass::Stream,
            RefusalKind::Timeout => FailureClass::Timeout,
            _ => FailureClass::Rejected,
        };
        let detail = refusal.message.clone();
        Self::said_no(class, refusal, detail)
    }

    /// A codec refused: it speaks for its upstream, so this counts as the upstream's reply would. The client still
    /// reads the refusal's own words and status.
    #[must_use]
    pub fn codec(refusal: Refusal) -> Self {
        let is_model_missing = refusal.code.as_deref() == Some("model_not_found");
        let class = match refusal.kind {
            RefusalKind::NotFound if is_model_missing => FailureClass::ModelMissing,
            RefusalKind::InvalidRequest | RefusalKind::NotFound | RefusalKind::Unprocessable => {
                FailureClass::Client
            }
            RefusalKind::Unauthorized | RefusalKind::Forbidden => FailureClass::UpstreamAuth,
            RefusalKind::Internal | RefusalKind::Unavailable | RefusalKind::RateLimited => {
                FailureClass::Status(refusal.kind.status())
            }
            RefusalKind::Timeout => FailureClass::Timeout,
            RefusalKind::Unsupported => FailureClass::Unsupported,
            _ => FailureClass::Stream,
        };
        // Its words may be its upstream's, and quote the request: they stay out of the log.
        let detail = format!("refused by the codec ({:?})", refusal.kind).into();
        Self::said_no(class, refusal, detail)
    }

    fn said_no(class: FailureClass, refusal: Refusal, detail: Cow<'static, str>) -> Self {
        Self {
            retry_after: refusal.retry_after,
            ..Self::new(class, refusal.into(), detail)
        }
    }

    /// An error reply of the upstream: `refusal` is what its codec made of it.
    pub fn status(
        provider: &str,
        status: StatusCode,
        headers: &HeaderMap,
        body: &Bytes,
        refusal: Option<Refusal>,
        fallback_on: &FallbackOn,
    ) -> Self {
        let retry_after = retry::retry_after(headers, std::time::SystemTime::now());
        if !(400..600).contains(&status.as_u16()) {
            return Self::bad_reply(
                provider,
                format!("status {}, where an answer was expected", status.as_u16()),
            );
        }
        let mut class = fallback_on.class_of(status.as_u16());
        let mut error = match class {
            FailureClass::UpstreamAuth => upstream_auth(provider),
            _ if status.is_server_error() => server_error(provider, status),
            _ => client_error(status, body, refusal),
        };
        if status == StatusCode::NOT_FOUND && is_model_missing(&error, body) {
            class = FailureClass::ModelMissing;
            error.code = "model_not_found".into();
        }
        error.retry_after = retry_after;
        Self {
            detail: logged(status, &error, body).into(),
            class,
            retry_after,
            error,
        }
    }

    /// An error that came under status 200, or in mid-stream. Where it names a status, it is taken as that. What it says
    /// beside its code may quote the request, and stays out of the log.
    #[must_use]
    pub fn reported(provider: &str, reported: &ReplyError, fallback_on: &FallbackOn) -> Self {
        let status = reported
            .status()
            .and_then(|status| StatusCode::from_u16(status).ok());
        let class = status.map_or(FailureClass::Stream, |status| {
            fallback_on.class_of(status.as_u16())
        });
        let error = match (class, status) {
            (FailureClass::UpstreamAuth, _) => upstream_auth(provider),
            (_, Some(status)) if status.is_client_error() => {
                ApiError::new(status, "upstream_refused", reported.message.clone())
            }
            (_, Some(status)) => server_error(provider, status),
            // Its words may name hosts and keys.
            (_, None) => ApiError::new(
                StatusCode::BAD_GATEWAY,
                reported
                    .code
                    .clone()
                    .map_or(Cow::Borrowed("upstream_error"), Cow::Owned),
                format!("The provider `{provider}` reported an error instead of an answer."),
            ),
        };
        let code = reported.code.as_deref().unwrap_or("no code");
        Self::new(class, error, format!("it reported an error ({code})"))
    }

    /// How the attempt ended, for its stages and the log.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self.class {
            FailureClass::Timeout => Outcome::Timeout,
            FailureClass::Rejected => Outcome::Rejected,
            FailureClass::Client if self.error.is_cut_short() => Outcome::ClientClosed,
            FailureClass::Client if self.error.status.is_server_error() => Outcome::InternalError,
            FailureClass::Client | FailureClass::Unsupported => Outcome::ClientError,
            _ => Outcome::UpstreamError,
        }
    }
}

/// How long a text may be that is shown or logged as it is.
const SHOWN_TEXT: usize = 512;

/// What the log may know of an error reply: its code and length, for its words may quote the request. Only those of a
/// 401 or 407 are logged: nobody else will read them, and a key is looked at before the request is.
fn logged(status: StatusCode, error: &ApiError, body: &[u8]) -> String {
    let reported = scanner::reply_error(body);
    if matches!(status.as_u16(), 401 | 407) {
        let words = reported
            .map(|error| error.message)
            .or_else(|| plain_text(body))
            .unwrap_or_default();
        let words: String = words.chars().take(SHOWN_TEXT).collect();
        return format!("{status}: {words}");
    }
    let code = reported.and_then(|error| error.code);
    let code = code.as_deref().unwrap_or(&error.code);
    format!("{status} ({code}, {} bytes)", body.len())
}

/// The upstream refused *our* key: nothing that the client can mend, and nothing that it should read.
fn upstream_auth(provider: &str) -> ApiError {
    ApiError::new(
        StatusCode::BAD_GATEWAY,
        "upstream_auth",
        format!(
            "The provider `{provider}` refused the gateway's own credentials. Operators: check its api_key and headers."
        ),
    )
}

/// An upstream's page about its own troubles may name hosts and versions: only the status is passed on.
fn server_error(provider: &str, status: StatusCode) -> ApiError {
    ApiError::new(
        status,
        "upstream_error",
        format!(
            "The provider `{provider}` failed with status {}.",
            status.as_u16()
        ),
    )
}

/// What the client did wrong, in the upstream's words: its body if it has the OpenAI shape, else wrapped in it.
fn client_error(status: StatusCode, body: &Bytes, refusal: Option<Refusal>) -> ApiError {
    if let Some(refusal) = refusal {
        return ApiError {
            status,
            ..refusal.into()
        };
    }
    let reported = scanner::reply_error(body);
    let message = reported.as_ref().map_or_else(
        || {
            plain_text(body).unwrap_or_else(|| {
                format!(
                    "The provider refused the request with status {}.",
                    status.as_u16()
                )
            })
        },
        |error| error.message.clone(),
    );
    let code = reported
        .as_ref()
        .and_then(|error| error.code.clone())
        .unwrap_or_else(|| "upstream_refused".to_owned());
    let mut error = ApiError::new(status, code, message);
    if has_openai_shape(body) {
        error.body = Some(body.clone());
    }
    error
}

/// Whether a body is `{"error":{…}}`.
fn has_openai_shape(body: &Bytes) -> bool {
    json::scan(body).is_ok_and(|members| {
        members
            .get(body, "error")
            .is_some_and(|error| error.starts_with(b"{"))
    })
}

/// A short plain-text body, such as vLLM and proxies send.
fn plain_text(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?.trim();
    (!text.is_empty() && text.len() <= SHOWN_TEXT && !text.starts_with(['<', '{']))
        .then(|| text.to_owned())
}

/// Whether a 404 is about the model rather than the path.
fn is_model_missing(error: &ApiError, body: &[u8]) -> bool {
    error.code == "model_not_found" || {
        let text = String::from_utf8_lossy(body).to_lowercase();
        text.contains("model") && (text.contains("not found") || text.contains("not exist"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codec_speaks_for_its_upstream() {
        for (kind, class, status) in [
            (RefusalKind::InvalidRequest, FailureClass::Client, 400),
            (RefusalKind::Unauthorized, FailureClass::UpstreamAuth, 401),
            (RefusalKind::Forbidden, FailureClass::UpstreamAuth, 403),
            (RefusalKind::NotFound, FailureClass::Client, 404),
            (RefusalKind::Unprocessable, FailureClass::Client, 422),
            (RefusalKind::RateLimited, FailureClass::Status(429), 429),
            (RefusalKind::Internal, FailureClass::Status(500), 500),
            (RefusalKind::BadUpstream, FailureClass::Stream, 502),
            (RefusalKind::Unavailable, FailureClass::Status(503), 503),
            (RefusalKind::Timeout, FailureClass::Timeout, 504),
            (RefusalKind::Unsupported, FailureClass::Unsupported, 400),
        ] {
            let failure = Failure::codec(Refusal::new(kind, "no"));
            assert_eq!(
                (failure.class, failure.error.status.as_u16()),
                (class, status)
            );
        }
        let missing = Refusal::new(RefusalKind::NotFound, "no").code("model_not_found");
        assert_eq!(Failure::codec(missing).class, FailureClass::ModelMissing);
    }

    #[test]
    fn what_an_error_under_200_says_is_shown_where_it_is_about_the_request() {
        for (code, class, status, shown) in [
            (400, FailureClass::Client, 400, true),
            (422, FailureClass::Client, 422, true),
            (401, FailureClass::UpstreamAuth, 502, false),
            (503, FailureClass::Status(503), 503, false),
        ] {
            let body = format!(r#"{{"error":{{"message":"in its words","code":{code}}}}}"#);
            let reported = scanner::reply_error(body.as_bytes()).unwrap();
            let failure = Failure::reported("p", &reported, &FallbackOn::default());
            assert_eq!(
                (failure.class, failure.error.status.as_u16()),
                (class, status)
            );
            assert_eq!(
                failure.error.message.contains("in its words"),
                shown,
                "{code}"
            );
        }
    }

    #[test]
    fn a_busy_codec_is_tried_again_and_a_refusing_stage_is_not() {
        let after = Duration::from_secs(7);
        let busy = || Refusal::new(RefusalKind::Unavailable, "busy").retry_after(after);
        let codec = Failure::codec(busy());
        assert!(codec.class.may_pass());
        assert_eq!(codec.retry_after, Some(after));
        assert_eq!(codec.outcome(), Outcome::UpstreamError);
        let stage = Failure::refused(busy());
        assert!(!stage.class.may_pass());
        assert_eq!(stage.retry_after, Some(after));
        assert_eq!(stage.outcome(), Outcome::Rejected);
    }
}
