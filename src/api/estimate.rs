//! How many tokens a prompt has, as far as its length tells.
//!
//! The rule: a quarter of a token for each byte of UTF-8 in the strings of what the model reads, keys among them (they
//! stand for what a chat template puts around each message), and one token for each number (an embedding or a completion
//! may be asked for tokens). English has about 4 bytes for a token. A Korean syllable has 3 bytes and so counts 0.75;
//! the tokenizers of the last years need 0.55 to 0.8 for one, older ones 1 to 1.5. Code, with its short words, has more
//! tokens than this says, Cyrillic and Greek fewer. Against counts that are known the rule is off by a third at most in
//! English, Korean, Japanese and Chinese, which the tests show; what is really used takes the estimate's place
//! afterwards.

#[cfg(test)]
mod tests;

use crate::http::json::Members;

/// What an image, a recording or a file within a prompt counts, whatever its size: about an image of 1024 × 1024 with
/// `detail: "high"`. The base64 that it comes as is no text.
pub const MEDIUM: u64 = 765;

/// The members of a request that its model reads.
const READ: [&str; 6] = [
    "messages",
    "input",
    "prompt",
    "instructions",
    "tools",
    "functions",
];

/// Keys whose string is a medium rather than text.
const MEDIA: [&[u8]; 5] = [b"url", b"image_url", b"data", b"file_data", b"b64_json"];

/// The tokens of the prompt of a request whose top-level members are `members` of `body`.
#[must_use]
pub fn prompt(body: &[u8], members: &Members) -> u64 {
    let parts = READ.iter().filter_map(|name| members.get(body, name));
    let found = parts.fold(Found::default(), |found, part| found.and(count(part)));
    found.tokens()
}

/// The tokens of a text of so many bytes.
#[must_use]
pub const fn text(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    text_bytes: u64,
    numbers: u64,
    media: u64,
}

impl Found {
    const fn and(self, other: Self) -> Self {
        Self {
            text_bytes: self.text_bytes + other.text_bytes,
            numbers: self.numbers + other.numbers,
            media: self.media + other.media,
        }
    }

    const fn tokens(self) -> u64 {
        text(self.text_bytes) + self.numbers + self.media * MEDIUM
    }
}

/// What is in a piece of JSON that has been checked. Of anything else it counts something or other, and ends.
fn count(json: &[u8]) -> Found {
    let mut found = Found::default();
    // The string before a colon, which says what the next one is.
    let mut key: &[u8] = b"";
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => {
                let inside = &json[at + 1..];
                let (length, escaped) = string(inside);
                let text = &inside[..length];
                at += length + 2;
                if json[at.min(json.len())..].trim_ascii_start().first() == Some(&b':') {
                    key = text;
                    found.text_bytes += length as u64;
                } else if is_medium(key, text) {
                    found.media += 1;
                } else {
                    // An escape that is cut off counts whole.
                    found.text_bytes += (length as u64).saturating_sub(escaped);
                }
            }
            b'0'..=b'9' | b'-' => {
                let rest = &json[at..];
                let is_number =
                    |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
                at += rest.iter().take_while(|byte| is_number(byte)).count();
                found.numbers += 1;
            }
            _ => at += 1,
        }
    }
    found
}

/// The length of a string's inside, which `inside` begins with, and by how much it would be shorter without its escapes.
pub(crate) fn string(inside: &[u8]) -> (usize, u64) {
    let mut at = 0;
    let mut escaped = 0;
    loop {
        let rest = inside.get(at..).unwrap_or_default();
        match memchr::memchr2(b'"', b'\\', rest) {
            None => return (inside.len(), escaped),
            Some(length) if rest[length] == b'"' => return (at + length, escaped),
            Some(length) if rest.get(length + 1) == Some(&b'u') => {
                escaped += 6 - utf8_length(rest.get(length + 2..length + 6));
                at += length + 6;
            }
            Some(length) => {
                escaped += 1;
                at += length + 2;
            }
        }
    }
}

/// How many bytes of UTF-8 a `\uXXXX` stands for; half of a surrogate pair stands for two of its four.
fn utf8_length(digits: Option<&[u8]>) -> u64 {
    match digits {
        Some([b'0', b'0', b'0'..=b'7', _]) => 1,
        Some(
            [b'0', b'0'..=b'7', ..] | [b'd' | b'D', b'8' | b'9' | b'a'..=b'f' | b'A'..=b'F', ..],
        ) => 2,
        _ => 3,
    }
}

fn is_medium(key: &[u8], text: &[u8]) -> bool {
    text.starts_with(b"data:") || MEDIA.contains(&key)
}
