//! The view of one exchange that a stage is given: numbered fields, read and written as bytes.
//!
//! Fields are numbers rather than methods so that new data is a new constant, never a new function:
//! the same three calls stay enough on both sides of a plugin border.

/// What kind of call a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
#[non_exhaustive]
pub enum Endpoint {
    /// `POST /v1/chat/completions`
    Chat = 1,
    /// `POST /v1/completions`
    Completions = 2,
    /// `POST /v1/embeddings`
    Embeddings = 3,
    /// `POST /v1/responses`, stateless use
    Responses = 4,
    /// `GET /v1/models`
    Models = 5,
    /// Any other call that is passed on as it came (audio, images, moderations, files …).
    Forward = 6,
}

impl Endpoint {
    /// The name used in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Models => "models",
            Self::Forward => "forward",
        }
    }

    /// Whether the gateway reads this endpoint's JSON, as opposed to passing bytes on.
    #[must_use]
    pub const fn is_understood(self) -> bool {
        !matches!(self, Self::Forward)
    }

    /// The endpoint with this number, if this version knows it.
    #[must_use]
    pub const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Chat,
            2 => Self::Completions,
            3 => Self::Embeddings,
            4 => Self::Responses,
            5 => Self::Models,
            6 => Self::Forward,
            _ => return None,
        })
    }
}

/// What a cache had to do with a reply (RFC 9211 in one number).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
#[non_exhaustive]
pub enum CacheStatus {
    /// It was fetched for this exchange.
    Miss = 1,
    /// It was stored.
    Hit = 2,
    /// It was being fetched for another exchange, and was shared.
    Collapsed = 3,
    /// It was stored, and is older than it should be.
    Stale = 4,
    /// The request or its answer is none for a cache.
    Bypass = 5,
}

impl CacheStatus {
    /// The name used in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Miss => "miss",
            Self::Hit => "hit",
            Self::Collapsed => "collapsed",
            Self::Stale => "stale",
            Self::Bypass => "bypass",
        }
    }

    /// The status with this number, if this version knows it.
    #[must_use]
    pub const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::Miss,
            2 => Self::Hit,
            3 => Self::Collapsed,
            4 => Self::Stale,
            5 => Self::Bypass,
            _ => return None,
        })
    }

    /// Whether the exchange's own question reached no upstream.
    #[must_use]
    pub const fn is_shared(self) -> bool {
        matches!(self, Self::Hit | Self::Collapsed | Self::Stale)
    }
}

/// One piece of data of an exchange. Fields marked `[key]` are maps and want a key; the others ignore it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
#[non_exhaustive]
pub enum Field {
    /// Request method. Read only.
    Method = 1,
    /// Request path with its `/v1`, without the query. Read only.
    Path = 2,
    /// [`Endpoint`] as a number. Read only.
    Endpoint = 3,
    /// Model name asked for; absent until the body is read. Writable above `route` from then on; the route is then matched
    /// anew.
    Model = 4,
    /// Number: 1 where the client asked for a stream; absent until the body is read. Read only.
    Stream = 5,
    /// The exchange's id, as in `x-request-id`. Read only.
    RequestId = 6,
    /// Address of the client, without its port. Read only.
    PeerAddress = 7,
    /// Who is calling; absent until a stage has found out. Writable above `route`.
    CallerId = 8,
    /// The caller's team. Writable above `route`.
    CallerTeam = 9,
    /// `[key]` What else is known of the caller. Writable above `route`.
    CallerMeta = 10,
    /// SHA-256 of the key that the client presented, 32 bytes. Write only, above `route`: the host fills in the caller
    /// whose key it is, or says [`SetError::Unknown`] or [`SetError::Unavailable`].
    CallerKey = 11,
    /// Number: 0 where the caller may not ask for [`Field::Model`], else 1; absent until the body is read. Read only.
    ModelAllowed = 12,
    /// Globs over the models that the caller may ask for, one a line; absent where all are. Writable above `route`.
    CallerModels = 13,
    /// `1` where the client's own credential is to be sent on: only providers with `forward_auth = true` are asked
    /// then. Writable above `route`.
    ForwardsAuth = 14,
    /// `[key]` Header of the client's request, lower-case name. Writable above `route`.
    RequestHeader = 16,
    /// The request body, empty where it streams; absent until it is read. Read only.
    RequestBody = 17,
    /// `[key]` The raw JSON of one top-level member of the request body. Read only.
    RequestMember = 18,
    /// Name of the route. Read only; absent while none matches, and until the body is read.
    Route = 32,
    /// Name of the attempt's provider. Read only; below `route`.
    Provider = 33,
    /// Model name that the attempt asks its provider for. Read only; below `route`.
    TargetModel = 34,
    /// Number: which attempt of the exchange this is, from 1. Read only; below `route`.
    Attempt = 35,
    /// Number: milliseconds left of the exchange's deadline, or below `route` of the attempt's time where that ends
    /// sooner. Read only; absent while no route matches.
    DeadlineLeft = 37,
    /// `[key]` Header sent to the upstream: edits made here win over everything else. Below `route`.
    UpstreamHeader = 36,
    /// Number: status of the reply. Read only, from `on_response` on.
    ReplyStatus = 48,
    /// `[key]` Header of the reply. Writable in `on_response`.
    ReplyHeader = 49,
    /// Number: tokens of the prompt as the upstream counted them, once known. Read only.
    InputTokens = 64,
    /// Number: tokens of the answer as the upstream counted them, once known. Read only.
    OutputTokens = 65,
    /// Number: tokens of the prompt as estimated from the request's length; absent until the body is read. Read only.
    InputEstimate = 66,
    /// Number: tokens of the answer so far, as estimated from what has passed; absent while no upstream is being asked,
    /// and where all that were asked have failed. Read only.
    OutputEstimate = 67,
    /// Number: what the exchange has cost, in billionths of a US dollar, once an upstream has answered and where the
    /// model has a price. By the estimates where the upstream has not said what it used. Read only.
    Cost = 68,
    /// [`CacheStatus`] as a number; absent where no cache took part. Read only, from `on_response` on.
    CacheStatus = 69,
    /// Number: what a million tokens of the prompt cost, in billionths of a US dollar; above `route` at the first target.
    /// Absent where the model has no price. Read only.
    InputPrice = 70,
    /// Number: the same for the answer. Read only.
    OutputPrice = 71,
    /// `[key]` Free for stages to leave notes for each other. Writable; what an attempt wrote dies with it.
    Var = 80,
}

impl Field {
    /// The field with this number, if this version knows it.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Method,
            2 => Self::Path,
            3 => Self::Endpoint,
            4 => Self::Model,
            5 => Self::Stream,
            6 => Self::RequestId,
            7 => Self::PeerAddress,
            8 => Self::CallerId,
            9 => Self::CallerTeam,
            10 => Self::CallerMeta,
            11 => Self::CallerKey,
            12 => Self::ModelAllowed,
            13 => Self::CallerModels,
            14 => Self::ForwardsAuth,
            16 => Self::RequestHeader,
            17 => Self::RequestBody,
            18 => Self::RequestMember,
            32 => Self::Route,
            33 => Self::Provider,
            34 => Self::TargetModel,
            35 => Self::Attempt,
            36 => Self::UpstreamHeader,
            37 => Self::DeadlineLeft,
            48 => Self::ReplyStatus,
            49 => Self::ReplyHeader,
            64 => Self::InputTokens,
            65 => Self::OutputTokens,
            66 => Self::InputEstimate,
            67 => Self::OutputEstimate,
            68 => Self::Cost,
            69 => Self::CacheStatus,
            70 => Self::InputPrice,
            71 => Self::OutputPrice,
            80 => Self::Var,
            _ => return None,
        })
    }
}

/// Why a field could not be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum SetError {
    /// The field cannot be written here (or at all).
    ReadOnly = 1,
    /// The name or value is not valid for the field: a header with CR or LF, a name with a space.
    Invalid = 2,
    /// Nobody is known by this value.
    Unknown = 3,
    /// Whether somebody is known by this value cannot be told now.
    Unavailable = 4,
}

impl std::fmt::Display for SetError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "the field cannot be written here",
            Self::Invalid => "the name or value is not valid for the field",
            Self::Unknown => "nobody is known by this value",
            Self::Unavailable => "whether somebody is known by this value cannot be told now",
        })
    }
}

impl std::error::Error for SetError {}

/// One exchange as a stage sees it, valid inside a hook.
pub trait Exchange {
    /// A field's bytes, borrowed until the next `set`; `None` where it is absent or is a number.
    fn get(&self, field: Field, key: &str) -> Option<&[u8]>;

    /// A numeric field.
    fn number(&self, field: Field) -> Option<u64>;

    /// Sets a field, or removes it (`None`).
    fn set(&mut self, field: Field, key: &str, value: Option<&[u8]>) -> Result<(), SetError>;

    /// Calls `visit` with every key and value of a map field, until it returns false.
    fn each(&self, field: Field, visit: &mut dyn FnMut(&str, &[u8]) -> bool);
}

/// The same fields by name.
impl dyn Exchange + '_ {
    /// A text field; `None` where it is absent or not UTF-8.
    #[must_use]
    pub fn text(&self, field: Field, key: &str) -> Option<&str> {
        self.get(field, key)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// What kind of call this is.
    #[must_use]
    pub fn endpoint(&self) -> Option<Endpoint> {
        self.number(Field::Endpoint).and_then(Endpoint::from_number)
    }

    /// The model asked for; empty where the request names none.
    #[must_use]
    pub fn model(&self) -> &str {
        self.text(Field::Model, "").unwrap_or_default()
    }

    /// The id of the exchange.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.text(Field::RequestId, "").unwrap_or_default()
    }

    /// A header of the client's request, by its lower-case name.
    #[must_use]
    pub fn request_header(&self, name: &str) -> Option<&[u8]> {
        self.get(Field::RequestHeader, name)
    }

    /// What a cache had to do with the reply.
    #[must_use]
    pub fn cache_status(&self) -> Option<CacheStatus> {
        self.number(Field::CacheStatus)
            .and_then(CacheStatus::from_number)
    }

    /// Whether the client asked for a stream.
    #[must_use]
    pub fn is_stream(&self) -> bool {
        self.number(Field::Stream) == Some(1)
    }
}
