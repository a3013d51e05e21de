//! What is wrong with a plugin's table, in the words that the gateway's own tables are told of in.

use serde_json::Value;

use super::{
    check::{Fault, Kind},
    rules::{Limit, Measure, Side, Type},
};
use crate::{
    config::{Section, finding::sounds_secret, tree},
    nearest::nearest,
};

/// A text that is longer is not shown whole.
const LONGEST: usize = 60;

impl Fault {
    /// Tells the section, with the caret where it is.
    pub(super) fn tell(&self, section: &Section<'_>) {
        let at = &self.path;
        match &self.kind {
            Kind::UnknownKey(known) => {
                let key = at.last().map_or("", String::as_str);
                let meant = nearest(key, known.iter().map(String::as_str));
                let help = meant.map(|meant| format!("did you mean `{meant}`?"));
                section.report_key(at, format!("unknown key `{key}`"), help);
            }
            Kind::Missing(key) => {
                section.report_value(at, format!("the key `{key}` is missing here"), None);
            }
            Kind::NoShape(shapes) => match nearest_shape(shapes, at) {
                Some(faults) => {
                    for fault in faults {
                        fault.tell(section);
                    }
                }
                None => section.report_value(at, self.unfit(section), None),
            },
            Kind::Options(options) => {
                let known = options.iter().filter_map(Value::as_str);
                let meant = text(section, at).and_then(|text| nearest(text, known));
                let help = meant.map(|meant| format!("did you mean \"{meant}\"?"));
                section.report_value(at, self.unfit(section), help);
            }
            _ => section.report_value(at, self.unfit(section), None),
        }
    }

    fn unfit(&self, section: &Section<'_>) -> String {
        let expected = self.kind.expected();
        let Some(node) = section.node().at(&self.path) else {
            return format!("expected {expected}");
        };
        if let tree::Value::String(text) = &node.value
            && text.is_foreign()
        {
            let from = text.from.join(" and ");
            return format!("expected {expected}, which the value of {from} is not");
        }
        format!("expected {expected}, found {}", self.found(section, node))
    }

    /// The value itself where its type is right, else the type.
    fn found(&self, section: &Section<'_>, node: &tree::Node) -> String {
        if matches!(self.kind, Kind::Type(_)) {
            return node.kind().to_owned();
        }
        match &node.value {
            tree::Value::Bool(value) => value.to_string(),
            tree::Value::Integer(value) => value.to_string(),
            tree::Value::Float(value) => value.to_string(),
            tree::Value::Array(elements) if elements.len() == 1 => "one of 1".to_owned(),
            tree::Value::Array(elements) => format!("one of {}", elements.len()),
            _ => match text(section, &self.path) {
                Some(text) => shown(text),
                None => node.kind().to_owned(),
            },
        }
    }
}

impl Kind {
    fn expected(&self) -> String {
        match self {
            Self::Type(types) => joined(types.iter().map(|one| one.word().to_owned())),
            Self::Options(options) => match options.as_slice() {
                [one] => one.to_string(),
                many => {
                    let many: Vec<_> = many.iter().map(Value::to_string).collect();
                    format!("one of {}", many.join(", "))
                }
            },
            Self::Limit(limit) => limit.words(),
            Self::MultipleOf(step) => format!("a multiple of {step}"),
            Self::Pattern(pattern) if pattern.len() <= LONGEST => {
                format!("a text that matches `{pattern}`")
            }
            Self::NotUnique => "an array in which nothing stands twice".to_owned(),
            Self::NoShape(shapes) => joined(
                shapes
                    .iter()
                    .filter_map(|faults| Some(faults.first()?.kind.expected())),
            ),
            _ => "a value that the plugin's schema allows".to_owned(),
        }
    }
}

impl Type {
    const fn word(self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Boolean => "true or false",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "a table",
        }
    }
}

impl Limit {
    fn words(&self) -> String {
        let bound = self.bound;
        let count = match self.side {
            Side::AtLeast => format!("{bound} or more"),
            Side::MoreThan => format!("more than {bound}"),
            Side::AtMost => format!("{bound} or less"),
            Side::LessThan => format!("less than {bound}"),
        };
        match self.measure {
            Measure::Value => count,
            Measure::Characters => format!("a text of {count} characters"),
            Measure::Elements => format!("an array of {count} elements"),
            Measure::Keys => format!("a table of {count} keys"),
        }
    }
}

/// The one shape that was surely meant: the others are of another type, or have another name.
fn nearest_shape<'f>(shapes: &'f [Vec<Fault>], at: &[String]) -> Option<&'f [Fault]> {
    let is_another = |fault: &Fault| {
        let is_here = fault.path == at;
        let is_name = fault.path.len() == at.len() + 1 && matches!(fault.kind, Kind::Options(_));
        is_here && matches!(fault.kind, Kind::Type(_) | Kind::Options(_)) || is_name
    };
    let mut near = shapes
        .iter()
        .filter(|faults| !faults.iter().any(is_another));
    let first = near.next()?;
    near.next().is_none().then_some(first)
}

/// What may be expected, `null` aside: TOML has none.
fn joined(words: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for word in words.filter(|word| word != Type::Null.word()) {
        if !all.contains(&word) {
            all.push(word);
        }
    }
    all.join(" or ")
}

/// The text at a place that may be shown: it stands in the file, and not under the name of a secret.
fn text<'s>(section: &'s Section<'_>, at: &[String]) -> Option<&'s str> {
    let tree::Value::String(text) = &section.node().at(at)?.value else {
        return None;
    };
    let is_secret = text.is_foreign() || at.iter().any(|key| sounds_secret(key));
    (!is_secret).then_some(&*text.text)
}

/// A text in quotes, shortened.
fn shown(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return format!("\"{text}\"");
    }
    let start: String = text.chars().take(LONGEST).collect();
    format!("\"{start}…\"")
}
