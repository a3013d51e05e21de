//! JSON Web Tokens (RFC 7519): three parts in base64url, of which the first two are objects.

use super::{
    candidate::{Candidate, score},
    kind::Kind,
    text::Text,
};

/// `{"` in base64url.
const OBJECT: &str = "eyJ";

/// A token that begins at `start`. That of five parts (JWE, RFC 7516) has but one object, its head.
pub(super) fn jwt(text: Text<'_>, start: usize) -> Option<Candidate> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    // So that no run of words with dashes is read more than once.
    if matches!(text.before(start), b'-' | b'_') || !text.has(start, OBJECT) {
        return None;
    }
    let mut parts = 0;
    let mut at = start;
    let mut end = start;
    let mut is_signed = true;
    while parts < 5 {
        if parts < 2 {
            is_signed &= text.has(at, OBJECT);
        }
        let part_end = text.run(at, usize::MAX, is_part);
        if parts == 0 && part_end - at < 10 {
            return None;
        }
        parts += 1;
        end = part_end;
        if text.at(end) != b'.' || parts == 3 && is_signed {
            break;
        }
        at = end + 1;
    }
    let is_token = if is_signed { parts == 3 } else { parts == 5 };
    is_token.then(|| Candidate::new(Kind::Jwt, start, end, score::CERTAIN))
}
