//! A small value that satisfies a JSON schema.
//!
//! The keywords of a schema only suggest candidates; a candidate is taken where [`check`] finds that it
//! satisfies every schema in force. So what comes out is valid, and what is not understood well enough to
//! suggest a value is refused instead of guessed.
//! See <https://json-schema.org/draft/2020-12/json-schema-validation>, with `nullable` of OpenAPI 3.0.

mod check;
mod facts;
mod numbers;
mod pattern;
mod texts;

use std::{cell::Cell, fmt};

use serde_json::{Map, Value};

use check::Check;
use facts::{Facts, Kind};

/// Most steps for one schema: references can double a value's size with every level.
const FUEL: u32 = 100_000;
/// How deep values and branches may nest.
const DEPTH: u32 = 64;
/// Longest array.
const MAX_ITEMS: usize = 4096;

/// Why a schema got no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Impossible {
    /// Where in the value, as a JSON pointer.
    at: String,
    why: String,
}

impl Impossible {
    fn new(why: impl Into<String>) -> Self {
        let at = String::new();
        Self {
            at,
            why: why.into(),
        }
    }

    fn below(mut self, name: impl fmt::Display) -> Self {
        self.at = format!("/{name}{}", self.at);
        self
    }
}

impl fmt::Display for Impossible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, why } = self;
        if at.is_empty() {
            write!(f, "no value was found for the schema: {why}")
        } else {
            write!(f, "no value was found for the schema at {at}: {why}")
        }
    }
}

/// A value that satisfies `schema`: as little as it demands, deterministically.
pub(super) fn instance(schema: &Value) -> Result<Value, Impossible> {
    let fuel = Cell::new(FUEL);
    let maker = Maker {
        root: schema,
        fuel: &fuel,
        check: Check::new(schema, &fuel),
    };
    let value = maker.make(Facts::root(), vec![schema], &[], 0);
    if fuel.get() == 0 {
        return Err(Impossible::new("it takes too many steps"));
    }
    value
}

struct Maker<'a> {
    root: &'a Value,
    fuel: &'a Cell<u32>,
    check: Check<'a>,
}

impl<'a> Maker<'a> {
    /// A value for all schemas of `facts` and `todo` that is none of `taken`.
    fn make(
        &self,
        mut facts: Facts<'a>,
        mut todo: Vec<&'a Value>,
        taken: &[Value],
        depth: u32,
    ) -> Result<Value, Impossible> {
        if depth > DEPTH {
            return Err(Impossible::new("it nests too deeply"));
        }
        while let Some(schema) = todo.pop() {
            self.spend()?;
            todo.extend(facts.take(schema, self.root)?);
        }
        let Some(branches) = facts.choices.pop() else {
            return self.build(&facts, taken, depth);
        };
        let mut failure = None;
        for branch in branches {
            match self.make(facts.clone(), branch, taken, depth + 1) {
                Ok(value) => return Ok(value),
                Err(impossible) => failure.get_or_insert(impossible),
            };
        }
        Err(failure.unwrap_or_else(|| Impossible::new("a list of alternatives is empty")))
    }

    /// A value for facts that leave no alternatives.
    fn build(&self, facts: &Facts<'a>, taken: &[Value], depth: u32) -> Result<Value, Impossible> {
        if let Some(values) = facts.listed() {
            let value = values
                .into_iter()
                .find(|value| self.fits(facts, taken, value));
            return value
                .cloned()
                .ok_or_else(|| Impossible::new("no listed value satisfies the rest of it"));
        }
        let default = facts.all("default").next();
        if let Some(value) = default.filter(|value| self.fits(facts, taken, value)) {
            return Ok(value.clone());
        }
        let mut failure = None;
        for kind in facts.kinds(depth == 0)? {
            match self.of_kind(kind, facts, taken, depth) {
                Ok(value) => return Ok(value),
                Err(impossible) => failure.get_or_insert(impossible),
            };
        }
        if facts.is_nullable() && self.fits(facts, taken, &Value::Null) {
            return Ok(Value::Null);
        }
        Err(failure.unwrap_or_else(|| Impossible::new("no type is left that it allows")))
    }

    fn of_kind(
        &self,
        kind: Kind,
        facts: &Facts<'a>,
        taken: &[Value],
        depth: u32,
    ) -> Result<Value, Impossible> {
        let candidates = match kind {
            Kind::Null => vec![Value::Null],
            Kind::Boolean => vec![true.into(), false.into()],
            Kind::Integer => numbers::candidates(facts, true, taken.len()),
            Kind::Number => numbers::candidates(facts, false, taken.len()),
            Kind::String => texts::candidates(facts, taken.len())?,
            Kind::Array => vec![self.array(facts, depth)?],
            Kind::Object => vec![self.object(facts, depth)?],
        };
        candidates
            .into_iter()
            .find(|value| self.fits(facts, taken, value))
            .ok_or_else(|| Impossible::new(format!("no {} tried satisfies all of it", kind.name())))
    }

    fn object(&self, facts: &Facts<'a>, depth: u32) -> Result<Value, Impossible> {
        let mut object = Map::new();
        for name in facts.required() {
            let value = self.make(facts.child(), facts.property(name), &[], depth + 1);
            object.insert(name.to_owned(), value.map_err(|e| e.below(name))?);
        }
        let optional = facts.properties().map(str::to_owned);
        let invented = (1..=MAX_ITEMS).map(|n| format!("extra_{n}"));
        let mut more = optional.chain(invented);
        let least = facts.at_least("minProperties").unwrap_or_default();
        while (object.len() as f64) < least {
            let name = more
                .next()
                .ok_or_else(|| Impossible::new("it has too many members"))?;
            if object.contains_key(&name) {
                continue;
            }
            self.spend()?;
            let schemas = facts.property(&name);
            if let Ok(value) = self.make(facts.child(), schemas, &[], depth + 1) {
                object.insert(name, value);
            }
        }
        Ok(object.into())
    }

    fn array(&self, facts: &Facts<'a>, depth: u32) -> Result<Value, Impossible> {
        let contained: Vec<&Value> = facts.all("contains").collect();
        let contains = if contained.is_empty() {
            0.0
        } else {
            facts.at_least("minContains").unwrap_or(1.0)
        };
        let length = facts.at_least("minItems").unwrap_or_default().max(contains);
        if length > MAX_ITEMS as f64 {
            return Err(Impossible::new("its array is too long"));
        }
        let is_unique = facts.all("uniqueItems").any(|unique| unique == true);
        let mut items = Vec::new();
        while (items.len() as f64) < length {
            let position = items.len();
            let mut schemas = facts.item(position);
            if (position as f64) < contains {
                schemas.extend(&contained);
            }
            let taken = if is_unique { items.as_slice() } else { &[] };
            let item = self.make(facts.child(), schemas, taken, depth + 1);
            items.push(item.map_err(|e| e.below(position))?);
        }
        Ok(items.into())
    }

    fn fits(&self, facts: &Facts<'a>, taken: &[Value], value: &Value) -> bool {
        !taken.iter().any(|other| check::same(other, value))
            && facts
                .schemas
                .iter()
                .all(|schema| self.check.allows(schema, value))
    }

    fn spend(&self) -> Result<(), Impossible> {
        check::spend(self.fuel).ok_or_else(|| Impossible::new("it takes too many steps"))
    }
}

#[cfg(test)]
mod tests;
