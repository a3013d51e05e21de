//! The reference of the file as Markdown: a section for each table, a row for each key.

use serde_json::{Map, Value};

use super::{Kinded, Kinds, Tables, definition, one_line, properties};

const INTRODUCTION: &str = include_str!("introduction.md");

/// Types that are written in a way of their own, by the name of their schema.
const WRITTEN: &[(&str, &str)] = &[
    ("BaseUrl", "URL"),
    ("Dollars", "US dollars"),
    ("Duration", "duration"),
    ("FileSha256", "string"),
    ("KeySha256", "string"),
    ("Listen", "address"),
    ("Milliseconds", "duration"),
    ("Moment", "date and time"),
    ("Money", "amount of dollars"),
    ("Patterns", "pattern or list of them"),
    ("ProxyUrl", "URL"),
    ("Rate", "rate"),
    ("Secret", "string"),
    ("Size", "size"),
    ("TokenAllowance", "amount of tokens"),
    ("UtcOffset", "hours and minutes"),
];

/// The whole reference.
#[must_use]
pub fn markdown(kinds: &Kinds) -> String {
    let tables = Tables::new(kinds, false);
    let mut page = Page {
        text: INTRODUCTION.to_owned(),
        definitions: &tables.definitions,
    };
    page.line("\n## Top level\n");
    page.rows(&pipeline(&tables.file));
    for (title, table) in [
        ("[server]", &tables.server),
        ("[admin]", &tables.admin),
        ("[log]", &tables.log),
        ("[ledger]", &tables.ledger),
        ("[traces]", &tables.traces),
    ] {
        page.section(2, title, table);
    }
    page.section(2, "[plugins.NAME]", &tables.plugin);
    page.kinded("providers", &tables.provider);
    page.kinded("stages", &tables.stage);
    page.section(2, "[callers.ID]", &tables.caller);
    page.section(2, "[routes.NAME]", &tables.route);
    page.section(2, "[prices.\"MODEL\"]", &tables.price);
    page.line("\n## [environment.NAME]\n");
    page.line("Any of the tables above, and `pipeline`, for one environment: see [How a file is read](#how-a-file-is-read).");
    page.text
}

/// The only key of the file that is no table.
fn pipeline(file: &Value) -> Value {
    serde_json::json!({ "properties": { "pipeline": file["properties"]["pipeline"] } })
}

struct Page<'a> {
    text: String,
    definitions: &'a Map<String, Value>,
}

impl Page<'_> {
    fn line(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn section(&mut self, level: usize, title: &str, table: &Value) {
        let description = one_line(table["description"].as_str().unwrap_or_default());
        self.line(&format!(
            "\n{} {title}\n\n{description}\n",
            "#".repeat(level)
        ));
        self.rows(table);
    }

    fn kinded(&mut self, sort: &str, kinded: &Kinded) {
        self.section(2, &format!("[{sort}.NAME]"), &kinded.common);
        for (kind, own) in &kinded.own {
            self.section(3, &format!("{sort}: kind = \"{kind}\""), own);
        }
    }

    fn rows(&mut self, table: &Value) {
        let mut rows = Vec::new();
        self.collect(table, "", &mut rows);
        if rows.is_empty() {
            self.line("It has no keys of its own.");
            return;
        }
        self.line("| key | type | default | what it is |\n|---|---|---|---|");
        for row in rows {
            self.line(&row);
        }
    }

    /// A row for each key, those of tables within the table included.
    fn collect(&self, table: &Value, prefix: &str, rows: &mut Vec<String>) {
        for (key, schema) in properties(table) {
            let key = format!("{prefix}{key}");
            let is_required = table["required"].as_array().is_some_and(|required| {
                required
                    .iter()
                    .any(|name| key.strip_prefix(prefix).is_some_and(|key| name == key))
            });
            let (what, default) =
                without_default(schema["description"].as_str().unwrap_or_default());
            let default = match default {
                Some(default) => default,
                None if is_required => "required".to_owned(),
                None => String::new(),
            };
            let cells = [format!("`{key}`"), self.type_of(schema), default, what]
                .map(|cell| cell.replace('|', "\\|"));
            rows.push(format!("| {} |", cells.join(" | ")));
            self.inner(schema, &key, rows);
        }
    }

    /// The keys of a table, or of the tables of an array, that a value may be.
    fn inner(&self, schema: &Value, key: &str, rows: &mut Vec<String>) {
        let schema = definition(schema, self.definitions).unwrap_or(schema);
        if schema["properties"].is_object() {
            self.collect(schema, &format!("{key}."), rows);
        }
        if schema["items"].is_object() {
            self.inner(&schema["items"], &format!("{key}[]"), rows);
        }
        for branch in branches(schema) {
            self.inner(branch, key, rows);
        }
    }

    /// The type of a value in words.
    fn type_of(&self, schema: &Value) -> String {
        if let Some(target) = definition(schema, self.definitions) {
            let name = schema["$ref"]
                .as_str()
                .and_then(|path| path.rsplit('/').next());
            let written = WRITTEN.iter().find(|(known, _)| Some(*known) == name);
            return written.map_or_else(|| self.type_of(target), |(_, words)| (*words).to_owned());
        }
        if let Some(word) = schema.get("const") {
            return format!("`{word}`");
        }
        if let Some(words) = schema["enum"].as_array() {
            let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
            return quoted.join(", ");
        }
        let branches: Vec<_> = branches(schema).collect();
        if !branches.is_empty() {
            let words = branches.iter().filter(|branch| branch["type"] != "null");
            let words: Vec<_> = words.map(|branch| self.type_of(branch)).collect();
            let is_choice = words.iter().all(|word| word.starts_with('`'));
            return words.join(if is_choice { ", " } else { " or " });
        }
        let names = match &schema["type"] {
            Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
            name => Vec::from_iter(name.as_str()),
        };
        let words = names.into_iter().filter(|name| *name != "null");
        let words: Vec<_> = words.map(|name| self.word(name, schema)).collect();
        words.join(" or ")
    }

    fn word(&self, name: &str, schema: &Value) -> String {
        match name {
            "integer" => "whole number".to_owned(),
            "array" => format!("list of {}", plural(&self.type_of(&schema["items"]))),
            "object" if schema["additionalProperties"].is_object() => {
                let values = self.type_of(&schema["additionalProperties"]);
                format!("table of {}", plural(&values))
            }
            "object" => "table".to_owned(),
            other => other.to_owned(),
        }
    }
}

fn branches(schema: &Value) -> impl Iterator<Item = &Value> {
    ["anyOf", "oneOf"]
        .iter()
        .filter_map(|key| schema[*key].as_array())
        .flatten()
}

/// Of each of several types the plural; words in code stay as they are.
fn plural(types: &str) -> String {
    let plural = |word: &str| {
        if word.starts_with('`') {
            word.to_owned()
        } else {
            format!("{word}s")
        }
    };
    types
        .split(" or ")
        .map(plural)
        .collect::<Vec<_>>()
        .join(" or ")
}

/// A doc comment without its last sentence, `Default: ….`, and what that says.
pub(super) fn without_default(description: &str) -> (String, Option<String>) {
    let text = one_line(description);
    match text.rsplit_once("Default: ") {
        None => (text, None),
        Some((what, default)) => {
            let default = default.strip_suffix('.').unwrap_or(default);
            (what.trim_end().to_owned(), Some(code(default)))
        }
    }
}

/// A default that is a value is set as code; one that is a phrase is not.
fn code(default: &str) -> String {
    let is_bare = default.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        || matches!(default, "true" | "false");
    if is_bare {
        format!("`{default}`")
    } else {
        default.to_owned()
    }
}
