//! Attributes as they are put together.

use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};

use crate::telemetry::filter;

/// A longer text is cut.
const LONGEST: usize = 64 << 10;

/// The attributes of a span.
#[derive(Default)]
pub(super) struct Attributes(Vec<KeyValue>);

impl Attributes {
    /// A number, a flag, or a word of the gateway's own.
    pub(super) fn put(&mut self, key: &'static str, value: impl Told) {
        self.0.push(KeyValue {
            key: key.to_owned(),
            value: Some(any(value)),
            ..KeyValue::default()
        });
    }

    /// The same where there is one.
    pub(super) fn maybe(&mut self, key: &'static str, value: Option<impl Told>) {
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
        let values: Vec<_> = texts.map(|text| any(clean(text))).collect();
        if !values.is_empty() {
            self.put(key, ArrayValue { values });
        }
    }

    pub(super) fn into_list(self) -> Vec<KeyValue> {
        self.0
    }
}

/// What an attribute may be.
pub(super) trait Told {
    /// The same as OTLP has it.
    fn told(self) -> Value;
}

impl Told for &'static str {
    fn told(self) -> Value {
        Value::StringValue(self.to_owned())
    }
}

impl Told for String {
    fn told(self) -> Value {
        Value::StringValue(self)
    }
}

impl Told for i64 {
    fn told(self) -> Value {
        Value::IntValue(self)
    }
}

impl Told for f64 {
    fn told(self) -> Value {
        Value::DoubleValue(self)
    }
}

impl Told for bool {
    fn told(self) -> Value {
        Value::BoolValue(self)
    }
}

impl Told for ArrayValue {
    fn told(self) -> Value {
        Value::ArrayValue(self)
    }
}

fn any(value: impl Told) -> AnyValue {
    AnyValue {
        value: Some(value.told()),
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
