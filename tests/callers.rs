//! `[callers.ID]` and `auth` as `millgate check` sees them: every mistake with its place.

use std::process::Command;

use serde_json::Value;

/// The findings on a config, each as `severity file:line:column message (help)`; `callers` is the file `callers.toml`.
fn findings_with(config: &str, callers: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.toml"), config).unwrap();
    std::fs::write(folder.path().join("callers.toml"), callers).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["check", "--json"])
        .current_dir(folder.path())
        .env_clear()
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("canary"), "{text}");
    let document: Value = serde_json::from_str(&text).unwrap();
    let told = |finding: &Value| {
        let of = |key: &str| finding[key].as_str().unwrap_or("-").to_owned();
        let place = format!("{}:{}:{}", of("file"), finding["line"], finding["column"]);
        format!(
            "{} {place} {} ({})",
            of("severity"),
            of("message"),
            of("help")
        )
    };
    document["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(told)
        .collect()
}

fn findings(config: &str) -> Vec<String> {
    findings_with(config, "", &[])
}

/// The rest of every config here, from line 1 on.
const REST: &str = "pipeline = [\"auth\", \"route\"]\nproviders.r.kind = \"rehearsal\"\nroutes.x.targets = [\"r\"]\n";
const GOOD: &str = "[callers.good]\nkey_sha256 = \"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\"\n";

/// Checks that a config with these lines, from line 4 on, is told of this and nothing else.
#[track_caller]
fn assert_told(lines: &str, expected: &[&str]) {
    assert_eq!(findings(&format!("{REST}{lines}")), expected, "{lines}");
}

#[test]
fn good_callers_are_told_nothing_of() {
    assert_told(
        &format!(
            "[stages.auth]\n{GOOD}team = \"t\"\ntags = [\"a\"]\nmeta = {{ x = \"y\" }}\nmodels = [\"gpt-4*\"]\nexpires = 2999-01-01T00:00:00Z\n[callers.other]\nkey = \"canary-0123456789abcdef\"\nmodels = \"*\"\nexpires = \"2999-01-01T00:00:00+09:00\""
        ),
        &[],
    );
}

#[test]
fn a_key_given_twice_is_told_with_both_names() {
    let key = "key = \"canary-0123456789abcdef\"";
    assert_told(
        &format!("[stages.auth]\n[callers.a]\n{key}\n[callers.b]\n{key}\n"),
        &[
            "error config.toml:8:7 `b` has the same key as `a` (config.toml:5) (give each caller a key of its own)",
        ],
    );
    // Once in the clear, and once as its hash: `printf %s canary-0123456789abcdef | sha256sum`.
    let hash = "4859dbe8050077420f266fc5f3ab1f4e484c4ce91e2d97abb70ab9679527381c";
    assert_told(
        &format!("[stages.auth]\n[callers.a]\n{key}\n[callers.b]\nkey_sha256 = \"{hash}\"\n"),
        &[
            "error config.toml:8:14 `b` has the same key as `a` (config.toml:5) (give each caller a key of its own)",
        ],
    );
    assert_told(
        &format!("[stages.auth]\n[callers.a]\n{key}\nkey_sha256 = \"{hash}\"\n"),
        &[
            "error config.toml:7:1 the caller `a` has two keys, `key` and `key_sha256` (keep one of them)",
        ],
    );
}

#[test]
fn keys_that_are_none_or_weak_are_told() {
    assert_told(
        "[stages.auth]\n[callers.a]\nteam = \"t\"\n",
        &[
            "error config.toml:5:10 the caller `a` has no key (write its SHA-256 (printf %s KEY | sha256sum) as key_sha256 = \"…\", or key = \"${NAME}\")",
        ],
    );
    assert_told(
        "[stages.auth]\n[callers.a]\nkey = \"canary\"\n",
        &[
            "warning config.toml:6:7 a key of fewer than 16 characters can be guessed (make one with: openssl rand -hex 32)",
        ],
    );
    for key in ["canary with a space in it", "canary-키-0123456789abcdef"] {
        assert_told(
            &format!("[stages.auth]\n[callers.a]\nkey = \"{key}\"\n"),
            &[
                "error config.toml:6:7 a key is made of visible ASCII characters, without spaces (-)",
            ],
        );
    }
    assert_told(
        "[stages.auth]\n[callers.a]\nkey_sha256 = \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"\n",
        &[
            "error config.toml:6:14 this is the hash of nothing (hash the key alone: printf %s KEY | sha256sum)",
        ],
    );
    assert_told(
        "[stages.auth]\n[callers.a]\nkey_sha256 = \"canary\"\n",
        &[
            "error config.toml:6:14 expected a SHA-256 as 64 hexadecimal digits: printf %s KEY | sha256sum (-)",
        ],
    );
}

#[test]
fn times_and_unknown_keys_are_told() {
    assert_told(
        &format!("[stages.auth]\n{GOOD}expires = 2020-01-01T00:00:00Z\n"),
        &[
            "warning config.toml:7:11 the key of `good` has expired and is refused (give it a later date, or take the caller out)",
        ],
    );
    for when in ["2027-01-01", "2027-01-01T00:00:00", "\"soon\""] {
        assert_told(
            &format!("[stages.auth]\n{GOOD}expires = {when}\n"),
            &[
                "error config.toml:7:11 expected a date and time with its offset from UTC, like 2027-01-31T00:00:00Z (-)",
            ],
        );
    }
    assert_told(
        &format!("[stages.auth]\n{GOOD}model = \"gpt-4*\"\n"),
        &["error config.toml:7:1 unknown key `model` (did you mean `models`?)"],
    );
}

/// A key that is not set is an error only where somebody asks for it.
#[test]
fn callers_whom_nobody_asks_need_no_key() {
    let callers = "[callers.a]\nkey = \"${APP_KEY}\"\n";
    let [told] = findings(&format!("{REST}[stages.auth]\n{callers}"))
        .try_into()
        .unwrap();
    let told: String = told;
    assert!(
        told.starts_with("error config.toml:6:8 the variable `APP_KEY` is not set"),
        "{told}"
    );
    let unasked = format!("{REST}{callers}").replace("\"auth\", ", "");
    assert_eq!(
        findings(&unasked),
        [
            "warning config.toml:4:10 no stage asks callers for their keys (add [stages.auth], and \"auth\" to `pipeline` above \"route\")"
        ]
    );
}

#[test]
fn a_file_of_callers_is_told_of_with_its_own_name() {
    let config = format!("{REST}server.callers_file = \"callers.toml\"\n[stages.auth]\n{GOOD}");
    let told =
        |callers: &str| findings_with(&config, callers, &[("OPS_KEY", "canary-0123456789abcdef")]);
    assert_eq!(told("[callers.ops]\nkey = \"${OPS_KEY}\"\n"), [""; 0]);
    assert_eq!(
        told("\n[callers.ops]\nkye = \"${OPS_KEY}\"\n"),
        ["error callers.toml:3:1 unknown key `kye` (did you mean `key`?)"]
    );
    assert_eq!(
        told("\n[callers.ops]\nteam = \"t\"\n"),
        [
            "error callers.toml:2:10 the caller `ops` has no key (write its SHA-256 (printf %s KEY | sha256sum) as key_sha256 = \"…\", or key = \"${NAME}\")"
        ]
    );
    assert_eq!(
        told("[callers.good]\nkey = \"${OPS_KEY}\"\n"),
        [
            "error callers.toml:1:10 there is a caller `good` already, in config.toml:6 (give one of them another name)"
        ]
    );
    let same = GOOD.replace("callers.good", "callers.twin");
    assert_eq!(
        told(&same),
        [
            "error callers.toml:2:14 `twin` has the same key as `good` (config.toml:6) (give each caller a key of its own)"
        ]
    );
    assert_eq!(
        told("[server]\nlisten = \"0.0.0.0:1\"\n"),
        [
            "error callers.toml:1:2 unknown key `server` (this file holds [callers.ID] tables and nothing else)"
        ]
    );
    let [syntax] = told("[callers.ops\n").try_into().unwrap();
    let syntax: String = syntax;
    assert!(syntax.starts_with("error callers.toml:1:"), "{syntax}");
    let [missing] = findings(&config.replace("callers.toml", "nowhere.toml"))
        .try_into()
        .unwrap();
    let missing: String = missing;
    assert!(
        missing.starts_with("error config.toml:4:23 there is no file `nowhere.toml`"),
        "{missing}"
    );
}

#[test]
fn callers_that_no_one_has_heard_of_are_told() {
    let limit = "[stages.headers]\nkind = \"auth_header\"\nremove = [\"x\"]\n";
    let rest = REST.replace("\"route\"]", "\"route\", \"headers\"]");
    let told = |stage: &str| {
        findings(&format!(
            "{rest}[stages.auth]\n{stage}\n{GOOD}team = \"shop\"\n{limit}when = {{ caller = [\"goood\", \"g*\"], team = \"shops\" }}"
        ))
    };
    assert_eq!(
        told(""),
        [
            "warning config.toml:12:20 there is no caller `goood` (did you mean `good`?)",
            "warning config.toml:12:43 there is no team `shops` (did you mean `shop`?)",
        ]
    );
    // Whom a sign-on knows, the config does not.
    assert_eq!(
        told(
            "[stages.auth.jwt]\njwks_url = \"https://sso/jwks\"\nissuer = \"i\"\naudience = [\"a\"]"
        ),
        [""; 0]
    );
    let unasked = format!("{rest}{limit}when.caller = \"x\"").replace("\"auth\", ", "");
    assert_eq!(
        findings(&unasked),
        [
            "warning config.toml:7:6 no stage asks who is calling, so that this never matches (add [stages.auth], and \"auth\" to `pipeline` above \"route\")"
        ]
    );
}

#[test]
fn an_auth_that_lets_requests_by_is_told() {
    let told = |auth: &str| findings(&format!("{REST}[stages.auth]\n{auth}\n{GOOD}"));
    assert_eq!(
        told("when = { path = \"/v1/chat*\" }"),
        [
            "warning config.toml:5:8 requests that this does not match pass `auth` without a key (take `when` out, unless that is meant)"
        ]
    );
    assert_eq!(
        told("when = { caller = \"good\" }"),
        ["error config.toml:5:19 who is calling is not known before `auth` (-)"]
    );
    assert_eq!(
        told("on_error = \"skip\""),
        [
            "warning config.toml:5:12 where this stage fails, requests pass without a key (set on_error = \"fail\")"
        ]
    );
    assert_eq!(
        findings(&format!("{REST}[stages.auth]\n")),
        [
            "warning config.toml:4:9 there is no caller yet, so that every request is refused (add a table [callers.NAME] with key_sha256 or key)"
        ]
    );
    assert_eq!(
        findings(&format!("{REST}[stages.auth]\nrequire = \"optional\"\n")),
        [""; 0]
    );
    let below = REST.replace("\"auth\", \"route\"", "\"route\", \"auth\"");
    let told = findings(&format!("{below}[stages.auth]\n"));
    assert_eq!(
        told,
        ["error config.toml:1:22 `auth` must stand above \"route\" (-)"]
    );
}

#[test]
fn a_stage_that_wants_to_know_the_caller_stands_below_auth() {
    let early = REST.replace("\"auth\", \"route\"", "\"early\", \"who\", \"route\"");
    let told = findings(&format!(
        "{early}[stages.early]\nkind = \"auth\"\nrequire = \"optional\"\nwhen.path = \"*\"\n[stages.who]\nkind = \"auth\"\nwhen.team = \"t\"\n{GOOD}team = \"t\""
    ));
    let order = |told: &String| told.contains("who is calling is not known before `who`");
    assert!(told.iter().any(order), "{told:?}");
}

#[test]
fn a_stage_that_has_strangers_bodies_read_is_told() {
    let told = |stage: &str, auth: &str| {
        let early = REST.replace("\"auth\", \"route\"", "\"early\", \"auth\", \"route\"");
        findings(&format!(
            "{early}[stages.early]\n{stage}\n[stages.auth]\n{auth}\n{GOOD}"
        ))
    };
    let limit = "kind = \"rate_limit\"\nrequests = \"9/s\"";
    assert_eq!(
        told(limit, ""),
        [
            "warning config.toml:1:13 `early` runs before `auth` and so knows no caller, and needs the body of a request, so that strangers' bodies are held too (write \"auth\" before \"early\")"
        ]
    );
    // Where strangers pass, their bodies are held as everybody's are.
    assert_eq!(
        told(limit, "require = \"optional\""),
        [
            "warning config.toml:1:13 `early` runs before `auth` and so knows no caller (write \"auth\" before \"early\")"
        ]
    );
    let capture = "kind = \"redact\"\ncapture = \"redacted\"\n[log]\nlevel = \"debug\"";
    assert_eq!(told(capture, ""), [""; 0]);
    assert_eq!(
        findings(&format!(
            "{REST}[stages.auth]\nwhen = {{ model = \"gpt-*\" }}\n{GOOD}"
        )),
        [
            "warning config.toml:5:8 requests that this does not match pass `auth` without a key, and the bodies of all have to be read to know their models (take `when` out, unless that is meant)"
        ]
    );
}

#[test]
fn a_listener_beyond_loopback_needs_an_auth_that_refuses() {
    let told = |stage: &str| {
        let config = format!("{REST}server.listen = \"0.0.0.0:1\"\n[stages.auth]\n{stage}\n{GOOD}");
        let told = findings(&config);
        told.iter()
            .any(|told| told.contains("nobody is asked for a key"))
    };
    assert!(!told(""));
    assert!(!told("when.path = \"/v1/chat*\""));
    assert!(told("require = \"optional\""));
    assert!(told("mode = \"shadow\""));
    let unused =
        format!("{REST}server.listen = \"0.0.0.0:1\"\n[stages.auth]\n").replace("\"auth\", ", "");
    assert!(findings(&unused)[0].contains("nobody is asked for a key"));
}

#[test]
fn keys_of_clients_go_somewhere() {
    let open = REST.replace(
        "providers.r.kind = \"rehearsal\"",
        "providers.r = { kind = \"openai\", base_url = \"https://x\", forward_auth = true }",
    );
    assert_eq!(
        findings(&format!("{open}[stages.auth]\nrequire = \"upstream\"\n")),
        [""; 0]
    );
    assert_eq!(
        findings(&format!("{REST}[stages.auth]\nrequire = \"upstream\"\n")),
        [
            "error config.toml:5:11 no provider takes the clients' own keys (set forward_auth = true for those that do)"
        ]
    );
    let [told] = findings(&format!("{open}[stages.auth]\n{GOOD}"))
        .try_into()
        .unwrap();
    let told: String = told;
    assert!(
        told.contains("the clients' keys are for `auth`, which passes none of them on"),
        "{told}"
    );
}

#[test]
fn what_a_sign_on_needs_is_told() {
    let told = |jwt: &str| findings(&format!("{REST}[stages.auth]\n[stages.auth.jwt]\n{jwt}\n"));
    let rest = "issuer = \"i\"\naudience = [\"a\"]";
    for (jwt, expected) in [
        (format!("jwks_url = \"https://sso/jwks\"\n{rest}"), None),
        (
            format!("jwks_url = \"http://localhost:1/jwks\"\n{rest}"),
            None,
        ),
        (format!("jwks_url = \"http://[::1]:1/jwks\"\n{rest}"), None),
        (rest.to_owned(), Some("5:1 say with which keys")),
        (
            format!("jwks_url = \"http://sso/jwks\"\n{rest}"),
            Some("6:12 keys that come unencrypted"),
        ),
        (
            format!("jwks_url = \"sso\"\n{rest}"),
            Some("6:12 expected a URL"),
        ),
        (
            format!("jwks = \"{{}}\"\n{rest}"),
            Some("6:8 this is no set of keys"),
        ),
        (
            format!("jwks = '{{\"keys\": []}}'\n{rest}"),
            Some("6:8 there is no key for signatures"),
        ),
        (
            format!("jwks_url = \"https://sso\"\njwks = \"x\"\n{rest}"),
            Some("7:8 keep one of"),
        ),
        (
            "jwks_url = \"https://sso\"\nissuer = \"i\"\naudience = []".to_owned(),
            Some("8:12 tokens for whom?"),
        ),
        (
            "jwks_url = \"https://sso\"\nissuer = \"\"\naudience = [\"a\"]".to_owned(),
            Some("7:10 tokens of whom?"),
        ),
        (
            "jwks_url = \"https://sso\"\naudience = [\"a\"]".to_owned(),
            Some("`issuer` is missing"),
        ),
        (
            format!("jwks_url = \"https://sso\"\nrefresh = 0\n{rest}"),
            Some("7:11 this must be longer"),
        ),
        (
            format!("jwks_url = \"https://sso\"\nalgorithms = [\"none\"]\n{rest}"),
            Some("7:1 unknown key `algorithms`"),
        ),
    ] {
        let found = told(&jwt);
        assert_eq!(
            found.len(),
            usize::from(expected.is_some()),
            "{jwt}: {found:?}"
        );
        if let Some(expected) = expected {
            assert!(found[0].contains(expected), "{jwt}: {found:?}");
        }
    }
    let upstream = format!(
        "{REST}[stages.auth]\nrequire = \"upstream\"\n[stages.auth.jwt]\njwks_url = \"https://sso\"\n{rest}"
    );
    assert!(
        findings(&upstream)
            .iter()
            .any(|told| told.contains("nothing is checked here"))
    );
}
