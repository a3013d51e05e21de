//! The C interface between millgate and its plugins, version 1.
//!
//! Rust authors use `millgate-plugin` and never see this; everybody else includes `millgate_plugin.h`, which is made
//! from this file.
//!
//! # Rules
//! 1. Only fixed-width integers, pointers and structs of them cross. What Rust would call an enum is a `u32`: a number
//!    that the other side does not know is never undefined behaviour.
//! 2. Memory never changes hands. A [`Slice`] is borrowed until the call that it is handed to returns; one that the host
//!    hands out through [`Host::get`] until the next [`Host::set`] or [`Host::emit`] returns. Whoever allocates frees.
//! 3. Structs only grow, at their end, and begin with their `size`. Of a struct that is shorter than the reader knows,
//!    the rest counts as zero. Every function pointer may be null unless it says *required*. A change of meaning
//!    is a new major version and a new symbol, `millgate_plugin_v2`.
//! 4. A stage or provider is shared by threads. What belongs to one exchange or attempt is its state, which is used by
//!    one thread at a time, but not always by the same.
//! 5. No function blocks, but [`ProviderType::answer`]. A stage that must wait takes a token and returns [`WAIT`].
//! 6. No panic, exception or `longjmp` leaves a function. A Rust plugin catches panics and returns [`PANICKED`].
//! 7. A plugin is loaded once and never unloaded.

#![no_std]
#![expect(
    unsafe_code,
    reason = "this is where plain data is said to be safe to share"
)]

use core::ffi::c_void;

/// `"MILLGATE"`, the first eight bytes of a manifest.
pub const MAGIC: u64 = 0x4554_4147_4c4c_494d;
const _: () = assert!(MAGIC == u64::from_le_bytes(*b"MILLGATE"));

/// The minor version that this file describes. It counts what was added since version 1.0.
pub const MINOR: u32 = 0;

/// The name of the one symbol that a plugin exports: a [`Manifest`].
pub const SYMBOL: &[u8] = b"millgate_plugin_v1\0";

/// Borrowed bytes. Texts are UTF-8 and have no zero at their end. `ptr` may be null where `len` is 0; in a value to set, a
/// null pointer means: remove.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// The first byte.
    pub ptr: *const u8,
    /// How many there are.
    pub len: usize,
}

/// One exchange, valid inside the hook that it is handed to.
pub struct Exchange {
    _opaque: [u8; 0],
}

/// The making of a stage or provider, valid inside `create`.
pub struct Setup {
    _opaque: [u8; 0],
}

/// What a function fills in: a schema, a request, a piece of an answer. Valid inside the function that it is handed to.
pub struct Output {
    _opaque: [u8; 0],
}

/// The reader of what a provider answers by itself, valid inside [`ProviderType::answer`].
pub struct Reader {
    _opaque: [u8; 0],
}

/// What a function comes back with.
pub type Status = u32;

/// Go on; done; keep the chunk.
pub const NEXT: Status = 0;
/// From `on_request_head`, `on_request` and `on_response`: the reply was set and emitted, this is it.
pub const REPLY: Status = 1;
/// Refused: [`Host::reject`] said how.
pub const REJECT: Status = 2;
/// From `on_request_head`, `on_request` and `on_response`: call the same hook again once the token is woken.
/// Where time runs out or the client leaves before that, another function of the stage is called next.
pub const WAIT: Status = 3;
/// From `on_chunk`: pass on what was emitted instead, each piece as a chunk of its own.
pub const REPLACE: Status = 4;
/// From `on_chunk`: pass nothing on.
pub const DROP: Status = 5;
/// It could not be done: [`Host::fail`] said why.
pub const FAILED: Status = 6;
/// The plugin panicked: [`Host::fail`] said with which words. The state is not used again, but freed.
pub const PANICKED: Status = 7;
/// From `on_head`: the body is in the OpenAI shape already.
pub const PASSTHROUGH: Status = 8;
/// From `on_head`: the body goes through `on_data`.
pub const DECODE: Status = 9;
/// From the host: the reader has left; stop.
pub const GONE: Status = 10;
/// From the host: the field cannot be written here.
pub const READ_ONLY: Status = 11;
/// From the host: the name or value is not valid for the field.
pub const INVALID: Status = 12;
/// From the host: nobody is known by this value.
pub const UNKNOWN: Status = 13;
/// From the host: whether somebody is known by this value cannot be told now.
pub const UNAVAILABLE: Status = 14;

// Fields of an exchange. New data is a new number, never a new function.

/// Text: request method.
pub const FIELD_METHOD: u32 = 1;
/// Text: request path with its `/v1`, without the query.
pub const FIELD_PATH: u32 = 2;
/// Number: see `MG_ENDPOINT_…`.
pub const FIELD_ENDPOINT: u32 = 3;
/// Text: model asked for; absent until the body is read. Writable above `route` from then on.
pub const FIELD_MODEL: u32 = 4;
/// Number: 1 where the client asked for a stream; absent until the body is read.
pub const FIELD_STREAM: u32 = 5;
/// Text: the exchange's id.
pub const FIELD_REQUEST_ID: u32 = 6;
/// Text: address of the client.
pub const FIELD_PEER_ADDRESS: u32 = 7;
/// Text: who is calling. Writable above `route`.
pub const FIELD_CALLER_ID: u32 = 8;
/// Text: the caller's team. Writable above `route`.
pub const FIELD_CALLER_TEAM: u32 = 9;
/// Text by key: what else is known of the caller. Writable above `route`.
pub const FIELD_CALLER_META: u32 = 10;
/// Bytes: SHA-256 of the key that the client presented. Write only, above `route`.
pub const FIELD_CALLER_KEY: u32 = 11;
/// Number: 0 where the caller may not ask for the model; absent until the body is read.
pub const FIELD_MODEL_ALLOWED: u32 = 12;
/// Text: globs over the models that the caller may ask for, one a line. Writable above `route`.
pub const FIELD_CALLER_MODELS: u32 = 13;
/// Text: `1` where the client's own credential is to be sent on. Writable above `route`.
pub const FIELD_FORWARDS_AUTH: u32 = 14;
/// Text by key: header of the client's request, lower-case name. Writable above `route`.
pub const FIELD_REQUEST_HEADER: u32 = 16;
/// Bytes: the request body, empty where it streams; absent until it is read.
pub const FIELD_REQUEST_BODY: u32 = 17;
/// Bytes by key: raw JSON of one top-level member of the request body.
pub const FIELD_REQUEST_MEMBER: u32 = 18;
/// Text: name of the route; absent until the body is read.
pub const FIELD_ROUTE: u32 = 32;
/// Text: name of the attempt's provider. Below `route`.
pub const FIELD_PROVIDER: u32 = 33;
/// Text: model that the attempt asks for. Below `route`.
pub const FIELD_TARGET_MODEL: u32 = 34;
/// Number: which attempt this is, from 1. Below `route`.
pub const FIELD_ATTEMPT: u32 = 35;
/// Text by key: header sent to the upstream; edits win over everything else. Below `route`.
pub const FIELD_UPSTREAM_HEADER: u32 = 36;
/// Number: milliseconds left of the exchange's deadline.
pub const FIELD_DEADLINE_LEFT: u32 = 37;
/// Number: status of the reply. In a reply of the stage's own, text: set it before [`REPLY`]; default 200.
pub const FIELD_REPLY_STATUS: u32 = 48;
/// Text by key: header of the reply. Writable in `on_response` and for a reply of the stage's own.
pub const FIELD_REPLY_HEADER: u32 = 49;
/// Number: tokens of the prompt, once known.
pub const FIELD_INPUT_TOKENS: u32 = 64;
/// Number: tokens of the answer, once known.
pub const FIELD_OUTPUT_TOKENS: u32 = 65;
/// Number: tokens of the prompt, estimated; absent until the body is read.
pub const FIELD_INPUT_ESTIMATE: u32 = 66;
/// Number: tokens of the answer so far, estimated.
pub const FIELD_OUTPUT_ESTIMATE: u32 = 67;
/// Number: cost in billionths of a US dollar, once known.
pub const FIELD_COST: u32 = 68;
/// Number: what a cache had to do with the reply: 1 miss, 2 hit, 3 collapsed, 4 stale, 5 bypass.
pub const FIELD_CACHE_STATUS: u32 = 69;
/// Number: what a million tokens of the prompt cost, in billionths of a US dollar.
pub const FIELD_INPUT_PRICE: u32 = 70;
/// Number: the same for the answer.
pub const FIELD_OUTPUT_PRICE: u32 = 71;
/// Bytes by key: notes that stages leave for each other.
pub const FIELD_VAR: u32 = 80;

// Kinds of calls.

/// `POST /v1/chat/completions`
pub const ENDPOINT_CHAT: u32 = 1;
/// `POST /v1/completions`
pub const ENDPOINT_COMPLETIONS: u32 = 2;
/// `POST /v1/embeddings`
pub const ENDPOINT_EMBEDDINGS: u32 = 3;
/// `POST /v1/responses`
pub const ENDPOINT_RESPONSES: u32 = 4;
/// `GET /v1/models`
pub const ENDPOINT_MODELS: u32 = 5;
/// Anything that is passed on as it came.
pub const ENDPOINT_FORWARD: u32 = 6;

// Hooks of a stage, as bits.

/// `on_request`
pub const HOOK_REQUEST: u32 = 1;
/// `on_response`
pub const HOOK_RESPONSE: u32 = 2;
/// `on_chunk`
pub const HOOK_CHUNK: u32 = 4;
/// `on_end`
pub const HOOK_END: u32 = 8;
/// `on_request_head`
pub const HOOK_REQUEST_HEAD: u32 = 16;

// Where in the pipeline a stage makes sense.

/// On either side of `route`.
pub const PLACE_ANYWHERE: u32 = 0;
/// Above `route`, where it sees an exchange once.
pub const PLACE_ABOVE_ROUTE: u32 = 1;
/// Below `route`, where it sees every attempt.
pub const PLACE_BELOW_ROUTE: u32 = 2;

// Kinds of refusals, which decide the HTTP status.

/// 400: the client must change the request.
pub const REFUSAL_INVALID_REQUEST: u32 = 1;
/// 401: the client is not known.
pub const REFUSAL_UNAUTHORIZED: u32 = 2;
/// 403: the client is known and may not.
pub const REFUSAL_FORBIDDEN: u32 = 3;
/// 404: there is no such thing.
pub const REFUSAL_NOT_FOUND: u32 = 4;
/// 422: content was refused.
pub const REFUSAL_UNPROCESSABLE: u32 = 5;
/// 429: later.
pub const REFUSAL_RATE_LIMITED: u32 = 6;
/// 500: a fault of the gateway. What a number that is not known counts as.
pub const REFUSAL_INTERNAL: u32 = 7;
/// 502: the upstream answered with something that it should not.
pub const REFUSAL_BAD_UPSTREAM: u32 = 8;
/// 503: not now.
pub const REFUSAL_UNAVAILABLE: u32 = 9;
/// 504: it took too long.
pub const REFUSAL_TIMEOUT: u32 = 10;
/// The target cannot serve this call; the next one is asked.
pub const REFUSAL_UNSUPPORTED: u32 = 11;

// How an exchange or attempt ended.

/// Answered to the last byte.
pub const OUTCOME_OK: u32 = 1;
/// The client left first.
pub const OUTCOME_CLIENT_CLOSED: u32 = 2;
/// The client's request was at fault.
pub const OUTCOME_CLIENT_ERROR: u32 = 3;
/// A stage refused it.
pub const OUTCOME_REJECTED: u32 = 4;
/// The upstream could not be reached, failed or answered wrongly.
pub const OUTCOME_UPSTREAM_ERROR: u32 = 5;
/// A time limit ran out.
pub const OUTCOME_TIMEOUT: u32 = 6;
/// A fault of the gateway or of a stage.
pub const OUTCOME_INTERNAL_ERROR: u32 = 7;

// Levels of log lines.

/// Something is broken.
pub const LEVEL_ERROR: u32 = 1;
/// Something is odd.
pub const LEVEL_WARN: u32 = 2;
/// Something happened.
pub const LEVEL_INFO: u32 = 3;
/// For whoever looks for a fault.
pub const LEVEL_DEBUG: u32 = 4;
/// Everything.
pub const LEVEL_TRACE: u32 = 5;

// Kinds of metrics.

/// A sum that only grows.
pub const METRIC_COUNTER: u32 = 1;
/// How often values were how large.
pub const METRIC_HISTOGRAM: u32 = 2;

// Bits of [`Manifest::flags`].

/// The plugin was built so that a panic ends the process. Such a plugin is refused.
pub const FLAG_PANIC_ABORTS: u32 = 1;

// Bits of [`ProviderType::flags`].

/// It answers by itself, through `answer`.
pub const PROVIDER_ANSWERS: u32 = 1;

// Bits of what [`ProviderType::features`] returns.

/// Its upstream understands `stream_options.include_usage`.
pub const FEATURE_INCLUDE_USAGE: u32 = 1;
/// Its upstream sends no bills: models have the prices that the config gives them, and no others.
pub const FEATURE_IS_FREE: u32 = 2;

/// A function that is told of the end of something that was asked of the host, once, from any thread, perhaps before the
/// function that it was handed to returns. The answer may be null, and is borrowed until it returns.
pub type Done = Option<unsafe extern "C" fn(user: *mut c_void, answer: *const HttpAnswer)>;

/// What a plugin is: the symbol `millgate_plugin_v1`, data, not a function. It is read before any code of the plugin runs.
#[repr(C)]
pub struct Manifest {
    /// [`MAGIC`]
    pub magic: u64,
    /// Size of this struct.
    pub size: u32,
    /// The [`MINOR`] that the plugin was built against.
    pub minor: u32,
    /// The smallest `minor` of a host that it can live with.
    pub min_host_minor: u32,
    /// See `MG_FLAG_…`.
    pub flags: u32,
    /// Its name, which `kind = "NAME/…"` begins with: letters, digits, `-` and `_`.
    pub name: Slice,
    /// Its version.
    pub version: Slice,
    /// What it was written with, for messages: `millgate-plugin 0.1.0`.
    pub sdk: Slice,
    /// Called once, before anything else. The host lives for ever. Returns [`NEXT`], or the plugin is refused.
    pub init: Option<unsafe extern "C" fn(host: *const Host) -> Status>,
    /// Its kinds of stages.
    pub stages: *const *const StageType,
    /// How many.
    pub stage_count: usize,
    /// Its kinds of providers.
    pub providers: *const *const ProviderType,
    /// How many.
    pub provider_count: usize,
}

// SAFETY: a manifest and all that it points to is constant.
unsafe impl Sync for Manifest {}

/// A kind of stage.
#[repr(C)]
pub struct StageType {
    /// Size of this struct.
    pub size: u32,
    /// Zero.
    pub reserved: u32,
    /// What `kind = "PLUGIN/NAME"` ends with.
    pub name: Slice,
    /// Writes the JSON Schema of its table in the config, less `kind`, `when`, `on_error` and `mode`, through
    /// [`Host::write`]. Without it anything goes, and `create` is the judge.
    pub schema: Option<unsafe extern "C" fn(output: *mut Output)>,
    /// Makes a stage from its name and its table as JSON. On [`FAILED`], [`Host::refuse`] has said what is wrong. Required.
    pub create: Option<
        unsafe extern "C" fn(
            setup: *mut Setup,
            name: Slice,
            config: Slice,
            stage: *mut *mut c_void,
        ) -> Status,
    >,
    /// Frees a stage. Required.
    pub destroy: Option<unsafe extern "C" fn(stage: *mut c_void)>,
    /// The hooks to call, see `MG_HOOK_…`. Required.
    pub hooks: Option<unsafe extern "C" fn(stage: *const c_void) -> u32>,
    /// Where in the pipeline it makes sense with its table, see `MG_PLACE_…`. Without it anywhere.
    pub place: Option<unsafe extern "C" fn(stage: *const c_void) -> u32>,
    /// 1 where it works with what outlives a restart, such as sums: that is then read before the first exchange comes.
    /// Without it 0.
    pub needs_store: Option<unsafe extern "C" fn(stage: *const c_void) -> u32>,
    /// Takes over what a stage of the same kind and image remembers, which is being replaced.
    pub adopt: Option<unsafe extern "C" fn(stage: *const c_void, old: *const c_void)>,
    /// The state of an exchange or attempt that is entered; may be null. Without it there is none.
    pub begin: Option<unsafe extern "C" fn(stage: *const c_void) -> *mut c_void>,
    /// The head of a request is there, its body has not been read: [`NEXT`], [`REPLY`], [`REJECT`], [`WAIT`], [`FAILED`]
    /// or [`PANICKED`]. Called before `on_request`, where [`HOOK_REQUEST_HEAD`] is among the hooks.
    pub on_request_head: Hook,
    /// The request is on its way in, and its body is there: the same.
    pub on_request: Hook,
    /// The head of the reply is on its way out: the same.
    pub on_response: Hook,
    /// A piece of the reply is on its way out: [`NEXT`], [`REPLACE`], [`DROP`], [`FAILED`] or [`PANICKED`].
    pub on_chunk: Option<
        unsafe extern "C" fn(
            stage: *const c_void,
            state: *mut c_void,
            exchange: *mut Exchange,
            chunk: Slice,
        ) -> Status,
    >,
    /// It is over, see `MG_OUTCOME_…`: [`NEXT`], [`FAILED`] or [`PANICKED`].
    pub on_end: Option<
        unsafe extern "C" fn(
            stage: *const c_void,
            state: *mut c_void,
            exchange: *mut Exchange,
            outcome: u32,
        ) -> Status,
    >,
    /// Frees a state, once. Not called where `begin` is null.
    pub end: Option<unsafe extern "C" fn(state: *mut c_void)>,
}

// SAFETY: a type and all that it points to is constant.
unsafe impl Sync for StageType {}

/// A hook without further arguments.
pub type Hook = Option<
    unsafe extern "C" fn(
        stage: *const c_void,
        state: *mut c_void,
        exchange: *mut Exchange,
    ) -> Status,
>;

/// A call for a provider, in the OpenAI shape.
#[repr(C)]
pub struct Call {
    /// Size of this struct.
    pub size: u32,
    /// See `MG_ENDPOINT_…`.
    pub endpoint: u32,
    /// HTTP method of the client's request.
    pub method: Slice,
    /// Path after `/v1`, with its leading slash.
    pub path: Slice,
    /// Query without the `?`; null where there is none.
    pub query: Slice,
    /// The model to ask for; empty where the call has none.
    pub model: Slice,
    /// 1 where the answer is to be streamed.
    pub stream: u32,
    /// Zero.
    pub reserved: u32,
    /// The body; empty where there is none or where it streams past.
    pub body: Slice,
    /// The id of the exchange.
    pub request_id: Slice,
    /// Seconds since the epoch at the start of the exchange.
    pub created: u64,
}

// What to send upstream: see `Host::request`.

/// HTTP method; the client's where it is not set.
pub const REQUEST_METHOD: u32 = 1;
/// Path below the provider's base URL, with its leading slash.
pub const REQUEST_PATH: u32 = 2;
/// Query without the `?`.
pub const REQUEST_QUERY: u32 = 3;
/// By key: a header beside those that the host sets.
pub const REQUEST_HEADER: u32 = 4;
/// The body; the call's own, untouched, where it is not set.
pub const REQUEST_BODY: u32 = 5;

/// A kind of provider: a codec between the OpenAI shape and what an upstream speaks.
#[repr(C)]
pub struct ProviderType {
    /// Size of this struct.
    pub size: u32,
    /// See `MG_PROVIDER_…`.
    pub flags: u32,
    /// What `kind = "PLUGIN/NAME"` ends with.
    pub name: Slice,
    /// Writes the JSON Schema of its table in the config, less the keys that every provider has, through [`Host::write`].
    /// Without it anything goes, and `create` is the judge.
    pub schema: Option<unsafe extern "C" fn(output: *mut Output)>,
    /// The path that belongs to every base URL, such as `/v1`.
    pub base_path: Slice,
    /// Makes a provider from its name and its table as JSON. On [`FAILED`], [`Host::refuse`] has said what is wrong. Required.
    pub create: Option<
        unsafe extern "C" fn(
            setup: *mut Setup,
            name: Slice,
            config: Slice,
            provider: *mut *mut c_void,
        ) -> Status,
    >,
    /// Frees a provider. Required.
    pub destroy: Option<unsafe extern "C" fn(provider: *mut c_void)>,
    /// What its upstream understands, see `MG_FEATURE_…`. Without it nothing.
    pub features: Option<unsafe extern "C" fn(provider: *const c_void) -> u32>,
    /// 1 where it can serve an endpoint. Required.
    pub serves: Option<unsafe extern "C" fn(provider: *const c_void, endpoint: u32) -> u32>,
    /// The state of an attempt that begins; may be null.
    pub begin: Option<unsafe extern "C" fn(provider: *const c_void) -> *mut c_void>,
    /// What to send for a call: fills in `output` through [`Host::request`]. Required, unless it answers by itself.
    pub encode: Option<
        unsafe extern "C" fn(
            provider: *const c_void,
            state: *mut c_void,
            call: *const Call,
            output: *mut Output,
        ) -> Status,
    >,
    /// What to do with the body of a 2xx reply: [`PASSTHROUGH`], also where this is null, or [`DECODE`].
    pub on_head: Option<
        unsafe extern "C" fn(
            provider: *const c_void,
            state: *mut c_void,
            status: u32,
            content_type: Slice,
        ) -> Status,
    >,
    /// The next bytes of the body, cut anywhere; writes what they mean through [`Host::write`]. `end` is 1 in the last
    /// call, which may bring no bytes.
    pub on_data: Option<
        unsafe extern "C" fn(
            provider: *const c_void,
            state: *mut c_void,
            data: Slice,
            end: u32,
            output: *mut Output,
        ) -> Status,
    >,
    /// What an error reply means: [`REJECT`] after [`Host::reject_output`], or [`NEXT`], which leaves it to the host.
    pub on_error: Option<
        unsafe extern "C" fn(
            provider: *const c_void,
            status: u32,
            body: Slice,
            output: *mut Output,
        ) -> Status,
    >,
    /// Answers a call without a network, on a thread of its own that may block.
    pub answer: Option<
        unsafe extern "C" fn(
            provider: *const c_void,
            call: *const Call,
            reader: *mut Reader,
            output: *mut Output,
        ) -> Status,
    >,
    /// Frees a state, once. Not called where `begin` is null.
    pub end: Option<unsafe extern "C" fn(state: *mut c_void)>,
}

// SAFETY: a type and all that it points to is constant.
unsafe impl Sync for ProviderType {}

/// How something is refused.
#[repr(C)]
pub struct Refusal {
    /// Size of this struct.
    pub size: u32,
    /// See `MG_REFUSAL_…`.
    pub kind: u32,
    /// When it is worth trying again, in milliseconds; 0 where that is not known.
    pub retry_after: u64,
    /// What happened and what to do next, for the client.
    pub message: Slice,
    /// `error.code`; empty for the kind's own.
    pub code: Slice,
    /// `error.param`; empty for none.
    pub param: Slice,
    /// `error.type`; empty for the kind's own.
    pub error_type: Slice,
}

/// An HTTP request that the host makes for a plugin.
#[repr(C)]
pub struct HttpCall {
    /// Size of this struct.
    pub size: u32,
    /// How long it may take as a whole, in milliseconds.
    pub timeout: u32,
    /// The most that is read of the answer's body, in bytes.
    pub max_body: u64,
    /// `GET`, `POST` …
    pub method: Slice,
    /// Absolute, `http` or `https`.
    pub url: Slice,
    /// Headers as `name: value` lines, each ended by a line feed.
    pub headers: Slice,
    /// The body.
    pub body: Slice,
}

/// The answer to an [`HttpCall`].
#[repr(C)]
pub struct HttpAnswer {
    /// Size of this struct.
    pub size: u32,
    /// HTTP status; 0 where there is no answer.
    pub status: u32,
    /// Why there is none, for a log.
    pub error: Slice,
    /// Headers as `name: value` lines, each ended by a line feed.
    pub headers: Slice,
    /// The whole body.
    pub body: Slice,
}

/// What the host does for a plugin. Every function may be called from any thread, unless it takes an [`Exchange`],
/// [`Setup`], [`Output`] or [`Reader`].
#[repr(C)]
pub struct Host {
    /// Size of this struct.
    pub size: u32,
    /// The [`MINOR`] of the host.
    pub minor: u32,
    /// A field's bytes into `value`; 1 where there are any, 0 where it is absent or a number.
    pub get: Option<
        unsafe extern "C" fn(
            exchange: *const Exchange,
            field: u32,
            key: Slice,
            value: *mut Slice,
        ) -> u32,
    >,
    /// A numeric field into `value`; 1 where there is one.
    pub number:
        Option<unsafe extern "C" fn(exchange: *const Exchange, field: u32, value: *mut u64) -> u32>,
    /// Sets a field, or removes it (null): [`NEXT`], [`READ_ONLY`], [`INVALID`] or [`UNKNOWN`].
    pub set: Option<
        unsafe extern "C" fn(
            exchange: *mut Exchange,
            field: u32,
            key: Slice,
            value: Slice,
        ) -> Status,
    >,
    /// Calls `visit` with every key and value of a map field until it returns 0.
    pub each: Option<
        unsafe extern "C" fn(
            exchange: *const Exchange,
            field: u32,
            visit: Option<unsafe extern "C" fn(user: *mut c_void, key: Slice, value: Slice) -> u32>,
            user: *mut c_void,
        ),
    >,
    /// Adds to the body of the stage's own reply, or a piece to what replaces a chunk.
    pub emit: Option<unsafe extern "C" fn(exchange: *mut Exchange, bytes: Slice)>,
    /// Says how the exchange is refused; then return [`REJECT`].
    pub reject: Option<unsafe extern "C" fn(exchange: *mut Exchange, refusal: *const Refusal)>,
    /// Says why it could not be done, for the log; then return [`FAILED`].
    pub fail: Option<unsafe extern "C" fn(exchange: *mut Exchange, message: Slice)>,
    /// A token for this exchange; then return [`WAIT`]. Every call of a hook that waits takes one anew. 0 where this is no
    /// place to wait.
    pub token: Option<unsafe extern "C" fn(exchange: *mut Exchange) -> u64>,
    /// Wakes whoever waits for a token. One that was woken already, or whose exchange has ended, is none: nothing happens.
    pub wake: Option<unsafe extern "C" fn(token: u64)>,
    /// Says what is wrong with a table; then return [`FAILED`]. `path` is a JSON array of keys from the table down to the
    /// value at fault; empty for the table itself.
    pub refuse: Option<unsafe extern "C" fn(setup: *mut Setup, path: Slice, message: Slice)>,
    /// Sets a part of the request to be sent, see `MG_REQUEST_…`.
    pub request: Option<
        unsafe extern "C" fn(output: *mut Output, part: u32, key: Slice, value: Slice) -> Status,
    >,
    /// Adds bytes: of a schema, or in the OpenAI shape of an answer (of a stream whole events, else the JSON document).
    pub write: Option<unsafe extern "C" fn(output: *mut Output, bytes: Slice)>,
    /// Says how a call is refused; then return [`REJECT`].
    pub reject_output: Option<unsafe extern "C" fn(output: *mut Output, refusal: *const Refusal)>,
    /// Hands bytes in the OpenAI shape to the reader; blocks while it is slow. [`NEXT`] or [`GONE`].
    pub send: Option<unsafe extern "C" fn(reader: *mut Reader, bytes: Slice) -> Status>,
    /// Waits so many milliseconds: [`NEXT`], or early [`GONE`].
    pub pause: Option<unsafe extern "C" fn(reader: *mut Reader, millis: u64) -> Status>,
    /// Whether lines of this level and target are written at all: 1 or 0.
    pub logs: Option<unsafe extern "C" fn(level: u32, target: Slice) -> u32>,
    /// Writes a log line.
    pub log: Option<unsafe extern "C" fn(level: u32, target: Slice, message: Slice)>,
    /// A handle to a metric: its name becomes `millgate_plugin_NAME`; `labels` is a JSON object of texts. Ask once, not for
    /// every exchange. 0 where it is refused.
    pub metric: Option<unsafe extern "C" fn(kind: u32, name: Slice, labels: Slice) -> u64>,
    /// Adds to a counter, or a value to a histogram.
    pub record: Option<unsafe extern "C" fn(metric: u64, value: f64)>,
    /// Makes an HTTP call in the background; `done` is told of its answer, also of a call that is no good.
    pub call: Option<unsafe extern "C" fn(call: *const HttpCall, done: Done, user: *mut c_void)>,
    /// Calls `done`, without an answer, after so many milliseconds.
    pub timer: Option<unsafe extern "C" fn(millis: u64, done: Done, user: *mut c_void)>,
    /// A handle to the sum under `key`, which outlives a restart.
    pub tally: Option<unsafe extern "C" fn(key: Slice) -> u64>,
    /// Adds to a sum and returns it; 0 only reads it.
    pub tally_add: Option<unsafe extern "C" fn(tally: u64, amount: i64) -> i64>,
    /// 1 where the stage that is being made is in shadow mode: its refusals are passed over, and it must not hold anything
    /// up by itself either. Else 0.
    pub shadow: Option<unsafe extern "C" fn(setup: *const Setup) -> u32>,
}
