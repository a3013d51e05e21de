//! A JSON Schema (draft 2020-12) as rules that are ready to be held against tables.
//!
//! Known are the keywords that say what a table of TOML looks like: `type`, `enum`, `const`, `properties`,
//! `patternProperties`, `additionalProperties`, `propertyNames`, `required`, `items`, `prefixItems`, `uniqueItems`, the limits
//! of numbers, texts, arrays and objects, `multipleOf`, `pattern`, `allOf`, `anyOf`, `oneOf`, `not`, and `$ref` to a place in
//! the same schema. What others ask for is left to the plugin itself. All that is known is read when the library is loaded,
//! so that a schema that is none is told of at once.

use std::{borrow::Cow, collections::HashMap};

use percent_encoding::percent_decode_str;
use regex::Regex;
use serde_json::{Map, Value};

/// Rules, by number; the first is the one for the whole table.
pub(super) struct Rules(Vec<Rule>);

/// Where a rule is among all.
pub(super) type Number = usize;

/// What one place of a schema asks for. What is empty asks for nothing.
#[derive(Default)]
pub(super) struct Rule {
    /// It is the schema `false`.
    pub(super) fits_nothing: bool,
    pub(super) types: Option<Vec<Type>>,
    /// Each is a list, one of which the value must be.
    pub(super) options: Vec<Vec<Value>>,
    pub(super) limits: Vec<Limit>,
    pub(super) multiple_of: Option<f64>,
    pub(super) pattern: Option<Regex>,
    pub(super) properties: Vec<(String, Number)>,
    pub(super) properties_like: Vec<(Regex, Number)>,
    pub(super) other_properties: Option<Number>,
    pub(super) property_names: Option<Number>,
    pub(super) required: Vec<String>,
    pub(super) first_items: Vec<Number>,
    pub(super) items: Option<Number>,
    pub(super) has_unique_items: bool,
    pub(super) all_of: Vec<Number>,
    pub(super) any_of: Option<Vec<Number>>,
    pub(super) one_of: Option<Vec<Number>>,
    pub(super) not: Option<Number>,
}

/// A type of JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

/// What a limit is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measure {
    Value,
    Characters,
    Elements,
    Keys,
}

/// How what is measured has to stand to the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    AtLeast,
    MoreThan,
    AtMost,
    LessThan,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Limit {
    pub(super) measure: Measure,
    pub(super) side: Side,
    pub(super) bound: f64,
}

const LIMITS: &[(&str, Measure, Side)] = &[
    ("minimum", Measure::Value, Side::AtLeast),
    ("exclusiveMinimum", Measure::Value, Side::MoreThan),
    ("maximum", Measure::Value, Side::AtMost),
    ("exclusiveMaximum", Measure::Value, Side::LessThan),
    ("minLength", Measure::Characters, Side::AtLeast),
    ("maxLength", Measure::Characters, Side::AtMost),
    ("minItems", Measure::Elements, Side::AtLeast),
    ("maxItems", Measure::Elements, Side::AtMost),
    ("minProperties", Measure::Keys, Side::AtLeast),
    ("maxProperties", Measure::Keys, Side::AtMost),
];

/// How deep schemas may lie in each other, references included.
const DEEPEST: usize = 256;

impl Rules {
    /// The rules of a schema; the error says where it is none.
    pub(super) fn new(schema: &Value) -> Result<Self, String> {
        let mut reader = Reader {
            schema,
            rules: Vec::new(),
            known: HashMap::new(),
            depth: 0,
        };
        reader.rule("")?;
        Ok(Self(reader.rules))
    }

    pub(super) fn get(&self, number: Number) -> &Rule {
        &self.0[number]
    }
}

struct Reader<'a> {
    schema: &'a Value,
    rules: Vec<Rule>,
    /// Rules by the place that they have in the schema, as a JSON Pointer.
    known: HashMap<String, Number>,
    /// How many rules are being read.
    depth: usize,
}

impl Reader<'_> {
    /// The number of the rule at a place, read unless it was before.
    fn rule(&mut self, place: &str) -> Result<Number, String> {
        if let Some(number) = self.known.get(place) {
            return Ok(*number);
        }
        let Some(schema) = self.schema.pointer(place) else {
            return Err(format!("a `$ref` leads to `#{place}`, where nothing is"));
        };
        if self.depth == DEEPEST {
            return Err(format!(
                "`#{place}` lies too deep: more than {DEEPEST} schemas lead to it"
            ));
        }
        self.depth += 1;
        let number = self.rules.len();
        self.rules.push(Rule::default());
        self.known.insert(place.to_owned(), number);
        self.rules[number] = match schema {
            Value::Bool(fits) => Rule {
                fits_nothing: !fits,
                ..Rule::default()
            },
            Value::Object(keywords) => self.read(place, keywords)?,
            _ => {
                return Err(format!(
                    "`#{place}` is no schema: expected an object or a boolean"
                ));
            }
        };
        self.depth -= 1;
        Ok(number)
    }

    fn read(&mut self, place: &str, keywords: &Map<String, Value>) -> Result<Rule, String> {
        let mut rule = Rule::default();
        for (keyword, value) in keywords {
            let here = format!("{place}/{}", escaped(keyword));
            let wrong = |expected: &str| format!("`#{here}` is no {expected}");
            match keyword.as_str() {
                "type" => rule.types = Some(types(value).ok_or_else(|| wrong("type"))?),
                "const" => rule.options.push(vec![value.clone()]),
                "enum" => {
                    let options = value.as_array().ok_or_else(|| wrong("array"))?;
                    rule.options.push(options.clone());
                }
                "required" => {
                    rule.required = texts(value).ok_or_else(|| wrong("array of texts"))?;
                }
                "pattern" => {
                    let pattern = value.as_str().ok_or_else(|| wrong("text"))?;
                    rule.pattern = Some(regex(pattern).ok_or_else(|| wrong("pattern"))?);
                }
                "multipleOf" => {
                    let number = value.as_f64().filter(|number| *number > 0.0);
                    rule.multiple_of = Some(number.ok_or_else(|| wrong("number above 0"))?);
                }
                "uniqueItems" => {
                    rule.has_unique_items = value.as_bool().ok_or_else(|| wrong("boolean"))?;
                }
                "properties" => rule.properties = self.by_name(&here, value)?,
                "patternProperties" => {
                    for (pattern, number) in self.by_name(&here, value)? {
                        let pattern = regex(&pattern).ok_or_else(|| wrong("table of patterns"))?;
                        rule.properties_like.push((pattern, number));
                    }
                }
                "additionalProperties" => rule.other_properties = Some(self.rule(&here)?),
                "propertyNames" => rule.property_names = Some(self.rule(&here)?),
                "items" => rule.items = Some(self.rule(&here)?),
                "prefixItems" => rule.first_items = self.list(&here, value)?,
                "allOf" => rule.all_of.extend(self.list(&here, value)?),
                "anyOf" => rule.any_of = Some(self.list(&here, value)?),
                "oneOf" => rule.one_of = Some(self.list(&here, value)?),
                "not" => rule.not = Some(self.rule(&here)?),
                "$ref" => {
                    let target = value.as_str().and_then(local);
                    let target = target.ok_or_else(|| wrong("place in the same schema (#/…)"))?;
                    rule.all_of.push(self.rule(&target)?);
                }
                other => {
                    if let Some((_, measure, side)) =
                        LIMITS.iter().find(|(name, ..)| *name == other)
                    {
                        rule.limits.push(Limit {
                            measure: *measure,
                            side: *side,
                            bound: value.as_f64().ok_or_else(|| wrong("number"))?,
                        });
                    }
                }
            }
        }
        Ok(rule)
    }

    fn by_name(&mut self, place: &str, value: &Value) -> Result<Vec<(String, Number)>, String> {
        let Some(schemas) = value.as_object() else {
            return Err(format!("`#{place}` is no object"));
        };
        let rule = |name: &String| {
            Ok((
                name.clone(),
                self.rule(&format!("{place}/{}", escaped(name)))?,
            ))
        };
        schemas.keys().map(rule).collect()
    }

    fn list(&mut self, place: &str, value: &Value) -> Result<Vec<Number>, String> {
        let Some(schemas) = value.as_array() else {
            return Err(format!("`#{place}` is no array"));
        };
        (0..schemas.len())
            .map(|index| self.rule(&format!("{place}/{index}")))
            .collect()
    }
}

/// A step of a JSON Pointer (RFC 6901).
pub(super) fn escaped(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

/// The JSON Pointer of a reference within the same document.
fn local(reference: &str) -> Option<String> {
    let fragment = percent_decode_str(reference.strip_prefix('#')?)
        .decode_utf8()
        .ok()?;
    (fragment.is_empty() || fragment.starts_with('/')).then(|| Cow::into_owned(fragment))
}

fn regex(pattern: &str) -> Option<Regex> {
    Regex::new(pattern).ok()
}

fn texts(value: &Value) -> Option<Vec<String>> {
    let texts = value.as_array()?.iter();
    texts.map(|text| text.as_str().map(str::to_owned)).collect()
}

fn types(value: &Value) -> Option<Vec<Type>> {
    let one = |name: &str| {
        Some(match name {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "integer" => Type::Integer,
            "number" => Type::Number,
            "string" => Type::String,
            "array" => Type::Array,
            "object" => Type::Object,
            _ => return None,
        })
    };
    match value {
        Value::String(name) => Some(vec![one(name)?]),
        several => texts(several)?.iter().map(|name| one(name)).collect(),
    }
}
