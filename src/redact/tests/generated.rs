//! Numbers made by the rules are found, wherever they stand; with a wrong check digit they are not.

use proptest::prelude::*;

use super::*;

/// What may stand before a value, and after it.
const AROUND: &[(&str, &str)] = &[
    ("", ""),
    ("값은 ", "입니다"),
    ("값은", "이고"),
    ("{\"v\":\"", "\"}"),
    ("a\\n", "\\n"),
    ("https://x.example/?v=", "&w=1"),
    ("(", ")."),
    ("\u{3000}", "。"),
];

fn around() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(AROUND)
}

fn with_check(digits: &str, is_right: impl Fn(&str) -> bool) -> String {
    (0..10)
        .map(|digit| format!("{digits}{digit}"))
        .find(|number| is_right(number))
        .unwrap()
}

/// A date of birth before check digits were given up, and the digit of its century for a Korean or a foreigner.
fn birth() -> impl Strategy<Value = (String, bool)> {
    (
        1900_u32..2020,
        1_u32..=12,
        1_u32..=28,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(year, month, day, is_woman, is_foreign)| {
            let century = if year < 2000 { 1 } else { 3 };
            let digit = century + u32::from(is_woman) + if is_foreign { 4 } else { 0 };
            (
                format!("{:02}{month:02}{day:02}{digit}", year % 100),
                is_foreign,
            )
        })
}

fn split(number: &str, groups: &[usize], separator: &str) -> String {
    let mut rest = number;
    let mut parts = Vec::new();
    for length in groups {
        let (part, after) = rest.split_at(*length);
        parts.push(part);
        rest = after;
    }
    assert_eq!(rest, "");
    parts.join(separator)
}

/// The number with its last digit another.
fn spoiled(number: &str, by: u8) -> String {
    let last = number.as_bytes()[number.len() - 1] - b'0';
    format!("{}{}", &number[..number.len() - 1], (last + by) % 10)
}

fn wide(text: &str) -> String {
    let wide = |c: char| match c {
        '!'..='~' => char::from_u32(c as u32 + 0xFEE0).unwrap(),
        other => other,
    };
    text.chars().map(wide).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn registration_numbers((birth, is_foreign) in birth(), rest in "[0-9]{5}", (before, after) in around(), by in 1_u8..10, is_wide: bool) {
        let digits = format!("{birth}{rest}");
        let (name, number) = if is_foreign {
            ("KR_FRN", with_check(&digits, checksum::frn))
        } else {
            ("KR_RRN", with_check(&digits, checksum::rrn))
        };
        let written = split(&number, &[6, 7], "-");
        let shown = if is_wide { wide(&written) } else { written.clone() };
        are_found(name, &[&format!("{before}⟦{shown}⟧{after}")]);
        are_not_found(name, &[&format!("{before}{}{after}", spoiled(&written, by))]);
    }

    #[test]
    fn newer_registration_numbers(year in 21_u32..40, month in 1_u32..=12, day in 1_u32..=28, rest in "[347 8][0-9]{6}", (before, after) in around()) {
        prop_assume!(!rest.contains(' '));
        let name = if rest.starts_with(['3', '4']) { "KR_RRN" } else { "KR_FRN" };
        are_found(name, &[&format!("{before}⟦{year}{month:02}{day:02}-{rest}⟧{after}")]);
    }

    #[test]
    fn cards(prefix in prop::sample::select(&["4", "51", "55", "2221", "6011", "3566", "65", "62"][..]), rest in "[0-9]{15}", (before, after) in around(), by in 1_u8..10, shape in 0..3) {
        let digits = &format!("{prefix}{rest}")[..15];
        let number = with_check(digits, checksum::luhn);
        let separator = ["", "-", " "][shape as usize];
        let written = split(&number, &[4, 4, 4, 4], separator);
        are_found("CREDIT_CARD", &[&format!("{before}⟦{written}⟧{after}")]);
        are_not_found("CREDIT_CARD", &[&format!("{before}{}{after}", spoiled(&written, by))]);
    }

    #[test]
    fn accounts((country, length) in prop::sample::select(&[("DE", 22), ("GB", 22), ("FR", 27), ("NO", 15), ("MT", 31)][..]), rest in "[A-Z0-9]{27}", (before, after) in around(), is_split: bool) {
        let rest = &rest[..length - 4];
        let number = (2..99).map(|check| format!("{country}{check:02}{rest}")).find(|number| checksum::mod97(number)).unwrap();
        let other = (2..99).map(|check| format!("{country}{check:02}{rest}")).find(|number| !checksum::mod97(number)).unwrap();
        let written = |number: &str| {
            let parts: Vec<_> = number.as_bytes().chunks(4).map(|part| std::str::from_utf8(part).unwrap()).collect();
            parts.join(if is_split { " " } else { "" })
        };
        are_found("IBAN_CODE", &[&format!("{before}⟦{}⟧{after}", written(&number))]);
        are_not_found("IBAN_CODE", &[&format!("{before}{}{after}", written(&other))]);
    }

    #[test]
    fn business_numbers(first in 101_u32..999, middle in 1_u32..99, rest in "[0-9]{4}", (before, after) in around(), by in 1_u8..10) {
        let number = with_check(&format!("{first}{middle:02}{rest}"), checksum::brn);
        let written = split(&number, &[3, 2, 5], "-");
        are_found("KR_BRN", &[&format!("{before}⟦{written}⟧{after}")]);
        are_not_found("KR_BRN", &[&format!("{before}{}{after}", spoiled(&written, by))]);
    }

    #[test]
    fn social_security_numbers(area in 1_u32..900, group in 1_u32..100, serial in 1_u32..10_000, (before, after) in around()) {
        let number = format!("{area:03}-{group:02}-{serial:04}");
        if area == 666 {
            are_not_found("US_SSN", &[&format!("{before}{number}{after}")]);
        } else {
            are_found("US_SSN", &[&format!("{before}⟦{number}⟧{after}")]);
        }
    }

    #[test]
    fn korean_telephones(middle in 1000_u32..10_000, last in 0_u32..10_000, (before, after) in around(), shape in 0..4) {
        let number = match shape {
            0 => format!("010-{middle}-{last:04}"),
            1 => format!("010{middle}{last:04}"),
            2 => format!("+82-10-{middle}-{last:04}"),
            _ => format!("010.{middle}.{last:04}"),
        };
        are_found("PHONE_NUMBER", &[&format!("{before}⟦{number}⟧{after}")]);
    }

    #[test]
    fn mail_addresses(local in "[a-z][a-z0-9]{0,20}([._+][a-z0-9]{1,8})?", host in "[a-z0-9]{1,12}(-[a-z0-9]{1,5})?", top in prop::sample::select(&["com", "co.kr", "example", "io"][..]), (before, after) in around()) {
        // Where a query begins an escape would be, its letters are part of it.
        are_found("EMAIL_ADDRESS", &[&format!("{before}⟦{local}@{host}.{top}⟧{after}")]);
    }

    #[test]
    fn any_text_at_all_is_looked_at_without_harm(text in "\\PC{0,200}|[0-9@:.a-f+() \\-\\\\=%?&\u{FF10}-\u{FF19}\u{2010}-\u{2015}]{0,200}") {
        let redactor = Redactor::default();
        let entities = redactor.find(&text);
        let mut last = 0;
        for entity in &entities {
            prop_assert!(last <= entity.start && entity.start < entity.end && entity.end <= text.len());
            prop_assert!(text.get(entity.range()).is_some());
            prop_assert!((0.6..=1.0).contains(&entity.score));
            last = entity.end;
        }
        let redacted = redactor.redact(&text);
        prop_assert_eq!(entities.is_empty(), redacted == text);
    }
}
