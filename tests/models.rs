//! `GET /v1/models`: what a client may ask for.

#![allow(clippy::format_push_string, reason = "the strings are short")]

mod support;

use millgate::mock::{Fault, Mock, Plan, Script};
use serde_json::Value;
use support::{Client, Gateway, PATIENCE, nobody};

async fn listing(models: &[&str]) -> Mock {
    let plan = Plan {
        only: Some(models.iter().map(|&name| name.to_owned()).collect()),
        ..Plan::default()
    };
    Mock::with(plan).await.unwrap()
}

fn config(providers: &[(&str, &str, &str)], routes: &str) -> String {
    let mut config = "pipeline = [\"route\"]\n".to_owned();
    for (name, kind, url) in providers {
        config += &format!("[providers.{name}]\nkind = \"{kind}\"\n");
        if *kind != "rehearsal" {
            config += &format!("base_url = \"{url}\"\n");
        }
    }
    config + routes
}

async fn names(client: &Client) -> Vec<String> {
    let reply = client.get("/v1/models").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-type"), "application/json");
    let list = reply.json();
    assert_eq!(list["object"], "list");
    let models = list["data"].as_array().unwrap();
    models
        .iter()
        .map(|model| {
            assert_eq!(model["object"], "model");
            assert!(
                model["created"].is_u64() && model["owned_by"].is_string(),
                "{model}"
            );
            model["id"].as_str().unwrap().to_owned()
        })
        .collect()
}

#[tokio::test]
async fn names_of_routes_and_lists_of_providers_make_one_list() {
    let openai = listing(&["gpt-4o", "gpt-4o-mini", "text-embedding-3", "both"]).await;
    let ollama = listing(&["llama3.1:8b", "hf.co/some/model:Q4", "both"]).await;
    let config = config(
        &[
            ("openai", "openai", &openai.url()),
            ("ollama", "ollama", &ollama.url()),
            ("rehearsal", "rehearsal", ""),
        ],
        r#"
        [routes.named]
        model = ["company-large", "company-small"]
        targets = ["openai/gpt-4o"]
        [routes.gpt]
        model = "gpt-*"
        targets = ["openai"]
        [routes.rest]
        targets = ["ollama", "rehearsal"]
        "#,
    );
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    // Of OpenAI's list only what a route sends there: `both` is asked of Ollama.
    let expected = [
        "both",
        "company-large",
        "company-small",
        "gpt-4o",
        "gpt-4o-mini",
        "hf.co/some/model:Q4",
        "llama3.1:8b",
        "rehearsal",
    ];
    assert_eq!(names(&client).await, expected);
    // A minute long the providers are not asked again.
    assert_eq!(names(&client).await, expected);
    assert_eq!(openai.counts().paths["/v1/models"], 1);
    assert_eq!(ollama.counts().paths["/api/tags"], 1);
}

#[tokio::test]
async fn one_model_is_looked_up_by_its_name() {
    let ollama = listing(&["llama3.1:8b", "hf.co/some/model:Q4", "모델"]).await;
    let routes = "[routes.a]\nmodel = \"exact\"\ntargets = [\"ollama\"]\n[routes.b]\ntargets = [\"ollama\"]\n";
    let gateway = Gateway::start(&config(&[("ollama", "ollama", &ollama.url())], routes)).await;
    let client = Client::new(&gateway);
    for (path, name) in [
        ("exact", "exact"),
        ("llama3.1:8b", "llama3.1:8b"),
        ("llama3.1%3A8b", "llama3.1:8b"),
        ("hf.co/some/model:Q4", "hf.co/some/model:Q4"),
        ("hf.co%2Fsome%2Fmodel%3AQ4", "hf.co/some/model:Q4"),
        ("%EB%AA%A8%EB%8D%B8", "모델"),
    ] {
        let reply = client.get(&format!("/v1/models/{path}")).await;
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.json()["id"], name);
        assert_eq!(reply.json()["owned_by"], "ollama");
    }
    let reply = client.get("/v1/models/llama3.1:7b").await;
    assert_eq!(reply.status, 404);
    assert_eq!(reply.code(), "model_not_found");
    assert!(reply.text().contains("`llama3.1:8b`"), "{}", reply.text());
}

#[tokio::test]
async fn a_provider_that_is_down_costs_its_own_models_only() {
    let up = listing(&["up-1"]).await;
    let broken = Plan {
        paths: [(
            "/v1/models".to_owned(),
            serde_json::from_str(r#"{"status": 500}"#).unwrap(),
        )]
        .into(),
        ..Plan::default()
    };
    let broken = Mock::with(broken).await.unwrap();
    let silent = Plan {
        paths: [(
            "/v1/models".to_owned(),
            millgate::mock::Series::One(Box::new(Script::fault(Fault::StallBeforeHead))),
        )]
        .into(),
        ..Plan::default()
    };
    let silent = Mock::with(silent).await.unwrap();
    let config = config(
        &[
            ("silent", "openai", &silent.url()),
            ("also_silent", "openai", &silent.url()),
            ("dead", "openai", &nobody()),
            ("broken", "openai", &broken.url()),
            ("up", "openai", &up.url()),
        ],
        "[routes.a]\ntargets = [\"silent\", \"also_silent\", \"dead\", \"broken\", \"up\"]\n",
    );
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    let begun = std::time::Instant::now();
    assert_eq!(names(&client).await, ["up-1"]);
    // They are waited for together, and then left alone for a while.
    assert!(begun.elapsed() < std::time::Duration::from_millis(5500));
    assert_eq!(names(&client).await, ["up-1"]);
    assert_eq!(broken.counts().requests, 1);
    let left = silent.wait_for(|counts| counts.aborted == 2);
    tokio::time::timeout(PATIENCE, left).await.unwrap();
}

#[tokio::test]
async fn routes_for_paths_offer_no_models() {
    let (files, chat) = (listing(&["not-for-chat"]).await, listing(&["chat"]).await);
    let routes = r#"
        [routes.files]
        paths = ["/v1/files*"]
        shared_state = true
        targets = ["files"]
        [routes.chat]
        model = "c*"
        targets = ["chat"]
    "#;
    let providers = [
        ("files", "openai", &*files.url()),
        ("chat", "openai", &*chat.url()),
    ];
    let gateway = Gateway::start(&config(&providers, routes)).await;
    assert_eq!(names(&Client::new(&gateway)).await, ["chat"]);
    assert_eq!(files.counts().requests, 0);
}

#[tokio::test]
async fn the_list_is_asked_for_with_the_provider_s_own_key_and_headers() {
    let mock = listing(&["m"]).await;
    let config = format!(
        r#"
        pipeline = ["route", "ticket"]
        [stages.ticket]
        kind = "auth_header"
        headers = {{ "x-ticket" = "t-1" }}
        [providers.a]
        kind = "openai"
        base_url = "{}"
        api_key = "own"
        [routes.a]
        targets = ["a"]
        "#,
        mock.url()
    );
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    let headers = [("authorization", "Bearer client"), ("x-ticket", "forged")];
    let coming = client
        .send(http::Method::GET, "/v1/models?x=1", &headers, "")
        .await;
    let reply = coming.rest().await;
    assert_eq!(reply.json()["data"][0]["id"], "m");
    let request = &mock.requests()[0];
    assert_eq!(request.header("authorization"), Some("Bearer own"));
    assert_eq!(request.header("x-ticket"), Some("t-1"));
    assert_eq!(request.query, None);
    let line = gateway.access_line(reply.header("x-request-id")).await;
    assert_eq!(
        (&line["endpoint"], &line["outcome"]),
        (&Value::from("models"), &Value::from("ok"))
    );
}

/// Two routes: everything is asked of `a`, whose table ends in this line.
fn listed_by(mock: &Mock, line: &str) -> String {
    format!(
        "pipeline = [\"route\"]\n[routes.a]\ntargets = [\"a\"]\n[providers.a]\nkind = \"openai\"\nbase_url = \"{}\"\n{line}\n",
        mock.url()
    )
}

async fn list_for(gateway: &Gateway, headers: &[(&str, &str)]) -> usize {
    let client = Client::new(gateway);
    let coming = client
        .send(http::Method::GET, "/v1/models", headers, "")
        .await;
    coming.rest().await.json()["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn what_one_caller_s_key_may_see_is_not_shown_to_another() {
    for line in ["forward_auth = true", "forward_headers = [\"x-key\"]"] {
        let mock = listing(&["m"]).await;
        let gateway = Gateway::start(&listed_by(&mock, line)).await;
        let key = [("authorization", "Bearer one"), ("x-key", "one")];
        for headers in [&key[..], &[], &key] {
            assert_eq!(list_for(&gateway, headers).await, 1);
        }
        // Each is asked for anew, with the key of its own caller or with none.
        let seen = mock.requests();
        let has_key = |name| seen.iter().map(move |seen| seen.header(name).is_some());
        let name = if line.contains("auth ") {
            "authorization"
        } else {
            "x-key"
        };
        assert!(has_key(name).eq([true, false, true]), "{line}");
    }
}

#[tokio::test]
async fn a_client_cannot_spoil_the_list_of_all_with_a_header() {
    let mock = listing(&["m"]).await;
    let config = listed_by(&mock, "").replace("\"route\"", "\"route\", \"ticket\"")
        + "[stages.ticket]\nkind = \"auth_header\"\nrefuse = [\"x-ticket\"]\n";
    let gateway = Gateway::start(&config).await;
    assert_eq!(list_for(&gateway, &[("x-ticket", "forged")]).await, 1);
    assert_eq!(list_for(&gateway, &[]).await, 1);
}

#[tokio::test]
async fn a_list_without_end_is_not_collected() {
    let upstream = support::raw::RawUpstream::bind().await;
    let config = format!(
        "pipeline = [\"route\"]\n[routes.a]\ntargets = [\"a\"]\n[providers.a]\nkind = \"openai\"\nbase_url = \"{}\"\n",
        upstream.url()
    );
    let gateway = Gateway::start(&config).await;
    let lying = async {
        let mut connection = upstream.accept().await;
        assert!(connection.request().await);
        let list = format!("{{\"data\":[{{\"id\":\"m\"}}]{}}}", " ".repeat(5 << 20));
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            list.len()
        );
        // Nobody need read it to its end.
        let _ =
            tokio::io::AsyncWriteExt::write_all(&mut connection.stream, (head + &list).as_bytes())
                .await;
    };
    let (count, ()) = tokio::join!(list_for(&gateway, &[]), lying);
    assert_eq!(count, 0);
}
