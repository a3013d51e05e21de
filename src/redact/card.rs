//! Payment cards.

use super::{
    candidate::{Candidate, score},
    checksum,
    context::{self, Words},
    kind::Kind,
    number::{self, Groups},
    text::Text,
};

const CARD: Words = &[
    "card",
    "cards",
    "credit",
    "debit",
    "visa",
    "mastercard",
    "amex",
    "american express",
    "pan",
    "cc",
    "diners",
    "jcb",
    "unionpay",
    "카드",
    "신용카드",
    "체크카드",
    "결제",
];

/// The groups in which cards are embossed.
const SHAPES: &[&[u8]] = &[&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4]];

/// A number of 12 to 19 digits that a known issuer gives out, right by Luhn.
pub(super) fn card(text: Text<'_>, groups: &Groups) -> Option<Candidate> {
    let split = SHAPES
        .iter()
        .filter_map(|shape| groups.shaped(shape, b"- "))
        .find(|end| number::is_closed(text, *end));
    let (end, is_split) = match split {
        Some(end) => (end, true),
        None if (12..=19).contains(&groups.first()) => (groups.first_end(), false),
        None => return None,
    };
    let value = text.slice(groups.start, end);
    if !number::is_closed(text, end) || !checksum::luhn(value) {
        return None;
    }
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    let is_told = || context::is_near(text, groups.start, end, CARD);
    let score = match (issuer(&digits), is_split) {
        (Issuer::Known, true) => score::CERTAIN,
        (Issuer::Known, false) if is_told() => score::CERTAIN,
        (Issuer::Known, false) => score::CHECKED,
        (Issuer::Possible, _) if is_told() => score::FORMED,
        _ => return None,
    };
    Some(Candidate::new(Kind::CreditCard, groups.start, end, score))
}

enum Issuer {
    /// A network gives out numbers with this beginning, of this length.
    Known,
    /// Somebody may: a word has to tell.
    Possible,
    Nobody,
}

/// Who gives out a number, by its leading digits (ISO/IEC 7812) and its length.
fn issuer(digits: &str) -> Issuer {
    let leading = |count: usize| digits[..count].parse::<u32>().unwrap_or(0);
    let (two, three, four, six) = (leading(2), leading(3), leading(4), leading(6));
    let is_known = match digits.len() {
        13 => two / 10 == 4,
        14 => matches!(two, 36 | 38 | 39) || matches!(three, 300..=305 | 309),
        15 => matches!(two, 34 | 37),
        16 => {
            matches!(two, 40..=49 | 51..=55 | 62 | 64 | 65 | 36 | 38 | 39 | 67 | 81)
                || matches!(four, 2200..=2204 | 2221..=2720 | 3528..=3589 | 6011 | 5018 | 5020 | 5038 | 5893 | 6304 | 9792)
                || matches!(six, 508_500..=508_999 | 606_282 | 637_095)
                // Cards for use in Korea alone.
                || two / 10 == 9
        }
        17..=18 => matches!(two, 62 | 65) || matches!(four, 3528..=3589 | 6011),
        19 => matches!(two, 40..=49 | 62 | 65) || matches!(four, 3528..=3589 | 6011),
        _ => false,
    };
    match two {
        _ if is_known => Issuer::Known,
        50 | 56..=69 => Issuer::Possible,
        _ => Issuer::Nobody,
    }
}
