//! Reading a request: every member has its type, and a wrong one is refused by name.

use std::{fmt::Display, ops::RangeInclusive};

use millgate_plugin::Refusal;
use serde_json::{Map, Value};

use crate::providers::answer::request_object;
pub(super) use crate::providers::answer::{invalid, unsupported};

/// The members of a JSON object. `null` counts as absent.
#[derive(Debug)]
pub(super) struct Body(Map<String, Value>);

impl Body {
    /// Reads a request body.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        request_object(bytes).map(Self)
    }

    /// A member, whatever its type.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// All members: for what a reply repeats.
    pub(super) const fn members(&self) -> &Map<String, Value> {
        &self.0
    }

    /// A member that has to be there.
    pub(super) fn required(&self, name: &'static str) -> Result<&Value, Refusal> {
        self.get(name)
            .ok_or_else(|| invalid(name, format!("`{name}` is required")))
    }

    /// A text.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        self.typed(name, "a string", Value::as_str)
    }

    /// True or false; false where it is absent.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Refusal> {
        Ok(self
            .typed(name, "true or false", Value::as_bool)?
            .unwrap_or(false))
    }

    /// A list.
    pub(super) fn list(&self, name: &str) -> Result<Option<&[Value]>, Refusal> {
        self.typed(name, "an array", |value| {
            value.as_array().map(Vec::as_slice)
        })
    }

    /// An object.
    pub(super) fn object(&self, name: &str) -> Result<Option<&Map<String, Value>>, Refusal> {
        self.typed(name, "an object", Value::as_object)
    }

    /// A whole number within a range.
    pub(super) fn whole(
        &self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Refusal> {
        let expected = match *range.end() {
            u64::MAX => format!("a whole number, {} or more", range.start()),
            end => format!("a whole number from {} to {end}", range.start()),
        };
        self.typed(name, expected, |value| {
            value.as_u64().filter(|number| range.contains(number))
        })
    }

    /// `stop`: a text or a list of texts.
    pub(super) fn stops(&self) -> Result<Vec<&str>, Refusal> {
        let stops = self.typed(
            "stop",
            "a string or an array of strings",
            |value| match value {
                Value::String(stop) => Some(vec![stop.as_str()]),
                Value::Array(stops) => stops.iter().map(Value::as_str).collect(),
                _ => None,
            },
        )?;
        Ok(stops.unwrap_or_default())
    }

    /// `stream_options.include_usage`.
    pub(super) fn include_usage(&self) -> Result<bool, Refusal> {
        match self
            .object("stream_options")?
            .and_then(|o| o.get("include_usage"))
        {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(wanted)) => Ok(*wanted),
            Some(_) => Err(wrong("stream_options.include_usage", "true or false")),
        }
    }

    fn typed<'a, T>(
        &'a self,
        name: &str,
        expected: impl Display,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        read(value).map(Some).ok_or_else(|| wrong(name, expected))
    }
}

/// One prompt of completions or one input of embeddings.
#[derive(Debug)]
pub(super) enum Input<'a> {
    /// A text.
    Text(&'a str),
    /// Numbers of a tokenizer.
    Tokens(Vec<u64>),
}

/// The inputs of `name`: a text, a list of texts, one token array or a list of token arrays.
pub(super) fn inputs<'a>(body: &'a Body, name: &'static str) -> Result<Vec<Input<'a>>, Refusal> {
    let refused = || {
        wrong(
            name,
            "a string, an array of strings or an array of token numbers",
        )
    };
    match body.required(name)? {
        Value::String(text) => Ok(vec![Input::Text(text)]),
        Value::Array(list) if list.is_empty() => Err(invalid(name, format!("`{name}` is empty"))),
        Value::Array(list) if list[0].is_number() => Ok(vec![tokens(list).ok_or_else(refused)?]),
        Value::Array(list) => {
            let is_text = list[0].is_string();
            let one = |value: &'a Value| match value {
                Value::String(text) if is_text => Some(Input::Text(text)),
                Value::Array(list) if !is_text && !list.is_empty() => tokens(list),
                _ => None,
            };
            list.iter()
                .map(one)
                .collect::<Option<_>>()
                .ok_or_else(refused)
        }
        _ => Err(refused()),
    }
}

fn tokens(list: &[Value]) -> Option<Input<'_>> {
    let numbers: Option<_> = list.iter().map(Value::as_u64).collect();
    numbers.map(Input::Tokens)
}

/// The text of a message's content: a string, or the text parts of an array. `at` names it in a refusal.
pub(super) fn content_text(content: Option<&Value>, at: &str) -> Result<String, Refusal> {
    match content {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(Value::Array(parts)) => {
            let texts = parts
                .iter()
                .enumerate()
                .map(|(n, part)| part_text(part, n, at));
            Ok(texts.collect::<Result<Vec<_>, _>>()?.join(" "))
        }
        Some(_) => Err(wrong(at, "a string or an array of parts")),
    }
}

/// The text of one content part; images, audio and files have none.
fn part_text<'a>(part: &'a Value, position: usize, at: &str) -> Result<&'a str, Refusal> {
    let member = match part.get("type").and_then(Value::as_str) {
        Some("text" | "input_text" | "output_text") => "text",
        Some("refusal") => "refusal",
        Some(_) => return Ok(""),
        None => return Err(wrong(&format!("{at}[{position}].type"), "a string")),
    };
    let text = part.get(member).and_then(Value::as_str);
    text.ok_or_else(|| wrong(&format!("{at}[{position}].{member}"), "a string"))
}

/// Refuses a member of the wrong type.
pub(super) fn wrong(param: &str, expected: impl Display) -> Refusal {
    invalid(param, format!("`{param}` must be {expected}"))
}
