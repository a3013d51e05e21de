//! Errors as OpenAI clients know them: `{"error":{"message","type","param","code"}}`, with the status that
//! the SDKs map to their exceptions (see `openai-python` `_client.py`, `_make_status_error`).

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use millgate_plugin::{Refusal, RefusalKind};
use serde_json::json;

/// 403: the caller has a list of models, and the request's is not on it.
#[must_use]
pub fn model_not_allowed() -> Refusal {
    Refusal::new(
        RefusalKind::Forbidden,
        "This key may not be used for the model of this request. GET /v1/models lists the models that it may be used for.",
    )
    .code("model_not_allowed")
    .param("model")
}

const BODY_CUT_SHORT: &str = "body_cut_short";

/// An error reply: what happened and what to do next, never a secret or an upstream's address.
#[derive(Clone, Debug)]
pub struct ApiError {
    /// HTTP status.
    pub status: StatusCode,
    /// `error.code`
    pub code: Cow<'static, str>,
    /// `error.type`, where it does not follow from the status.
    pub error_type: Option<Cow<'static, str>>,
    /// `error.message`
    pub message: Cow<'static, str>,
    /// `error.param`
    pub param: Option<Cow<'static, str>>,
    /// Sent as `retry-after` (whole seconds, rounded up) and `retry-after-ms`.
    pub retry_after: Option<Duration>,
    /// Says `x-should-retry: false`: every target has been tried, so that a client's own retries would only multiply.
    pub exhausted: bool,
    /// An upstream's own error body, already in the OpenAI shape, sent in place of ours.
    pub body: Option<Bytes>,
    /// Sent as `allow`: the methods that the path has.
    pub allow: Option<&'static str>,
    /// Closes the connection: what is left of the request cannot be told from the next one.
    pub close: bool,
}

impl ApiError {
    /// The code of the refusal of a body for which no memory is left.
    pub const NO_ROOM: &'static str = "too_many_bodies";

    /// An error of this status and code.
    pub fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code: code.into(),
            error_type: None,
            message: message.into(),
            param: None,
            retry_after: None,
            exhausted: false,
            body: None,
            allow: None,
            close: false,
        }
    }

    /// 400, the client's fault.
    pub fn invalid(
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 500, the gateway's fault.
    pub fn internal(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", message)
    }

    /// The client left, or closed its side, in the middle of its request.
    #[must_use]
    pub fn body_cut_short() -> Self {
        let message = "The request's body ended before it was complete.";
        Self::invalid(BODY_CUT_SHORT, message).close()
    }

    /// Whether the client has left in the middle of its request.
    #[must_use]
    pub fn is_cut_short(&self) -> bool {
        self.code == BODY_CUT_SHORT
    }

    /// With `error.param`.
    #[must_use]
    pub fn param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// And the connection is closed after it.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.close = true;
        self
    }

    /// `error.type`, which mostly follows from the status.
    #[must_use]
    pub fn kind(&self) -> &str {
        if let Some(kind) = &self.error_type {
            return kind;
        }
        match self.status.as_u16() {
            403 => "permission_error",
            429 if self.code == "insufficient_quota" => "insufficient_quota",
            429 => "requests",
            status if status >= 500 => "api_error",
            _ => "invalid_request_error",
        }
    }

    /// The `{"error":{…}}` document.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        if let Some(body) = &self.body {
            return body.clone();
        }
        let document = json!({"error": {
            "message": self.message,
            "type": self.kind(),
            "param": self.param,
            "code": self.code,
        }});
        Bytes::from(document.to_string())
    }

    /// The one event that may end a stream that has already begun.
    #[must_use]
    pub fn to_event(&self) -> Bytes {
        let mut event = b"data: ".to_vec();
        event.extend_from_slice(&self.to_json());
        event.extend_from_slice(b"\n\n");
        Bytes::from(event)
    }

    /// The headers of the reply.
    #[must_use]
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(8);
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if let Some(after) = self.retry_after {
            let seconds = after.as_millis().div_ceil(1000) as u64;
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
            headers.insert(
                "retry-after-ms",
                HeaderValue::from(after.as_millis() as u64),
            );
        }
        if self.exhausted {
            headers.insert("x-should-retry", HeaderValue::from_static("false"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            // RFC 9110, 11.6.1
            headers.insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"millgate\""),
            );
        }
        if let Some(allow) = self.allow {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        if self.close {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        headers
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let code = refusal.code.unwrap_or(Cow::Borrowed(match refusal.kind {
            RefusalKind::Unauthorized => "invalid_api_key",
            RefusalKind::Forbidden => "forbidden",
            RefusalKind::NotFound => "not_found",
            RefusalKind::Unprocessable => "content_filter",
            RefusalKind::RateLimited => "rate_limit_exceeded",
            RefusalKind::Internal => "internal_error",
            RefusalKind::BadUpstream => "upstream_error",
            RefusalKind::Unavailable => "unavailable",
            RefusalKind::Timeout => "timeout",
            RefusalKind::Unsupported => "unsupported",
            _ => "invalid_request",
        }));
        Self {
            error_type: refusal.error_type,
            param: refusal.param,
            retry_after: refusal.retry_after,
            ..Self::new(
                StatusCode::from_u16(refusal.kind.status()).unwrap_or(StatusCode::BAD_REQUEST),
                code,
                refusal.message,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_all_four_members() {
        let error = ApiError::invalid("bad_json", "not JSON").param("messages");
        let body: serde_json::Value = serde_json::from_slice(&error.to_json()).unwrap();
        assert_eq!(
            body,
            json!({"error": {"message": "not JSON", "type": "invalid_request_error", "param": "messages", "code": "bad_json"}})
        );
    }

    #[test]
    fn waiting_is_told_in_both_units() {
        let mut error = ApiError::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit_exceeded",
            "later",
        );
        error.retry_after = Some(Duration::from_millis(1500));
        let headers = error.headers();
        assert_eq!(headers["retry-after"], "2");
        assert_eq!(headers["retry-after-ms"], "1500");
        assert!(!headers.contains_key("x-should-retry"));
    }
}
