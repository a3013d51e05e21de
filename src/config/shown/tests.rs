use proptest::prelude::*;
use serde_json::{Value, json};

use super::{masked, tells_a_secret, without_login};
use crate::config::{self, secret::secrets};

/// Every place in which a secret may stand, each with a canary, and what is to be seen beside them.
#[test]
fn no_secret_is_shown_and_the_rest_is() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("header"), "canary-of-file").unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(
        &path,
        r#"
pipeline = ["limit", "route", "headers"]
[admin]
token = "canary-of-the-operators"
[providers.token-service]
kind = "openai"
base_url = "${BASE}"
api_key = "${PLAIN}"
proxy = "http://user:canary@p@proxy:3128"
model = "gpt"
[traces]
endpoint = "http://collector:4318"
headers = { "x-honeycomb-team" = "canary-of-traces" }
[stages.limit]
kind = "rate_limit"
tokens = "600/min"
label = "${SOME_TOKEN}"
keys = ["canary-1", { of = "canary-2", pin = 271828 }]
[stages.headers]
kind = "auth_header"
headers = { "x-plain" = "canary-header", "x-file" = "${file:header}", "x-id" = "{uuid}" }
note = "made with canary-of-the-operators"
url = "postgres://u:canary@db/x?password=canary"
[stages.headers.credentials]
anything = "canary-3"
"#,
    )
    .unwrap();
    let variables = |name: &str| match name {
        "BASE" => Some("http://api.example".to_owned()),
        "PLAIN" => Some("canary-4".to_owned()),
        "SOME_TOKEN" => Some("canary".to_owned()),
        _ => None,
    };
    let shown = masked(&config::load(&path, &variables).tree);
    let text = shown.to_string();
    assert!(
        !["canary", "can?", "ary@", "271828"]
            .iter()
            .any(|part| text.contains(part)),
        "{text}"
    );
    assert_eq!(
        shown["providers"]["token-service"],
        json!({
            "kind": "openai",
            "base_url": "http://api.example",
            "api_key": "***",
            "proxy": "http://***@proxy:3128",
            "model": "gpt",
        })
    );
    assert_eq!(shown["stages"]["limit"]["tokens"], "600/min");
    assert_eq!(shown["stages"]["headers"]["headers"]["x-id"], "{uuid}");
    assert_eq!(shown["stages"]["headers"]["url"], "postgres://***@db/x?***");
}

#[test]
fn a_password_of_any_characters_is_left_out_of_a_url() {
    for (url, shown) in [
        ("http://user:ca?na/ry@p@proxy:3128", "http://***@proxy:3128"),
        (
            "postgres://u:p@db/x?sslmode=require",
            "postgres://***@db/x?***",
        ),
        ("https://api.example/v1", "https://api.example/v1"),
        ("https://api.example/v1?mail=a@b", "https://***@b"),
        (
            "https://api.example/v1#canary",
            "https://api.example/v1#***",
        ),
    ] {
        assert_eq!(without_login(url), shown);
    }
}

#[test]
fn what_looks_like_a_secret_is_left_out_of_a_path() {
    for (url, shown) in [
        (
            "https://hooks.example/services/T024/B1/XkQ9dVbN2mLp0Zr7",
            "https://hooks.example/services/T024/B1/***",
        ),
        (
            "https://gate.example/v1/0123456789abcdef0123456789abcdef/openai",
            "https://gate.example/v1/***/openai",
        ),
        (
            "https://gate.example/550e8400-e29b-41d4-a716-446655440000",
            "https://gate.example/***",
        ),
        (
            "http://gate.example/abcdefghijklmnopq/v1",
            "http://gate.example/***/v1",
        ),
        (
            "http://gate.example/token/short/v1",
            "http://gate.example/token/***/v1",
        ),
        (
            "https://x.example/openai/deployments/gpt-4o-mini",
            "https://x.example/openai/deployments/gpt-4o-mini",
        ),
        (
            "https://x.example/text-generation-inference/v1/",
            "https://x.example/text-generation-inference/v1/",
        ),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ] {
        assert_eq!(without_login(url), shown);
    }
}

#[test]
fn a_text_may_name_its_secret_itself() {
    for (text, is_secret) in [
        ("host=db password=canary", true),
        ("Server=db;User=u;Pwd=canary", true),
        ("-----BEGIN EC PRIVATE KEY-----\ncanary", true),
        ("password=", false),
        ("a key is asked for", false),
        ("x=1", false),
    ] {
        assert_eq!(tells_a_secret(text), is_secret, "{text}");
    }
}

/// The config of a stage, as it is shown.
fn shown(of_the_file: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, of_the_file).unwrap();
    let tree = config::load(&path, &|_: &str| None).tree;
    masked(&tree)
}

#[test]
fn names_tell_what_is_secret() {
    for name in [
        "passphrase",
        "pwd",
        "DB_PWD",
        "private_pem",
        "bearer",
        "api_tokens",
        "access_tokens",
        "tokens_secret",
        "tokens",
        "old_capture_keys",
        "hmac",
        "sentry_dsn",
        "basic_auth",
    ] {
        for value in [
            "\"canary-word\"",
            "[\"canary-word\"]",
            "{ one = \"canary-word\" }",
        ] {
            let shown = shown(&format!("[stages.x]\n{name} = {value}\n"));
            assert!(
                !shown.to_string().contains("canary"),
                "{name} = {value}: {shown}"
            );
        }
    }
    for (name, value) in [
        ("tokens", json!("600/min")),
        ("tokens", json!("1_500k/day")),
        ("max_tokens", json!(4096)),
        ("tokens_per_second", json!(12.5)),
        ("key_file", json!("/run/key")),
        ("forward_auth", json!(true)),
        ("algorithm", json!("RS256")),
    ] {
        let shown = shown(&format!("[stages.x]\n{name} = {value}\n"));
        assert_eq!(shown["stages"]["x"][name], value, "{name}");
    }
}

/// What is said of a caller goes to an upstream in headers: tickets, by whatever name.
#[test]
fn what_is_said_of_callers_is_masked() {
    let shown = shown(
        r#"
[callers.one]
key = "canary-0123456789"
team = "blue"
[callers.one.meta]
plain = "canary"
[stages.auth.jwt.claims]
meta = { of = "a.claim" }
"#,
    );
    assert_eq!(
        shown["callers"]["one"],
        json!({"key": "***", "team": "blue", "meta": {"plain": "***"}})
    );
    assert_eq!(
        shown["stages"]["auth"]["jwt"]["claims"]["meta"]["of"],
        "a.claim"
    );
}

proptest! {
    /// Whatever a name is made of beside the word that tells: it is masked, and known as a secret to the log.
    #[test]
    fn no_word_beside_it_makes_a_secret_harmless(
        before in "[a-z]{0,6}_?",
        word in prop::sample::select(vec!["token", "tokens", "key", "secret", "passphrase", "pwd", "bearer"]),
        after in "(_[a-z]{1,6})?",
        secret in "[a-zA-Z]{4}[0-9a-zA-Z/+-]{8,40}",
    ) {
        let name = format!("{before}{word}{after}");
        prop_assume!(!["_file", "_path", "_url"].iter().any(|end| name.ends_with(end)));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, format!("[stages.x]\n{name} = [\"{secret}\"]\nnote = \"of {secret}\"\n")).unwrap();
        let tree = config::load(&path, &|_: &str| None).tree;
        prop_assert!(!masked(&tree).to_string().contains(&secret));
        prop_assert!(secrets(&tree).iter().any(|known| known.expose() == secret));
    }
}
