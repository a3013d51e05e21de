//! Strings to try: of a format, of a pattern, or just of the right length.

use serde_json::Value;

use super::{Impossible, facts::Facts, pattern};

/// Longest string, in characters.
const MAX_LENGTH: usize = 65_536;
const WORD: &str = "rehearsal";

/// Strings that may satisfy the facts; `taken` of them may be taken.
pub(super) fn candidates(facts: &Facts<'_>, taken: usize) -> Result<Vec<Value>, Impossible> {
    let least = facts.at_least("minLength").unwrap_or_default().max(0.0) as usize;
    let most = facts
        .at_most("maxLength")
        .map_or(MAX_LENGTH, |most| most.max(0.0) as usize);
    if least > MAX_LENGTH {
        return Err(Impossible::new("its string is too long"));
    }
    let patterns: Vec<&str> = facts.all("pattern").filter_map(Value::as_str).collect();
    let format = facts
        .all("format")
        .find_map(Value::as_str)
        .unwrap_or_default();
    let texts = match patterns.as_slice() {
        [] => (0..=taken)
            .filter_map(|n| of_format(format, n).or_else(|| filler(n, least, most)))
            .collect(),
        [first, others @ ..] if others.iter().all(|other| other == first) => {
            pattern::samples(first, least, most, taken + 1)?
        }
        _ => return Err(Impossible::new("several patterns hold at once")),
    };
    Ok(texts.into_iter().map(Value::String).collect())
}

/// The `n`th sample of a format; `None` where the format is unknown, and so no more than a note.
/// See <https://json-schema.org/draft/2020-12/json-schema-validation#section-7.3>.
fn of_format(format: &str, n: usize) -> Option<String> {
    let day = n % 28 + 1;
    let low = n % 254 + 1;
    Some(match format {
        "date-time" => format!("2026-01-{day:02}T00:00:00Z"),
        "date" => format!("2026-01-{day:02}"),
        "time" => format!("00:00:{:02}Z", n % 60),
        "duration" => format!("P{}D", n + 1),
        "email" | "idn-email" => format!("rehearsal{}@example.com", suffix(n)),
        "hostname" | "idn-hostname" => format!("rehearsal{}.example.com", suffix(n)),
        "ipv4" => format!("192.0.2.{low}"),
        "ipv6" => format!("2001:db8::{:x}", n % 0xffff + 1),
        "uri" | "iri" | "url" => format!("https://example.com/{}", suffix(n)),
        "uri-reference" | "iri-reference" | "json-pointer" => format!("/rehearsal{}", suffix(n)),
        "uri-template" => format!("https://example.com/{{name{}}}", suffix(n)),
        "relative-json-pointer" => n.to_string(),
        "regex" => format!("rehearsal{}", suffix(n)),
        "uuid" => format!("00000000-0000-4000-8000-{n:012x}"),
        "byte" => "cmVoZWFyc2Fs".to_owned(),
        _ => return None,
    })
}

/// The `n`th text within a length, in characters.
fn filler(n: usize, least: usize, most: usize) -> Option<String> {
    let suffix = suffix(n);
    let room = most.checked_sub(suffix.len())?;
    let length = WORD.len().max(least.saturating_sub(suffix.len())).min(room);
    let body: String = WORD.chars().cycle().take(length).collect();
    Some(body + &suffix)
}

fn suffix(n: usize) -> String {
    match n {
        0 => String::new(),
        n => n.to_string(),
    }
}
