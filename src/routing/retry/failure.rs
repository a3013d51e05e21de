//! In which ways an attempt fails, and which of them let another target be asked.

use std::{borrow::Cow, fmt, ops::RangeInclusive};

use http::StatusCode;

use crate::nearest::nearest;

/// In which way an attempt failed before its commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// No connection: refused, name not found, TLS, connect timeout.
    Connect,
    /// The attempt's own timer ran out.
    Timeout,
    /// The upstream answered with this status, and it is the upstream's affair.
    Status(u16),
    /// 401, 403 or 407: the upstream refuses the gateway's own key.
    UpstreamAuth,
    /// The upstream does not have the model.
    ModelMissing,
    /// The answer broke before its commit: reset, cut short, bad framing, garbage, an error under a 200.
    Stream,
    /// A stage below `route` refused the attempt.
    Rejected,
    /// The target cannot serve the endpoint. It is skipped; nothing was sent.
    Unsupported,
    /// The client's request is at fault: final, the upstream's answer passes through.
    Client,
}

impl FailureClass {
    /// Whether the same target may do better when it is asked again a little later.
    ///
    /// A refused connection, a wrong key, a missing model and a refusing stage stay what they are
    /// for longer than a request waits, and of the statuses only 408, 409, 429 and 5xx are momentary.
    #[must_use]
    pub const fn may_pass(self) -> bool {
        match self {
            Self::Timeout | Self::Stream | Self::Status(408 | 409 | 429 | 500..) => true,
            Self::Status(_)
            | Self::Connect
            | Self::UpstreamAuth
            | Self::ModelMissing
            | Self::Rejected
            | Self::Unsupported
            | Self::Client => false,
        }
    }

    /// Whether the upstream has not acted on the request: it was not reached, or said that it would not.
    #[must_use]
    pub const fn is_before_any_effect(self) -> bool {
        match self {
            Self::Connect
            | Self::UpstreamAuth
            | Self::ModelMissing
            | Self::Rejected
            | Self::Unsupported
            | Self::Client
            | Self::Status(429) => true,
            Self::Timeout | Self::Stream | Self::Status(_) => false,
        }
    }
}

/// After which failures another try is made: `fallback_on` of a route.
///
/// The default is connect, timeout, 408, 429, 5xx, `upstream_auth`, `model_missing`, stream and rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FallbackOn(Vec<Condition>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    Class(FailureClass),
    Statuses(RangeInclusive<u16>),
}

/// The classes that a config can name.
const NAMED: [(&str, FailureClass); 6] = [
    ("connect", FailureClass::Connect),
    ("timeout", FailureClass::Timeout),
    ("upstream_auth", FailureClass::UpstreamAuth),
    ("model_missing", FailureClass::ModelMissing),
    ("stream", FailureClass::Stream),
    ("rejected", FailureClass::Rejected),
];

impl Default for FallbackOn {
    fn default() -> Self {
        let mut conditions: Vec<Condition> = NAMED
            .iter()
            .map(|(_, class)| Condition::Class(*class))
            .collect();
        conditions.extend([408..=408, 429..=429, 500..=599].map(Condition::Statuses));
        Self(conditions)
    }
}

impl FallbackOn {
    /// Reads the entries of a config: a name (`connect`, `timeout`, `upstream_auth`, `model_missing`, `stream`,
    /// `rejected`), a status (`503`) or a family of them (`4xx`, `5xx`). No entry at all means never.
    ///
    /// The error is a sentence for the operator, about the first entry that means nothing.
    pub fn parse(entries: &[impl AsRef<str>]) -> Result<Self, String> {
        entries
            .iter()
            .map(|entry| Condition::parse(entry.as_ref()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// What a reply with this status, which is no success, says about its attempt.
    ///
    /// A 4xx is the client's fault unless it is known to be momentary (408, 409, 429), is about the
    /// gateway's key (401, 403, 407) or is listed here. A missing model is told apart from other
    /// 404s by the body, thus by the caller. A redirect, which is never followed, or a status
    /// out of range counts as 502.
    #[must_use]
    pub fn class_of(&self, status: u16) -> FailureClass {
        match status {
            401 | 403 | 407 => FailureClass::UpstreamAuth,
            408 | 409 | 429 | 500..=599 => FailureClass::Status(status),
            400..=499 if self.lists(status) => FailureClass::Status(status),
            400..=499 => FailureClass::Client,
            _ => FailureClass::Status(502),
        }
    }

    /// Whether another try may follow such a failure. Always after `Unsupported`, never after `Client`.
    ///
    /// `4xx` covers a refused key and a missing model too, because that is how upstreams say so.
    #[must_use]
    pub fn covers(&self, class: FailureClass) -> bool {
        let named = || self.0.contains(&Condition::Class(class));
        match class {
            FailureClass::Unsupported => true,
            FailureClass::Client => false,
            FailureClass::Status(status) => self.lists(status),
            FailureClass::UpstreamAuth => named() || self.lists(401),
            FailureClass::ModelMissing => named() || self.lists(404),
            FailureClass::Connect
            | FailureClass::Timeout
            | FailureClass::Stream
            | FailureClass::Rejected => named(),
        }
    }

    /// What it consists of, as a config would say it.
    #[must_use]
    pub fn entries(&self) -> Vec<String> {
        self.0.iter().map(Condition::to_string).collect()
    }

    fn lists(&self, status: u16) -> bool {
        self.0.iter().any(|condition| match condition {
            Condition::Statuses(statuses) => statuses.contains(&status),
            Condition::Class(_) => false,
        })
    }
}

impl Condition {
    fn parse(entry: &str) -> Result<Self, String> {
        match entry {
            "4xx" => return Ok(Self::Statuses(400..=499)),
            "5xx" => return Ok(Self::Statuses(500..=599)),
            "401" | "403" | "407" => {
                return Err(format!(
                    "\"{entry}\" is about the gateway's own key: write \"upstream_auth\", which stands for 401, 403 and 407"
                ));
            }
            _ => {}
        }
        if let Some((_, class)) = NAMED.iter().find(|(name, _)| *name == entry) {
            return Ok(Self::Class(*class));
        }
        match entry.parse() {
            Ok(status @ 400..=599) => Ok(Self::Statuses(status..=status)),
            Ok(_) => Err(format!(
                "\"{entry}\" is not an error status: write one from 400 to 599, or \"4xx\" or \"5xx\""
            )),
            Err(_) => Err(unknown(entry)),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Class(class) => class.fmt(f),
            Self::Statuses(statuses) if statuses.start() == statuses.end() => {
                statuses.start().fmt(f)
            }
            Self::Statuses(statuses) => write!(f, "{}xx", statuses.start() / 100),
        }
    }
}

fn unknown(entry: &str) -> String {
    let names = NAMED.map(|(name, _)| name);
    let listed = names.join(", ");
    let known = names.into_iter().chain(["4xx", "5xx"]);
    match nearest(entry, known) {
        Some(meant) => format!("\"{entry}\" is not a kind of failure; did you mean \"{meant}\"?"),
        None => format!(
            "\"{entry}\" is not a kind of failure: write {listed}, a status like 503, 4xx or 5xx"
        ),
    }
}

impl FailureClass {
    /// The name that a config has for it, where it has one; of a status [its own](status_name). One of a few: for
    /// metrics and spans.
    #[must_use]
    pub fn name(self) -> Cow<'static, str> {
        let name = match self {
            Self::Status(status) => return status_name(status),
            Self::Unsupported => "unsupported",
            Self::Client => "client",
            Self::Connect => "connect",
            Self::Timeout => "timeout",
            Self::UpstreamAuth => "upstream_auth",
            Self::ModelMissing => "model_missing",
            Self::Stream => "stream",
            Self::Rejected => "rejected",
        };
        name.into()
    }
}

/// A status as a label: its number if it is registered (<https://www.iana.org/assignments/http-status-codes>), else its class.
/// An upstream may think of hundreds.
#[must_use]
pub fn status_name(status: u16) -> Cow<'static, str> {
    let registered = StatusCode::from_u16(status).ok();
    if registered
        .and_then(|status| status.canonical_reason())
        .is_some()
    {
        return status.to_string().into();
    }
    match status {
        400..500 => "4xx".into(),
        500..600 => "5xx".into(),
        _ => "other".into(),
    }
}

/// For people: a status is told as it is.
impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => status.fmt(f),
            class => f.write_str(&class.name()),
        }
    }
}
