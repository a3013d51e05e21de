//! The configuration in the repository.

use std::time::Duration;

use super::*;
use crate::config::placeholder::is_name;
use crate::config::{Provider, Route, Stage, provider, route::Target, stage};

const SHIPPED: &str = include_str!("../../../../config.toml");

#[test]
fn runs_on_a_fresh_machine() {
    let loaded = load_text(SHIPPED);
    assert_eq!(render(&loaded), "");
    let config = &loaded.config;
    assert_eq!(
        config.pipeline,
        ["redact", "cache", "route", "company_headers"]
    );
    assert_eq!(
        config.providers.names().collect::<Vec<_>>(),
        ["internal", "ollama", "rehearsal"]
    );
    let ollama = config.providers.get("ollama").unwrap();
    assert_eq!(
        ollama.base_url.as_ref().unwrap().as_str(),
        "http://localhost:11434"
    );
    let route = config.routes.get("default").unwrap();
    let names = ["ollama", "rehearsal"].map(|name| Target::Name(name.to_owned()));
    assert_eq!(route.targets, names);
    assert_eq!(route.retries, 3);
    assert_eq!(route.attempt_timeout.get(), Duration::from_mins(1));
    assert_eq!(route.params["temperature"], 0.7);
    for name in ["ollama", "rehearsal"] {
        let (host, kind) = loaded
            .section(&["providers", name])
            .unwrap()
            .split(provider::KEYS);
        assert!(host.read::<Provider>().is_some(), "{name}");
        assert_eq!(kind.node().as_table().unwrap().iter().len(), 0, "{name}");
    }
}

#[test]
fn honours_the_variables_that_have_always_been_used() {
    let variables = [
        ("ENVIRONMENT", "production"),
        ("INTERNAL_LLM_BASE_URL", "https://llm.example.com/v1"),
        ("INTERNAL_LLM_API_KEY", "sk-1"),
        ("INTERNAL_LLM_MODEL", "big"),
        ("INTERNAL_LLM_TICKET", "t-1"),
        ("OLLAMA_BASE_URL", "http://ollama:11434"),
        ("OLLAMA_MODEL", "small"),
        ("OLLAMA_EMBED_MODEL", "vectors"),
        ("LLM_MAX_RETRIES", "7"),
        ("LLM_TIMEOUT", "12"),
        ("LLM_TEMPERATURE", "0.1"),
        ("LLM_DEBUG", "true"),
    ];
    let loaded = load_with(SHIPPED, "", &variables);
    let read = |path: &[&str]| {
        let (host, _) = loaded.section(path).unwrap().split(provider::KEYS);
        host.read::<Provider>().unwrap()
    };
    let internal = read(&["providers", "internal"]);
    assert_eq!(
        internal.base_url.unwrap().as_str(),
        "https://llm.example.com/v1"
    );
    assert_eq!(internal.api_key.unwrap().expose(), "sk-1");
    assert_eq!(internal.model.as_deref(), Some("big"));
    let ollama = read(&["providers", "ollama"]);
    assert_eq!(ollama.base_url.unwrap().as_str(), "http://ollama:11434");
    assert_eq!(ollama.model.as_deref(), Some("small"));
    assert_eq!(ollama.embedding_model.as_deref(), Some("vectors"));
    let route = loaded.config.routes.get("default").unwrap();
    assert_eq!(
        route.targets,
        ["internal", "ollama"].map(|name| Target::Name(name.to_owned()))
    );
    assert_eq!(route.retries, 7);
    assert_eq!(route.attempt_timeout.get(), Duration::from_secs(12));
    assert_eq!(route.params["temperature"], 0.1);
    assert_eq!(loaded.config.log.level, "debug");
    let (host, kind) = loaded
        .section(&["stages", "company_headers"])
        .unwrap()
        .split(stage::KEYS);
    assert!(host.read::<Stage>().is_some());
    let headers = kind.node().child("headers").unwrap();
    let text = |name: &str| match &headers.child(name).unwrap().value {
        Value::String(text) => text.text.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(text("x-dep-ticket"), "t-1");
    assert_eq!(text("User-Type"), "AD");
    assert_eq!(text("Prompt-Msg-Id"), "{uuid}");
    assert_eq!(render(&loaded), "");
}

/// What stands behind a single `#` is a key that can be used as it stands.
#[test]
fn every_key_that_is_commented_out_is_one() {
    let is_key = |line: &str| {
        line.strip_prefix('#')
            .and_then(|rest| rest.split_once(" = "))
            // The file of callers that it names is not there.
            .is_some_and(|(key, _)| is_name(key) && key != "callers_file")
    };
    let is_table = |line: &str| line.starts_with("#[") && line.ends_with(']');
    let commented = SHIPPED.lines().filter(|line| is_key(line)).count();
    assert!(commented > 20, "{commented}");
    let lines = SHIPPED.lines().map(|line| match line {
        shown if is_key(shown) || is_table(shown) => &shown[1..],
        other => other,
    });
    let text: Vec<_> = lines.collect();
    let variables = [
        ("LEDGER_URL", "postgres://ledger@localhost/millgate"),
        ("LEDGER_CAPTURE_KEY", "k"),
        ("LEDGER_OLD_CAPTURE_KEY", "k"),
    ];
    let loaded = load_with(&text.join("\n"), "", &variables);
    assert_eq!(render(&loaded), "");
}

/// The keys that the file shows, so that none is forgotten when one is added.
#[test]
fn every_key_is_in_it() {
    fn assert_shown<T: schemars::JsonSchema>() {
        let schema = schemars::schema_for!(T);
        let keys = schema.as_value()["properties"].as_object().unwrap().clone();
        for key in keys.keys() {
            let is_shown = |line: &str| {
                let line = line.trim_start_matches(['#', ' ']);
                line.strip_prefix(key.as_str())
                    .is_some_and(|rest| rest.starts_with(' '))
            };
            assert!(
                SHIPPED.lines().any(is_shown),
                "{key} of {}",
                T::schema_name()
            );
        }
    }
    assert_shown::<crate::config::Server>();
    assert_shown::<crate::config::Admin>();
    assert_shown::<crate::config::Log>();
    assert_shown::<Provider>();
    assert_shown::<Stage>();
    assert_shown::<crate::config::Caller>();
    assert_shown::<Route>();
    assert_shown::<crate::stages::redact::Config>();
}

/// The lists of the host's keys, by which tables are divided, are those of the types.
#[test]
fn lists_of_keys_are_complete() {
    fn keys<T: schemars::JsonSchema>() -> Vec<String> {
        let schema = schemars::schema_for!(T);
        let properties = schema.as_value()["properties"].as_object().unwrap();
        properties.keys().cloned().collect()
    }
    assert_eq!(keys::<Provider>(), provider::KEYS);
    assert_eq!(keys::<Stage>(), stage::KEYS);
}
