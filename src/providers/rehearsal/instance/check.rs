//! Whether a value satisfies a schema: the assertions of JSON Schema, less `pattern`, `format` and
//! `patternProperties`, which values are made for by construction.

use std::cell::Cell;

use serde_json::{Map, Value};

use super::facts::resolve;

/// How deep schemas may lead on to others: a reference can lead back to itself.
const DEPTH: u32 = 160;

/// Checks values against the parts of one schema.
pub(super) struct Check<'a> {
    root: &'a Value,
    fuel: &'a Cell<u32>,
}

/// Takes one step; `None` when there are none left.
pub(super) fn spend(fuel: &Cell<u32>) -> Option<()> {
    fuel.set(fuel.get().checked_sub(1)?);
    (fuel.get() > 0).then_some(())
}

/// Equal as JSON Schema has it: 1 and 1.0 are.
pub(super) fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        _ => one == other,
    }
}

impl<'a> Check<'a> {
    pub(super) const fn new(root: &'a Value, fuel: &'a Cell<u32>) -> Self {
        Self { root, fuel }
    }

    /// Whether `value` satisfies `schema`. Of no meaning once the fuel has run out.
    pub(super) fn allows(&self, schema: &Value, value: &Value) -> bool {
        self.allows_at(schema, value, 0)
    }

    fn allows_at(&self, schema: &Value, value: &Value, depth: u32) -> bool {
        let schema = match schema {
            Value::Bool(allowed) => return *allowed,
            Value::Object(schema) => schema,
            _ => return false,
        };
        if depth > DEPTH {
            // Whatever comes out of a check that was broken off must not count.
            self.fuel.set(0);
        }
        spend(self.fuel).is_some()
            && kind(schema, value)
            && listed(schema, value)
            && self.combined(schema, value, depth + 1)
            && match value {
                Value::Object(object) => self.object(schema, object, depth + 1),
                Value::Array(array) => self.array(schema, array, depth + 1),
                Value::String(text) => {
                    within(schema, "minLength", "maxLength", text.chars().count())
                }
                Value::Number(number) => number.as_f64().is_some_and(|n| self::number(schema, n)),
                Value::Bool(_) | Value::Null => true,
            }
    }

    fn combined(&self, schema: &Map<String, Value>, value: &Value, depth: u32) -> bool {
        let allows = |schema: &Value| self.allows_at(schema, value, depth);
        let list = |keyword| schema.get(keyword).and_then(Value::as_array);
        let optional = |keyword| schema.get(keyword).is_none_or(allows);
        let referred = |reference: &Value| {
            let target = reference
                .as_str()
                .and_then(|reference| resolve(self.root, reference));
            target.is_some_and(allows)
        };
        schema.get("$ref").is_none_or(referred)
            && list("allOf").is_none_or(|all| all.iter().all(allows))
            && list("anyOf").is_none_or(|any| any.iter().any(allows))
            && list("oneOf").is_none_or(|one| one.iter().filter(|s| allows(s)).count() == 1)
            && !schema.get("not").is_some_and(allows)
            && match schema.get("if") {
                None => true,
                Some(condition) if allows(condition) => optional("then"),
                Some(_) => optional("else"),
            }
    }

    fn object(&self, schema: &Map<String, Value>, object: &Map<String, Value>, depth: u32) -> bool {
        let has_all = |names: &Value| {
            let mut names = names
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str);
            names.all(|name| object.contains_key(name))
        };
        let properties = schema.get("properties");
        let allowed = |(name, value): (&String, &Value)| {
            let known = properties.and_then(|properties| properties.get(name));
            let rest = known.or_else(|| schema.get("additionalProperties"));
            rest.is_none_or(|schema| self.allows_at(schema, value, depth))
                && schema.get("propertyNames").is_none_or(|schema| {
                    self.allows_at(schema, &Value::String(name.clone()), depth)
                })
        };
        let dependent =
            |(name, names): (&String, &Value)| !object.contains_key(name) || has_all(names);
        schema.get("required").is_none_or(has_all)
            && within(schema, "minProperties", "maxProperties", object.len())
            && schema
                .get("dependentRequired")
                .and_then(Value::as_object)
                .is_none_or(|names| names.iter().all(dependent))
            && object.iter().all(allowed)
    }

    fn array(&self, schema: &Map<String, Value>, array: &[Value], depth: u32) -> bool {
        let listed = schema.get("items").filter(|items| items.is_array());
        let prefix = listed.or_else(|| schema.get("prefixItems"));
        let rest = schema.get(if listed.is_some() {
            "additionalItems"
        } else {
            "items"
        });
        let allowed = |(position, item): (usize, &Value)| {
            let schema = prefix.and_then(|prefix| prefix.get(position)).or(rest);
            schema.is_none_or(|schema| self.allows_at(schema, item, depth))
        };
        let contained = |wanted: &Value| {
            let count = array
                .iter()
                .filter(|item| self.allows_at(wanted, item, depth))
                .count();
            let least = schema
                .get("minContains")
                .and_then(Value::as_u64)
                .unwrap_or(1);
            let most = schema
                .get("maxContains")
                .and_then(Value::as_u64)
                .unwrap_or(u64::MAX);
            (least..=most).contains(&(count as u64))
        };
        within(schema, "minItems", "maxItems", array.len())
            && array.iter().enumerate().all(allowed)
            && schema.get("contains").is_none_or(contained)
            && (schema.get("uniqueItems") != Some(&Value::Bool(true)) || self.is_unique(array))
    }

    fn is_unique(&self, array: &[Value]) -> bool {
        array.iter().enumerate().all(|(position, item)| {
            spend(self.fuel).is_some() && !array[..position].iter().any(|other| same(other, item))
        })
    }
}

fn kind(schema: &Map<String, Value>, value: &Value) -> bool {
    let is = |name: &Value| match (name.as_str(), value) {
        (Some("object"), Value::Object(_))
        | (Some("array"), Value::Array(_))
        | (Some("string"), Value::String(_))
        | (Some("number"), Value::Number(_))
        | (Some("boolean"), Value::Bool(_))
        | (Some("null"), Value::Null) => true,
        (Some("integer"), Value::Number(number)) => {
            number.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        _ => false,
    };
    let is_nullable = value.is_null() && schema.get("nullable") == Some(&Value::Bool(true));
    is_nullable
        || match schema.get("type") {
            None => true,
            Some(Value::Array(names)) => names.iter().any(is),
            Some(name) => is(name),
        }
}

fn listed(schema: &Map<String, Value>, value: &Value) -> bool {
    let values = schema.get("enum").and_then(Value::as_array);
    schema
        .get("const")
        .is_none_or(|constant| same(constant, value))
        && values.is_none_or(|values| values.iter().any(|listed| same(listed, value)))
}

fn within(schema: &Map<String, Value>, least: &str, most: &str, size: usize) -> bool {
    let limit = |keyword| schema.get(keyword).and_then(Value::as_f64);
    limit(least).is_none_or(|least| size as f64 >= least)
        && limit(most).is_none_or(|most| size as f64 <= most)
}

/// The limits of a number; in draft 4 the exclusive ones are flags beside the others.
fn number(schema: &Map<String, Value>, number: f64) -> bool {
    let limit = |keyword| schema.get(keyword).and_then(Value::as_f64);
    let is_open = |keyword| schema.get(keyword) == Some(&Value::Bool(true));
    limit("minimum").is_none_or(|least| number >= least)
        && limit("maximum").is_none_or(|most| number <= most)
        && limit("exclusiveMinimum").is_none_or(|least| number > least)
        && limit("exclusiveMaximum").is_none_or(|most| number < most)
        && !(is_open("exclusiveMinimum") && limit("minimum") == Some(number))
        && !(is_open("exclusiveMaximum") && limit("maximum") == Some(number))
        && limit("multipleOf").is_none_or(|step| is_multiple(number, step))
}

/// Decimal steps such as 0.1 have no exact `f64`, so a quotient counts as whole where it is all but whole.
fn is_multiple(number: f64, step: f64) -> bool {
    let quotient = number / step;
    quotient.is_finite() && (quotient - quotient.round()).abs() <= 1e-9 * quotient.abs().max(1.0)
}
