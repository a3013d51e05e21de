//! IP and MAC addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::{
    candidate::{Candidate, score},
    context::{self, Words},
    kind::Kind,
    number::Groups,
    text::Text,
};

/// What else is written as four numbers with dots.
const VERSION: Words = &[
    "version", "versions", "ver", "release", "build", "oid", "section", "버전", "판본",
];

/// An IPv6 address in its longest form, with an IPv4 address at its end.
const LONGEST: usize = 45;

/// Four numbers up to 255 with dots between them.
pub(super) fn ipv4(text: Text<'_>, groups: &Groups) -> Option<Candidate> {
    let mut each = groups.each();
    let (_, first, _) = each.next()?;
    let mut end = groups.start;
    for _ in 0..3 {
        let (gap, length, group_end) = each.next()?;
        if gap != b'.' || length > 3 || first > 3 {
            return None;
        }
        end = group_end;
    }
    let is_longer = matches!(text.at(end), b'.' | b'-') && text.at(end + 1).is_ascii_digit();
    let address = text.slice(groups.start, end);
    if is_longer || !text.is_closed(end) || address.parse::<Ipv4Addr>().is_err() {
        return None;
    }
    let is_version = is_small(address)
        && context::is_in(text, groups.start.saturating_sub(16)..groups.start, VERSION);
    (!is_version).then(|| Candidate::new(Kind::IpAddress, groups.start, end, score::CHECKED))
}

/// Whether all four numbers are as small as those of a version.
fn is_small(address: &str) -> bool {
    address.split('.').all(|number| number.len() <= 2)
}

/// An IPv6 or a MAC address, told by its first colon at `at`; and where the run of such characters ends.
pub(super) fn colons(text: Text<'_>, at: usize) -> (Option<Candidate>, usize) {
    let is_hex = |byte: u8| byte.is_ascii_hexdigit();
    let start = text.run_back(at, 5, is_hex);
    let end = text.run(at, usize::MAX, |byte| {
        is_hex(byte) || matches!(byte, b':' | b'.')
    });
    if at - start > 4 || end - start > LONGEST + 1 || end - start < 3 || !text.is_open(start) {
        return (None, end);
    }
    let run = text.slice(start, end).trim_end_matches('.');
    let run = run
        .strip_suffix(':')
        .filter(|run| !run.ends_with(':'))
        .unwrap_or(run);
    let last = start + run.len();
    if !text.is_closed(last) || matches!(text.before(start), b':' | b'.') {
        return (None, end);
    }
    let found = if is_mac(run, b':') {
        Some(Kind::MacAddress)
    } else {
        // Paths of code are made of colons and letters: `add::bad`.
        let is_ipv6 =
            run.bytes().any(|byte| byte.is_ascii_digit()) && run.parse::<Ipv6Addr>().is_ok();
        is_ipv6.then_some(Kind::IpAddress)
    };
    (
        found.map(|kind| Candidate::new(kind, start, last, score::CHECKED)),
        end,
    )
}

/// A MAC address with dashes, told by the first of them.
pub(super) fn dashed_mac(text: Text<'_>, at: usize) -> Option<Candidate> {
    let start = at.checked_sub(2)?;
    let end = start + 17;
    let is_one = is_mac(text.slice(start, end), b'-')
        && text.is_open(start)
        && text.before(start) != b'-'
        && text.is_closed(end)
        && text.at(end) != b'-';
    is_one.then(|| Candidate::new(Kind::MacAddress, start, end, score::CHECKED))
}

/// Six pairs of hexadecimal digits with a separator between them, neither all zeros nor all ones.
fn is_mac(text: &str, separator: u8) -> bool {
    let is_formed = text.len() == 17
        && text
            .bytes()
            .enumerate()
            .all(|(index, byte)| match index % 3 {
                2 => byte == separator,
                _ => byte.is_ascii_hexdigit(),
            });
    let is_all = |digit: char| {
        text.chars()
            .filter(char::is_ascii_hexdigit)
            .all(|c| c.eq_ignore_ascii_case(&digit))
    };
    is_formed && !is_all('0') && !is_all('f')
}
