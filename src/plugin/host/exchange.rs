//! An exchange, for the time of a hook.

use std::{borrow::Cow, ffi::c_void, time::Duration};

use bytes::Bytes;
use millgate_plugin::{Exchange, Field, Refusal, Reply, SetError, border::abi};
use smallvec::SmallVec;

use super::refusal_of;
use crate::{
    http::headers::is_of_the_connection,
    plugin::{
        slices::{NOTHING, bytes, is_sound, slice, text},
        token::Token,
    },
};

/// Which hook it is, as far as what it may do depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::plugin) enum Phase {
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
    pub(in crate::plugin) emitted: Pieces,
    /// How the exchange is refused.
    pub(in crate::plugin) refusal: Option<Refusal>,
    /// Why it could not be done.
    pub(in crate::plugin) failure: Option<String>,
    /// Where it waits.
    pub(in crate::plugin) token: Option<Token>,
}

/// Mostly a piece takes the place of one.
pub(in crate::plugin) type Pieces = SmallVec<[Bytes; 1]>;

impl<'a> Hook<'a> {
    #[inline]
    pub(in crate::plugin) fn new(exchange: &'a mut dyn Exchange, phase: Phase) -> Self {
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
    pub(in crate::plugin) fn as_ptr(&mut self) -> *mut abi::Exchange {
        std::ptr::from_mut(self).cast()
    }

    /// How long the exchange has; `None` where it has no deadline.
    pub(in crate::plugin) fn time_left(&self) -> Option<Duration> {
        let left = self.exchange.number(Field::DeadlineLeft)?;
        Some(Duration::from_millis(left))
    }

    /// What the plugin has said that only counts together with another status than [`abi::NEXT`].
    #[inline]
    pub(in crate::plugin) fn said(&self) -> Option<&'static str> {
        match () {
            () if !self.emitted.is_empty() => Some("emitted something"),
            () if self.reply.is_some() => Some("began a reply"),
            () if self.refusal.is_some() => Some("said how it refuses"),
            () if self.failure.is_some() => Some("said why it failed"),
            () => None,
        }
    }

    /// The reply that the stage has made; `None` where it has set and emitted nothing.
    pub(in crate::plugin) fn take_reply(&mut self) -> Option<Reply> {
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
        let is_bad =
            |text| is_of_the_connection(&name) || http::HeaderValue::from_str(text).is_err();
        if text.is_some_and(is_bad) {
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

/// The hook behind a pointer that a plugin hands back; `None` where it is null.
///
/// # Safety
/// It is null, or what the plugin was given for the hook that is still running, on its thread.
unsafe fn hook<'a>(exchange: *mut abi::Exchange) -> Option<&'a mut Hook<'a>> {
    // SAFETY: as the caller vouches for.
    unsafe { exchange.cast::<Hook<'a>>().as_mut() }
}

pub(super) unsafe extern "C" fn get(
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

pub(super) unsafe extern "C" fn number(
    exchange: *const abi::Exchange,
    field: u32,
    value: *mut u64,
) -> u32 {
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

pub(super) unsafe extern "C" fn set(
    exchange: *mut abi::Exchange,
    field: u32,
    key: abi::Slice,
    value: abi::Slice,
) -> abi::Status {
    // What `get` has found may be what is set, or the name of it: it is copied before anything that it may belong to changes.
    let copy = |slice| {
        // SAFETY: key and value are borrowed.
        unsafe { bytes(slice) }.map(SmallVec::<[u8; 64]>::from_slice)
    };
    let (key, copied) = (copy(key).unwrap_or_default(), copy(value));
    // SAFETY: the plugin hands back what it was given, inside its hook.
    let hook = unsafe { hook(exchange) };
    let (Some(hook), Some(field)) = (hook, Field::from_number(field)) else {
        return abi::READ_ONLY;
    };
    let (Ok(key), true) = (std::str::from_utf8(&key), is_sound(value)) else {
        return abi::INVALID;
    };
    match hook.set(field, key, copied.as_deref()) {
        Ok(()) => abi::NEXT,
        Err(SetError::ReadOnly) => abi::READ_ONLY,
        Err(SetError::Invalid) => abi::INVALID,
        Err(SetError::Unknown) => abi::UNKNOWN,
        Err(SetError::Unavailable) => abi::UNAVAILABLE,
    }
}

pub(super) unsafe extern "C" fn each(
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

pub(super) unsafe extern "C" fn emit(exchange: *mut abi::Exchange, piece: abi::Slice) {
    // SAFETY: the plugin hands back what it was given, inside its hook; the bytes are borrowed.
    if let (Some(hook), Some(piece)) = unsafe { (hook(exchange), bytes(piece)) } {
        hook.emitted.push(Bytes::copy_from_slice(piece));
    }
}

pub(super) unsafe extern "C" fn reject(exchange: *mut abi::Exchange, refusal: *const abi::Refusal) {
    // SAFETY: the plugin hands back what it was given, inside its hook; the refusal is borrowed.
    if let Some(hook) = unsafe { hook(exchange) } {
        // SAFETY: as above.
        hook.refusal = unsafe { refusal_of(refusal) };
    }
}

pub(super) unsafe extern "C" fn fail(exchange: *mut abi::Exchange, message: abi::Slice) {
    // SAFETY: the plugin hands back what it was given, inside its hook; the text is borrowed.
    if let (Some(hook), Some(message)) = unsafe { (hook(exchange), bytes(message)) } {
        hook.failure = Some(String::from_utf8_lossy(message).into_owned());
    }
}

pub(super) unsafe extern "C" fn token(exchange: *mut abi::Exchange) -> u64 {
    // SAFETY: the plugin hands back what it was given, inside its hook.
    match unsafe { hook(exchange) } {
        Some(hook) if matches!(hook.phase, Phase::Request | Phase::Response) => {
            hook.token.get_or_insert_default().number()
        }
        _ => 0,
    }
}
