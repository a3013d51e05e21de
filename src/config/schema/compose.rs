//! The tables put together to the schema of the file.

use serde_json::{Map, Value, json};

use super::{Kinded, Kinds, Tables, placeholders, properties};

/// What a table of providers or stages may be called.
const NAME: &str = "^[A-Za-z0-9_.-]+$";

/// The JSON Schema (2020-12) of the file.
///
/// A table of some kind is checked by `if`/`then`, whose complaints name the key at fault, and has the keys of all
/// kinds among its `properties`, which is where editors look for what to suggest.
#[must_use]
pub fn json_schema(kinds: &Kinds) -> Value {
    let mut tables = Tables::new(kinds, true);
    for table in [
        &mut tables.server,
        &mut tables.admin,
        &mut tables.log,
        &mut tables.ledger,
        &mut tables.traces,
        &mut tables.plugin,
        &mut tables.caller,
        &mut tables.route,
        &mut tables.price,
    ] {
        placeholders::for_file(table);
    }
    tables.provider.for_file();
    tables.stage.for_file();

    let mut definitions = Map::new();
    for (name, table) in [
        ("server", &tables.server),
        ("admin", &tables.admin),
        ("log", &tables.log),
        ("ledger", &tables.ledger),
        ("traces", &tables.traces),
        ("plugin", &tables.plugin),
        ("caller", &tables.caller),
        ("route", &tables.route),
        ("price", &tables.price),
    ] {
        definitions.insert(name.to_owned(), table.clone());
    }
    tables.provider.define("provider", &mut definitions);
    tables.stage.define("stage", &mut definitions);

    let of = |key: &str| tables.file["properties"][key]["description"].clone();
    let mut top = Map::new();
    top.insert(
        "pipeline".to_owned(),
        json!({
            "description": of("pipeline"),
            "type": "array",
            "items": { "type": "string" },
        }),
    );
    for key in ["server", "admin", "log", "ledger", "traces"] {
        top.insert(key.to_owned(), reference(key));
    }
    let mut overlay = top.clone();
    for (key, entry) in [("providers", "provider"), ("stages", "stage")] {
        let any = reference(&format!("{entry}.any"));
        overlay.insert(key.to_owned(), named(&of(key), &any, Map::new()));
    }
    for (key, entry, kinded) in [
        ("providers", "provider", &tables.provider),
        ("stages", "stage", &tables.stage),
    ] {
        top.insert(
            key.to_owned(),
            named(&of(key), &reference(entry), kinded.by_name(entry)),
        );
    }
    for (key, entry) in [
        ("plugins", "plugin"),
        ("callers", "caller"),
        ("routes", "route"),
        ("prices", "price"),
    ] {
        let mut tables = named(&of(key), &reference(entry), Map::new());
        if key == "prices" {
            // Names of models are patterns.
            tables["propertyNames"] = true.into();
        }
        overlay.insert(key.to_owned(), tables.clone());
        top.insert(key.to_owned(), tables);
    }
    let environment = json!({
        "description": "Laid over the rest where ENVIRONMENT has this name: tables merge, arrays replace.",
        "type": "object",
        "properties": overlay,
        "additionalProperties": false,
    });
    definitions.insert("environment".to_owned(), environment);
    top.insert("environment".to_owned(), json!({
        "description": "Tables for one environment each, laid over the rest where ENVIRONMENT has that name.",
        "type": "object",
        "additionalProperties": reference("environment"),
    }));
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of millgate",
        "type": "object",
        "properties": top,
        "additionalProperties": false,
        "$defs": definitions,
    })
}

fn reference(definition: &str) -> Value {
    json!({ "$ref": format!("#/$defs/{definition}") })
}

/// Tables by name.
fn named(description: &Value, table: &Value, by_name: Map<String, Value>) -> Value {
    let mut schema = json!({
        "description": description,
        "type": "object",
        "additionalProperties": table,
        "propertyNames": { "pattern": NAME },
    });
    if !by_name.is_empty() {
        schema["properties"] = by_name.into();
    }
    schema
}

impl Kinded {
    fn for_file(&mut self) {
        placeholders::for_file(&mut self.common);
        for (_, own) in &mut self.own {
            placeholders::for_file(own);
        }
        let names: Vec<_> = self.own.iter().map(|(name, _)| *name).collect();
        self.common["properties"]["kind"] = json!({
            "description": self.common["properties"]["kind"]["description"],
            "anyOf": [{ "enum": names }, of_plugin(), placeholders::placeholder()],
        });
    }

    /// Adds the definitions `entry` (a table whose kind is said), `entry.KIND` (a table of that kind) and
    /// `entry.any` (a part of a table, whatever its kind).
    fn define(&self, entry: &str, definitions: &mut Map<String, Value>) {
        let all = self.all_keys();
        let names: Vec<_> = all.keys().cloned().collect();
        let choosable = json!({ "required": ["kind"], "propertyNames": { "enum": names } });
        let mut choice = json!({ "if": is_of_plugin(), "then": {}, "else": choosable });
        for (kind, own) in self.own.iter().rev() {
            let name = format!("{entry}.{kind}");
            choice = json!({ "if": is_kind(kind), "then": reference(&name), "else": choice });
            definitions.insert(name, self.closed(own));
        }
        choice["description"] = self.common["description"].clone();
        choice["type"] = "object".into();
        choice["properties"] = self.suggestions().into();
        definitions.insert(entry.to_owned(), choice);
        let any = json!({
            "description": self.common["description"],
            "type": "object",
            "properties": all,
            "if": is_of_plugin(),
            "then": {},
            "else": { "propertyNames": { "enum": names } },
        });
        definitions.insert(format!("{entry}.any"), any);
    }

    /// A table that is called like a kind is of that kind unless it says otherwise.
    fn by_name(&self, entry: &str) -> Map<String, Value> {
        let by_name = |(kind, _): &(&str, Value)| {
            let schema = json!({
                "if": { "required": ["kind"] },
                "then": reference(entry),
                "else": reference(&format!("{entry}.{kind}")),
            });
            ((*kind).to_owned(), schema)
        };
        self.own.iter().map(by_name).collect()
    }

    /// The whole table of one kind.
    fn closed(&self, own: &Value) -> Value {
        let mut table = own.clone();
        let mut keys = self.common["properties"].clone();
        for (key, schema) in properties(own) {
            keys[key] = schema.clone();
        }
        table["properties"] = keys;
        table["additionalProperties"] = false.into();
        table
    }

    /// The keys of all kinds, for editors to suggest. To a plugin's kind those that only some have may mean anything.
    fn suggestions(&self) -> Map<String, Value> {
        let mut all = self.all_keys();
        for (key, schema) in &mut all {
            if self.common["properties"].get(key).is_none() {
                let description = schema["description"].clone();
                *schema = json!({ "anyOf": [schema.take(), true] });
                if description.is_string() {
                    schema["description"] = description;
                }
            }
        }
        all
    }

    /// The keys of all kinds; one that several have means what it means to any of them.
    fn all_keys(&self) -> Map<String, Value> {
        let mut all: Map<String, Value> = Map::new();
        for (key, schema) in properties(&self.common) {
            all.insert(key.to_owned(), schema.clone());
        }
        let own = self.own.iter().flat_map(|(_, own)| properties(own));
        for (key, schema) in own {
            match all.get_mut(key) {
                None => {
                    all.insert(key.to_owned(), schema.clone());
                }
                Some(known) if known == schema => {}
                Some(known) => *known = json!({ "anyOf": [known.take(), schema] }),
            }
        }
        all
    }
}

/// A kind that a plugin brings, whose keys only the plugin knows.
fn of_plugin() -> Value {
    json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]+/[A-Za-z0-9_-]+$" })
}

fn is_of_plugin() -> Value {
    json!({ "properties": { "kind": of_plugin() }, "required": ["kind"] })
}

fn is_kind(kind: &str) -> Value {
    json!({ "properties": { "kind": { "const": kind } }, "required": ["kind"] })
}
