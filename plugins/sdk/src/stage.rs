//! A stage: one step of the pipeline.

use std::{borrow::Cow, future::Future, ops::BitOr, pin::Pin};

use bytes::Bytes;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{Chunk, Exchange, Host, Refusal};

/// A future that a waiting hook hands to the host.
pub type BoxFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What `on_request_head`, `on_request` and `on_response` come back with.
pub enum Flow {
    /// Go on with the next stage.
    Next,
    /// This is the answer; nothing further is asked. From `on_response`: use this reply instead.
    Reply(Reply),
    /// Above `route` an error reply; below it this attempt has failed and the next target is tried.
    Reject(Refusal),
    /// Call the same hook again once the future is done.
    Wait(BoxFuture),
}

/// What `on_chunk` comes back with.
pub enum ChunkFlow {
    /// Pass the chunk on as it is.
    Keep,
    /// Pass nothing on.
    Drop,
    /// Pass this on instead.
    Replace(Bytes),
    /// Pass these on instead, one after the other.
    Split(Vec<Bytes>),
}

/// A whole answer made by a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers, `content-type` among them.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The whole body.
    pub body: Bytes,
}

/// A stage that could not do its job. `on_error = "skip"` passes over it, otherwise the client gets a 500.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageError(pub String);

impl std::fmt::Display for StageError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StageError {}

impl From<crate::SetError> for StageError {
    fn from(error: crate::SetError) -> Self {
        Self(error.to_string())
    }
}

/// A table that a stage or provider refuses, and where in it the fault lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetupError {
    /// Keys from the table down to the value at fault; empty for the table itself.
    pub path: Vec<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl SetupError {
    /// An error at `path`, for example `["headers", "x-ticket"]`.
    pub fn at<S: Into<String>>(
        path: impl IntoIterator<Item = S>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            path: path.into_iter().map(Into::into).collect(),
            message: message.into(),
        }
    }
}

impl std::fmt::Display for SetupError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path.join("."))?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for SetupError {}

/// The hooks that a stage wants called. A hook that nobody asked for costs nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hooks(pub u32);

impl Hooks {
    /// No hook at all.
    pub const NONE: Self = Self(0);
    /// `on_request`
    pub const REQUEST: Self = Self(1);
    /// `on_response`
    pub const RESPONSE: Self = Self(2);
    /// `on_chunk`
    pub const CHUNK: Self = Self(4);
    /// `on_end`
    pub const END: Self = Self(8);
    /// `on_request_head`
    pub const REQUEST_HEAD: Self = Self(16);

    /// Whether all hooks of `other` are among these.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any hook of `other` is among these.
    #[must_use]
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl BitOr for Hooks {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Where in the pipeline a stage makes sense; anything else is refused when the config is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On either side of `route`.
    Anywhere,
    /// Above `route`, where it sees an exchange once.
    AboveRoute,
    /// Below `route`, where it sees every attempt.
    BelowRoute,
}

/// How an exchange, or one attempt of it, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
#[non_exhaustive]
pub enum Outcome {
    /// Answered to the last byte.
    Ok = 1,
    /// The client left first.
    ClientClosed = 2,
    /// The client's request was at fault (4xx).
    ClientError = 3,
    /// A stage refused it.
    Rejected = 4,
    /// The upstream could not be reached, failed or answered wrongly.
    UpstreamError = 5,
    /// A time limit ran out.
    Timeout = 6,
    /// A fault of the gateway or of a stage.
    InternalError = 7,
}

impl Outcome {
    /// The outcome with this number, if this version knows it.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Ok,
            2 => Self::ClientClosed,
            3 => Self::ClientError,
            4 => Self::Rejected,
            5 => Self::UpstreamError,
            6 => Self::Timeout,
            7 => Self::InternalError,
            _ => return None,
        })
    }

    /// The name used in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientClosed => "client_closed",
            Self::ClientError => "client_error",
            Self::Rejected => "rejected",
            Self::UpstreamError => "upstream_error",
            Self::Timeout => "timeout",
            Self::InternalError => "internal_error",
        }
    }
}

/// One step of the pipeline. One object serves all exchanges; what belongs to one of them is its `State`.
///
/// Above `route` a stage is entered once for an exchange, below it once for every attempt; it is shown the head of the
/// request, then the request. For a stage that was entered, `on_end` runs exactly once, whatever way things went. Hooks never block: to wait, return [`Flow::Wait`].
pub trait Stage: Send + Sync + Sized + 'static {
    /// What `kind = "…"` says in the config.
    const KIND: &'static str;
    /// Where in the pipeline it makes sense.
    const PLACE: Place = Place::Anywhere;
    /// Its table in the config, less the keys that every stage has (`kind`, `when`, `on_error`, `mode`).
    /// Derive `Deserialize` with `deny_unknown_fields` and `JsonSchema`; doc comments become the reference.
    type Config: DeserializeOwned + JsonSchema;
    /// What it remembers of one exchange or attempt; `()` costs nothing.
    type State: Send + 'static;

    /// Makes the stage `name` from its table. `check` makes stages too: nothing may be asked of the host yet.
    fn new(name: &str, config: Self::Config, host: &Host) -> Result<Self, SetupError>;

    /// Takes over what `old` remembers: the stage of the same name and kind in the config that this one's replaces,
    /// whose table was another. A stage whose table has not changed is kept as it is and hears nothing.
    fn adopt(&self, _old: &Self) {}

    /// Where in the pipeline it makes sense with this table, where that is narrower than [`Stage::PLACE`].
    fn place(&self) -> Place {
        Self::PLACE
    }

    /// The hooks to call.
    fn hooks(&self) -> Hooks;

    /// Whether it works with what outlives a restart, such as tallies: that is then read before the first exchange comes.
    fn needs_store(&self) -> bool {
        false
    }

    /// The state of an exchange or attempt that is being entered.
    fn begin(&self) -> Self::State;

    /// The head of a request is there; its body has not been read, so that what is refused here costs the gateway
    /// nothing. There is no model, no body and no route yet, and the model cannot be set.
    ///
    /// Called once before `on_request` (more often where it waits), where [`Hooks::REQUEST_HEAD`] is among the hooks. The
    /// body is there already where the stage stands below `route`, where its `when` goes by the model, or where it stands
    /// below such a stage or one that has `on_request` and not this hook: stages hear of a request in pipeline order. A
    /// stage that only looks on in `on_request` should want this hook too, with nothing in it, so that it holds nobody up.
    ///
    /// What it comes back with means what it means from `on_request`. Where it refuses in shadow mode, or fails and
    /// `on_error = "skip"`, `on_request` follows nevertheless.
    fn on_request_head(
        &self,
        _state: &mut Self::State,
        _exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        Ok(Flow::Next)
    }

    /// The request is on its way in, and its body is there (or, of an upload, streams past later).
    fn on_request(
        &self,
        _state: &mut Self::State,
        _exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        Ok(Flow::Next)
    }

    /// The head of the reply is on its way out: an upstream's, a stage's or an error of the gateway.
    fn on_response(
        &self,
        _state: &mut Self::State,
        _exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        Ok(Flow::Next)
    }

    /// A piece of the reply is on its way out: of an event stream one whole event with its blank line,
    /// of a reply that is complete its whole body, of anything else the bytes as they came.
    fn on_chunk(
        &self,
        _state: &mut Self::State,
        _exchange: &mut dyn Exchange,
        _chunk: Chunk<'_>,
    ) -> Result<ChunkFlow, StageError> {
        Ok(ChunkFlow::Keep)
    }

    /// It is over.
    fn on_end(&self, _state: &mut Self::State, _exchange: &mut dyn Exchange, _outcome: Outcome) {}
}
