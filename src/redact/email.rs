//! Email addresses.

use super::{
    candidate::{Candidate, score},
    kind::Kind,
    text::Text,
};

/// RFC 5321 allows so many bytes before the `@` …
const LONGEST_LOCAL: usize = 64;
/// … and so many after it.
const LONGEST_DOMAIN: usize = 253;

/// Endings of file names, which stand after an `@` too: `logo@2x.png`.
const FILES: &[&str] = &[
    "png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico", "css", "js", "mjs", "ts", "tsx",
    "json", "html", "htm", "map", "service", "timer", "socket", "rs", "py", "yaml", "yml", "toml",
    "txt", "log",
];

/// An address whose `@`, `width` bytes wide, stands at `at`.
pub(super) fn email(text: Text<'_>, at: usize, width: usize) -> Option<Candidate> {
    let start = local_start(text, at)?;
    let domain = at + width;
    let end = domain_end(text, domain)?;
    // `git@github.com:me/it` is a place, not a mailbox.
    if text.at(end) == b':' && text.slice(start, at) == "git" {
        return None;
    }
    Some(Candidate::new(
        Kind::EmailAddress,
        start,
        end,
        score::CHECKED,
    ))
}

fn local_start(text: Text<'_>, at: usize) -> Option<usize> {
    let is_local =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-');
    let mut start = text.run_back(at, LONGEST_LOCAL + 1, is_local);
    if at - start > LONGEST_LOCAL {
        return None;
    }
    // An escape before it has lent it its letters.
    match text.before(start) {
        b'\\' if text.at(start) == b'u' => start = (start + 5).min(at),
        b'\\' if matches!(text.at(start), b'n' | b'r' | b't' | b'b' | b'f') => start += 1,
        b'%' if text.at(start).is_ascii_hexdigit() && text.at(start + 1).is_ascii_hexdigit() => {
            start = (start + 2).min(at);
        }
        _ => {}
    }
    start = text.run(start, at - start, |byte| matches!(byte, b'.' | b'-' | b'+'));
    let is_dotted_well = text.before(at) != b'.' && !text.slice(start, at).contains("..");
    (start < at && is_dotted_well).then_some(start)
}

fn domain_end(text: Text<'_>, start: usize) -> Option<usize> {
    let is_domain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let run = text.run(start, LONGEST_DOMAIN + 1, is_domain);
    let domain = text.slice(start, run);
    let domain = domain.split("..").next().unwrap_or_default();
    let domain = domain.trim_end_matches(['.', '-']);
    let (host, top) = domain.rsplit_once('.')?;
    // A word that runs on behind a dash is no part of the domain: `kim@example.com-based`.
    let (top, is_cut) = match top.split_once('-') {
        Some((first, _)) if !top.starts_with("xn--") => (first, true),
        _ => (top, false),
    };
    let is_top = (2..=24).contains(&top.len())
        && top.bytes().all(|byte| byte.is_ascii_alphabetic())
        || top.starts_with("xn--");
    let is_label = |label: &str| {
        !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_file = FILES.iter().any(|file| top.eq_ignore_ascii_case(file));
    let end = start + host.len() + 1 + top.len();
    let is_whole = is_cut || run - start <= LONGEST_DOMAIN && text.at(end) != b'@';
    (is_top && !is_file && is_whole && host.split('.').all(is_label)).then_some(end)
}
