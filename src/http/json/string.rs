//! JSON strings: skipping, decoding and writing them.

use std::borrow::Cow;

/// Whether a byte ends a run of plain string text: a quote, a backslash or a control character.
const fn is_stop(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The position of the first stop among eight bytes.
const fn first_stop(bytes: [u8; 8]) -> Option<usize> {
    let word = u64::from_le_bytes(bytes);
    // The high bit of every lane that is below 0x20, or zero after the xor. Borrows make lanes
    // above a hit unreliable, never those below the first.
    let control = word.wrapping_sub(LOW * 0x20) & !word;
    let quote = word ^ (LOW * b'"' as u64);
    let quote = quote.wrapping_sub(LOW) & !quote;
    let slash = word ^ (LOW * b'\\' as u64);
    let slash = slash.wrapping_sub(LOW) & !slash;
    match (control | quote | slash) & HIGH {
        0 => None,
        hits => Some(hits.trailing_zeros() as usize / 8),
    }
}

/// How many bytes at the start are plain text of a string.
///
/// Eight bytes at a time where a stop is near, which is cheap for keys and for text full of escapes; 64 at a time,
/// in a form that compilers turn into vector instructions, inside long plain text.
#[inline]
pub(super) fn plain_len(bytes: &[u8]) -> usize {
    let mut at = 0;
    for _ in 0..2 {
        let Some(word) = bytes[at..].first_chunk() else {
            return at + plain_tail(&bytes[at..]);
        };
        match first_stop(*word) {
            Some(stop) => return at + stop,
            None => at += 8,
        }
    }
    while let Some(block) = bytes[at..].first_chunk::<64>() {
        if block.iter().fold(false, |stop, &byte| stop | is_stop(byte)) {
            break;
        }
        at += 64;
    }
    while let Some(word) = bytes[at..].first_chunk() {
        match first_stop(*word) {
            Some(stop) => return at + stop,
            None => at += 8,
        }
    }
    at + plain_tail(&bytes[at..])
}

fn plain_tail(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|&byte| is_stop(byte))
        .unwrap_or(bytes.len())
}

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

/// Appends `text` as a JSON string, quotes included. Escapes what RFC 8259 demands and nothing more.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    const HEX: [u8; 16] = *b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let (plain, after) = rest.split_at(plain_len(rest));
        out.extend_from_slice(plain);
        let Some((&stop, after)) = after.split_first() else {
            break;
        };
        rest = after;
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
    out.push(b'"');
}
