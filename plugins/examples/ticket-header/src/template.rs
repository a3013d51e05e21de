//! Header values with places that are filled from what is known of the caller.

use std::fmt::Write;

use millgate_plugin::{Exchange, Field};

/// A value, parsed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Template(Vec<Part>);

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Caller,
    Team,
    Meta(String),
}

/// What became of a template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Filled {
    /// A header's value: visible ASCII and spaces.
    Value(String),
    /// This of the caller is not known.
    Missing(String),
}

impl Template {
    /// Parses a value; the error says what is wrong with it.
    pub(crate) fn parse(value: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut text = String::new();
        let mut rest = value;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            if rest.starts_with("{{") || rest.starts_with("}}") {
                text.push_str(&rest[..1]);
                rest = &rest[2..];
                continue;
            }
            let (place, behind) = rest
                .strip_prefix('{')
                .and_then(|inner| inner.split_once('}'))
                .ok_or("a brace stands alone: write {{ or }} for a brace itself")?;
            push_text(&mut parts, &mut text);
            parts.push(Part::parse(place)?);
            rest = behind;
        }
        text.push_str(rest);
        push_text(&mut parts, &mut text);
        Ok(Self(parts))
    }

    /// Fills the places for this exchange.
    pub(crate) fn fill(&self, exchange: &dyn Exchange) -> Filled {
        let mut value = String::new();
        for part in &self.0 {
            let known = match part {
                Part::Text(text) => Some(text.as_str()),
                Part::Caller => exchange.text(Field::CallerId, ""),
                Part::Team => exchange.text(Field::CallerTeam, ""),
                Part::Meta(key) => exchange.text(Field::CallerMeta, key),
            };
            match known {
                Some(known) if !known.is_empty() => encode(known, &mut value),
                _ => return Filled::Missing(part.name().to_owned()),
            }
        }
        Filled::Value(value)
    }
}

impl Part {
    fn parse(place: &str) -> Result<Self, String> {
        match place {
            "caller" => Ok(Self::Caller),
            "team" => Ok(Self::Team),
            _ => match place.strip_prefix("meta.") {
                Some(key) if !key.is_empty() => Ok(Self::Meta(key.to_owned())),
                _ => Err(format!(
                    "there is no {{{place}}}: write {{caller}}, {{team}} or {{meta.KEY}}"
                )),
            },
        }
    }

    /// What a person calls it.
    fn name(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Caller => "id",
            Self::Team => "team",
            Self::Meta(key) => key,
        }
    }
}

fn push_text(parts: &mut Vec<Part>, text: &mut String) {
    if !text.is_empty() {
        parts.push(Part::Text(std::mem::take(text)));
    }
}

/// A name may be in any script and a header may not: what is not visible ASCII or a space is percent-encoded UTF-8. That
/// leaves no way for a line break to begin a header of its own.
fn encode(text: &str, value: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_graphic() || byte == b' ' {
            value.push(byte.into());
        } else {
            // Writing to a text does not fail.
            let _ = write!(value, "%{byte:02X}");
        }
    }
}
