//! One pass over a text: bytes that can begin or be the middle of something are looked at more closely.
//!
//! Most bytes cost one look at a table. What a recognizer then reads around a hit is bounded, or is read once for
//! each hit that it belongs to, so that the whole is linear in the text whatever the text is.

use super::{
    america,
    candidate::{Candidate, What},
    card, crypto, email, iban, jwt,
    kind::Kinds,
    korea, maker_key, network, number,
    number::Groups,
    pem, phone,
    text::Text,
    url,
};

/// What a byte may be part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Nothing.
    Other,
    Letter,
    Digit,
    At,
    Colon,
    Dash,
    Percent,
    Equals,
    Backslash,
}

static CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < 128 {
        classes[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' => Class::Letter,
            b'0'..=b'9' => Class::Digit,
            b'@' => Class::At,
            b':' => Class::Colon,
            b'-' => Class::Dash,
            b'%' => Class::Percent,
            b'=' => Class::Equals,
            b'\\' => Class::Backslash,
            _ => Class::Other,
        };
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

/// Tells `found` of everything in the text that may be a value of one of these kinds.
pub(super) fn scan(text: Text<'_>, kinds: Kinds, found: &mut Vec<Candidate>) {
    let mut scan = Scan {
        text,
        kinds,
        found,
        colons_seen: 0,
    };
    let mut at = 0;
    while at < text.len() {
        at = scan.step(at);
    }
}

struct Scan<'a> {
    text: Text<'a>,
    kinds: Kinds,
    found: &'a mut Vec<Candidate>,
    /// Up to here colons have been looked at.
    colons_seen: usize,
}

impl Scan<'_> {
    /// Looks at what stands at `at`, and says where to go on.
    #[inline]
    fn step(&mut self, at: usize) -> usize {
        let byte = self.text.at(at);
        match class(byte) {
            Class::Other => at + 1,
            Class::Letter => self.word(at),
            Class::Digit => self.number(at),
            Class::At => self.email(at, 1),
            Class::Colon => self.colon(at),
            Class::Dash => self.dash(at),
            Class::Percent => self.percent(at),
            Class::Equals => self.equals(at),
            Class::Backslash => self.escape(at),
        }
    }

    /// Keeps a candidate of a wanted kind, and says where it ends.
    fn keep(&mut self, candidate: Candidate) -> Option<usize> {
        let is_wanted = match candidate.what {
            What::Known(kind) => self.kinds.contains(kind),
            What::Custom(_) => true,
        };
        is_wanted.then(|| {
            self.found.push(candidate);
            candidate.end
        })
    }

    /// A word that begins with a letter.
    #[inline]
    fn word(&mut self, at: usize) -> usize {
        let text = self.text;
        let (first, second) = (text.at(at), text.at(at + 1));
        let end = text.run(at + 1, usize::MAX, |byte| byte.is_ascii_alphanumeric());
        let special = match end - at {
            // `sk-…`, `SG.…`: the word is short, the key is not.
            _ if maker_key::may_begin(first, second) => maker_key::maker_key(text, at),
            _ => None,
        };
        let special = special
            .or_else(|| self.registered(at, end, second))
            .or_else(|| {
                (end - at >= 3 && first == b'e')
                    .then(|| jwt::jwt(text, at))
                    .flatten()
            })
            .or_else(|| {
                matches!((first | 0x20, end - at), (b'b', 5 | 6))
                    .then(|| maker_key::bearer(text, at))
                    .flatten()
            })
            .or_else(|| maker_key::aws_secret(text, at));
        special
            .and_then(|candidate| self.keep(candidate))
            .map_or(end, |last| last.max(end))
    }

    /// Numbers that begin with a letter.
    #[inline]
    fn registered(&self, at: usize, end: usize, second: u8) -> Option<Candidate> {
        let text = self.text;
        let third = text.at(at + 2);
        if end - at >= 4
            && second.is_ascii_alphabetic()
            && third.is_ascii_digit()
            && text.at(at + 3).is_ascii_digit()
            && let Some(found) = iban::iban(text, at)
        {
            return Some(found);
        }
        if end - at == 9 && second.is_ascii_digit() {
            return korea::passport(text, at);
        }
        if end - at >= 26 && crypto::may_begin(text.at(at)) {
            return crypto::wallet(text, at, end);
        }
        None
    }

    /// A number, or a word that begins with a digit.
    fn number(&mut self, at: usize) -> usize {
        let text = self.text;
        let end = text.run(at + 1, usize::MAX, |byte| byte.is_ascii_digit());
        if text.at(end).is_ascii_alphabetic() {
            return self.word_of_digits(at, end);
        }
        // `7`, `200`, `1024`: too short for anything, and nothing follows that it could be the beginning of.
        let is_short = end - at < 9;
        let is_alone = match text.at(end) {
            b'-' | b'.' => !text.at(end + 1).is_ascii_digit(),
            b' ' => !matches!(text.at(end + 1), b'0'..=b'9' | b'-' | b'('),
            byte => byte != b')',
        };
        let is_dialled = matches!(text.before(at), b'+' | b'(');
        if is_short && is_alone && !is_dialled || end - at > 19 || !number::is_open(text, at) {
            return self.word_of_digits(at, end);
        }
        let groups = Groups::read(text, at);
        let mut last = end;
        let mut seen = |scan: &mut Self, candidate: Option<Candidate>| {
            if let Some(end) = candidate.and_then(|candidate| scan.keep(candidate)) {
                last = last.max(end);
            }
        };
        seen(self, korea::registration(text, &groups));
        seen(self, card::card(text, &groups));
        seen(self, america::taxpayer(text, &groups));
        seen(self, korea::business(text, &groups));
        seen(self, korea::licence(text, &groups));
        seen(self, network::ipv4(text, &groups));
        seen(self, phone::phone(text, at));
        last
    }

    /// A run of digits that is no number by itself, from `at` to `end`: the whole word.
    fn word_of_digits(&mut self, at: usize, end: usize) -> usize {
        let end = self
            .text
            .run(end, usize::MAX, |byte| byte.is_ascii_alphanumeric());
        if end - at >= 26 && crypto::may_begin(self.text.at(at)) {
            if let Some(wallet) = crypto::wallet(self.text, at, end) {
                self.keep(wallet);
            }
        } else if let Some(secret) = maker_key::aws_secret(self.text, at) {
            self.keep(secret);
        }
        end
    }

    fn email(&mut self, at: usize, width: usize) -> usize {
        let found = email::email(self.text, at, width);
        found
            .and_then(|candidate| self.keep(candidate))
            .unwrap_or(at + width)
    }

    fn colon(&mut self, at: usize) -> usize {
        let text = self.text;
        let (before, next) = (text.before(at), text.at(at + 1));
        if matches!(next, b'/' | b'\\')
            && let Some(found) = url::credentials(text, at)
        {
            return self.keep(found).unwrap_or(at + 1);
        }
        let is_hexadecimal =
            before.is_ascii_hexdigit() && (next.is_ascii_hexdigit() || next == b':');
        let is_compressed = next == b':' && !before.is_ascii_alphanumeric();
        if at >= self.colons_seen && (is_hexadecimal || is_compressed) {
            let (found, seen) = network::colons(text, at);
            self.colons_seen = seen;
            if let Some(end) = found.and_then(|candidate| self.keep(candidate)) {
                return end;
            }
        }
        at + 1
    }

    fn dash(&mut self, at: usize) -> usize {
        let text = self.text;
        if text.at(at + 1) == b'-' {
            let found = (text.before(at) != b'-')
                .then(|| pem::private_key(text, at))
                .flatten();
            if let Some(end) = found.and_then(|candidate| self.keep(candidate)) {
                return end;
            }
            return text.run(at, usize::MAX, |byte| byte == b'-');
        }
        if text.at(at + 3) == b'-'
            && text.before(at).is_ascii_hexdigit()
            && let Some(found) = network::dashed_mac(text, at)
            && let Some(end) = self.keep(found)
        {
            return end;
        }
        at + 1
    }

    /// `%40` is an `@`; other escapes are passed over as a whole, so that what follows them begins a word.
    fn percent(&mut self, at: usize) -> usize {
        let text = self.text;
        match (text.at(at + 1), text.at(at + 2)) {
            (b'4', b'0') => self.email(at, 3),
            (a, b) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => at + 3,
            _ => at + 1,
        }
    }

    fn equals(&mut self, at: usize) -> usize {
        let found = url::parameter(self.text, at);
        found
            .and_then(|candidate| self.keep(candidate))
            .unwrap_or(at + 1)
    }

    /// Escapes of JSON strings are passed over, so that what follows them begins a word.
    fn escape(&mut self, at: usize) -> usize {
        let text = self.text;
        match text.at(at + 1) {
            b'n' | b'r' | b't' | b'b' | b'f' | b'"' | b'\\' => at + 2,
            b'u' if (2..6).all(|index| text.at(at + index).is_ascii_hexdigit()) => {
                if text.has(at, r"\u0040") {
                    self.email(at, 6)
                } else {
                    at + 6
                }
            }
            _ => at + 1,
        }
    }
}
