//! A value held against rules.

use serde_json::{Map, Value};

use super::rules::{Limit, Measure, Number, Rules, Side, Type};

/// References deeper than this lead in circles; what they ask for is not looked at.
const DEEPEST: usize = 256;

/// So many rules are held against a value at most. Rules that lead to each other more than once would never come to an end;
/// what they ask for beyond that is not looked at.
const MOST_RULES: usize = 1 << 20;

/// Something wrong with a value.
#[derive(Debug)]
pub(super) struct Fault {
    /// Keys and indices from the table down to the value.
    pub(super) path: Vec<String>,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    /// The last step of the path is a key that nobody knows; those are known.
    UnknownKey(Vec<String>),
    /// The key is not there.
    Missing(String),
    Type(Vec<Type>),
    /// It is none of these.
    Options(Vec<Value>),
    Limit(Limit),
    MultipleOf(f64),
    Pattern(String),
    /// Something stands twice.
    NotUnique,
    /// It has none of several shapes: what is wrong with it as each of them.
    NoShape(Vec<Vec<Fault>>),
    /// Whatever it is, it is not what is wanted.
    Unfit,
}

impl Rules {
    /// All that is wrong with a value.
    pub(super) fn check(&self, value: &Value) -> Vec<Fault> {
        let mut check = Check {
            rules: self,
            path: Vec::new(),
            faults: Vec::new(),
            depth: 0,
            rules_left: MOST_RULES,
        };
        check.rule(0, value);
        check.faults
    }
}

struct Check<'a> {
    rules: &'a Rules,
    path: Vec<String>,
    faults: Vec<Fault>,
    depth: usize,
    rules_left: usize,
}

impl Check<'_> {
    fn fault(&mut self, kind: Kind) {
        self.faults.push(Fault {
            path: self.path.clone(),
            kind,
        });
    }

    fn below(&mut self, step: String, number: Number, value: &Value) {
        self.path.push(step);
        self.rule(number, value);
        self.path.pop();
    }

    /// What is wrong with the value by that rule alone.
    fn faults_by(&mut self, number: Number, value: &Value) -> Vec<Fault> {
        let before = std::mem::take(&mut self.faults);
        self.rule(number, value);
        std::mem::replace(&mut self.faults, before)
    }

    fn rule(&mut self, number: Number, value: &Value) {
        if self.depth == DEEPEST || self.rules_left == 0 {
            return;
        }
        self.depth += 1;
        self.rules_left -= 1;
        let rule = self.rules.get(number);
        if rule.fits_nothing {
            self.fault(Kind::Unfit);
        }
        match &rule.types {
            Some(types) if !types.iter().any(|one| is_of(*one, value)) => {
                self.fault(Kind::Type(types.clone()));
            }
            _ => self.details(number, value),
        }
        self.depth -= 1;
    }

    /// What a value of the right type has to be.
    fn details(&mut self, number: Number, value: &Value) {
        let rule = self.rules.get(number);
        for options in &rule.options {
            if !options.iter().any(|option| is_same(option, value)) {
                self.fault(Kind::Options(options.clone()));
            }
        }
        for limit in &rule.limits {
            if !limit.holds(value) {
                self.fault(Kind::Limit(*limit));
            }
        }
        if let (Some(step), Some(number)) = (rule.multiple_of, value.as_f64())
            && (number / step).fract() != 0.0
        {
            self.fault(Kind::MultipleOf(step));
        }
        if let (Some(pattern), Some(text)) = (&rule.pattern, value.as_str())
            && !pattern.is_match(text)
        {
            self.fault(Kind::Pattern(pattern.as_str().to_owned()));
        }
        match value {
            Value::Object(table) => self.table(number, table),
            Value::Array(elements) => self.array(number, elements),
            _ => {}
        }
        for all in &rule.all_of {
            self.rule(*all, value);
        }
        self.shapes(number, value);
    }

    fn shapes(&mut self, number: Number, value: &Value) {
        let rule = self.rules.get(number);
        if let Some(shapes) = &rule.any_of {
            let faults: Vec<_> = shapes
                .iter()
                .map(|shape| self.faults_by(*shape, value))
                .collect();
            if faults.iter().all(|faults| !faults.is_empty()) {
                self.fault(Kind::NoShape(faults));
            }
        }
        if let Some(shapes) = &rule.one_of {
            let faults: Vec<_> = shapes
                .iter()
                .map(|shape| self.faults_by(*shape, value))
                .collect();
            match faults.iter().filter(|faults| faults.is_empty()).count() {
                0 => self.fault(Kind::NoShape(faults)),
                1 => {}
                _ => self.fault(Kind::Unfit),
            }
        }
        if let Some(not) = rule.not
            && self.faults_by(not, value).is_empty()
        {
            self.fault(Kind::Unfit);
        }
    }

    fn table(&mut self, number: Number, table: &Map<String, Value>) {
        let rule = self.rules.get(number);
        for key in rule.required.iter().filter(|key| !table.contains_key(*key)) {
            self.fault(Kind::Missing(key.clone()));
        }
        for (key, value) in table {
            let mut is_known = false;
            let named = rule.properties.iter().filter(|(name, _)| name == key);
            let like = rule
                .properties_like
                .iter()
                .filter(|(name, _)| name.is_match(key));
            for number in named
                .map(|(_, number)| number)
                .chain(like.map(|(_, number)| number))
            {
                is_known = true;
                self.below(key.clone(), *number, value);
            }
            if let Some(names) = rule.property_names
                && !self
                    .faults_by(names, &Value::String(key.clone()))
                    .is_empty()
            {
                self.unknown_key(number, key);
            }
            match rule.other_properties {
                Some(other) if !is_known && self.rules.get(other).fits_nothing => {
                    self.unknown_key(number, key);
                }
                Some(other) if !is_known => self.below(key.clone(), other, value),
                _ => {}
            }
        }
    }

    fn unknown_key(&mut self, number: Number, key: &str) {
        let known = self.rules.get(number).properties.iter();
        let known = known.map(|(name, _)| name.clone()).collect();
        self.path.push(key.to_owned());
        self.fault(Kind::UnknownKey(known));
        self.path.pop();
    }

    fn array(&mut self, number: Number, elements: &[Value]) {
        let rule = self.rules.get(number);
        for (index, element) in elements.iter().enumerate() {
            if let Some(number) = rule.first_items.get(index).copied().or(rule.items) {
                self.below(index.to_string(), number, element);
            }
        }
        let stands_before = |(index, element): (usize, &Value)| {
            elements[..index]
                .iter()
                .any(|other| is_same(other, element))
        };
        if rule.has_unique_items && elements.iter().enumerate().any(stands_before) {
            self.fault(Kind::NotUnique);
        }
    }
}

impl Limit {
    /// Whether a value keeps to it; one that it does not measure does.
    fn holds(&self, value: &Value) -> bool {
        let measured = match (self.measure, value) {
            (Measure::Value, Value::Number(number)) => number.as_f64(),
            (Measure::Characters, Value::String(text)) => Some(text.chars().count() as f64),
            (Measure::Elements, Value::Array(elements)) => Some(elements.len() as f64),
            (Measure::Keys, Value::Object(table)) => Some(table.len() as f64),
            _ => None,
        };
        measured.is_none_or(|measured| match self.side {
            Side::AtLeast => measured >= self.bound,
            Side::MoreThan => measured > self.bound,
            Side::AtMost => measured <= self.bound,
            Side::LessThan => measured < self.bound,
        })
    }
}

fn is_of(one: Type, value: &Value) -> bool {
    match one {
        Type::Null => value.is_null(),
        Type::Boolean => value.is_boolean(),
        Type::Integer => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        Type::Number => value.is_number(),
        Type::String => value.is_string(),
        Type::Array => value.is_array(),
        Type::Object => value.is_object(),
    }
}

/// Whether both are the same to JSON Schema, to which 1 and 1.0 are.
fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| is_same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let has_same = |(key, value)| other.get(key).is_some_and(|other| is_same(value, other));
            one.len() == other.len() && one.iter().all(has_same)
        }
        _ => one == other,
    }
}
