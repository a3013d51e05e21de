//! `millgate check`: what it tells of a config, to the letter.

#[path = "check/findings.rs"]
mod findings;

use std::process::{Command, Output};

use serde_json::{Value, json};

/// Runs the binary in a folder with this config and these variables, and nothing else.
fn millgate(config: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), config).unwrap();
    Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// Checks that `check` prints this, and nothing on standard error, and ends with this code.
#[track_caller]
fn assert_told(config: &str, variables: &[(&str, &str)], code: i32, expected: &str) {
    let output = millgate(config, variables, &["check"]);
    assert_eq!(text(&output.stderr), "");
    assert_eq!(text(&output.stdout), expected.trim_start_matches('\n'));
    assert_eq!(output.status.code(), Some(code));
}

const SHIPPED: &str = include_str!("../config.toml");

#[test]
fn the_shipped_config_on_a_fresh_machine() {
    assert_told(
        SHIPPED,
        &[],
        0,
        "
environment  development (ENVIRONMENT is not set)

variables
  MILLGATE_ADMIN_TOKEN      by default
  INTERNAL_LLM_BASE_URL     not set
  INTERNAL_LLM_API_KEY      not set
  INTERNAL_LLM_MODEL        by default
  OLLAMA_BASE_URL           by default
  OLLAMA_MODEL              by default
  OLLAMA_EMBED_MODEL        by default
  INTERNAL_LLM_TICKET       not set
  INTERNAL_LLM_SYSTEM_NAME  by default
  USER_ID                   by default
  USER_TYPE                 by default
  LLM_MAX_RETRIES           by default
  LLM_TIMEOUT               by default
  LLM_TEMPERATURE           by default

listeners
  clients    http://127.0.0.1:8080/v1
  operators  http://127.0.0.1:9090

pipeline
  once for each request:
    redact           redact, for all that is logged
    cache            cache
  route
  once for each attempt:
    company_headers  auth_header, when provider is internal, on_error fail, mode enforce
                     not reached: no route uses `internal`

routes
  default
    models    *
    targets   1. ollama     ollama     asked for llama3.1, for embeddings nomic-embed-text
              2. rehearsal  rehearsal  asked for the client's model, only where no other can be reached
    strategy  fallback: one after the other
    retries   3 for each target, backoff 250ms
    timers    attempt_timeout 1m, deadline 5m, idle_timeout 1m, stream_timeout none
    fallback  on connect, timeout, upstream_auth, model_missing, stream, rejected, 408, 429, 5xx
    params    temperature where left out

providers
  internal   openai     -                       not used in this environment
  ollama     ollama     http://localhost:11434  no key
  rehearsal  rehearsal  answers by itself

config.toml: ready to serve
",
    );
}

const COMPANY: &[(&str, &str)] = &[
    ("ENVIRONMENT", "production"),
    (
        "INTERNAL_LLM_BASE_URL",
        "https://llm.example:8443/deep/path",
    ),
    ("INTERNAL_LLM_API_KEY", "canary-key"),
    ("INTERNAL_LLM_TICKET", "canary-ticket"),
];

#[test]
fn the_shipped_config_in_production() {
    let output = millgate(SHIPPED, COMPANY, &["check"]);
    let told = text(&output.stdout);
    for line in [
        "environment  production",
        "  INTERNAL_LLM_API_KEY      from the environment",
        "    company_headers  auth_header, when provider is internal, on_error fail, mode enforce",
        "    targets   1. internal  openai  asked for gpt-4",
        "              2. ollama    ollama  asked for llama3.1, for embeddings nomic-embed-text",
        "  internal   openai     https://llm.example:8443  with a key",
        "  rehearsal  rehearsal  -                         not used in this environment",
        "config.toml: ready to serve",
    ] {
        assert!(told.lines().any(|told| told == line), "{line}\n\n{told}");
    }
    assert!(!told.contains("not reached"), "{told}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn no_value_of_a_variable_and_no_key_is_shown() {
    for arguments in [["check"].as_slice(), &["check", "--json"]] {
        let output = millgate(SHIPPED, COMPANY, arguments);
        assert!(output.status.success());
        for canary in ["canary", "deep/path"] {
            assert!(!text(&output.stdout).contains(canary), "{canary}");
            assert!(!text(&output.stderr).contains(canary), "{canary}");
        }
    }
}

#[test]
fn stages_of_both_sides_a_strategy_and_every_limit() {
    let config = r#"
pipeline = ["route", "team", "quiet"]
[providers.a]
kind = "openai"
base_url = "http://127.0.0.1:1"
forward_auth = true
[providers.b]
kind = "openai"
base_url = "http://127.0.0.1:2"
model = "big"
[stages.team]
kind = "auth_header"
headers = { x = "1" }
when = { provider = ["a", "b"], model = "gpt-*" }
on_error = "skip"
[stages.quiet]
kind = "auth_header"
refuse = ["x-y"]
mode = "shadow"
[routes.chat]
model = ["gpt-*", "o?"]
strategy = "weighted"
targets = [{ provider = "a", weight = 3 }, "b/small"]
retries = 0
attempt_timeout = "1.5s"
stream_timeout = "10m"
fallback_on = []
commit = "head"
[routes.files]
paths = ["/v1/files*"]
targets = ["a"]
"#;
    assert_told(
        config,
        &[],
        0,
        "
environment  development (ENVIRONMENT is not set)

listeners
  clients    http://127.0.0.1:8080/v1
  operators  http://127.0.0.1:9090

pipeline
  route
  once for each attempt:
    team   auth_header, when provider is a or b, when model is gpt-*, on_error skip, mode enforce
    quiet  auth_header, on_error fail, mode shadow: refuses nothing

routes
  chat
    models    gpt-*, o?
    targets   1. a  openai  asked for the client's model, weight 3
              2. b  openai  asked for small, weight 1
    strategy  weighted: by lot, the others stand in
    retries   none
    timers    attempt_timeout 1500ms, deadline 5m, idle_timeout 1m, stream_timeout 10m
    fallback  never
    commit    head: a reply is final as soon as it begins

  files
    paths     /v1/files*
    targets   1. a  openai  asked for the client's model
    retries   2 for each target, backoff 250ms
    timers    attempt_timeout 1m, deadline 5m, idle_timeout 1m, stream_timeout none
    fallback  on connect, timeout, upstream_auth, model_missing, stream, rejected, 408, 429, 5xx

providers
  a  openai  http://127.0.0.1:1  no key, passes on the clients' keys
  b  openai  http://127.0.0.1:2  no key

config.toml: ready to serve
",
    );
}

#[test]
fn errors_stand_alone_with_their_number_and_end_with_1() {
    let config = "[providers.a]\nkind = \"opnai\"\n[providers.b]\nkind = \"rehearsal\"\n[routes.default]\ntargets = [\"b\"]\nretires = 3\n";
    assert_told(
        config,
        &[],
        1,
        "
error: there is no provider kind `opnai`
 --> config.toml:2:8
  |
2 | kind = \"opnai\"
  |        ^^^^^^^
  = help: did you mean `openai`?

error: unknown key `retires`
 --> config.toml:7:1
  |
7 | retires = 3
  | ^^^^^^^
  = help: did you mean `retries`?

config.toml: 2 errors
",
    );
}

/// A route with all that is wrong in it; providers that are fine.
fn with_route(route: &str) -> String {
    format!(
        "[providers.a]\nkind = \"openai\"\nbase_url = \"http://localhost:1\"\n[providers.b]\nkind = \"ollama\"\nbase_url = \"http://[::1]:2\"\n[providers.r]\nkind = \"rehearsal\"\n[routes.x]\n{route}\n[routes.y]\nmodel = \"all\"\ntargets = [\"a\", \"b\", \"r\"]\n"
    )
}

const REHEARSAL: &str = "[providers.r]\nkind = \"rehearsal\"\n[routes.x]\ntargets = [\"r\"]\n";

#[test]
fn serve_refuses_such_an_address_on_its_command_line() {
    let output = millgate(REHEARSAL, &[], &["serve", "--listen", "0.0.0.0:0"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stdout), "");
    assert_eq!(
        text(&output.stderr),
        "error: --listen `0.0.0.0:0` can be reached from other machines, and nobody is asked for a key\n  listen on 127.0.0.1, ask for keys with a stage of the kind `auth` above \"route\", or say that everybody who reaches the address may use the providers' keys: [server] allow_anonymous = true\n"
    );
}

#[test]
fn warnings_count_only_where_they_are_asked_to() {
    let config = with_route("targets = [\"a\", \"a\"]");
    let lenient = millgate(&config, &[], &["check"]);
    assert_eq!(lenient.status.code(), Some(0));
    let told = text(&lenient.stdout);
    assert!(
        told.starts_with("warning: all targets of this route are the same\n"),
        "{told}"
    );
    assert!(told.ends_with("\nconfig.toml: 1 warning\n"), "{told}");
    assert!(told.contains("\nroutes\n  x\n"), "{told}");
    let strict = millgate(&config, &[], &["check", "--strict"]);
    assert_eq!(strict.status.code(), Some(1));
    assert_eq!(text(&strict.stdout), told);
    let clean = millgate(REHEARSAL, &[], &["check", "--strict"]);
    assert_eq!(clean.status.code(), Some(0));
}

#[test]
fn programs_get_json() {
    let output = millgate(SHIPPED, COMPANY, &["check", "--json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["ok"], true);
    assert_eq!(document["findings"], json!([]));
    let report = &document["report"];
    assert_eq!(report["environment"], "production");
    assert_eq!(
        report["variables"][0],
        json!({"name": "ENVIRONMENT", "source": "from the environment"})
    );
    assert_eq!(report["listeners"]["clients"], "http://127.0.0.1:8080/v1");
    assert_eq!(
        report["pipeline"][1],
        json!({"name": "cache", "place": "above_route", "kind": "cache", "when": {}, "not_reached": null})
    );
    assert_eq!(report["pipeline"][0]["name"], "redact");
    assert_eq!(
        report["pipeline"][2],
        json!({"name": "route", "place": "route"})
    );
    assert_eq!(
        report["pipeline"][3],
        json!({
            "name": "company_headers",
            "place": "below_route",
            "kind": "auth_header",
            "when": { "provider": ["internal"] },
            "on_error": "fail",
            "mode": "enforce",
            "not_reached": null,
        })
    );
    let route = &report["routes"][0];
    assert_eq!(route["attempt_timeout"], "1m");
    assert_eq!(route["stream_timeout"], Value::Null);
    assert_eq!(route["targets"][0]["model"], "gpt-4");
    assert_eq!(report["providers"][0]["host"], "https://llm.example:8443");
    assert_eq!(report["providers"][0]["has_key"], true);
    assert_eq!(report["providers"][2]["is_used"], false);

    let output = millgate("[routes.x]\ntargets = []\n", &[], &["check", "--json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["ok"], false);
    assert_eq!(document["findings"][0]["severity"], "error");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_file_that_is_not_there() {
    let output = millgate("", &[], &["check", "--config", "other.toml"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stdout),
        "error: there is no file `other.toml`\n = help: create it, or name another one with `--config`\n\nother.toml: 1 error\n"
    );
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [
        ["chekc"].as_slice(),
        &["check", "--jsno"],
        &["serve", "--listen", "nowhere"],
    ] {
        let output = millgate(REHEARSAL, &[], arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(text(&output.stdout), "");
    }
    let version = millgate("", &[], &["--version"]);
    assert_eq!(
        text(&version.stdout),
        concat!("millgate ", env!("CARGO_PKG_VERSION"), "\n")
    );
    assert!(version.status.success());
}
