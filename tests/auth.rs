//! The stage `auth`: who may call, and that a key goes nowhere.

#![allow(clippy::format_push_string, reason = "the strings are short")]

mod support;

use http::Method;
use millgate::mock::{Mock, Plan, Script};
use serde_json::{Value, json};
use support::{Client, Gateway, Reply, chat_body};

const KEY: &str = "canary-of-app-0123456789abcdef";
const OTHER: &str = "canary-of-ops-0123456789abcdef";
/// `printf %s canary-of-ops-0123456789abcdef | sha256sum`
const OTHER_SHA256: &str = "5618148a4eedbd69a2df62213f6909617f3ece3be4fdf636bf5c216146a214e4";

const CALLERS: &str = r#"
[callers.app]
key = "${APP_KEY}"
team = "shop"
meta = { ticket = "T-42" }
[callers.limited]
key = "limited-0123456789abcdef"
models = ["gpt-4*", "named"]
[callers.old]
key = "expired-0123456789abcdef"
expires = 2020-01-01T00:00:00Z
"#;

/// A gateway in front of a mock, with `auth` as this table has it; `extra` is appended.
async fn gateway(auth: &str, extra: &str) -> (Mock, Gateway, Client) {
    gateway_with(auth, extra, Script::default()).await
}

async fn gateway_with(auth: &str, extra: &str, plan: impl Into<Plan>) -> (Mock, Gateway, Client) {
    let mock = Mock::with(plan).await.unwrap();
    let config = config(&mock, auth, extra);
    let gateway = Gateway::start_with(&config, &[("APP_KEY", KEY)]).await;
    let client = Client::new(&gateway);
    (mock, gateway, client)
}

fn config(mock: &Mock, auth: &str, extra: &str) -> String {
    format!(
        r#"
        pipeline = ["auth", "route", "headers"]
        [log]
        level = "trace"
        [stages.auth]
        {auth}
        [stages.headers]
        kind = "auth_header"
        headers = {{ "user-id" = "{{caller.id}}", "x-team" = "{{caller.team}}", "x-dep-ticket" = "{{caller.meta.ticket}}" }}
        [providers.a]
        kind = "openai"
        base_url = "{}"
        api_key = "upstream-key"
        forward_headers = ["x-*", "api-*"]
        [routes.default]
        targets = ["a"]
        [routes.named]
        model = ["named", "hidden-name"]
        targets = ["a"]
        {CALLERS}
        {extra}
        "#,
        mock.url()
    )
}

async fn chat_for(client: &Client, model: &str, headers: &[(&str, &str)]) -> Reply {
    let mut body = chat_body("hi", false);
    body["model"] = model.into();
    let mut all = vec![("content-type", "application/json")];
    all.extend(headers);
    let coming = client.send(Method::POST, "/v1/chat/completions", &all, body.to_string());
    coming.await.rest().await
}

async fn chat(client: &Client, headers: &[(&str, &str)]) -> Reply {
    chat_for(client, "gpt-4o", headers).await
}

async fn get(client: &Client, path: &str, headers: &[(&str, &str)]) -> Reply {
    client
        .send(Method::GET, path, headers, "")
        .await
        .rest()
        .await
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

#[tokio::test]
async fn a_key_is_taken_from_any_of_three_headers_and_none_of_them_goes_up() {
    let (mock, gateway, client) = gateway("", "").await;
    let authorization = bearer(KEY);
    for headers in [
        &[("authorization", &*authorization)][..],
        &[("Authorization", "bearer  canary-of-app-0123456789abcdef")],
        &[("api-key", KEY)],
        &[("x-api-key", KEY)],
        // The first one counts; the others are taken out all the same.
        &[
            ("authorization", &*authorization),
            ("api-key", OTHER),
            ("x-api-key", OTHER),
        ],
    ] {
        mock.clear_requests();
        let reply = chat(&client, headers).await;
        assert_eq!(reply.status, 200, "{headers:?}: {reply:?}");
        let line = gateway.access_line(reply.header("x-request-id")).await;
        assert_eq!(line["caller"], "app");
        let [sent] = mock.requests().try_into().unwrap();
        assert_eq!(sent.header("authorization"), Some("Bearer upstream-key"));
        assert_eq!(sent.header("user-id"), Some("app"));
        assert_eq!(sent.header("x-team"), Some("shop"));
        assert_eq!(sent.header("x-dep-ticket"), Some("T-42"));
        assert!(!format!("{sent:?}").contains("canary"), "{sent:?}");
    }
}

#[tokio::test]
async fn whatever_is_wrong_is_told_in_the_same_words() {
    let (mock, gateway, client) = gateway("failures = \"1000/min\"", "").await;
    let mut told = Vec::new();
    for headers in [
        &[][..],
        &[("authorization", "Bearer wrong")],
        &[("authorization", "Bearer")],
        &[("authorization", "Basic YXBwOmtleQ==")],
        &[("authorization", KEY)],
        &[("authorization", "Bearer expired-0123456789abcdef")],
        &[("authorization", "Bearer eyJhbGciOiJub25lIn0.e30.")],
        &[("authorization", "Bearer wrong"), ("api-key", KEY)],
        &[("api-key", "app")],
        &[("x-api-key", "")],
    ] {
        let reply = chat(&client, headers).await;
        assert_eq!(reply.status, 401, "{headers:?}");
        assert_eq!(reply.refusal(), "invalid_api_key");
        assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
        assert!(reply.header("www-authenticate").starts_with("Bearer"));
        assert_eq!(reply.header("x-should-retry"), "");
        let line = gateway.access_line(reply.header("x-request-id")).await;
        assert_eq!(
            (&line["caller"], &line["error"]),
            (&Value::Null, &json!("invalid_api_key"))
        );
        told.push(reply.text());
    }
    told.dedup();
    assert_eq!(told.len(), 1, "{told:?}");
    let list = client.get("/v1/models").await;
    assert_eq!(list.status, 401);
    assert_eq!(mock.counts().requests, 0);
}

#[tokio::test]
async fn where_a_key_is_optional_none_is_fine_and_a_wrong_one_is_not() {
    let (mock, gateway, client) = gateway("require = \"optional\"", "").await;
    let reply = chat(&client, &[]).await;
    assert_eq!(reply.status, 200);
    let line = gateway.access_line(reply.header("x-request-id")).await;
    assert_eq!(line["caller"], Value::Null);
    assert_eq!(chat(&client, &[("api-key", KEY)]).await.status, 200);
    assert_eq!(mock.requests()[1].header("user-id"), Some("app"));
    assert_eq!(chat(&client, &[("api-key", "wrong")]).await.status, 401);
}

#[tokio::test]
async fn a_caller_with_a_list_of_models_sees_and_gets_those_alone() {
    let plan = Plan {
        only: Some(["gpt-4o", "gpt-5", "llama3"].map(str::to_owned).to_vec()),
        ..Plan::default()
    };
    let (mock, _gateway, client) = gateway_with("", "", plan).await;
    let limited = ("authorization", "Bearer limited-0123456789abcdef");
    assert_eq!(chat_for(&client, "gpt-4o", &[limited]).await.status, 200);
    for model in ["gpt-5", "hidden-name", "gpt-3.5", "GPT-4o"] {
        let reply = chat_for(&client, model, &[limited]).await;
        assert_eq!(reply.status, 403, "{model}");
        assert_eq!(reply.refusal(), "model_not_allowed");
        assert_eq!(reply.json()["error"]["type"], "permission_error");
    }
    assert_eq!(mock.counts().paths["/v1/chat/completions"], 1);
    let names = async |headers: &[(&str, &str)]| -> Vec<String> {
        let list = get(&client, "/v1/models", headers).await.json();
        let list = list["data"].as_array().unwrap().iter();
        list.map(|model| model["id"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names(&[limited]).await, ["gpt-4o", "named"]);
    let all = names(&[("api-key", KEY)]).await;
    assert_eq!(all, ["gpt-4o", "gpt-5", "hidden-name", "llama3", "named"]);
    assert_eq!(
        get(&client, "/v1/models/gpt-5", &[limited]).await.status,
        404
    );
}

/// What a call will use that names no model, nobody can tell.
#[tokio::test]
async fn a_caller_with_a_list_of_models_makes_no_call_without_one() {
    let (mock, _gateway, client) = gateway("", "").await;
    let upload = async |key: &str| {
        let headers = [
            ("api-key", key),
            ("content-type", "multipart/form-data; boundary=x"),
        ];
        let body =
            "--x\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\ngpt-4\r\n--x--\r\n";
        let path = "/v1/audio/transcriptions";
        client.send(Method::POST, path, &headers, body).await.status
    };
    assert_eq!(upload("limited-0123456789abcdef").await, 403);
    assert_eq!(mock.counts().requests, 0);
    assert_ne!(upload(KEY).await, 403);
}

#[tokio::test]
async fn no_route_names_only_models_that_the_caller_may_use() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let config =
        config(&mock, "", "").replace("[routes.default]", "[routes.default]\nmodel = \"gpt-4*\"");
    let config = config.replace(
        "[\"gpt-4*\", \"named\"]",
        "[\"gpt-4*\", \"name*\", \"hid*x\"]",
    );
    let config = config.replace("\"hidden-name\"]", "\"namer-secret\", \"hiddenx\"]");
    let gateway = Gateway::start_with(&config, &[("APP_KEY", KEY)]).await;
    let client = Client::new(&gateway);
    let limited = ("api-key", "limited-0123456789abcdef");
    let reply = chat_for(&client, "name", &[limited]).await;
    assert_eq!(reply.status, 404);
    assert!(reply.text().contains("`named`"), "{}", reply.text());
    let config = config.replace("\"name*\"", "\"name\", \"named\"");
    gateway.write_config(&config);
    gateway.signal("HUP");
    gateway
        .log_line(|line| line["message"] == "config reloaded")
        .await;
    let reply = chat_for(&client, "name", &[limited]).await;
    assert_eq!(reply.status, 404);
    assert!(!reply.text().contains("secret"), "{}", reply.text());
    let reply = chat_for(&client, "namer-secre", &[("api-key", KEY)]).await;
    assert!(reply.text().contains("`namer-secret`"), "{}", reply.text());
}

#[tokio::test]
async fn failures_of_an_address_are_limited_and_a_good_key_is_not() {
    let (_mock, _gateway, client) = gateway("failures = \"3/h\"", "").await;
    for _ in 0..3 {
        assert_eq!(chat(&client, &[("api-key", "wrong")]).await.status, 401);
    }
    for headers in [&[("api-key", "wrong")][..], &[]] {
        let reply = chat(&client, headers).await;
        assert_eq!(reply.status, 429);
        assert_eq!(reply.refusal(), "rate_limit_exceeded");
        let after: u64 = reply.header("retry-after").parse().unwrap();
        assert!((1100..=1200).contains(&after), "{after}");
        assert_eq!(reply.header("x-should-retry"), "");
        assert_eq!(chat(&client, &[("api-key", KEY)]).await.status, 200);
    }
}

/// The count outlives a reload that changes the stage.
#[tokio::test]
async fn a_reload_forgives_nobody_and_knows_new_keys() {
    let (mock, gateway, client) = gateway("failures = \"2/h\"", "").await;
    for status in [401, 401, 429] {
        assert_eq!(chat(&client, &[("api-key", "wrong")]).await.status, status);
    }
    let extra = format!("[callers.ops]\nkey_sha256 = \"{OTHER_SHA256}\"");
    let changed = config(&mock, "failures = \"2/h\"\non_error = \"skip\"", &extra);
    gateway.write_config(&changed);
    gateway.signal("HUP");
    gateway
        .log_line(|line| line["message"] == "config reloaded")
        .await;
    assert_eq!(chat(&client, &[("api-key", "wrong")]).await.status, 429);
    assert_eq!(chat(&client, &[("api-key", OTHER)]).await.status, 200);
    gateway.write_config(&config(&mock, "failures = \"2/h\"", ""));
    gateway.signal("HUP");
    gateway
        .log_line(|line| line["message"] == "config reloaded" && line["generation"] == 3)
        .await;
    assert_eq!(chat(&client, &[("api-key", OTHER)]).await.status, 429);
}

#[tokio::test]
async fn callers_of_a_file_of_their_own_are_known_and_read_again_on_reload() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("callers.toml");
    std::fs::write(
        &file,
        format!("[callers.ops]\nkey_sha256 = \"{OTHER_SHA256}\""),
    )
    .unwrap();
    let server = format!("[server]\ncallers_file = {:?}", file.display().to_string());
    let gateway = Gateway::start_with(&config(&mock, "", &server), &[("APP_KEY", KEY)]).await;
    let client = Client::new(&gateway);
    assert_eq!(chat(&client, &[("api-key", KEY)]).await.status, 200);
    assert_eq!(chat(&client, &[("api-key", OTHER)]).await.status, 200);
    std::fs::write(&file, "[callers.ops]\nkey = \"another-0123456789abcdef\"").unwrap();
    gateway.signal("HUP");
    gateway
        .log_line(|line| line["message"] == "config reloaded")
        .await;
    assert_eq!(chat(&client, &[("api-key", OTHER)]).await.status, 401);
    let new = [("api-key", "another-0123456789abcdef")];
    assert_eq!(chat(&client, &new).await.status, 200);
}

#[tokio::test]
async fn a_clients_own_key_goes_up_to_those_who_take_it_and_to_nobody_else() {
    let (closed, open) = (
        Mock::with(Script::default()).await.unwrap(),
        Mock::with(Script::default()).await.unwrap(),
    );
    let extra = format!(
        "[providers.open]\nkind = \"openai\"\nbase_url = \"{}\"\nforward_auth = true\n[routes.closed]\nmodel = \"closed\"\ntargets = [\"a\"]",
        open.url()
    );
    let config = config(&closed, "require = \"upstream\"", &extra);
    let config = config.replace(
        "[routes.default]\n        targets = [\"a\"]",
        "[routes.default]\n        targets = [\"a\", \"open\"]",
    );
    let gateway = Gateway::start_with(&config, &[("APP_KEY", KEY)]).await;
    let client = Client::new(&gateway);
    let authorization = bearer(KEY);
    let mut ids = Vec::new();
    for headers in [
        ("authorization", &*authorization),
        ("x-api-key", KEY),
        ("api-key", OTHER),
    ] {
        open.clear_requests();
        let reply = chat(&client, &[headers]).await;
        assert_eq!(
            (reply.status.as_u16(), reply.header("x-millgate-provider")),
            (200, "open")
        );
        let [sent] = open.requests().try_into().unwrap();
        let key = if headers.0 == "api-key" { OTHER } else { KEY };
        assert_eq!(sent.header("authorization"), Some(&*bearer(key)));
        assert_eq!(
            (sent.header("api-key"), sent.header("x-api-key")),
            (None, None)
        );
        let line = gateway.access_line(reply.header("x-request-id")).await;
        ids.push(line["caller"].as_str().unwrap().to_owned());
    }
    assert!(ids[0] == ids[1] && ids[1] != ids[2], "{ids:?}");
    assert!(
        ids.iter()
            .all(|id| id.len() == 28 && id.starts_with("key-")),
        "{ids:?}"
    );
    let reply = chat_for(&client, "closed", &[("api-key", KEY)]).await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (400, "no_target_for_key")
    );
    assert_eq!(chat(&client, &[]).await.status, 401);
    assert_eq!(
        get(&client, "/v1/models", &[("api-key", KEY)]).await.status,
        200
    );
    assert_eq!(closed.counts().requests, 0);
    let log = json!(gateway.log()).to_string();
    assert!(!log.contains("canary"), "the key is in the log");
}

/// Good or bad, however it came and whatever came of it.
#[tokio::test]
async fn no_key_is_in_a_log_or_a_reply_or_goes_up() {
    let (mock, gateway, client) = gateway("", "").await;
    let (good, bad) = (bearer(KEY), bearer("canary-that-is-wrong"));
    let mut replies = Vec::new();
    for headers in [
        ("authorization", &*good),
        ("authorization", &*bad),
        ("authorization", "canary-without-a-scheme"),
        ("api-key", KEY),
        ("x-api-key", "canary canary"),
    ] {
        replies.push(chat(&client, &[headers]).await);
        replies.push(chat_for(&client, "no-route", &[headers]).await);
        replies.push(get(&client, "/v1/models", &[headers]).await);
    }
    for reply in &replies {
        gateway.access_line(reply.header("x-request-id")).await;
        assert!(
            !format!("{:?} {}", reply.headers, reply.text()).contains("canary"),
            "{reply:?}"
        );
    }
    assert!(!format!("{:?}", mock.requests()).contains("canary"));
    assert!(mock.counts().requests > 0);
    let log = json!(gateway.log()).to_string();
    assert!(log.contains("nobody's key"), "the log tells operators why");
    assert!(!log.contains("canary"), "{log}");
}

/// The listener stays where it is, whatever another config says of its address.
#[tokio::test]
async fn a_reload_cannot_open_a_listener_that_others_reach() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let closed = config(&mock, "", "");
    let listen = ["--listen", "0.0.0.0:0", "--admin-listen", "127.0.0.1:0"];
    let gateway = Gateway::start_as(&closed, &[("APP_KEY", KEY)], &listen).await;
    let client = Client::at(&format!("http://127.0.0.1:{}", gateway.address.port()));
    let refused = |line: &&Value| line.to_string().contains("nobody is asked for a key");
    let opening = [
        closed.replace("\"auth\", ", ""),
        config(&mock, "require = \"optional\"", ""),
        config(
            &mock,
            "mode = \"shadow\"",
            "[server]\nlisten = \"127.0.0.1:1\"",
        ),
    ];
    for (round, open) in opening.iter().enumerate() {
        gateway.write_config(open);
        gateway.signal("HUP");
        loop {
            let log = gateway.log();
            if log.iter().filter(refused).count() > round {
                break;
            }
            gateway.log_lines(log.len() + 1).await;
        }
        assert_eq!(chat(&client, &[]).await.status, 401);
    }
}

/// A stage that is for a path is for every way to write it, or that way leads nowhere.
#[tokio::test]
async fn no_spelling_of_a_path_gets_past_a_stage_that_names_it() {
    let (mock, _gateway, client) = gateway(
        r#"when = { path = ["/v1/chat/completions", "/v1/images/generations"] }"#,
        "",
    )
    .await;
    let body = chat_body("hi", false).to_string();
    for (path, status) in [
        ("/v1/chat/completions", 401),
        ("/v1/chat/completions/", 401),
        ("/v1/images/generations", 401),
        ("/v1/images/generations/", 401),
        ("/v1/images/gen%65rations", 404),
        ("/v1/images/generations%2F", 404),
        ("/v1/images//generations", 404),
    ] {
        let headers = [("content-type", "application/json")];
        let coming = client.send(Method::POST, path, &headers, body.clone());
        assert_eq!(coming.await.rest().await.status, status, "{path}");
    }
    assert_eq!(mock.requests().len(), 0);
}

/// A pattern for headers means no keys: without the stage for a request nothing takes them out.
#[tokio::test]
async fn keys_go_up_only_where_their_header_is_named() {
    let (mock, _gateway, client) = gateway("when = { path = \"/v1/nowhere\" }", "").await;
    let keys = [("x-api-key", KEY), ("api-key", OTHER), ("x-more", "kept")];
    assert_eq!(chat(&client, &keys).await.status, 200);
    let [sent] = mock.requests().try_into().unwrap();
    assert_eq!(sent.header("x-more"), Some("kept"));
    assert_eq!(sent.header("x-api-key"), None);
    assert_eq!(sent.header("api-key"), None);
}

#[tokio::test]
async fn a_key_that_is_sent_as_a_request_id_is_not_logged() {
    let (_mock, gateway, client) = gateway("", "").await;
    let authorization = bearer(KEY);
    let headers = [("authorization", &*authorization), ("x-request-id", KEY)];
    let reply = chat(&client, &headers).await;
    assert_eq!(reply.status, 200);
    let id = reply.header("x-request-id");
    assert_ne!(id, KEY);
    gateway.access_line(id).await;
    let log = Value::Array(gateway.log()).to_string();
    assert!(!log.contains(KEY), "{log}");
}
