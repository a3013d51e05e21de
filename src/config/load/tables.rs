//! From the tree to the typed tables.

use serde::de::DeserializeOwned;

use crate::{
    config::{
        Caller, Config, Duration, Entries, KEYS,
        finding::{Finding, Findings},
        price::Price,
        provider,
        read::{Section, Strictness, read_node},
        stage,
        tree::{Key, Node, Table, Value},
    },
    nearest::nearest,
};

/// Reads all tables. Those of providers and stages are read leniently: which of them are in use, and so need the
/// values of their placeholders, only the compiled whole can tell.
pub(super) fn read(tree: &Node, findings: &Findings) -> Config {
    let tables = Tables { tree, findings };
    tables.top_level();
    let defaults = Config::default();
    let config = Config {
        pipeline: tables.one("pipeline").unwrap_or(defaults.pipeline),
        server: tables.one("server").unwrap_or_default(),
        admin: tables.one("admin").unwrap_or_default(),
        log: tables.one("log").unwrap_or_default(),
        ledger: tables.one("ledger").unwrap_or_default(),
        traces: tables.one("traces").unwrap_or_default(),
        plugins: tables.all("plugins"),
        providers: tables.many("providers", provider::KEYS),
        stages: tables.many("stages", stage::KEYS),
        callers: tables.callers(),
        routes: tables.all("routes"),
        prices: tables.prices(),
    };
    tables.positive(&["server", "header_timeout"], config.server.header_timeout);
    tables.positive(&["server", "body_timeout"], config.server.body_timeout);
    tables.positive(&["ledger", "interval"], config.ledger.interval);
    tables.positive(&["ledger", "max_age"], config.ledger.max_age);
    tables.positive(&["traces", "timeout"], config.traces.timeout);
    tables.positive(&["traces", "delay"], config.traces.delay);
    for (name, route) in config.routes.iter() {
        tables.positive(&["routes", name, "attempt_timeout"], route.attempt_timeout);
        tables.positive(&["routes", name, "deadline"], route.deadline);
        tables.positive(&["routes", name, "idle_timeout"], route.idle_timeout);
        if let Some(limit) = route.stream_timeout {
            tables.positive(&["routes", name, "stream_timeout"], limit);
        }
    }
    for (name, provider) in config.providers.iter() {
        let limit = provider.connect_timeout;
        tables.positive(&["providers", name, "connect_timeout"], limit);
    }
    config
}

struct Tables<'a> {
    tree: &'a Node,
    findings: &'a Findings,
}

impl<'a> Tables<'a> {
    /// Tells of keys that are none, and of a file without any.
    fn top_level(&self) {
        let Some(root) = self.tree.as_table() else {
            return;
        };
        let source = &self.tree.place.source;
        if root.iter().len() == 0 {
            let what = if source.text.trim().is_empty() {
                "is empty"
            } else {
                "sets nothing"
            };
            let finding = Finding::error(format!("the file `{}` {what}", source.name));
            self.findings.add(finding.help(
                "a file needs at least a [providers.NAME] and a [routes.NAME] table".to_owned(),
            ));
        }
        for (key, _) in root.iter() {
            if KEYS.contains(&key.name.as_str()) {
                continue;
            }
            let help = match nearest(&key.name, KEYS.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known keys: {}", KEYS.join(", ")),
            };
            let finding = Finding::error(format!("unknown key `{}`", key.name));
            self.findings.add(finding.at(key.place.clone()).help(help));
        }
    }

    /// The value of a key of the top level; `None` where there is none that can be read.
    fn one<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let node = self.tree.child(key)?;
        read_node(node, Strictness::Strict, &[], self.findings).value
    }

    /// The host's part of all tables of one sort.
    fn many<T: DeserializeOwned + Default>(&self, sort: &str, keys: &[&str]) -> Entries<T> {
        let read = |(name, node): (&str, &Node)| {
            let (host, _) = Section::new(node, self.findings).split(keys);
            let entry = host.reading(Strictness::Lenient).value;
            (name.to_owned(), entry.unwrap_or_default())
        };
        self.named(sort).map(read).collect()
    }

    /// All callers. Whether anybody asks for their keys, only the compiled whole can tell.
    fn callers(&self) -> Entries<Caller> {
        let read = |(id, node): (&str, &Node)| {
            let caller = read_node(node, Strictness::Lenient, &[], self.findings).value;
            (id.to_owned(), caller.unwrap_or_default())
        };
        self.named("callers").map(read).collect()
    }

    /// All tables of one sort, every one of which is in use.
    fn all<T: DeserializeOwned + Default>(&self, sort: &str) -> Entries<T> {
        let read = |(name, node): (&str, &Node)| {
            let entry = read_node(node, Strictness::Strict, &[], self.findings).value;
            (name.to_owned(), entry.unwrap_or_default())
        };
        self.named(sort).map(read).collect()
    }

    /// All prices, by the names of models, in which a pattern's characters are welcome.
    fn prices(&self) -> Entries<Price> {
        let Some(node) = self.tree.child("prices") else {
            return Entries::default();
        };
        let Some(table) = node.as_table() else {
            self.expect_table(node, "prices.\"MODEL\"");
            return Entries::default();
        };
        let read = |(key, node): (&Key, &Node)| {
            let price = read_node(node, Strictness::Strict, &[], self.findings).value;
            (key.name.clone(), price.unwrap_or_default())
        };
        table.iter().map(read).collect()
    }

    /// The tables of one sort by name. What is no table, and what has no proper name, becomes a finding.
    fn named(&self, sort: &str) -> impl Iterator<Item = (&'a str, &'a Node)> {
        let table = self.tree.child(sort).and_then(|node| {
            if node.as_table().is_none() {
                self.expect_table(node, &format!("{sort}.NAME"));
            }
            node.as_table()
        });
        let mut tables = Vec::new();
        for (key, node) in table.into_iter().flat_map(Table::iter) {
            if !is_name(&key.name) {
                let message = format!("`{}` cannot be a name", key.name);
                let finding = Finding::error(message).at(key.place.clone());
                let help = "a name is made of the letters a to z, digits, `_`, `-` and `.`";
                self.findings.add(finding.help(help.to_owned()));
            }
            match node.value {
                Value::Table(_) => tables.push((key.name.as_str(), node)),
                _ => self.expect_table(node, &format!("{sort}.{}", key.name)),
            }
        }
        tables.into_iter()
    }

    fn expect_table(&self, node: &Node, name: &str) {
        let message = format!("expected a table [{name}], found {}", node.kind());
        self.findings
            .add(Finding::error(message).at(node.place.clone()));
    }

    /// Tells of a limit of no time at all, which nothing could keep.
    fn positive(&self, path: &[&str], limit: Duration) {
        if limit.is_zero() {
            let place = self.tree.value_place(path);
            let finding = Finding::error("this must be longer than no time at all");
            self.findings.add(finding.at(place));
        }
    }
}

/// Names are metric labels and header values, and the part of a target before its `/`.
fn is_name(text: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    !text.is_empty() && text.bytes().all(is_allowed)
}
