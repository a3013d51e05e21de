//! `plugin list`

use std::fmt::Write as _;

use serde_json::Value;

const TITLES: [&str; 9] = [
    "NAME", "VERSION", "STATE", "KINDS", "PANICS", "FAILURES", "BLOCKED", "IMAGE", "PATH",
];

/// How many digits of the SHA-256 tell images apart.
const DIGITS: usize = 12;

/// A line for each image below the titles, in columns as wide as their widest cell.
pub(super) fn table(answer: &Value) -> String {
    let plugins = answer["plugins"].as_array().map_or(&[][..], Vec::as_slice);
    if plugins.is_empty() {
        return "no plugins are loaded: name one in the config, [plugins.NAME] with its `path`\n"
            .to_owned();
    }
    let mut rows = vec![TITLES.map(str::to_owned)];
    rows.extend(plugins.iter().map(row));
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..TITLES.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            // Writing to a string does not fail.
            let _ = write!(line, "{cell:width$}  ");
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

fn row(plugin: &Value) -> [String; TITLES.len()] {
    let text = |key: &str| plugin[key].as_str().unwrap_or("-").to_owned();
    let number = |key: &str| plugin[key].to_string();
    let kinds = [&plugin["stages"], &plugin["providers"]];
    let kinds = kinds.into_iter().filter_map(Value::as_array).flatten();
    let kinds: Vec<_> = kinds.filter_map(Value::as_str).collect();
    [
        text("name"),
        text("version"),
        state(plugin).to_owned(),
        kinds.join(","),
        number("panics"),
        number("failures"),
        number("blocked"),
        text("sha256").chars().take(DIGITS).collect(),
        text("path"),
    ]
}

/// What it is good for now.
fn state(plugin: &Value) -> &'static str {
    match (plugin["off"] == true, plugin["in_use"] == true) {
        (true, _) => "switched off",
        (false, true) => "in use",
        (false, false) => "old",
    }
}
