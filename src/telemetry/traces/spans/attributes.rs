//! Attributes as they are put together.

use opentelemetry::{Array, KeyValue, StringValue, Value};

use crate::telemetry::filter;

/// A longer text is cut.
const LONGEST: usize = 64 << 10;

/// The attributes of a span.
#[derive(Default)]
pub(super) struct Attributes(Vec<KeyValue>);

impl Attributes {
    /// A number, a flag, or a word of the gateway's own.
    pub(super) fn put(&mut self, key: &'static str, value: impl Into<Value>) {
        self.0.push(KeyValue::new(key, value));
    }

    /// The same where there is one.
    pub(super) fn maybe(&mut self, key: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    /// A text that a client, an upstream or the config has chosen.
    pub(super) fn text(&mut self, key: &'static str, text: &str) {
        self.put(key, clean(text));
    }

    /// The same where there is one.
    pub(super) fn maybe_text(&mut self, key: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    /// A list of such texts; nothing where it is empty.
    pub(super) fn texts<'t>(&mut self, key: &'static str, texts: impl Iterator<Item = &'t str>) {
        let texts: Vec<StringValue> = texts.map(|text| clean(text).into()).collect();
        if !texts.is_empty() {
            self.put(key, Value::Array(Array::String(texts)));
        }
    }

    pub(super) fn into_list(self) -> Vec<KeyValue> {
        self.0
    }
}

/// A count; there are none so large that it would not fit.
pub(super) fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// US dollars of billionths.
pub(super) fn dollars(billionths: u64) -> f64 {
    billionths as f64 / 1e9
}

pub(super) fn clean(text: &str) -> String {
    let clean = filter::clean(text);
    let end = clean.floor_char_boundary(LONGEST);
    clean[..end].to_owned()
}
