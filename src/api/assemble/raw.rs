//! JSON values as the bytes that they are written in.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::AssembleError;
use crate::http::json;

/// One valid JSON value without white space around it.
pub(super) type Raw<'a> = &'a [u8];

/// The members of an object, in its order.
pub(super) struct Object<'a>(Vec<(Cow<'a, str>, Raw<'a>)>);

impl<'a> Object<'a> {
    /// Reads an object; `wrong` says what else it is.
    pub(super) fn read(bytes: &'a [u8], wrong: &'static str) -> Result<Self, AssembleError> {
        let members = json::scan(bytes).map_err(|_| AssembleError::Malformed(wrong))?;
        let all = members
            .iter(bytes)
            .map(|(name, span)| (name, &bytes[span]))
            .collect();
        Ok(Self(all))
    }

    pub(super) fn get(&self, name: &str) -> Option<Raw<'a>> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| *value)
    }

    /// A member with something in it.
    pub(super) fn filled(&self, name: &str) -> Option<Raw<'a>> {
        self.get(name).filter(|value| !is_empty(value))
    }

    /// A member's text.
    pub(super) fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).and_then(json::as_str)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, Raw<'a>)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), *value))
    }

    /// Whether it is an error in one of the forms that servers give it.
    pub(super) fn is_error(&self) -> bool {
        let says_error = |name| self.text(name).as_deref() == Some("error");
        self.filled("error").is_some() || says_error("object") || says_error("type")
    }

    /// The object with other values for some of its members, where it has them.
    pub(super) fn with(&self, values: &[(&str, Raw<'_>)]) -> Vec<u8> {
        let mut writer = Writer::default();
        for (name, value) in self.iter() {
            let new = values.iter().find(|(changed, _)| *changed == name);
            writer.raw(name, new.map_or(value, |(_, new)| new));
        }
        writer.finish()
    }
}

impl<'a> IntoIterator for Object<'a> {
    type Item = (Cow<'a, str>, Raw<'a>);
    type IntoIter = std::vec::IntoIter<Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// The elements of an array; `wrong` says what is wrong where it is none.
pub(super) fn elements<'a>(
    array: Raw<'a>,
    wrong: &'static str,
) -> Result<Vec<Raw<'a>>, AssembleError> {
    let elements: Vec<&RawValue> =
        serde_json::from_slice(array).map_err(|_| AssembleError::Malformed(wrong))?;
    Ok(elements
        .into_iter()
        .map(|element| element.get().as_bytes())
        .collect())
}

/// What stands between a string's quotes, its escapes as they are.
pub(super) fn inside(value: Raw<'_>) -> Option<&[u8]> {
    value.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// Whether a value is null, or holds nothing.
pub(super) fn is_empty(value: Raw<'_>) -> bool {
    match value {
        b"null" | b"\"\"" => true,
        [b'[', rest @ ..] => rest.trim_ascii_start() == b"]",
        [b'{', rest @ ..] => rest.trim_ascii_start() == b"}",
        _ => false,
    }
}

/// A valid document without the white space around its values, if it has line ends: an event's data has none.
pub(super) fn in_one_line(document: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'\n', b'\r', document).is_none() {
        return Cow::Borrowed(document);
    }
    let mut line = Vec::with_capacity(document.len());
    let (mut in_string, mut is_escaped) = (false, false);
    for &byte in document {
        if in_string || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r') {
            line.push(byte);
        }
        in_string ^= byte == b'"' && !is_escaped;
        is_escaped = in_string && byte == b'\\' && !is_escaped;
    }
    Cow::Owned(line)
}

/// An object being written.
#[derive(Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    /// Writes a member's name, and gives what its value is to be written to.
    pub(super) fn name(&mut self, name: &str) -> &mut Vec<u8> {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        json::write_string(&mut self.0, name);
        self.0.push(b':');
        &mut self.0
    }

    pub(super) fn raw(&mut self, name: &str, value: Raw<'_>) {
        self.name(name).extend_from_slice(value);
    }

    pub(super) fn text(&mut self, name: &str, value: &str) {
        json::write_string(self.name(name), value);
    }

    pub(super) fn number(&mut self, name: &str, value: usize) {
        self.raw(name, value.to_string().as_bytes());
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        if self.0.is_empty() {
            self.0.push(b'{');
        }
        self.0.push(b'}');
        self.0
    }
}

/// Appends an array of values that `write` writes.
pub(super) fn write_array<T>(
    out: &mut Vec<u8>,
    values: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    out.push(b'[');
    for (at, value) in values.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, value);
    }
    out.push(b']');
}
