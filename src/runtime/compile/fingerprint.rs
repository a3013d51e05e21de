//! What decides an upstream's answers, in 32 bytes: while it stays the same, so may an answer that was kept.

use crate::{
    config::tree::{Node, Value},
    pipeline::Mounted,
    routing::{provider::Provider, route::Route},
    runtime::Compiled,
};

/// Keys of a provider that decide how it is reached, and not what it answers.
const OPERATIONAL: [&str; 8] = [
    "api_key",
    "proxy",
    "ca_file",
    "connect_timeout",
    "pool_idle_timeout",
    "pool_max_idle",
    "retry_ratio",
    "forward_auth",
];

/// Of a route: its targets in their order, what is asked of them, and who they are.
pub(super) fn of_route(route: &Route, providers: &[Compiled<Provider>]) -> [u8; 32] {
    let mut print = Print::default();
    print.text(&format!("{:?}", route.strategy));
    print.params(&route.params);
    for target in &route.targets {
        let provider = &target.provider.name;
        print.text(provider);
        let table = providers.iter().find(|known| known.made.name == *provider);
        if let Some(table) = table {
            print.text(table.image.unwrap_or_default());
            print.table(&table.table, &OPERATIONAL);
        }
        print.text(target.model.as_deref().unwrap_or_default());
        print.text(&target.weight.to_string());
        print.params(&target.params);
    }
    print.done()
}

/// Of the stages that see every attempt: they may change what is asked and what is answered.
pub(super) fn of_stages(stages: &[Mounted]) -> [u8; 32] {
    let mut print = Print::default();
    for stage in stages {
        print.text(&stage.name);
        print.text(stage.kind);
        print.text(stage.image.unwrap_or_default());
        print.table(&stage.table, &[]);
    }
    print.done()
}

#[derive(Default)]
struct Print(blake3::Hasher);

impl Print {
    /// Behind its length, so that no two lists of texts are the same bytes.
    fn text(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
    }

    fn params(&mut self, params: &[(Box<str>, Box<str>)]) {
        self.text(&params.len().to_string());
        for (name, value) in params {
            self.text(name);
            self.text(value);
        }
    }

    /// A table, whatever the order of its keys.
    fn table(&mut self, node: &Node, without: &[&str]) {
        let Value::Table(table) = &node.value else {
            return self.value(node);
        };
        let mut entries: Vec<_> = table
            .iter()
            .filter(|(key, _)| !without.contains(&&*key.name))
            .collect();
        entries.sort_by(|(one, _), (other, _)| one.name.cmp(&other.name));
        self.text(&format!("table of {}", entries.len()));
        for (key, node) in entries {
            self.text(&key.name);
            self.value(node);
        }
    }

    fn value(&mut self, node: &Node) {
        match &node.value {
            Value::Bool(value) => self.text(&value.to_string()),
            Value::Integer(value) => self.text(&value.to_string()),
            Value::Float(value) => self.text(&value.to_string()),
            Value::Datetime(text) => self.text(text),
            Value::String(text) => self.text(&text.text),
            Value::Unset(unset) => self.text(&unset.message),
            Value::Array(elements) => {
                self.text(&format!("array of {}", elements.len()));
                for element in elements {
                    self.value(element);
                }
            }
            Value::Table(_) => self.table(node, &[]),
        }
    }

    fn done(&self) -> [u8; 32] {
        self.0.finalize().into()
    }
}
