//! Hides what looks like a secret in a line that is about to be shown.

use std::ops::Range;

/// Words in the name of a key whose value should not be seen.
const TELLING: &[&str] = &[
    "key",
    "secret",
    "token",
    "ticket",
    "passw",
    "passphrase",
    "passcode",
    "pwd",
    "private",
    "bearer",
    "hmac",
    "salt",
    "basic_auth",
    "dsn",
    "connection_string",
    "credential",
    "authorization",
    "cookie",
];

/// The key of a limit: tokens that are counted, and no secret.
const COUNTED: &str = "tokens";

/// The parts of a line of TOML to draw as `*`: string values of keys that sound secret, unless they are given
/// as placeholders, and user names and passwords in URLs. In their order; none overlaps another.
pub(super) fn secrets(line: &str) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = url_logins(line);
    let mut done = 0;
    for (equals, _) in line.match_indices('=') {
        let key = key_before(&line[..equals]);
        if equals >= done && key != COUNTED && sounds_secret(key) {
            let values = values_after(line, equals + 1);
            done = values.last().map_or(done, |part| part.end);
            parts.extend(values);
        }
    }
    parts.sort_by_key(|part| (part.start, part.end));
    parts.dedup_by(|next, part| {
        let overlaps = next.start < part.end;
        if overlaps {
            part.end = part.end.max(next.end);
        }
        overlaps
    });
    parts
}

/// Whether a key of this name holds what nobody should read.
pub(crate) fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    TELLING.iter().any(|word| key.contains(word))
}

fn key_before(text: &str) -> &str {
    let text = text.trim_end();
    let is_end = |c: char| matches!(c, ',' | '{' | '[' | '=') || c.is_whitespace();
    let start = text.rfind(is_end).map_or(0, |at| at + 1);
    text.get(start..).unwrap_or(text)
}

/// The strings, or the one bare word, that stand behind an equals sign.
fn values_after(line: &str, start: usize) -> Vec<Range<usize>> {
    let rest = &line[start..];
    let begin = start + (rest.len() - rest.trim_start().len());
    match line[begin..].chars().next() {
        Some('"' | '\'') => Vec::from_iter(string_at(line, begin)),
        Some('[') => {
            let end = line[begin..].find(']').map_or(line.len(), |at| begin + at);
            let mut parts = Vec::new();
            let mut at = begin + 1;
            while let Some(quote) = line[at..end.max(at)].find(['"', '\'']) {
                let part = string_at(line, at + quote);
                at = part
                    .as_ref()
                    .map_or(end, |part| (part.end + 1).min(line.len()));
                parts.extend(part);
            }
            parts
        }
        Some(first) if first.is_alphabetic() => {
            let end = line[begin..]
                .find(|c: char| c.is_whitespace() || matches!(c, ',' | '}'))
                .map_or(line.len(), |at| begin + at);
            let is_value = !matches!(&line[begin..end], "true" | "false");
            Vec::from_iter(is_value.then_some(begin..end))
        }
        _ => Vec::new(),
    }
}

/// What stands between the quote at `open` and the next of its kind, or the end of the line.
fn string_at(line: &str, open: usize) -> Option<Range<usize>> {
    let quote = line[open..].chars().next()?;
    let run = line[open..]
        .chars()
        .take_while(|c| *c == quote)
        .take(3)
        .count();
    let begin = open + if run == 3 { 3 } else { 1 };
    let end = line[begin..]
        .find(quote)
        .map_or(line.len(), |at| begin + at);
    (!line[begin..end].contains("${")).then_some(begin..end)
}

fn url_logins(line: &str) -> Vec<Range<usize>> {
    let login = |(at, _): (usize, &str)| {
        let begin = at + 3;
        let authority = line[begin..]
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\''))
            .map_or(line.len(), |end| begin + end);
        let end = begin + line[begin..authority].rfind('@')?;
        (!line[begin..end].contains("${")).then_some(begin..end)
    };
    line.match_indices("://").filter_map(login).collect()
}
