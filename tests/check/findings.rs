//! What `millgate check` finds wrong with routes, providers, stages and listeners.

use serde_json::Value;

use super::{REHEARSAL, millgate, with_route};

/// The findings on a config, each as `severity line:column message (help)`.
fn findings(config: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let output = millgate(config, variables, &["check", "--json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = document["findings"].as_array().unwrap();
    let told = |finding: &Value| {
        let of = |key: &str| finding[key].as_str().unwrap_or("-").to_owned();
        let place = format!("{}:{}", finding["line"], finding["column"]);
        format!(
            "{} {place} {} ({})",
            of("severity"),
            of("message"),
            of("help")
        )
    };
    findings.iter().map(told).collect()
}

#[test]
fn what_is_wrong_with_a_route() {
    let cases: &[(&str, &[&str])] = &[
        (
            "targets = [\"a\"]\nfallback_on = [\"timeout\", \"conect\", 777]",
            &[
                "error 11:27 \"conect\" is not a kind of failure; did you mean \"connect\"? (-)",
                "error 11:37 \"777\" is not an error status: write one from 400 to 599, or \"4xx\" or \"5xx\" (-)",
            ],
        ),
        (
            "targets = [{ provider = \"a\", weight = 3 }, \"b\"]",
            &[
                "warning 10:30 `weight` means nothing where targets are asked in their order (set strategy = \"weighted\" or \"least_busy\", or take it out)",
            ],
        ),
        (
            "strategy = \"least_busy\"\ntargets = [{ provider = \"a\", weight = 3 }, \"b\"]",
            &[],
        ),
        (
            "targets = [\"a\"]\nattempt_timeout = \"2m\"\ndeadline = \"90s\"",
            &[
                "warning 11:19 an attempt may take 2m, but all attempts together only 90s (raise `deadline`, or lower `attempt_timeout`)",
            ],
        ),
        (
            "targets = [\"a\"]\ndeadline = \"5s\"",
            &[
                "warning 11:12 an attempt may take 1m, but all attempts together only 5s (raise `deadline`, or lower `attempt_timeout`)",
            ],
        ),
        (
            "targets = [\"a\", \"r\", \"b\"]",
            &[
                "warning 10:17 the rehearsal provider is asked after all others, wherever it stands (write it last)",
            ],
        ),
        ("targets = [\"a\", \"r\", \"r/other\"]", &[]),
        (
            "targets = [\"a/m\", \"a/m\"]",
            &[
                "warning 10:11 all targets of this route are the same (name it once, and set `retries` for further tries)",
            ],
        ),
        ("targets = [\"a/m\", \"a/n\"]", &[]),
    ];
    for (route, expected) in cases {
        assert_eq!(findings(&with_route(route), &[]), *expected, "{route}");
    }
}

#[test]
fn what_is_wrong_with_a_provider() {
    let route = "[routes.x]\ntargets = [\"p\"]\n";
    let cases: &[(&str, &[&str])] = &[
        (
            "kind = \"openai\"",
            &[
                "error 1:12 `base_url` is missing (write where the provider listens: base_url = \"http://…\")",
            ],
        ),
        (
            "kind = \"opnai\"",
            &["error 2:8 there is no provider kind `opnai` (did you mean `openai`?)"],
        ),
        (
            "base_url = \"http://localhost:1\"",
            &["error 1:12 there is no provider kind `p` (there are openai, ollama, rehearsal)"],
        ),
        (
            "kind = \"openai\"\nbase_url = \"https://x\"\nca_file = \"nowhere.pem\"",
            &["error 4:11 the file cannot be read: "],
        ),
        (
            "kind = \"openai\"\nbase_url = \"https://x\"\nca_file = \"config.toml\"",
            &["error 4:11 the file holds no certificate (-)"],
        ),
        (
            "kind = \"openai\"\nbase_url = \"http://llm.example\"\napi_key = \"k\"",
            &["warning 3:12 the key would cross the network unencrypted (use https://)"],
        ),
        (
            "kind = \"openai\"\nbase_url = \"http://10.0.0.1\"\nforward_auth = true",
            &[
                "warning 3:12 the clients' own keys would cross the network unencrypted (use https://)",
            ],
        ),
        ("kind = \"openai\"\nbase_url = \"http://llm.example\"", &[]),
        (
            "kind = \"openai\"\nbase_url = \"https://llm.example\"\napi_key = \"k\"",
            &[],
        ),
        (
            "kind = \"openai\"\nbase_url = \"http://127.0.0.2:8000\"\napi_key = \"k\"",
            &[],
        ),
        (
            "kind = \"openai\"\nbase_url = \"http://[::1]:8000\"\napi_key = \"k\"",
            &[],
        ),
    ];
    for (provider, expected) in cases {
        let told = findings(&format!("[providers.p]\n{provider}\n{route}"), &[]);
        assert_eq!(told.len(), expected.len(), "{provider}: {told:#?}");
        for (told, expected) in told.iter().zip(*expected) {
            assert!(told.starts_with(expected), "{provider}: {told}");
        }
    }
}

#[test]
fn a_provider_that_no_environment_uses() {
    let providers = "[providers.a]\nkind = \"rehearsal\"\n[providers.b]\nkind = \"rehearsal\"\n[routes.x]\ntargets = [\"a\"]\n";
    let unused = "warning 3:12 no route uses the provider `b` (name it among the `targets` of a route, or take it out)";
    assert_eq!(findings(providers, &[]), [unused]);
    for overlay in [
        "targets = [\"b\"]",
        "targets = [\"b/model\"]",
        "targets = [{ provider = \"b\" }]",
        "targets = [\"${FIRST}\"]",
    ] {
        let config = format!("{providers}[environment.other.routes.x]\n{overlay}\n");
        assert_eq!(findings(&config, &[]), [""; 0], "{overlay}");
    }
    let elsewhere = format!("{providers}[environment.other.routes.x]\ntargets = [\"bb\"]\n");
    assert_eq!(findings(&elsewhere, &[]), [unused]);
}

#[test]
fn a_stage_for_a_provider_that_there_is_not() {
    let config = "pipeline = [\"route\", \"s\"]\n[providers.internal]\nkind = \"rehearsal\"\n[stages.s]\nkind = \"auth_header\"\nwhen = { provider = [\"internl\", \"int*\", \"other-*\"] }\n[routes.x]\ntargets = [\"internal\"]\n";
    assert_eq!(
        findings(config, &[]),
        ["warning 6:22 there is no provider `internl` (did you mean `internal`?)"]
    );
}

#[test]
fn a_listener_beyond_loopback_is_refused_unless_it_is_said_that_all_may_use_it() {
    for (address, is_open) in [
        ("127.0.0.1:8080", false),
        ("localhost:8080", false),
        ("[::1]:8080", false),
        ("0.0.0.0:8080", true),
        ("[::]:8080", true),
        ("10.1.2.3:8080", true),
    ] {
        let closed = format!("[server]\nlisten = \"{address}\"\n{REHEARSAL}");
        let told = findings(&closed, &[]);
        assert_eq!(told.len(), usize::from(is_open), "{address}: {told:?}");
        if let Some(told) = told.first() {
            let expected = format!(
                "error 2:10 `{address}` can be reached from other machines, and nobody is asked for a key (listen on 127.0.0.1"
            );
            assert!(told.starts_with(&expected), "{told}");
        }
        let open = format!("[server]\nlisten = \"{address}\"\nallow_anonymous = true\n{REHEARSAL}");
        assert_eq!(findings(&open, &[]), [""; 0], "{address}");
    }
}

#[test]
fn what_makes_no_sense_of_a_server() {
    let cases = [
        (
            "[server]\nmax_body_size = 0",
            "error 2:17 no request with a body would be let in (leave it out for 32 MiB)",
        ),
        (
            "[server]\nmax_body_size = \"1GiB\"",
            "error 1:1 a body of `max_body_size` would never fit",
        ),
        (
            "[server]\nworkers = 5000",
            "error 2:11 at most 1024 worker threads can be had",
        ),
        (
            "[admin]\nlisten = \"127.0.0.1:8080\"",
            "error 2:10 clients are listened for at this address already",
        ),
        (
            "[server]\nlisten = \"127.0.0.1:9\"\n[admin]\nlisten = \"0.0.0.0:9\"\ntoken = \"0123456789abcdef0123456789abcdef\"",
            "error 4:10 clients are listened for at this address already",
        ),
    ];
    for (config, expected) in cases {
        let told = findings(&format!("{config}\n{REHEARSAL}"), &[]);
        assert!(
            told.len() == 1 && told[0].starts_with(expected),
            "{config}: {told:?}"
        );
    }
    let both = "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"";
    assert_eq!(findings(&format!("{both}\n{REHEARSAL}"), &[]), [""; 0]);
}

#[test]
fn a_budget_in_money_for_models_without_a_price() {
    let config = |stage: &str, prices: &str| {
        format!(
            "pipeline = [\"limit\", \"route\"]\n[stages.limit]\nkind = \"rate_limit\"\n{stage}\n\
             [providers.up]\nkind = \"openai\"\nbase_url = \"https://up\"\n[providers.ollama]\nbase_url = \"http://ollama\"\n[providers.rehearsal]\n\
             [routes.own]\nmodel = [\"gpt-4o\", \"qwen3\"]\ntargets = [\"up\", \"rehearsal\"]\n\
             [routes.rest]\ntargets = [\"up/llama-9\", \"up/gpt-5\", \"ollama\", \"ollama/qwen3\"]\n{prices}"
        )
    };
    let warning = |place: &str, models: &str| {
        format!(
            "warning {place} there is no price of {models}, so that this budget never sees what they cost (add [prices.\"MODEL\"], with `input = 0` where it costs nothing)"
        )
    };
    let all = "`qwen3` of `up`, `llama-9` of `up`, any model of `ollama` and 1 more";
    let own = "budget = { usd = \"10/day\" }";
    assert_eq!(findings(&config(own, ""), &[]), [warning("4:12", all)]);
    let further =
        "limits = [{ requests = \"1/s\" }, { budget = { tokens = \"5/day\", usd = \"10/day\" } }]";
    assert_eq!(findings(&config(further, ""), &[]), [warning("4:64", all)]);
    let priced = "[prices.\"qwen*\"]\n[prices.\"*9\"]\ninput = 1";
    assert_eq!(findings(&config(own, priced), &[]), [""; 0]);
    for unseeing in [
        "budget = { tokens = \"5/day\" }",
        "budget = { usd = \"10/day\" }\nwhen = { model = \"gpt-4o\" }",
    ] {
        assert_eq!(findings(&config(unseeing, ""), &[]), [""; 0], "{unseeing}");
    }
}

/// Stages are named in `Server-Timing`.
#[test]
fn a_stage_whose_name_no_header_can_have() {
    let limit = "kind = \"rate_limit\"\nrequests = \"1/s\"\n";
    for (name, is_fine) in [
        ("a-1_B", true),
        ("two words", false),
        ("a,b", false),
        ("a;dur=9", false),
        ("한도", false),
    ] {
        let config =
            format!("pipeline = [\"{name}\", \"route\"]\n{REHEARSAL}[stages.\"{name}\"]\n{limit}");
        let told = findings(&config, &[]);
        let expected = format!(
            "error 6:9 `{name}` cannot be a name (a name is made of the letters a to z, digits, `_`, `-` and `.`)"
        );
        let expected = if is_fine { vec![] } else { vec![expected] };
        assert_eq!(told, expected);
    }
}

/// Its keys know nothing of what a stage below it would do to a request.
#[test]
fn whatever_stands_between_a_cache_and_route() {
    let tables = "[stages.cache]\n[stages.auth]\n[callers.a]\nkey = \"a-0123456789abcdef\"\n\
                  [stages.limit]\nkind = \"rate_limit\"\nrequests = \"1/s\"\n";
    for (pipeline, between) in [
        ("\"limit\", \"cache\", \"auth\"", "auth"),
        ("\"auth\", \"cache\", \"limit\"", "limit"),
    ] {
        let config = format!("pipeline = [{pipeline}, \"route\"]\n{REHEARSAL}{tables}");
        let told = findings(&config, &[]);
        let expected = format!(
            "`cache` must stand right above \"route\": what `{between}` does to a request would not be in its keys"
        );
        assert!(
            told.iter()
                .any(|finding| finding.starts_with("error 1:") && finding.contains(&expected)),
            "{told:?}"
        );
    }
}
