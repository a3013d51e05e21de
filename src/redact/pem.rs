//! Private keys in PEM (RFC 7468), with line breaks of any kind, those of JSON strings among them.

use super::{
    candidate::{Candidate, score},
    kind::Kind,
    text::Text,
};

pub(super) const BEGIN: &str = "-----BEGIN ";
pub(super) const END: &str = "-----END ";
/// `ENCRYPTED`, `OPENSSH`, `RSA` … and ` BLOCK` behind it are all there may be beside it.
const SORT: &str = "PRIVATE KEY";
const LONGEST_LABEL: usize = 48;

/// Where the line ends that begins or ends a private key at `at`, `marker` telling which.
pub(super) fn boundary(text: Text<'_>, at: usize, marker: &str) -> Option<usize> {
    if !text.has(at, marker) {
        return None;
    }
    let label = at + marker.len();
    let is_label = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b' ';
    let end = text.run(label, LONGEST_LABEL, is_label);
    let is_private = text.slice(label, end).contains(SORT) && text.has(end, "-----");
    is_private.then_some(end + "-----".len())
}

/// A key that begins at `start`, to its end; of one that was cut off, all that may belong to it.
pub(super) fn private_key(text: Text<'_>, start: usize) -> Option<Candidate> {
    let body = boundary(text, start, BEGIN)?;
    let is_body = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || byte.is_ascii_whitespace()
            || matches!(byte, b'+' | b'/' | b'=' | b'\\' | b':' | b',')
    };
    let mut at = body;
    loop {
        at = text.run(at, usize::MAX, is_body);
        if text.at(at) != b'-' {
            at = body + text.slice(body, at).trim_end().len();
            break;
        }
        if let Some(end) = boundary(text, at, END) {
            at = end;
            break;
        }
        at += 1;
    }
    Some(Candidate::new(Kind::PrivateKey, start, at, score::CERTAIN))
}
