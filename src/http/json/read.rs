//! Reading a value from its raw JSON, as [`Members::get`](super::Members::get) gives it: exactly the value, without
//! white space around it. A value of another type reads as `None`.

use std::borrow::Cow;

use super::string;

/// A string's text, borrowed unless it holds escapes. Lone surrogates become U+FFFD.
#[must_use]
pub fn as_str(raw: &[u8]) -> Option<Cow<'_, str>> {
    string::decode(raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?)
}

/// `true` or `false`.
#[must_use]
pub fn as_bool(raw: &[u8]) -> Option<bool> {
    match raw {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => None,
    }
}

/// A whole number up to `u64::MAX`, written without fraction and exponent.
#[must_use]
pub fn as_u64(raw: &[u8]) -> Option<u64> {
    raw.first().filter(|byte| byte.is_ascii_digit())?;
    std::str::from_utf8(raw).ok()?.parse().ok()
}

/// Any number that a double can hold; `None` where it is too large for one.
#[must_use]
pub fn as_f64(raw: &[u8]) -> Option<f64> {
    raw.first()
        .filter(|byte| byte.is_ascii_digit() || **byte == b'-')?;
    let number: f64 = std::str::from_utf8(raw).ok()?.parse().ok()?;
    number.is_finite().then_some(number)
}

/// Whether it is `null`.
#[must_use]
pub fn is_null(raw: &[u8]) -> bool {
    raw == b"null"
}
