//! The JSON Schema of the file, for editors, and its reference as Markdown, for people. Both come from the doc
//! comments of the tables, so that neither can tell anything else than the code.

mod compose;
mod placeholders;
mod reference;
#[cfg(test)]
mod tests;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value};

use super::{
    Admin, Caller, Config, Ledger, Log, Plugin, Price, Provider, Route, Server, Stage, Traces,
};

pub use compose::json_schema;
pub use reference::markdown;

/// A kind of provider or of stage, as far as its table goes.
pub struct Kind {
    /// What `kind = "…"` says.
    pub name: &'static str,
    /// The JSON Schema of its table, less the keys of the host.
    pub table: fn(&mut SchemaGenerator) -> Schema,
}

/// Every kind that a file can name, in the order of the documentation.
pub struct Kinds {
    /// Those of `[providers.NAME]`.
    pub providers: Vec<Kind>,
    /// Those of `[stages.NAME]`.
    pub stages: Vec<Kind>,
}

/// The tables of the file, each as the schema that its type has.
struct Tables {
    file: Value,
    server: Value,
    admin: Value,
    log: Value,
    ledger: Value,
    traces: Value,
    plugin: Value,
    caller: Value,
    route: Value,
    price: Value,
    provider: Kinded,
    stage: Kinded,
    /// What the schemas refer to; empty where nothing does.
    definitions: Map<String, Value>,
}

/// A table whose keys depend on its kind.
struct Kinded {
    /// What every kind has.
    common: Value,
    /// What each kind has of its own.
    own: Vec<(&'static str, Value)>,
}

impl Tables {
    /// `inline`: each schema is whole by itself, instead of referring to definitions by the names of their types.
    fn new(kinds: &Kinds, inline: bool) -> Self {
        let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = inline);
        let mut generator = settings.into_generator();
        let file = table::<Config>(&mut generator);
        let server = table::<Server>(&mut generator);
        let admin = table::<Admin>(&mut generator);
        let log = table::<Log>(&mut generator);
        let ledger = table::<Ledger>(&mut generator);
        let traces = table::<Traces>(&mut generator);
        let plugin = table::<Plugin>(&mut generator);
        let caller = table::<Caller>(&mut generator);
        let route = table::<Route>(&mut generator);
        let price = table::<Price>(&mut generator);
        let provider = Kinded::new::<Provider>(&mut generator, &kinds.providers);
        let stage = Kinded::new::<Stage>(&mut generator, &kinds.stages);
        Self {
            file,
            server,
            admin,
            log,
            ledger,
            traces,
            plugin,
            caller,
            route,
            price,
            provider,
            stage,
            definitions: generator.take_definitions(true),
        }
    }
}

impl Kinded {
    fn new<T: JsonSchema>(generator: &mut SchemaGenerator, kinds: &[Kind]) -> Self {
        let own = |kind: &Kind| {
            let schema = (kind.table)(generator).to_value();
            (kind.name, resolved(schema, generator.definitions()))
        };
        Self {
            own: kinds.iter().map(own).collect(),
            common: table::<T>(generator),
        }
    }
}

fn table<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    let schema = generator.subschema_for::<T>().to_value();
    resolved(schema, generator.definitions())
}

/// The definition that a schema refers to, if it does.
fn resolved(schema: Value, definitions: &Map<String, Value>) -> Value {
    definition(&schema, definitions).cloned().unwrap_or(schema)
}

fn definition<'a>(schema: &Value, definitions: &'a Map<String, Value>) -> Option<&'a Value> {
    definitions.get(schema["$ref"].as_str()?.rsplit('/').next()?)
}

/// The properties of a table's schema.
fn properties(table: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let properties = table["properties"].as_object();
    properties
        .into_iter()
        .flatten()
        .map(|(key, schema)| (key.as_str(), schema))
}

/// A doc comment without its line breaks.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
