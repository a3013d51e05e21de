use serde_json::json;

use super::{masked, without_login};
use crate::config;

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
    ] {
        assert_eq!(without_login(url), shown);
    }
}
