//! From TOML text to a tree.

use std::{ops::Range, sync::Arc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{Key, Node, Table, Text, Value};
use crate::config::finding::{Finding, Findings, Place, Source};

/// More syntax errors than this say nothing new.
const MOST_ERRORS: usize = 10;

/// Reads a file's text. Syntax errors become findings; then there is no tree.
#[must_use]
pub fn parse(source: &Arc<Source>, findings: &Findings) -> Option<Node> {
    let (root, errors) = DeTable::parse_recoverable(&source.text);
    if !errors.is_empty() {
        for error in errors.iter().take(MOST_ERRORS) {
            findings.add(syntax_error(source, error));
        }
        return None;
    }
    let reader = Reader { source, findings };
    Some(Node {
        value: Value::Table(reader.table(root.into_inner())),
        place: reader.place(0..0),
    })
}

struct Reader<'a> {
    source: &'a Arc<Source>,
    findings: &'a Findings,
}

impl Reader<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        Place {
            source: Arc::clone(self.source),
            span,
        }
    }

    fn table(&self, table: DeTable<'_>) -> Table {
        let mut entries: Vec<_> = table
            .into_iter()
            .map(|(key, value)| {
                let place = self.place(key.span());
                let name = key.into_inner().into_owned();
                (Key { name, place }, self.node(value))
            })
            .collect();
        // The parser sorts by name; operators think in the order of their file.
        entries.sort_by_key(|(key, _)| key.place.span.start);
        Table { entries }
    }

    fn node(&self, value: Spanned<DeValue<'_>>) -> Node {
        let place = self.place(value.span());
        let value = match value.into_inner() {
            DeValue::Boolean(value) => Value::Bool(value),
            DeValue::String(text) => Value::String(Text::literal(text)),
            DeValue::Datetime(date) => Value::Datetime(date.to_string()),
            DeValue::Integer(number) => {
                let value = i64::from_str_radix(number.as_str(), number.radix());
                Value::Integer(value.unwrap_or_else(|_| self.out_of_range(&place)))
            }
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(value) if value.is_finite() => Value::Float(value),
                _ => Value::Float(self.out_of_range(&place)),
            },
            DeValue::Array(array) => {
                Value::Array(array.into_iter().map(|node| self.node(node)).collect())
            }
            DeValue::Table(table) => Value::Table(self.table(table)),
        };
        Node { value, place }
    }

    fn out_of_range<T: Default>(&self, place: &Place) -> T {
        let finding = Finding::error("this number is out of range").at(place.clone());
        self.findings.add(finding);
        T::default()
    }
}

fn syntax_error(source: &Arc<Source>, error: &toml::de::Error) -> Finding {
    let text = source.text.as_str();
    let span = error.span().unwrap_or(text.len()..text.len());
    let key = text.get(span.clone()).unwrap_or_default();
    let message = match error.message() {
        "duplicate key" => format!("`{}` is there already", key.trim_matches(['"', '\''])),
        other => other.to_owned(),
    };
    let is_at_end = span.start >= text.trim_end().len();
    let help = is_at_end.then(|| "the file ends here; it may be only half written".to_owned());
    let source = Arc::clone(source);
    Finding::error(message)
        .at(Place { source, span })
        .help(help)
}
