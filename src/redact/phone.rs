//! Telephone numbers: international ones (E.164), Korean and North American ones as they are dialled at home.

use super::{
    candidate::{Candidate, score},
    context::{self, Words},
    kind::Kind,
    number,
    text::Text,
};

const PHONE: Words = &[
    "phone",
    "phones",
    "telephone",
    "tel",
    "mobile",
    "cell",
    "cellphone",
    "call",
    "fax",
    "whatsapp",
    "sms",
    "contact",
    "hp",
    "전화",
    "휴대폰",
    "휴대전화",
    "핸드폰",
    "연락처",
    "팩스",
    "번호로",
    "문자",
];

/// E.164 allows so many digits, the country code included.
const MOST_DIGITS: usize = 15;

/// A number as it stands in a text.
struct Dialled {
    digits: [u8; MOST_DIGITS],
    count: usize,
}

impl Dialled {
    fn digits(&self) -> &str {
        std::str::from_utf8(&self.digits[..self.count]).unwrap_or_default()
    }

    /// Adds a group of digits; `false` where they are too many.
    fn push(&mut self, text: Text<'_>, from: usize, to: usize) -> bool {
        if self.count + (to - from) > MOST_DIGITS {
            return false;
        }
        for at in from..to {
            self.digits[self.count] = text.at(at);
            self.count += 1;
        }
        true
    }
}

/// How the groups of a number look so far.
struct Shape {
    /// Digits in each group, from the first.
    groups: [u8; 8],
    count: usize,
    /// The last separator, 0 where there was none.
    separator: u8,
    /// Whether a part stands in parentheses.
    has_parentheses: bool,
}

/// A telephone number of which the first digit stands at `at`.
pub(super) fn phone(text: Text<'_>, at: usize) -> Option<Candidate> {
    let mut start = at;
    // `(02) 2345-6789`; in `(010-1234-5678)` the parentheses are the sentence's.
    let first = text.run(at, MOST_DIGITS, |byte| byte.is_ascii_digit());
    let is_parenthesized = text.before(start) == b'(' && text.at(first) == b')' && first - at <= 5;
    if is_parenthesized {
        start -= 1;
    }
    let is_international = text.before(start) == b'+';
    if is_international {
        start -= 1;
    }
    if is_international || is_parenthesized {
        let before = text.before(start);
        if !text.is_open(start) || is_international && matches!(before, b'+' | b'-' | b'.') {
            return None;
        }
    }
    let mut dialled = Dialled {
        digits: [0; MOST_DIGITS],
        count: 0,
    };
    let mut shape = Shape {
        groups: [0; 8],
        count: 0,
        separator: 0,
        has_parentheses: is_parenthesized,
    };
    let mut best = None;
    let mut from = at;
    while shape.count < shape.groups.len() {
        let to = text.run(from, MOST_DIGITS + 1, |byte| byte.is_ascii_digit());
        if !dialled.push(text, from, to) {
            break;
        }
        shape.groups[shape.count] = (to - from) as u8;
        shape.count += 1;
        let is_open_ended = shape.has_parentheses && shape.separator == 0;
        if number::is_closed(text, to) && !(is_open_ended && shape.count == 1) {
            let verdict = if is_international {
                international(dialled.digits())
            } else {
                national(dialled.digits(), &shape)
            };
            if let Some(likeliness) = verdict {
                best = Some((to, likeliness));
            }
        }
        let Some((separator, next)) = separator(text, to, &mut shape) else {
            break;
        };
        let is_enough = best.is_some() && is_international && {
            let next_end = text.run(next, MOST_DIGITS, |byte| byte.is_ascii_digit());
            dialled.count >= 10
                && (dialled.count + (next_end - next) > 12 || separator != shape.separator)
        };
        if is_enough {
            break;
        }
        shape.separator = separator;
        from = next;
    }
    let (end, likeliness) = best?;
    let is_told = || context::is_near(text, start, end, PHONE);
    let score = match likeliness {
        Likeliness::Sure => score::FORMED,
        Likeliness::Fair if is_told() => score::FORMED,
        Likeliness::Fair => score::LIKELY,
        Likeliness::Poor if is_told() => score::TOLD,
        Likeliness::Poor => return None,
    };
    Some(Candidate::new(Kind::PhoneNumber, start, end, score))
}

/// The separator after a group of digits, and where the next group begins.
fn separator(text: Text<'_>, at: usize, shape: &mut Shape) -> Option<(u8, usize)> {
    let mut next = at;
    if text.at(next) == b')' {
        shape.has_parentheses = true;
        next += 1;
    }
    if matches!(text.at(next), b' ' | b'-' | b'.') {
        next += 1;
    }
    if text.at(next) == b'(' && text.at(next + 1).is_ascii_digit() && !shape.has_parentheses {
        shape.has_parentheses = true;
        next += 1;
    }
    let is_one = next > at && text.at(next).is_ascii_digit();
    is_one.then(|| (text.at(next - 1), next))
}

/// What the form of a number is worth.
#[derive(Clone, Copy)]
enum Likeliness {
    /// It is one.
    Sure,
    /// It may be something else.
    Fair,
    /// It counts only where a word tells.
    Poor,
}

/// A number after a `+`.
fn international(digits: &str) -> Option<Likeliness> {
    use Likeliness::{Fair, Sure};
    if let Some(rest) = digits.strip_prefix("82") {
        let national = format!("0{}", rest.strip_prefix('0').unwrap_or(rest));
        return korean(&national).map(|_| Sure);
    }
    if let Some(rest) = digits.strip_prefix('1') {
        return is_north_american(rest).then_some(Sure);
    }
    let is_long_enough = (8..=15).contains(&digits.len());
    let is_assigned = match &digits[..2.min(digits.len())] {
        "20" | "27" | "30" | "31" | "32" | "33" | "34" | "36" | "39" | "40" | "41" | "43"
        | "44" | "45" | "46" | "47" | "48" | "49" | "51" | "52" | "53" | "54" | "55" | "56"
        | "57" | "58" | "60" | "61" | "62" | "63" | "64" | "65" | "66" | "81" | "84" | "86"
        | "90" | "91" | "92" | "93" | "94" | "95" | "98" => true,
        two => {
            two.starts_with('7')
                || [
                    "21", "22", "23", "24", "25", "26", "29", "35", "37", "38", "42", "50", "59",
                    "67", "68", "69", "80", "85", "87", "88", "96", "97", "99",
                ]
                .contains(&two)
        }
    };
    (is_long_enough && is_assigned).then_some(if digits.len() >= 10 { Sure } else { Fair })
}

/// A number as it is dialled at home.
fn national(digits: &str, shape: &Shape) -> Option<Likeliness> {
    use Likeliness::{Fair, Poor, Sure};
    let groups = &shape.groups[..shape.count];
    let is_spaced = shape.separator == b' ' && !shape.has_parentheses;
    if let Some(prefix) = korean(digits) {
        let is_formed = matches!(*groups, [first, 3 | 4, 4] if usize::from(first) == prefix);
        let is_alone = groups.len() == 1;
        let is_mobile = digits.starts_with("01");
        return match (is_formed, is_alone) {
            (true, _) if is_mobile || !is_spaced => Some(Sure),
            (_, true) if is_mobile => Some(Fair),
            (true, _) | (_, true) => Some(Poor),
            _ => is_mobile.then_some(Poor),
        };
    }
    if digits.starts_with("0082") && shape.count <= 4 {
        return international(&digits[2..]).map(|_| Fair);
    }
    let ten = digits
        .strip_prefix('1')
        .filter(|rest| rest.len() == 10)
        .unwrap_or(digits);
    if is_north_american(ten) {
        let is_formed = matches!(*groups, [3, 3, 4] | [1, 3, 3, 4]);
        return Some(match (is_formed, is_spaced) {
            (true, false) => Fair,
            _ => Poor,
        });
    }
    // Service numbers: 1588-1234.
    let is_service = matches!(*groups, [4, 4]) && matches!(&digits[..2], "15" | "16" | "18");
    let is_some_number =
        digits.starts_with('0') && (9..=12).contains(&digits.len()) && groups.len() > 1;
    (is_service || is_some_number).then_some(Poor)
}

/// How long the prefix of a Korean number is, if it is one, with its leading 0.
fn korean(digits: &str) -> Option<usize> {
    let prefix = match digits.as_bytes() {
        [b'0', b'2', ..] => 2,
        [b'0', b'5', b'0', _, ..] => 4,
        [b'0', area, number, ..] if is_area(*area, *number) => 3,
        _ => return None,
    };
    let rest = &digits[prefix..];
    let is_mobile = digits.starts_with("01");
    let is_long_enough = match rest.len() {
        8 => true,
        7 => !digits.starts_with("010") && !digits.starts_with("070"),
        _ => false,
    };
    // No exchange begins with 0 or 1; of mobile numbers those stand in for real ones everywhere.
    let is_exchange = is_mobile || !rest.starts_with(['0', '1']);
    (is_long_enough && is_exchange).then_some(prefix)
}

/// Whether `0`, these two digits and a number are dialled in Korea: mobile, the provinces, internet and free numbers.
fn is_area(first: u8, second: u8) -> bool {
    let last = match first {
        b'1' => return matches!(second, b'0' | b'1' | b'6'..=b'9'),
        b'3' => b'3',
        b'4' | b'6' => b'4',
        b'5' => b'5',
        b'7' | b'8' => return second == b'0',
        _ => return false,
    };
    (b'1'..=last).contains(&second)
}

/// Whether ten digits are a number of the North American plan: neither area nor exchange begins with 0 or 1.
fn is_north_american(digits: &str) -> bool {
    let starts = |at: usize| matches!(digits.as_bytes()[at], b'2'..=b'9');
    digits.len() == 10 && starts(0) && starts(3) && &digits[1..3] != "11"
}
