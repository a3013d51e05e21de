//! All that is demanded of one value, from however many schemas.

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::Impossible;

/// A JSON type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    String,
    Number,
    Integer,
    Boolean,
    Null,
}

impl Kind {
    /// Every type, the more telling values first.
    const ALL: [Self; 6] = [
        Self::Object,
        Self::String,
        Self::Number,
        Self::Array,
        Self::Boolean,
        Self::Null,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Number => "number",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Null => "null",
        }
    }

    fn named(name: &Value) -> Option<Self> {
        let kinds = Self::ALL.into_iter().chain([Self::Integer]);
        kinds.into_iter().find(|kind| name == kind.name())
    }

    /// The type that both allow.
    fn narrowed(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Number, Self::Integer) | (Self::Integer, Self::Number) => Some(Self::Integer),
            _ => (self == other).then_some(self),
        }
    }
}

/// The schemas that one value has to satisfy.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts<'a> {
    /// The schemas, `$ref` and `allOf` followed.
    pub(super) schemas: Vec<&'a Value>,
    /// Alternatives to pick from: of each list one branch, which is a list of schemas.
    pub(super) choices: Vec<Vec<Vec<&'a Value>>>,
    /// References being followed, here and above: coming by one again would never end.
    open: Vec<&'a str>,
}

impl<'a> Facts<'a> {
    /// Nothing known yet, at the root.
    pub(super) fn root() -> Self {
        let open = vec!["#"];
        Self {
            open,
            ..Self::default()
        }
    }

    /// Nothing known yet, inside the value that `self` describes.
    pub(super) fn child(&self) -> Self {
        let open = self.open.clone();
        Self {
            open,
            ..Self::default()
        }
    }

    /// Takes a schema in; comes back with the schemas that hold beside it.
    pub(super) fn take(
        &mut self,
        schema: &'a Value,
        root: &'a Value,
    ) -> Result<Vec<&'a Value>, Impossible> {
        let members = match schema {
            Value::Bool(true) => return Ok(Vec::new()),
            Value::Bool(false) => return Err(Impossible::new("nothing is allowed there")),
            Value::Object(members) => members,
            _ => {
                return Err(Impossible::new(
                    "a schema is neither an object nor a boolean",
                ));
            }
        };
        self.schemas.push(schema);
        let mut beside = Vec::new();
        if let Some(reference) = members.get("$ref") {
            beside.push(self.follow(reference, root)?);
        }
        if let Some(all) = members.get("allOf").and_then(Value::as_array) {
            beside.extend(all);
        }
        for keyword in ["oneOf", "anyOf"] {
            if let Some(branches) = members.get(keyword).and_then(Value::as_array) {
                self.choices
                    .push(branches.iter().map(|branch| vec![branch]).collect());
            }
        }
        if let Some(condition) = members.get("if") {
            let with = members.get("then").into_iter().chain([condition]).collect();
            let without = members.get("else").into_iter().collect();
            self.choices.push(vec![with, without]);
        }
        Ok(beside)
    }

    fn follow(&mut self, reference: &'a Value, root: &'a Value) -> Result<&'a Value, Impossible> {
        let reference = reference.as_str().unwrap_or_default();
        let Some(target) = resolve(root, reference) else {
            return Err(Impossible::new(
                "a `$ref` is not a JSON pointer into the schema, such as `#/$defs/name`",
            ));
        };
        if self.open.contains(&reference) {
            return Err(Impossible::new("it demands itself without end"));
        }
        self.open.push(reference);
        Ok(target)
    }

    /// A keyword's values in all schemas that have it.
    pub(super) fn all(&self, keyword: &str) -> impl Iterator<Item = &'a Value> {
        self.schemas
            .iter()
            .filter_map(move |schema| schema.get(keyword))
    }

    /// The strictest lower limit of a keyword.
    pub(super) fn at_least(&self, keyword: &str) -> Option<f64> {
        self.all(keyword).filter_map(Value::as_f64).reduce(f64::max)
    }

    /// The strictest upper limit of a keyword.
    pub(super) fn at_most(&self, keyword: &str) -> Option<f64> {
        self.all(keyword).filter_map(Value::as_f64).reduce(f64::min)
    }

    /// The values of `const` or of the first `enum`, if there is any.
    pub(super) fn listed(&self) -> Option<Vec<&'a Value>> {
        if let Some(value) = self.all("const").next() {
            return Some(vec![value]);
        }
        Some(self.all("enum").next()?.as_array()?.iter().collect())
    }

    /// `nullable` of OpenAPI 3.0.
    pub(super) fn is_nullable(&self) -> bool {
        self.all("nullable").any(|nullable| nullable == true)
    }

    /// The types to try, the likeliest first.
    pub(super) fn kinds(&self, is_root: bool) -> Result<Vec<Kind>, Impossible> {
        let mut allowed: Option<Vec<Kind>> = None;
        for kinds in self.all("type") {
            let kinds: Option<Vec<Kind>> = match kinds {
                Value::Array(names) => names.iter().map(Kind::named).collect(),
                name => Kind::named(name).map(|kind| vec![kind]),
            };
            let kinds = kinds.ok_or_else(|| Impossible::new("a `type` is not known"))?;
            allowed = Some(match allowed {
                None => kinds,
                Some(before) => before
                    .into_iter()
                    .filter_map(|kind| kinds.iter().find_map(|other| kind.narrowed(*other)))
                    .collect(),
            });
        }
        Ok(allowed.unwrap_or_else(|| self.likely_kinds(is_root)))
    }

    /// Every type; first the one that the keywords speak of.
    fn likely_kinds(&self, is_root: bool) -> Vec<Kind> {
        let speaks_of = |keywords: &[&str]| keywords.iter().any(|k| self.all(k).next().is_some());
        let first = if speaks_of(&["properties", "required", "minProperties"]) {
            Kind::Object
        } else if speaks_of(&["items", "prefixItems", "minItems", "contains"]) {
            Kind::Array
        } else if speaks_of(&["minLength", "maxLength", "pattern", "format"]) {
            Kind::String
        } else if speaks_of(&["minimum", "maximum", "exclusiveMinimum", "multipleOf"]) {
            Kind::Number
        } else if is_root {
            Kind::Object
        } else {
            Kind::String
        };
        let others = Kind::ALL.into_iter().filter(|kind| *kind != first);
        [first].into_iter().chain(others).collect()
    }

    /// The names that an object has to have, those that depend on others included.
    pub(super) fn required(&self) -> Vec<&'a str> {
        let texts = |list: &'a Value| {
            list.as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
        };
        let mut names: Vec<&str> = Vec::new();
        let mut todo: Vec<&str> = self.all("required").flat_map(texts).collect();
        // From the front, so that the order is the schema's.
        todo.reverse();
        while let Some(name) = todo.pop() {
            if names.contains(&name) {
                continue;
            }
            names.push(name);
            let dependent = self.all("dependentRequired").filter_map(|d| d.get(name));
            todo.extend(dependent.flat_map(texts));
        }
        names
    }

    /// All names that `properties` speaks of.
    pub(super) fn properties(&self) -> impl Iterator<Item = &'a str> {
        self.all("properties")
            .filter_map(Value::as_object)
            .flat_map(|properties| properties.keys().map(String::as_str))
    }

    /// The schemas for an object's member.
    pub(super) fn property(&self, name: &str) -> Vec<&'a Value> {
        let of_schema = |schema: &&'a Value| {
            let known = schema.get("properties").and_then(|p| p.get(name));
            known.or_else(|| schema.get("additionalProperties"))
        };
        self.schemas.iter().filter_map(of_schema).collect()
    }

    /// The schemas for an array's item; before draft 2020-12 the `prefixItems` were an array of `items`.
    pub(super) fn item(&self, position: usize) -> Vec<&'a Value> {
        let of_schema = |schema: &&'a Value| {
            let items = schema.get("items");
            let listed = items.filter(|items| items.is_array());
            let prefix = listed.or_else(|| schema.get("prefixItems"));
            let rest = if listed.is_some() {
                schema.get("additionalItems")
            } else {
                items
            };
            prefix.and_then(|prefix| prefix.get(position)).or(rest)
        };
        self.schemas.iter().filter_map(of_schema).collect()
    }
}

/// What a reference within the schema points to.
pub(super) fn resolve<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    let fragment = reference.strip_prefix('#')?;
    root.pointer(&percent_decode_str(fragment).decode_utf8().ok()?)
}
