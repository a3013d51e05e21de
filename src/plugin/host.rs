//! What a plugin may call on: the host's side of the C interface.

mod services;

use std::{borrow::Cow, ffi::c_void, time::Duration};

use bytes::Bytes;
use millgate_plugin::{
    Answer, Exchange, Field, Refusal, RefusalKind, Reply, SetError, SetupError, UpstreamRequest,
    border::abi,
};

use super::{
    slices::{NOTHING, bytes, sized, slice, text},
    token::Token,
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
};

/// An exchange inside a hook: what `MgExchange` points to.
pub struct Hook<'a> {
    exchange: &'a mut dyn Exchange,
    /// Whether the hook may wait.
    pub(super) may_wait: bool,
    /// Status and headers of a reply of the stage's own.
    reply: Option<Reply>,
    /// What was emitted, piece by piece.
    pub(super) emitted: Vec<Bytes>,
    /// How the exchange is refused.
    pub(super) refusal: Option<Refusal>,
    /// Why it could not be done.
    pub(super) failure: Option<String>,
    /// Where it waits.
    pub(super) token: Option<Token>,
}

impl<'a> Hook<'a> {
    pub(super) fn new(exchange: &'a mut dyn Exchange, may_wait: bool) -> Self {
        Self {
            exchange,
            may_wait,
            reply: None,
            emitted: Vec::new(),
            refusal: None,
            failure: None,
            token: None,
        }
    }

    /// The pointer that a plugin is given.
    pub(super) fn as_ptr(&mut self) -> *mut abi::Exchange {
        std::ptr::from_mut(self).cast()
    }

    /// The reply that the stage has made.
    pub(super) fn take_reply(&mut self) -> Reply {
        let mut reply = self.reply.take().unwrap_or_else(own_reply);
        reply.body = join(std::mem::take(&mut self.emitted));
        reply
    }

    /// A header or the status of a reply of the stage's own.
    fn set_reply(&mut self, field: Field, key: &str, value: Option<&[u8]>) -> Result<(), SetError> {
        let reply = self.reply.get_or_insert_with(own_reply);
        let text = value
            .map(std::str::from_utf8)
            .transpose()
            .map_err(|_| SetError::Invalid)?;
        if field == Field::ReplyStatus {
            let status = text.and_then(|text| text.parse().ok());
            reply.status = status
                .filter(|status| (200..=599).contains(status))
                .ok_or(SetError::Invalid)?;
            return Ok(());
        }
        let name = http::HeaderName::from_bytes(key.as_bytes()).map_err(|_| SetError::Invalid)?;
        reply.headers.retain(|(known, _)| known != name.as_str());
        if let Some(text) = text {
            http::HeaderValue::from_str(text).map_err(|_| SetError::Invalid)?;
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
pub(super) fn join(mut pieces: Vec<Bytes>) -> Bytes {
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
}

impl Setup {
    /// The pointer that a plugin is given.
    pub(super) fn as_ptr(&mut self) -> *mut abi::Setup {
        std::ptr::from_mut(self).cast()
    }
}

/// The reader of an answer: what `MgReader` points to.
pub struct Reader<'a>(pub(super) &'a mut dyn Answer);

impl Reader<'_> {
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
    let found = hook.exchange.get(field, key);
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
    let (hook, key, value) = unsafe { (hook(exchange), text(key), bytes(value)) };
    let (Some(hook), Some(field)) = (hook, Field::from_number(field)) else {
        return abi::READ_ONLY;
    };
    let Some(key) = key else { return abi::INVALID };
    let set = match field {
        Field::ReplyStatus => hook.set_reply(field, key, value),
        // Before there is a reply, a header of it can only be for one of the stage's own.
        Field::ReplyHeader if hook.reply.is_some() => hook.set_reply(field, key, value),
        _ => hook.exchange.set(field, key, value),
    };
    match set {
        Ok(()) => abi::NEXT,
        Err(SetError::ReadOnly) => abi::READ_ONLY,
        Err(SetError::Invalid) => abi::INVALID,
        Err(SetError::Unknown) => abi::UNKNOWN,
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
    hook.exchange.each(field, &mut |key, value| {
        // SAFETY: the visitor and its data are the plugin's, which is still inside this call.
        unsafe { visit(user, slice(key.as_bytes()), slice(value)) != 0 }
    });
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
        Some(hook) if hook.may_wait => hook.token.get_or_insert_default().number(),
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
    let (refusal, message, code, param) = unsafe {
        let refusal = sized(refusal, refusal.cast::<u32>().read());
        let (message, code, param) =
            (text(refusal.message), text(refusal.code), text(refusal.param));
        (refusal, message, code, param)
    };
    let kind = RefusalKind::from_number(refusal.kind).unwrap_or(RefusalKind::Internal);
    let message = message.filter(|text| !text.is_empty());
    let mut made = Refusal::new(kind, message.unwrap_or("The request was refused.").to_owned());
    let own = |text: Option<&str>| {
        text.filter(|text| !text.is_empty())
            .map(|text| Cow::Owned(text.to_owned()))
    };
    made.code = own(code);
    made.param = own(param);
    made.retry_after = (refusal.retry_after > 0).then(|| Duration::from_millis(refusal.retry_after));
    Some(made)
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
        abi::REQUEST_METHOD => request.method = Cow::Owned(text.to_owned()),
        abi::REQUEST_PATH => request.path = text.to_owned(),
        abi::REQUEST_QUERY => request.query = Some(text.to_owned()),
        abi::REQUEST_HEADER => {
            if http::HeaderName::from_bytes(key.as_bytes()).is_err()
                || http::HeaderValue::from_str(text).is_err()
            {
                return abi::INVALID;
            }
            let name = Cow::Owned(key.to_owned());
            request.headers.push((name, text.to_owned()));
        }
        _ => return abi::READ_ONLY,
    }
    abi::NEXT
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
    let Some(reader) = reader else {
        return abi::GONE;
    };
    match reader.0.emit(piece.unwrap_or_default().to_vec()) {
        Ok(()) => abi::NEXT,
        Err(_) => abi::GONE,
    }
}

unsafe extern "C" fn pause(reader: *mut abi::Reader, millis: u64) -> abi::Status {
    // SAFETY: the plugin hands back what it was given, inside `answer`.
    let Some(reader) = (unsafe { reader.cast::<Reader<'_>>().as_mut() }) else {
        return abi::GONE;
    };
    match reader.0.wait(Duration::from_millis(millis)) {
        Ok(()) => abi::NEXT,
        Err(_) => abi::GONE,
    }
}
