//! What a plugin may call on: the host's side of the C interface.

mod services;

use std::{borrow::Cow, ffi::c_void, time::Duration};

use bytes::Bytes;
use millgate_plugin::{
    Answer, Exchange, Field, Gone, Refusal, RefusalKind, Reply, SetError, SetupError,
    UpstreamRequest, border::abi,
};
use smallvec::SmallVec;

use super::{
    slices::{NOTHING, bytes, is_sound, sized, slice, text},
    token::Token,
    watch::{self, Plugin},
};

pub use services::serve;

/// The table that every plugin is given.
pub static TABLE: abi::Host = abi::Host {
    size: size_of::<abi::Host>() as u32,
    minor: abi::MINOR,
    get: Some(get),
    number: Some(number),
    set: Some(set),
    each: Some(each),
    emit: Some(emit),
    reject: Some(reject),
    fail: Some(fail),
    token: Some(token),
    wake: Some(services::wake),
    refuse: Some(refuse),
    request: Some(request),
    write: Some(write),
    reject_output: Some(reject_output),
    send: Some(send),
    pause: Some(pause),
    logs: Some(services::logs),
    log: Some(services::log),
    metric: Some(services::metric),
    record: Some(services::record),
    call: Some(services::call),
    timer: Some(services::timer),
    tally: Some(services::tally),
    tally_add: Some(services::tally_add),
    shadow: Some(shadow),
};

/// Which hook it is, as far as what it may do depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// On the way in: it may answer, refuse and wait.
    Request,
    /// On the way out: the same, and it may change the reply that is there.
    Response,
    /// It may change a piece of the reply.
    Chunk,
    /// It is over.
    End,
}

/// An exchange inside a hook: what `MgExchange` points to.
pub struct Hook<'a> {
    exchange: &'a mut dyn Exchange,
    phase: Phase,
    /// Whether a visitor of [`each`] is running, which reads what must not change meanwhile.
    is_visiting: bool,
    /// Status and headers of a reply of the stage's own.
    reply: Option<Reply>,
    /// What was emitted, piece by piece.
    pub(super) emitted: Pieces,
    /// How the exchange is refused.
    pub(super) refusal: Option<Refusal>,
    /// Why it could not be done.
    pub(super) failure: Option<String>,
    /// Where it waits.
    pub(super) token: Option<Token>,
}

/// Mostly a piece takes the place of one.
pub(super) type Pieces = SmallVec<[Bytes; 1]>;

impl<'a> Hook<'a> {
    #[inline]
    pub(super) fn new(exchange: &'a mut dyn Exchange, phase: Phase) -> Self {
        Self {
            exchange,
            phase,
            is_visiting: false,
            reply: None,
            emitted: SmallVec::new(),
            refusal: None,
            failure: None,
            token: None,
        }
    }

    /// The pointer that a plugin is given.
    #[inline]
    pub(super) fn as_ptr(&mut self) -> *mut abi::Exchange {
        std::ptr::from_mut(self).cast()
    }

    /// What the plugin has said that only counts together with another status than [`abi::NEXT`].
    #[inline]
    pub(super) fn said(&self) -> Option<&'static str> {
        match () {
            () if !self.emitted.is_empty() => Some("emitted something"),
            () if self.reply.is_some() => Some("began a reply"),
            () if self.refusal.is_some() => Some("said how it refuses"),
            () if self.failure.is_some() => Some("said why it failed"),
            () => None,
        }
    }

    /// The reply that the stage has made; `None` where it has set and emitted nothing.
    pub(super) fn take_reply(&mut self) -> Option<Reply> {
        if self.reply.is_none() && self.emitted.is_empty() {
            return None;
        }
        let mut reply = self.reply.take().unwrap_or_else(own_reply);
        reply.body = join(std::mem::take(&mut self.emitted));
        Some(reply)
    }

    /// Whether a header of a reply is one of the stage's own: before there is a reply, and where it has begun one.
    fn is_own_reply(&self) -> bool {
        self.phase == Phase::Request || self.reply.is_some()
    }

    fn get(&self, field: Field, key: &str) -> Option<&[u8]> {
        match &self.reply {
            Some(reply) if field == Field::ReplyHeader => {
                let mut headers = reply.headers.iter();
                let found = headers.find(|(name, _)| name.eq_ignore_ascii_case(key))?;
                Some(found.1.as_bytes())
            }
            _ => self.exchange.get(field, key),
        }
    }

    fn set(&mut self, field: Field, key: &str, value: Option<&[u8]>) -> Result<(), SetError> {
        if self.is_visiting {
            return Err(SetError::ReadOnly);
        }
        let may_reply = matches!(self.phase, Phase::Request | Phase::Response);
        match field {
            Field::ReplyStatus if may_reply => self.set_status(value),
            Field::ReplyHeader if may_reply && self.is_own_reply() => self.set_header(key, value),
            _ => self.exchange.set(field, key, value),
        }
    }

    /// The status of a reply of the stage's own.
    fn set_status(&mut self, value: Option<&[u8]>) -> Result<(), SetError> {
        let text = value.and_then(|value| std::str::from_utf8(value).ok());
        let status = text.and_then(|text| text.parse().ok());
        let status = status
            .filter(|status| (200..=599).contains(status))
            .ok_or(SetError::Invalid)?;
        self.reply.get_or_insert_with(own_reply).status = status;
        Ok(())
    }

    /// A header of a reply of the stage's own.
    fn set_header(&mut self, key: &str, value: Option<&[u8]>) -> Result<(), SetError> {
        let name = http::HeaderName::from_bytes(key.as_bytes()).map_err(|_| SetError::Invalid)?;
        let text = value
            .map(std::str::from_utf8)
            .transpose()
            .map_err(|_| SetError::Invalid)?;
        if text.is_some_and(|text| http::HeaderValue::from_str(text).is_err()) {
            return Err(SetError::Invalid);
        }
        let reply = self.reply.get_or_insert_with(own_reply);
        reply.headers.retain(|(known, _)| known != name.as_str());
        if let Some(text) = text {
            let name = Cow::Owned(name.as_str().to_owned());
            reply.headers.push((name, text.to_owned()));
        }
        Ok(())
    }
}

const fn own_reply() -> Reply {
    Reply {
        status: 200,
        headers: Vec::new(),
        body: Bytes::new(),
    }
}

/// Pieces as one.
fn join(mut pieces: Pieces) -> Bytes {
    match pieces.len() {
        0 => Bytes::new(),
        1 => pieces.swap_remove(0),
        _ => pieces.concat().into(),
    }
}

/// What a codec fills in: what `MgOutput` points to.
#[derive(Default)]
pub struct Output {
    /// What was written.
    pub(super) bytes: Vec<u8>,
    /// What is to be sent.
    pub(super) request: UpstreamRequest,
    /// How the call is refused.
    pub(super) refusal: Option<Refusal>,
}

impl Output {
    /// What was written, as text; `None` where it is none.
    pub(super) fn into_text(self) -> Option<String> {
        String::from_utf8(self.bytes)
            .ok()
            .filter(|text| !text.is_empty())
    }

    /// The pointer that a plugin is given.
    pub(super) fn as_ptr(&mut self) -> *mut abi::Output {
        std::ptr::from_mut(self).cast()
    }
}

/// The making of a stage or provider: what `MgSetup` points to.
#[derive(Default)]
pub struct Setup {
    /// What is wrong with its table.
    pub(super) error: Option<SetupError>,
    /// Whether it is a stage in shadow mode.
    pub(super) is_shadow: bool,
}

/// Makes a stage or a provider.
type Create = Option<
    unsafe extern "C" fn(*mut abi::Setup, abi::Slice, abi::Slice, *mut *mut c_void) -> abi::Status,
>;

impl Setup {
    /// What `create` makes of a table, which is not null.
    pub(super) fn create(
        mut self,
        plugin: &'static Plugin,
        create: Create,
        name: &str,
        config_json: &str,
    ) -> Result<*mut c_void, SetupError> {
        let whole_table = |message: String| SetupError::at([""; 0], message);
        let Some(create) = create else {
            return Err(whole_table("the plugin has no way to make it".to_owned()));
        };
        let mut made = std::ptr::null_mut();
        let (name, config) = (slice(name.as_bytes()), slice(config_json.as_bytes()));
        // It may take its time: no exchange waits for it.
        let running = watch::enter_at_leisure(plugin);
        // SAFETY: all of it is valid for the time of the call.
        let status = unsafe { create(self.as_ptr(), name, config, &raw mut made) };
        drop(running);
        let said = self.error.take();
        match status {
            abi::NEXT if !made.is_null() => return Ok(made),
            abi::PANICKED => {
                let why = said.as_ref().map_or("", |error| &error.message);
                plugin.panicked(why);
            }
            _ => plugin.failed(),
        }
        Err(match status {
            abi::NEXT => {
                whole_table("the plugin says that it has made it, but there is nothing".to_owned())
            }
            abi::FAILED | abi::PANICKED => said.unwrap_or_else(|| {
                whole_table("the plugin could not make it, and did not say why".to_owned())
            }),
            status => whole_table(format!(
                "the plugin could not make it: `create` came back with status {status}, which means nothing there"
            )),
        })
    }

    /// The pointer that a plugin is given.
    pub(super) fn as_ptr(&mut self) -> *mut abi::Setup {
        std::ptr::from_mut(self).cast()
    }
}

/// The reader of an answer: what `MgReader` points to.
pub struct Reader<'a> {
    answer: &'a mut dyn Answer,
    /// Whether it has left: it does not come back.
    is_gone: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(answer: &'a mut dyn Answer) -> Self {
        Self {
            answer,
            is_gone: false,
        }
    }

    /// Passes something on to the reader, unless it has left.
    fn pass(&mut self, pass: impl FnOnce(&mut dyn Answer) -> Result<(), Gone>) -> abi::Status {
        self.is_gone = self.is_gone || pass(self.answer).is_err();
        if self.is_gone { abi::GONE } else { abi::NEXT }
    }

    /// The pointer that a plugin is given.
    pub(super) fn as_ptr(&mut self) -> *mut abi::Reader {
        std::ptr::from_mut(self).cast()
    }
}

/// The hook behind a pointer that a plugin hands back; `None` where it is null.
///
/// # Safety
/// It is null, or what the plugin was given for the hook that is still running, on its thread.
unsafe fn hook<'a>(exchange: *mut abi::Exchange) -> Option<&'a mut Hook<'a>> {
    // SAFETY: as the caller vouches for.
    unsafe { exchange.cast::<Hook<'a>>().as_mut() }
}

unsafe extern "C" fn get(
    exchange: *const abi::Exchange,
    field: u32,
    key: abi::Slice,
    value: *mut abi::Slice,
) -> u32 {
    // SAFETY: the plugin hands back what it was given, inside its hook; the key is borrowed.
    let (hook, key) = unsafe { (hook(exchange.cast_mut()), text(key)) };
    let (Some(hook), Some(field), Some(key)) = (hook, Field::from_number(field), key) else {
        return 0;
    };
    let found = hook.get(field, key);
    if !value.is_null() {
        // SAFETY: not null; the plugin's own.
        unsafe { value.write(found.map_or(NOTHING, slice)) };
    }
    u32::from(found.is_some())
}

unsafe extern "C" fn number(exchange: *const abi::Exchange, field: u32, value: *mut u64) -> u32 {
    // SAFETY: the plugin hands back what it was given, inside its hook.
    let hook = unsafe { hook(exchange.cast_mut()) };
    let (Some(hook), Some(field)) = (hook, Field::from_number(field)) else {
        return 0;
    };
    let Some(found) = hook.exchange.number(field) else {
        return 0;
    };
    if !value.is_null() {
        // SAFETY: not null; the plugin's own.
        unsafe { value.write(found) };
    }
    1
}

unsafe extern "C" fn set(
    exchange: *mut abi::Exchange,
    field: u32,
    key: abi::Slice,
    value: abi::Slice,
) -> abi::Status {
    // SAFETY: the plugin hands back what it was given, inside its hook; key and value are borrowed.
    let (hook, key, bytes) = unsafe { (hook(exchange), text(key), bytes(value)) };
    let (Some(hook), Some(field)) = (hook, Field::from_number(field)) else {
        return abi::READ_ONLY;
    };
    let (Some(key), true) = (key, is_sound(value)) else {
        return abi::INVALID;
    };
    match hook.set(field, key, bytes) {
        Ok(()) => abi::NEXT,
        Err(SetError::ReadOnly) => abi::READ_ONLY,
        Err(SetError::Invalid) => abi::INVALID,
        Err(SetError::Unknown) => abi::UNKNOWN,
        Err(SetError::Unavailable) => abi::UNAVAILABLE,
    }
}

unsafe extern "C" fn each(
    exchange: *const abi::Exchange,
    field: u32,
    visit: Option<unsafe extern "C" fn(*mut c_void, abi::Slice, abi::Slice) -> u32>,
    user: *mut c_void,
) {
    // SAFETY: the plugin hands back what it was given, inside its hook.
    let hook = unsafe { hook(exchange.cast_mut()) };
    let (Some(hook), Some(field), Some(visit)) = (hook, Field::from_number(field), visit) else {
        return;
    };
    let was_visiting = std::mem::replace(&mut hook.is_visiting, true);
    // The visitor may come back here for other fields: nothing of `hook` is held meanwhile but what it points to.
    let fields: *const dyn Exchange = &raw const *hook.exchange;
    // SAFETY: it outlives the hook, and while `is_visiting` nobody writes to it.
    unsafe { &*fields }.each(field, &mut |key, value| {
        // SAFETY: the visitor and its data are the plugin's, which is still inside this call.
        unsafe { visit(user, slice(key.as_bytes()), slice(value)) != 0 }
    });
    // SAFETY: as at the beginning.
    if let Some(hook) = unsafe { self::hook(exchange.cast_mut()) } {
        hook.is_visiting = was_visiting;
    }
}

unsafe extern "C" fn emit(exchange: *mut abi::Exchange, piece: abi::Slice) {
    // SAFETY: the plugin hands back what it was given, inside its hook; the bytes are borrowed.
    if let (Some(hook), Some(piece)) = unsafe { (hook(exchange), bytes(piece)) } {
        hook.emitted.push(Bytes::copy_from_slice(piece));
    }
}

unsafe extern "C" fn reject(exchange: *mut abi::Exchange, refusal: *const abi::Refusal) {
    // SAFETY: the plugin hands back what it was given, inside its hook; the refusal is borrowed.
    if let Some(hook) = unsafe { hook(exchange) } {
        // SAFETY: as above.
        hook.refusal = unsafe { refusal_of(refusal) };
    }
}

unsafe extern "C" fn fail(exchange: *mut abi::Exchange, message: abi::Slice) {
    // SAFETY: the plugin hands back what it was given, inside its hook; the text is borrowed.
    if let (Some(hook), Some(message)) = unsafe { (hook(exchange), bytes(message)) } {
        hook.failure = Some(String::from_utf8_lossy(message).into_owned());
    }
}

unsafe extern "C" fn token(exchange: *mut abi::Exchange) -> u64 {
    // SAFETY: the plugin hands back what it was given, inside its hook.
    match unsafe { hook(exchange) } {
        Some(hook) if matches!(hook.phase, Phase::Request | Phase::Response) => {
            hook.token.get_or_insert_default().number()
        }
        _ => 0,
    }
}

/// A refusal, copied.
///
/// # Safety
/// The pointer is null, or a refusal that begins with its size.
unsafe fn refusal_of(refusal: *const abi::Refusal) -> Option<Refusal> {
    if refusal.is_null() {
        return None;
    }
    // SAFETY: not null; it begins with its size, and its texts are borrowed for the call.
    let (refusal, message, code, error_type, param) = unsafe {
        let refusal = sized(refusal, refusal.cast::<u32>().read());
        let (message, code) = (owned(refusal.message), owned(refusal.code));
        let (error_type, param) = (owned(refusal.error_type), owned(refusal.param));
        (refusal, message, code, error_type, param)
    };
    let kind = RefusalKind::from_number(refusal.kind).unwrap_or(RefusalKind::Internal);
    let after = Duration::from_millis(refusal.retry_after).min(LONGEST_RETRY);
    Some(Refusal {
        kind,
        message: message.unwrap_or(Cow::Borrowed("The request was refused.")),
        code,
        error_type,
        param,
        retry_after: (!after.is_zero()).then_some(after),
    })
}

/// Longer than anybody waits, and short enough to be added to any time.
const LONGEST_RETRY: Duration = Duration::from_secs(365 * 24 * 3600);

/// A text, copied; `None` where it is empty, or no text.
///
/// # Safety
/// As for [`bytes`].
unsafe fn owned(slice: abi::Slice) -> Option<Cow<'static, str>> {
    // SAFETY: as the caller vouches for.
    unsafe { text(slice) }
        .filter(|text| !text.is_empty())
        .map(|text| Cow::Owned(text.to_owned()))
}

unsafe extern "C" fn refuse(setup: *mut abi::Setup, path: abi::Slice, message: abi::Slice) {
    // SAFETY: the plugin hands back what it was given, inside `create`; the texts are borrowed.
    let (setup, path, message) =
        unsafe { (setup.cast::<Setup>().as_mut(), bytes(path), bytes(message)) };
    if let Some(setup) = setup {
        let path = path.and_then(|path| serde_json::from_slice::<Vec<String>>(path).ok());
        setup.error = Some(SetupError {
            path: path.unwrap_or_default(),
            message: String::from_utf8_lossy(message.unwrap_or_default()).into_owned(),
        });
    }
}

unsafe extern "C" fn shadow(setup: *const abi::Setup) -> u32 {
    // SAFETY: the plugin hands back what it was given, inside `create`.
    let setup = unsafe { setup.cast::<Setup>().as_ref() };
    u32::from(setup.is_some_and(|setup| setup.is_shadow))
}

unsafe extern "C" fn request(
    output: *mut abi::Output,
    part: u32,
    key: abi::Slice,
    value: abi::Slice,
) -> abi::Status {
    // SAFETY: the plugin hands back what it was given, inside `encode`; key and value are borrowed.
    let (output, key, value) =
        unsafe { (output.cast::<Output>().as_mut(), text(key), bytes(value)) };
    let (Some(output), Some(key), Some(value)) = (output, key, value) else {
        return abi::INVALID;
    };
    let request = &mut output.request;
    if part == abi::REQUEST_BODY {
        request.body = Some(value.to_vec());
        return abi::NEXT;
    }
    let Ok(text) = std::str::from_utf8(value) else {
        return abi::INVALID;
    };
    match part {
        abi::REQUEST_METHOD if http::Method::from_bytes(value).is_ok() => {
            request.method = Cow::Owned(text.to_owned());
        }
        abi::REQUEST_PATH if text.is_empty() || (text.starts_with('/') && is_plain(text)) => {
            text.clone_into(&mut request.path);
        }
        abi::REQUEST_QUERY if is_plain(text) => request.query = Some(text.to_owned()),
        abi::REQUEST_HEADER => {
            if http::HeaderName::from_bytes(key.as_bytes()).is_err()
                || http::HeaderValue::from_str(text).is_err()
            {
                return abi::INVALID;
            }
            let name = Cow::Owned(key.to_owned());
            request.headers.push((name, text.to_owned()));
        }
        abi::REQUEST_METHOD | abi::REQUEST_PATH | abi::REQUEST_QUERY => return abi::INVALID,
        _ => return abi::READ_ONLY,
    }
    abi::NEXT
}

/// Whether a text is fit for the first line of a request.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

unsafe extern "C" fn write(output: *mut abi::Output, piece: abi::Slice) {
    // SAFETY: the plugin hands back what it was given, inside its function; the bytes are borrowed.
    let (output, piece) = unsafe { (output.cast::<Output>().as_mut(), bytes(piece)) };
    if let (Some(output), Some(piece)) = (output, piece) {
        output.bytes.extend_from_slice(piece);
    }
}

unsafe extern "C" fn reject_output(output: *mut abi::Output, refusal: *const abi::Refusal) {
    // SAFETY: the plugin hands back what it was given, inside its function; the refusal is borrowed.
    unsafe {
        if let Some(output) = output.cast::<Output>().as_mut() {
            output.refusal = refusal_of(refusal);
        }
    }
}

unsafe extern "C" fn send(reader: *mut abi::Reader, piece: abi::Slice) -> abi::Status {
    // SAFETY: the plugin hands back what it was given, inside `answer`; the bytes are borrowed.
    let (reader, piece) = unsafe { (reader.cast::<Reader<'_>>().as_mut(), bytes(piece)) };
    reader.map_or(abi::GONE, |reader| {
        reader.pass(|answer| answer.emit(piece.unwrap_or_default().to_vec()))
    })
}

unsafe extern "C" fn pause(reader: *mut abi::Reader, millis: u64) -> abi::Status {
    // SAFETY: the plugin hands back what it was given, inside `answer`.
    let reader = unsafe { reader.cast::<Reader<'_>>().as_mut() };
    reader.map_or(abi::GONE, |reader| {
        reader.pass(|answer| answer.wait(Duration::from_millis(millis)))
    })
}
