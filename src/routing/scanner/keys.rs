//! Finding keys in JSON text without parsing it.
//!
//! A search for `"name"`, quotes included, is exact in valid JSON: inside a string every quote has a backslash before
//! it, so text that quotes a key never looks like one. A key that is itself written with escapes is not found; no
//! server writes those.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::api::estimate;

/// The keys that a scanner looks for.
pub(super) struct Keys {
    /// What carries a piece of an answer, the most frequent first.
    pub(super) delta: [Key; 9],
    pub(super) response_delta: Key,
    pub(super) finish_reason: Key,
    pub(super) usage: Key,
    pub(super) error: Key,
    kind: Key,
}

pub(super) static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys {
    delta: [
        r#""content""#,
        r#""reasoning_content""#,
        r#""reasoning""#,
        r#""tool_calls""#,
        r#""text""#,
        r#""refusal""#,
        r#""audio""#,
        r#""reasoning_details""#,
        r#""function_call""#,
    ]
    .map(Key::new),
    response_delta: Key::new(r#""delta""#),
    finish_reason: Key::new(r#""finish_reason""#),
    usage: Key::new(r#""usage""#),
    error: Key::new(r#""error""#),
    kind: Key::new(r#""type""#),
});

/// Bytes of a text that may well be one token; hardly any is longer.
const LONG_TOKEN: u64 = 16;

/// One key, with its quotes.
pub(super) struct Key(Finder<'static>);

impl Key {
    fn new(quoted: &'static str) -> Self {
        Self(Finder::new(quoted))
    }

    /// What stands behind each place where the quoted name stands, less white space, up to the end of `data`.
    fn rests<'d>(&self, data: &'d [u8]) -> impl Iterator<Item = &'d [u8]> + use<'_, 'd> {
        let len = self.0.needle().len();
        self.0
            .find_iter(data)
            // A quote with a backslash before it belongs to text.
            .filter(move |&at| at == 0 || data[at - 1] != b'\\')
            .map(move |at| data[at + len..].trim_ascii_start())
    }

    /// What stands behind the key and its colon, for each place where it is a key.
    fn values<'d>(&self, data: &'d [u8]) -> impl Iterator<Item = &'d [u8]> + use<'_, 'd> {
        self.rests(data)
            .filter_map(|rest| Some(rest.strip_prefix(b":")?.trim_ascii_start()))
    }

    /// Whether the key stands anywhere with a value that is something.
    pub(super) fn has_something(&self, data: &[u8]) -> bool {
        self.values(data).any(is_something)
    }

    /// About how many tokens the key brings: none where its value is nothing. Most servers send one at a time, some send
    /// them by the dozen, which is told by the length.
    pub(super) fn tokens(&self, data: &[u8]) -> Option<u64> {
        let value = self.values(data).find(|value| is_something(value))?;
        let text = value.strip_prefix(b"\"").map_or((0, 0), estimate::string);
        let bytes = (text.0 as u64).saturating_sub(text.1);
        Some(if bytes > LONG_TOKEN {
            estimate::text(bytes)
        } else {
            1
        })
    }

    /// Whether the name stands anywhere as a key with a value that is something, or as a value itself.
    pub(super) fn is_suspected(&self, data: &[u8]) -> bool {
        self.rests(data).any(|rest| match rest.strip_prefix(b":") {
            Some(value) => is_something(value.trim_ascii_start()),
            None => true,
        })
    }
}

/// Whether a value is neither null, false, zero nor empty, judged by how it begins.
pub(super) fn is_something(value: &[u8]) -> bool {
    let Some((first, rest)) = value.split_first() else {
        return false;
    };
    match first {
        b'n' | b'f' | b'0' => false,
        b'"' => !rest.starts_with(b"\""),
        b'[' => !rest.trim_ascii_start().starts_with(b"]"),
        b'{' => !rest.trim_ascii_start().starts_with(b"}"),
        _ => true,
    }
}

/// The `type` of a Responses event. Items nested in it have types too, but none that begins like an event's.
pub(super) fn response_kind(data: &[u8]) -> Option<&[u8]> {
    KEYS.kind.values(data).find_map(|value| {
        let text = value.strip_prefix(b"\"")?;
        if !text.starts_with(b"response.") {
            return None;
        }
        text.split(|&byte| byte == b'"').next()
    })
}
