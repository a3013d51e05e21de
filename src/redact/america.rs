//! US social security and individual taxpayer numbers.

use super::{
    candidate::{Candidate, score},
    checksum,
    context::{self, Words},
    kind::Kind,
    number::{self, Groups},
    text::Text,
};

const SSN: Words = &[
    "ssn",
    "ssns",
    "ssid",
    "social security",
    "social sec",
    "soc sec",
    "socsec",
    "사회보장",
];
const ITIN: Words = &[
    "itin",
    "taxpayer",
    "tax id",
    "tax payer",
    "individual tax",
    "납세자",
];

/// Nine digits, in groups of 3, 2 and 4 or, with a word that tells, without.
///
/// An SSN has no area 000, 666 or from 900 on, no group 00 and no serial 0000
/// (<https://www.ssa.gov/employer/randomization.html>). An ITIN begins with 9, and its group is 50 to 65, 70 to 88,
/// 90 to 92 or 94 to 99 (<https://www.irs.gov/irm/part3/irm_03-021-263r>).
pub(super) fn taxpayer(text: Text<'_>, groups: &Groups) -> Option<Candidate> {
    let (end, separator) = match groups.shaped(&[3, 2, 4], b"- ") {
        Some(end) => (end, text.at(groups.start + 3)),
        None if groups.first() == 9 => (groups.first_end(), 0),
        None => return None,
    };
    if !number::is_closed(text, end) {
        return None;
    }
    let value =
        checksum::digits(text.slice(groups.start, end)).fold(0, |value, digit| value * 10 + digit);
    let (area, group, serial) = (value / 1_000_000, value / 10_000 % 100, value % 10_000);
    let (kind, words) = match (area, group) {
        (900.., 50..=65 | 70..=88 | 90..=92 | 94..=99) => (Kind::UsItin, ITIN),
        (900.. | 0 | 666, _) | (_, 0) => return None,
        _ if serial == 0 => return None,
        _ => (Kind::UsSsn, SSN),
    };
    let is_told = context::is_near(text, groups.start, end, words)
        || context::is_near(text, groups.start, end, SSN);
    let score = match (separator, is_told) {
        (b'-', true) => score::CHECKED,
        (b'-', false) => score::FORMED,
        (_, true) => score::TOLD,
        _ => return None,
    };
    Some(Candidate::new(kind, groups.start, end, score))
}
