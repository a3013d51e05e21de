//! How a stage or a codec says no.

use std::{borrow::Cow, time::Duration};

/// What kind of no it is; decides the HTTP status and whether another target may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[non_exhaustive]
pub enum RefusalKind {
    /// 400: the client must change the request.
    InvalidRequest = 1,
    /// 401: the client is not known.
    Unauthorized = 2,
    /// 403: the client is known and may not.
    Forbidden = 3,
    /// 404: there is no such thing.
    NotFound = 4,
    /// 422: content was refused.
    Unprocessable = 5,
    /// 429: later.
    RateLimited = 6,
    /// 500: a fault of the gateway.
    Internal = 7,
    /// 502: the upstream answered with something that it should not.
    BadUpstream = 8,
    /// 503: not now.
    Unavailable = 9,
    /// 504: it took too long.
    Timeout = 10,
    /// The target cannot serve this call; the next one is asked. 400 where none can.
    Unsupported = 11,
}

impl RefusalKind {
    /// The kind with this number, if this version knows it.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::InvalidRequest,
            2 => Self::Unauthorized,
            3 => Self::Forbidden,
            4 => Self::NotFound,
            5 => Self::Unprocessable,
            6 => Self::RateLimited,
            7 => Self::Internal,
            8 => Self::BadUpstream,
            9 => Self::Unavailable,
            10 => Self::Timeout,
            11 => Self::Unsupported,
            _ => return None,
        })
    }

    /// The HTTP status that a client sees.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InvalidRequest | Self::Unsupported => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::Unprocessable => 422,
            Self::RateLimited => 429,
            Self::Internal => 500,
            Self::BadUpstream => 502,
            Self::Unavailable => 503,
            Self::Timeout => 504,
        }
    }
}

/// A refusal, in the words that the client will read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of refusal it is.
    pub kind: RefusalKind,
    /// What happened and what to do next. Never a secret or an upstream's address.
    pub message: Cow<'static, str>,
    /// `error.code`, where the kind's own does not say enough.
    pub code: Option<Cow<'static, str>>,
    /// `error.type`, where the one that follows from the status does not say enough.
    pub error_type: Option<Cow<'static, str>>,
    /// `error.param`: the request member at fault.
    pub param: Option<Cow<'static, str>>,
    /// When it is worth trying again.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A refusal with a message.
    pub fn new(kind: RefusalKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            code: None,
            error_type: None,
            param: None,
            retry_after: None,
        }
    }

    /// With `error.code`.
    #[must_use]
    pub fn code(mut self, code: impl Into<Cow<'static, str>>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// With `error.type`.
    #[must_use]
    pub fn error_type(mut self, error_type: impl Into<Cow<'static, str>>) -> Self {
        self.error_type = Some(error_type.into());
        self
    }

    /// With `error.param`.
    #[must_use]
    pub fn param(mut self, param: impl Into<Cow<'static, str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// With a time after which to try again.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }
}
