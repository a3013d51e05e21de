//! JSON strings: decoding and writing them.

use std::borrow::Cow;

use super::stops::{Stops, is_stop};

/// The text of a string's inside (without its quotes); `None` where it is not a JSON string's inside.
/// Lone surrogates become U+FFFD.
pub(super) fn decode(raw: &[u8]) -> Option<Cow<'_, str>> {
    let mut rest = simdutf8::basic::from_utf8(raw).ok()?;
    let Some(mut at) = memchr::memchr(b'\\', raw) else {
        return Some(Cow::Borrowed(rest));
    };
    let mut text = String::with_capacity(rest.len());
    loop {
        text.push_str(rest.get(..at)?);
        let (char, len) = escape(rest.as_bytes().get(at..)?)?;
        text.push(char);
        rest = rest.get(at + len..)?;
        match memchr::memchr(b'\\', rest.as_bytes()) {
            Some(next) => at = next,
            None => break,
        }
    }
    text.push_str(rest);
    Some(Cow::Owned(text))
}

/// The character of the escape that `bytes` begins with, and how many bytes it takes.
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    let char = match bytes.get(1)? {
        b'u' => return unicode_escape(bytes),
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        &same @ (b'"' | b'\\' | b'/') => char::from(same),
        _ => return None,
    };
    Some((char, 2))
}

fn unicode_escape(bytes: &[u8]) -> Option<(char, usize)> {
    let unit = hex(bytes.get(2..6)?)?;
    let pair = match (unit, bytes.get(6..8), bytes.get(8..12).and_then(hex)) {
        (0xD800..0xDC00, Some(b"\\u"), Some(low @ 0xDC00..0xE000)) => {
            char::from_u32(0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00))
        }
        _ => None,
    };
    Some(match pair {
        Some(char) => (char, 12),
        None => (
            char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER),
            6,
        ),
    })
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, &digit| {
        Some(number * 16 + char::from(digit).to_digit(16)?)
    })
}

/// A text shorter than this is looked at byte by byte: most names and values of a log line are.
const SHORT: usize = 48;

/// Appends `text` as a JSON string, quotes included. Escapes what RFC 8259 demands and nothing more.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    if bytes.len() < SHORT && !bytes.iter().any(|byte| is_stop(*byte)) {
        out.extend_from_slice(bytes);
    } else {
        write_escaped(out, bytes);
    }
    out.push(b'"');
}

fn write_escaped(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    let mut stops = Stops::new(bytes);
    let mut done = 0;
    loop {
        let at = stops.next(done);
        out.extend_from_slice(&bytes[done..at]);
        let Some(&stop) = bytes.get(at) else {
            break;
        };
        done = at + 1;
        match stop {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', stop]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(stop >> 4)]);
                out.push(HEX[usize::from(stop & 15)]);
            }
        }
    }
}
