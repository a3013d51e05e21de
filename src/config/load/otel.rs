//! The standard `OTEL_*` variables (<https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>), laid
//! under `[traces]`: what the file says comes first. They are checked as if they stood there.

use std::sync::Arc;

use percent_encoding::percent_decode_str;

use crate::config::{
    finding::{Finding, Findings, Place, Source},
    placeholder::{Origin, Resolver},
    tree::{Key, Node, Table, Text, Value},
};

/// Keys of `[traces]` with their variables, the first that is set counts, and what unit the variable has.
const PLAIN: &[(&str, &[&str], &str)] = &[
    (
        "protocol",
        &[
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
        ],
        "",
    ),
    (
        "compression",
        &[
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
            "OTEL_EXPORTER_OTLP_COMPRESSION",
        ],
        "",
    ),
    (
        "timeout",
        &[
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
        ],
        "ms",
    ),
    ("max_queue_size", &["OTEL_BSP_MAX_QUEUE_SIZE"], ""),
    ("max_batch_size", &["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"], ""),
    ("delay", &["OTEL_BSP_SCHEDULE_DELAY"], "ms"),
    ("service_name", &["OTEL_SERVICE_NAME"], ""),
];

/// Variables with lists of `name=value`.
const LISTS: &[(&str, &[&str])] = &[
    (
        "headers",
        &[
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "OTEL_EXPORTER_OTLP_HEADERS",
        ],
    ),
    ("resource", &["OTEL_RESOURCE_ATTRIBUTES"]),
];

/// Lays the variables under `[traces]`.
pub(super) fn lay_under(tree: &mut Node, resolver: &Resolver<'_>, findings: &Findings) {
    let Value::Table(root) = &mut tree.value else {
        return;
    };
    let written = root.get("traces").and_then(Node::as_table);
    if written.is_none() && root.get("traces").is_some() {
        return;
    }
    let mut variables = Variables {
        resolver,
        findings,
        table: Table::default(),
    };
    variables.read(|key| written.is_some_and(|table| table.get(key).is_some()));
    let under = variables.table;
    if under.iter().len() == 0 {
        return;
    }
    let is_off = under.get("enabled").is_some();
    let (key, node) = root.remove("traces").unwrap_or_else(empty);
    let (mut table, place) = (under.clone(), node.place);
    if let Value::Table(over) = node.value {
        table.overlay(over);
    }
    if is_off {
        // The one that stands above the file.
        table.overlay(under.partition(|key| key == "enabled").0);
    }
    let value = Value::Table(table);
    root.insert(key, Node { value, place });
}

/// A table that the file does not have.
fn empty() -> (Key, Node) {
    let place = place("OTEL_*");
    let key = Key {
        name: "traces".to_owned(),
        place: place.clone(),
    };
    let value = Value::Table(Table::default());
    (key, Node { value, place })
}

/// What the variables say, as a table.
struct Variables<'a> {
    resolver: &'a Resolver<'a>,
    findings: &'a Findings,
    table: Table,
}

/// A variable that is set.
struct Found {
    name: &'static str,
    text: String,
    origin: Origin,
}

impl Variables<'_> {
    fn read(&mut self, is_written: impl Fn(&str) -> bool) {
        if let Some(off) = self.first(&["OTEL_SDK_DISABLED"])
            && off.text.trim().eq_ignore_ascii_case("true")
        {
            self.put("enabled", &off, "false".to_owned());
        } else if !is_written("enabled") {
            self.exporter();
        }
        if !is_written("endpoint") {
            self.endpoint();
        }
        for (key, names, unit) in PLAIN.iter().filter(|(key, ..)| !is_written(key)) {
            if let Some(found) = self.first(names) {
                let text = format!("{}{unit}", found.text.trim());
                self.put(key, &found, text);
            }
        }
        // The share is the sampler's: one of the file and one of the environment would make no sense together.
        if !is_written("sampler") && !is_written("sample") {
            self.sampler();
        }
        for (key, names) in LISTS {
            if let Some(found) = self.first(names) {
                self.list(key, &found);
            }
        }
    }

    /// The first of these variables that is set.
    fn first(&self, names: &[&'static str]) -> Option<Found> {
        names.iter().find_map(|&name| {
            let (text, origin) = self.resolver.variable(name)?;
            self.resolver.note(name, origin.clone());
            Some(Found { name, text, origin })
        })
    }

    fn exporter(&mut self) {
        let Some(exporter) = self.first(&["OTEL_TRACES_EXPORTER"]) else {
            return;
        };
        match &*exporter.text.trim().to_ascii_lowercase() {
            "otlp" => {}
            "none" => self.put("enabled", &exporter, "false".to_owned()),
            _ => {
                let message = format!("`{}` names an exporter that is not there", exporter.name);
                let finding = Finding::error(message)
                    .at(place(exporter.name))
                    .help("write `otlp`, or `none` for no traces".to_owned());
                self.findings.add(finding);
            }
        }
    }

    fn endpoint(&mut self) {
        if let Some(found) = self.first(&["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]) {
            let text = found.text.clone();
            self.put("endpoint", &found, text);
        } else if let Some(found) = self.first(&["OTEL_EXPORTER_OTLP_ENDPOINT"]) {
            let protocol = PLAIN[0].1;
            let is_grpc = self
                .first(protocol)
                .is_some_and(|found| found.text == "grpc");
            let base = found.text.trim().trim_end_matches('/');
            let path = if is_grpc { "" } else { "/v1/traces" };
            let text = format!("{base}{path}");
            self.put("endpoint", &found, text);
        }
    }

    fn sampler(&mut self) {
        let Some(sampler) = self.first(&["OTEL_TRACES_SAMPLER"]) else {
            return;
        };
        let name = sampler.text.trim().to_ascii_lowercase();
        if name.ends_with("traceidratio")
            && let Some(share) = self.first(&["OTEL_TRACES_SAMPLER_ARG"])
        {
            let text = share.text.trim().to_owned();
            self.put("sample", &share, text);
        }
        self.put("sampler", &sampler, name);
    }

    /// `name=value,name=value`, percent-encoded as in the `baggage` header.
    fn list(&mut self, key: &str, found: &Found) {
        let mut table = Table::default();
        for member in found.text.split(',').map(str::trim) {
            if member.is_empty() {
                continue;
            }
            let pair = member.split_once('=').and_then(|(name, value)| {
                let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
                Some((name.trim(), value.into_owned()))
            });
            match pair {
                Some((name, value)) if !name.is_empty() => {
                    let name = if key == "headers" {
                        name.to_ascii_lowercase()
                    } else {
                        name.to_owned()
                    };
                    let key = found.key(&name);
                    table.insert(key, found.node(value));
                }
                _ => {
                    let message = format!("`{}` is no list of name=value", found.name);
                    let finding = Finding::error(message).at(place(found.name));
                    self.findings.add(finding);
                }
            }
        }
        let node = Node {
            value: Value::Table(table),
            place: place(found.name),
        };
        self.table.insert(found.key(key), node);
    }

    fn put(&mut self, key: &str, found: &Found, text: String) {
        self.table.insert(found.key(key), found.node(text));
    }
}

impl Found {
    fn key(&self, name: &str) -> Key {
        Key {
            name: name.to_owned(),
            place: place(self.name),
        }
    }

    fn node(&self, text: String) -> Node {
        let text = Text {
            text,
            from: vec![format!("`{}` ({})", self.name, self.origin)],
            adapts: true,
        };
        Node {
            value: Value::String(text),
            place: place(self.name),
        }
    }
}

/// A variable as a place: its name, never its value.
fn place(name: &str) -> Place {
    let source = Source {
        name: "environment".to_owned(),
        text: name.to_owned(),
        shown: true,
    };
    Place {
        source: Arc::new(source),
        span: 0..name.len(),
    }
}
