//! Korean registration, passport, driving licence and business registration numbers.

use super::{
    candidate::{Candidate, score},
    checksum,
    context::{self, Words},
    kind::Kind,
    number::{self, Groups},
    text::Text,
};

const RRN: Words = &[
    "주민등록",
    "주민번호",
    "주민 등록",
    "주민 번호",
    "주민",
    "rrn",
    "resident registration",
    "resident number",
    "korean id",
    "ssn",
    "jumin",
];
const FRN: Words = &[
    "외국인등록",
    "외국인 등록",
    "외국인번호",
    "외국인",
    "거소신고",
    "거소",
    "frn",
    "arn",
    "arc",
    "alien registration",
    "foreigner registration",
    "foreign registration",
    "residence card",
];
const PASSPORT: Words = &["여권", "passport", "passports"];
const LICENCE: Words = &[
    "운전면허",
    "면허번호",
    "면허",
    "driver",
    "drivers",
    "driving",
    "licence",
    "license",
    "dl",
];
const BUSINESS: Words = &[
    "사업자",
    "사업자등록",
    "brn",
    "business registration",
    "business number",
    "tax id",
    "registration no",
    "registration number",
    "biz",
];

/// Places that a driving licence begins with in its old form.
const REGIONS: &[&str] = &[
    "서울", "부산", "경기", "강원", "충북", "충남", "전북", "전남", "경북", "경남", "제주", "대구",
    "인천", "광주", "대전", "울산",
];

/// A registration number: six digits of the date of birth, then seven of which the first says the century.
pub(super) fn registration(text: Text<'_>, groups: &Groups) -> Option<Candidate> {
    let (end, is_split) = match groups.shaped(&[6, 7], b"- ") {
        Some(end) => (end, true),
        None if groups.first() == 13 => (groups.first_end(), false),
        None => return None,
    };
    if !number::is_closed(text, end) {
        return None;
    }
    let value = text.slice(groups.start, end);
    let digits: Vec<u32> = checksum::digits(value).collect();
    let birth = Birth::read(&digits)?;
    let (kind, words, is_right) = if birth.is_foreign {
        (Kind::KrFrn, FRN, checksum::frn(value))
    } else {
        (Kind::KrRrn, RRN, checksum::rrn(value))
    };
    let is_told = || {
        context::is_near(text, groups.start, end, words)
            || context::is_near(text, groups.start, end, RRN)
    };
    let score = match (is_right, is_split) {
        (true, true) if is_told() => score::CERTAIN,
        (true, true) => score::CHECKED,
        // One number in ten is right by chance, and milliseconds since 1970 look like dates of birth.
        (true, false) if is_told() => score::CHECKED,
        (true, false) if !is_milliseconds(&digits) => score::LIKELY,
        // Numbers given out since October 2020 have no check digit: to Koreans at birth, to foreigners at arrival.
        (false, true) if birth.is_unchecked() => score::FORMED,
        (false, true) if birth.is_foreign && is_told() => score::TOLD,
        (false, false) if birth.is_unchecked() && is_told() => score::TOLD,
        _ => return None,
    };
    Some(Candidate::new(kind, groups.start, end, score))
}

/// Whether 13 digits are a time between 2014 and 2033, as machines write it.
fn is_milliseconds(digits: &[u32]) -> bool {
    digits[0] == 1 && (4..=9).contains(&digits[1])
}

/// The seven leading digits of a registration number.
struct Birth {
    year: u32,
    month: u32,
    day: u32,
    is_foreign: bool,
}

impl Birth {
    /// `None` where there is no such day or no such century.
    fn read(digits: &[u32]) -> Option<Self> {
        let two = |at: usize| digits[at] * 10 + digits[at + 1];
        let century = match digits[6] {
            9 | 0 => 1800,
            1 | 2 | 5 | 6 => 1900,
            _ => 2000,
        };
        let birth = Self {
            year: century + two(0),
            month: two(2),
            day: two(4),
            is_foreign: (5..=8).contains(&digits[6]),
        };
        let is_day = (1..=12).contains(&birth.month) && (1..=birth.days()).contains(&birth.day);
        (is_day && birth.year <= LAST_YEAR).then_some(birth)
    }

    const fn days(&self) -> u32 {
        let is_leap = self.year.is_multiple_of(4) && !self.year.is_multiple_of(100)
            || self.year.is_multiple_of(400);
        match self.month {
            2 if is_leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    /// Whether the number was given out after check digits were, in October 2020.
    fn is_unchecked(&self) -> bool {
        (self.year, self.month) >= (2020, 10)
    }
}

/// Later dates of birth are not read as such. A recognizer does not ask the clock, so there is room to this year.
const LAST_YEAR: u32 = 2049;

/// A business registration number: 3, 2 and 5 digits, the last of them a check digit.
pub(super) fn business(text: Text<'_>, groups: &Groups) -> Option<Candidate> {
    let (end, is_split) = match groups.shaped(&[3, 2, 5], b"-") {
        Some(end) => (end, true),
        None if groups.first() == 10 => (groups.first_end(), false),
        None => return None,
    };
    let value = text.slice(groups.start, end);
    if !number::is_closed(text, end) || value.starts_with('0') || !checksum::brn(value) {
        return None;
    }
    let score = match (
        is_split,
        context::is_near(text, groups.start, end, BUSINESS),
    ) {
        (true, true) => score::CERTAIN,
        (true, false) => score::CHECKED,
        (false, true) => score::FORMED,
        (false, false) => return None,
    };
    Some(Candidate::new(Kind::KrBrn, groups.start, end, score))
}

/// A driving licence: 2, 2, 6 and 2 digits of which the first two are a region, from 11 to 28; or, in its old form,
/// the name of the region and the rest.
pub(super) fn licence(text: Text<'_>, groups: &Groups) -> Option<Candidate> {
    let (start, end, is_split) = if let Some(end) = groups.shaped(&[2, 2, 6, 2], b"- ") {
        (groups.start, end, true)
    } else if let Some(end) = groups.shaped(&[2, 6, 2], b"- ") {
        (region_before(text, groups.start)?, end, true)
    } else if groups.first() == 12 {
        (groups.start, groups.first_end(), false)
    } else {
        return None;
    };
    if !number::is_closed(text, end) {
        return None;
    }
    let is_named = start < groups.start;
    let region = text.slice(groups.start, groups.start + 2);
    if !is_named && !("11"..="28").contains(&region) {
        return None;
    }
    let score = match (is_split, context::is_near(text, start, end, LICENCE)) {
        (true, true) => score::CHECKED,
        (true, false) if text.at(groups.start + 2) == b'-' => score::LIKELY,
        (false, true) => score::TOLD,
        _ => return None,
    };
    Some(Candidate::new(Kind::KrDriverLicense, start, end, score))
}

/// Where the name of a region begins that stands before a number.
fn region_before(text: Text<'_>, at: usize) -> Option<usize> {
    let end = text.run_back(at, 1, |byte| matches!(byte, b'-' | b' '));
    let start = end.checked_sub("서울".len())?;
    REGIONS
        .iter()
        .any(|region| text.has(start, region))
        .then_some(start)
}

/// A passport: `M12345678`, or since the end of 2021 `M123A4567`. Either is too common without a word for it.
pub(super) fn passport(text: Text<'_>, start: usize) -> Option<Candidate> {
    if !matches!(
        text.at(start).to_ascii_uppercase(),
        b'M' | b'S' | b'R' | b'O' | b'D' | b'G'
    ) {
        return None;
    }
    let is_digits =
        |from: usize, to: usize| (from..to).all(|at| text.at(start + at).is_ascii_digit());
    let is_formed = is_digits(1, 9)
        || is_digits(1, 4) && text.at(start + 4).is_ascii_alphabetic() && is_digits(5, 9);
    let end = start + 9;
    let is_whole = is_formed && text.is_open(start) && number::is_closed(text, end);
    let is_passport = is_whole && context::is_near(text, start, end, PASSPORT);
    is_passport.then(|| Candidate::new(Kind::KrPassport, start, end, score::FORMED))
}
