use std::collections::BTreeSet;

use http::Method;
use serde_json::Value;

use super::{
    OPENAPI,
    routes::{Access, Action, TABLE, find},
};

/// The document tells of every path and method there is, and of no other; and of each whether it asks for the token.
#[test]
fn the_document_is_what_is_served() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut told = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let is_public = operation["security"].as_array().is_some_and(Vec::is_empty);
            told.insert((path.clone(), method.to_uppercase(), is_public));
        }
    }
    let mut served = BTreeSet::new();
    for route in TABLE {
        for (method, action) in route.methods {
            if *action != Action::Page {
                let is_public = route.access == Access::Public;
                served.insert((route.path.to_owned(), method.to_string(), is_public));
            }
        }
    }
    assert_eq!(told, served);
}

#[test]
fn all_that_the_document_refers_to_is_in_it() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut left = vec![&document];
    let mut count = 0;
    while let Some(value) = left.pop() {
        if let Some(reference) = value["$ref"].as_str() {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{reference}");
            count += 1;
        }
        left.extend(
            value
                .as_object()
                .into_iter()
                .flat_map(serde_json::Map::values),
        );
        left.extend(value.as_array().into_iter().flatten());
    }
    assert!(count > 50);
}

#[test]
fn what_only_reads_is_never_told_to_change_anything() {
    for route in TABLE {
        let allowed: Vec<_> = route.methods.iter().map(|(method, _)| method).collect();
        for method in route.allow.split(", ").filter(|method| *method != "HEAD") {
            assert!(allowed.iter().any(|known| known.as_str() == method));
        }
        let changes = [
            Action::SignIn,
            Action::SignOut,
            Action::Purge,
            Action::Reload,
        ];
        for method in [Method::GET, Method::HEAD] {
            let action = route.action(&method);
            assert!(action.is_none_or(|action| !changes.contains(&action)));
        }
    }
}

#[test]
fn a_part_of_a_path_stands_for_an_id() {
    let id = |path| find(path).map(|(_, id)| id);
    assert_eq!(id("/api/exchanges/7"), Some("7"));
    assert_eq!(id("/api/exchanges"), Some(""));
    for path in [
        "/api/exchanges/",
        "/api/exchanges/7/8",
        "/api",
        "/assets/",
        "",
    ] {
        assert_eq!(id(path), None, "{path}");
    }
}
