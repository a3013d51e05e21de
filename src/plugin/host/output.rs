//! What a codec fills in, and the reader of what a provider answers by itself.

use std::{borrow::Cow, time::Duration};

use millgate_plugin::{Answer, Gone, Refusal, UpstreamRequest, border::abi};

use super::refusal_of;
use crate::{
    http::headers::is_of_the_connection,
    plugin::slices::{bytes, text},
};

/// What a codec fills in: what `MgOutput` points to.
#[derive(Default)]
pub struct Output {
    /// What was written.
    pub(in crate::plugin) bytes: Vec<u8>,
    /// What is to be sent.
    pub(in crate::plugin) request: UpstreamRequest,
    /// How the call is refused.
    pub(in crate::plugin) refusal: Option<Refusal>,
}

impl Output {
    /// What was written, as text; `None` where it is none.
    pub(in crate::plugin) fn into_text(self) -> Option<String> {
        String::from_utf8(self.bytes)
            .ok()
            .filter(|text| !text.is_empty())
    }

    /// The pointer that a plugin is given.
    pub(in crate::plugin) fn as_ptr(&mut self) -> *mut abi::Output {
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
    pub(in crate::plugin) fn new(answer: &'a mut dyn Answer) -> Self {
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
    pub(in crate::plugin) fn as_ptr(&mut self) -> *mut abi::Reader {
        std::ptr::from_mut(self).cast()
    }
}

pub(super) unsafe extern "C" fn request(
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
        // CONNECT is no request to an upstream, but a way around it.
        abi::REQUEST_METHOD
            if http::Method::from_bytes(value)
                .is_ok_and(|method| method != http::Method::CONNECT) =>
        {
            request.method = Cow::Owned(text.to_owned());
        }
        abi::REQUEST_PATH if text.is_empty() || (text.starts_with('/') && is_plain(text)) => {
            text.clone_into(&mut request.path);
        }
        abi::REQUEST_QUERY if is_plain(text) => request.query = Some(text.to_owned()),
        abi::REQUEST_HEADER => {
            if http::HeaderName::from_bytes(key.as_bytes())
                .map_or(true, |name| is_of_the_connection(&name))
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

pub(super) unsafe extern "C" fn write(output: *mut abi::Output, piece: abi::Slice) {
    // SAFETY: the plugin hands back what it was given, inside its function; the bytes are borrowed.
    let (output, piece) = unsafe { (output.cast::<Output>().as_mut(), bytes(piece)) };
    if let (Some(output), Some(piece)) = (output, piece) {
        output.bytes.extend_from_slice(piece);
    }
}

pub(super) unsafe extern "C" fn reject_output(
    output: *mut abi::Output,
    refusal: *const abi::Refusal,
) {
    // SAFETY: the plugin hands back what it was given, inside its function; the refusal is borrowed.
    unsafe {
        if let Some(output) = output.cast::<Output>().as_mut() {
            output.refusal = refusal_of(refusal);
        }
    }
}

pub(super) unsafe extern "C" fn send(reader: *mut abi::Reader, piece: abi::Slice) -> abi::Status {
    // SAFETY: the plugin hands back what it was given, inside `answer`; the bytes are borrowed.
    let (reader, piece) = unsafe { (reader.cast::<Reader<'_>>().as_mut(), bytes(piece)) };
    reader.map_or(abi::GONE, |reader| {
        reader.pass(|answer| answer.emit(piece.unwrap_or_default().to_vec()))
    })
}

pub(super) unsafe extern "C" fn pause(reader: *mut abi::Reader, millis: u64) -> abi::Status {
    // SAFETY: the plugin hands back what it was given, inside `answer`.
    let reader = unsafe { reader.cast::<Reader<'_>>().as_mut() };
    reader.map_or(abi::GONE, |reader| {
        reader.pass(|answer| answer.wait(Duration::from_millis(millis)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::slices::slice;

    #[test]
    fn a_codec_says_nothing_of_connections() {
        let mut output = Output::default();
        let mut set = |part, key: &str, value: &str| {
            let (key, value) = (slice(key.as_bytes()), slice(value.as_bytes()));
            // SAFETY: the output and both texts outlive the call.
            unsafe { request(output.as_ptr(), part, key, value) }
        };
        assert_eq!(set(abi::REQUEST_METHOD, "", "PUT"), abi::NEXT);
        assert_eq!(set(abi::REQUEST_METHOD, "", "CONNECT"), abi::INVALID);
        assert_eq!(set(abi::REQUEST_HEADER, "x-a", "1"), abi::NEXT);
        for name in [
            "Transfer-Encoding",
            "content-length",
            "connection",
            "upgrade",
        ] {
            assert_eq!(set(abi::REQUEST_HEADER, name, "1"), abi::INVALID, "{name}");
        }
        assert_eq!(output.request.method, "PUT");
        assert_eq!(output.request.headers.len(), 1);
    }
}
