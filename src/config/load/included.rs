//! `[server] callers_file`: callers in a file of their own, so that who may call can be another person's business, and
//! another secret's, than how requests are answered.

use std::path::Path;

use super::file;
use crate::config::{
    finding::{Finding, Findings},
    placeholder::Resolver,
    tree::{self, Key, Node, Table, Value},
};

/// Puts the callers of the file that the tree names beside those that it has itself.
pub(super) fn callers(
    tree: &mut Node,
    folder: &Path,
    resolver: &Resolver<'_>,
    findings: &Findings,
) {
    let Some(named) = tree.at(&["server", "callers_file"]) else {
        return;
    };
    let Value::String(path) = &named.value else {
        // No path; reading the table tells.
        return;
    };
    let path = folder.join(&path.text);
    let Some(mut included) = file::read_included(&path, &named.place, findings)
        .and_then(|source| tree::parse(&source, findings))
    else {
        return;
    };
    resolver.resolve(&mut included, findings);
    let Value::Table(tables) = included.value else {
        return;
    };
    for (key, node) in tables.iter() {
        if key.name != "callers" {
            let message = format!("unknown key `{}`", key.name);
            let help = "this file holds [callers.ID] tables and nothing else".to_owned();
            findings.add(Finding::error(message).at(key.place.clone()).help(help));
        } else if let Value::Table(callers) = &node.value {
            merge(tree, key, node, callers, findings);
        } else {
            let message = format!("expected a table [callers.ID], found {}", node.kind());
            findings.add(Finding::error(message).at(node.place.clone()));
        }
    }
}

fn merge(tree: &mut Node, key: &Key, node: &Node, callers: &Table, findings: &Findings) {
    let Value::Table(root) = &mut tree.value else {
        return;
    };
    let mut all = match root.remove("callers") {
        None => Table::default(),
        Some((_, own)) => match own.value {
            Value::Table(own) => own,
            _ => return root.insert(key.clone(), own),
        },
    };
    for (id, caller) in callers.iter() {
        let Some((known, _)) = all.entry(&id.name) else {
            all.insert(id.clone(), caller.clone());
            continue;
        };
        let (line, _) = known.place.source.position(known.place.span.start);
        let message = format!(
            "there is a caller `{}` already, in {}:{line}",
            id.name, known.place.source.name
        );
        let help = "give one of them another name".to_owned();
        findings.add(Finding::error(message).at(id.place.clone()).help(help));
    }
    let merged = Node {
        value: Value::Table(all),
        place: node.place.clone(),
    };
    root.insert(key.clone(), merged);
}
