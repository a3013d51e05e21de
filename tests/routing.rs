//! Which target answers a request, and what it is sent.

#![allow(
    clippy::disallowed_methods,
    clippy::format_push_string,
    reason = "a test's tasks end with its runtime, and its strings are short"
)]

#[path = "routing/headers.rs"]
mod headers;
mod support;

use http::Method;
use millgate::mock::{Mock, Script};
use serde_json::json;
use support::{Client, Gateway, PATIENCE, Reply, chat_body, config, nobody, refused};

async fn mock() -> Mock {
    Mock::with(Script::default()).await.unwrap()
}

/// `[providers.NAME]` of the kind openai for each mock.
fn providers(mocks: &[(&str, &Mock)]) -> String {
    let mut config = "pipeline = [\"route\"]\n".to_owned();
    for (name, mock) in mocks {
        config += &format!(
            "[providers.{name}]\nkind = \"openai\"\nbase_url = \"{}\"\n",
            mock.url()
        );
    }
    config
}

async fn ask(client: &Client, model: &str) -> Reply {
    let mut body = chat_body("hi", false);
    body["model"] = json!(model);
    client.post("/v1/chat/completions", &body).await
}

/// Posts bytes as they are.
async fn post_raw(client: &Client, path: &str, body: &str) -> Reply {
    let json = [("content-type", "application/json")];
    let live = client
        .send(Method::POST, path, &json, body.to_owned())
        .await;
    live.rest().await
}

/// The body of the last request that a mock got.
fn last_body(mock: &Mock) -> String {
    let requests = mock.requests();
    String::from_utf8(requests.last().unwrap().body.to_vec()).unwrap()
}

#[tokio::test]
async fn the_most_specific_pattern_wins_whatever_the_order() {
    let mock = mock().await;
    let routes = r#"
        [routes.any]
        targets = ["a/any"]
        [routes.gpt]
        model = "gpt-*"
        targets = ["a/gpt"]
        [routes.mini]
        model = ["gpt-4*-mini", "small"]
        targets = ["a/mini"]
        [routes.exact]
        model = "gpt-4o-mini"
        targets = ["a/exact"]
    "#;
    let gateway = Gateway::start(&format!("{}{routes}", providers(&[("a", &mock)]))).await;
    let client = Client::new(&gateway);
    for (asked, answered) in [
        ("gpt-4o-mini", "exact"),
        ("gpt-4.1-mini", "mini"),
        ("small", "mini"),
        ("gpt-4o", "gpt"),
        ("llama3", "any"),
        ("모델", "any"),
    ] {
        let reply = ask(&client, asked).await;
        assert_eq!(reply.status, 200, "{asked}");
        assert_eq!(reply.header("x-millgate-model"), answered, "{asked}");
        assert_eq!(mock.requests().last().unwrap().json()["model"], answered);
    }
}

#[tokio::test]
async fn a_model_without_a_route_is_404_and_the_nearest_name_is_told() {
    let mock = mock().await;
    let route = "[routes.one]\nmodel = \"gpt-4o\"\ntargets = [\"a\"]\n";
    let gateway = Gateway::start(&format!("{}{route}", providers(&[("a", &mock)]))).await;
    let reply = ask(&Client::new(&gateway), "gpt4o").await;
    assert_eq!(reply.status, 404);
    assert_eq!(reply.code(), "model_not_found");
    assert_eq!(reply.json()["error"]["param"], "model");
    assert!(reply.text().contains("`gpt-4o`"), "{}", reply.text());
    assert_eq!(mock.counts().requests, 0);
}

#[tokio::test]
async fn a_target_may_name_its_model_and_else_the_provider_s_or_the_client_s_is_asked() {
    let (plain, fixed) = (mock().await, mock().await);
    let config = providers(&[("plain", &plain), ("fixed", &fixed)]);
    let routes = r#"
        model = "of-the-provider"
        embedding_model = "embedder"
        [routes.plain]
        model = "plain*"
        targets = ["plain"]
        [routes.fixed]
        model = "fixed*"
        targets = ["fixed"]
        [routes.named]
        model = "named*"
        targets = ["fixed/meta/llama:8b"]
        [routes.table]
        model = "table*"
        targets = [{ provider = "plain", model = "from-the-table" }]
    "#;
    let gateway = Gateway::start(&format!("{config}{routes}")).await;
    let client = Client::new(&gateway);
    for (asked, mock, sent) in [
        ("plain/x:1", &plain, "plain/x:1"),
        ("fixed", &fixed, "of-the-provider"),
        ("named", &fixed, "meta/llama:8b"),
        ("table", &plain, "from-the-table"),
    ] {
        let reply = ask(&client, asked).await;
        assert_eq!(reply.header("x-millgate-model"), sent, "{asked}");
        assert_eq!(mock.requests().last().unwrap().json()["model"], sent);
    }
    let embedded = json!({"model": "fixed", "input": "text"});
    client.post("/v1/embeddings", &embedded).await;
    assert_eq!(fixed.requests().last().unwrap().json()["model"], "embedder");
}

#[tokio::test]
async fn a_body_is_changed_in_the_members_that_must_change_and_in_no_other_byte() {
    let mock = mock().await;
    let route = r#"
        [routes.default]
        targets = [{ provider = "a", model = "tr\"\u00fc", params = { temperature = 0.2, seed = 7 } }]
        params = { temperature = 0.9, top_p = 0.5, stop = ["\n"] }
    "#;
    let gateway = Gateway::start(&format!("{}{route}", providers(&[("a", &mock)]))).await;
    let client = Client::new(&gateway);
    let messages =
        r#""messages" : [ {"role":"user", "content":"\ud55c\u0000 \"model\": \"x\"" } ]"#;

    let body = format!(
        "\n{{ \"x_unknown\":1.50e+2 ,\"model\" :  \"gpt\",\t{messages}, \"top_p\": null, \"big\":12345678901234567890123 }} "
    );
    assert_eq!(
        post_raw(&client, "/v1/chat/completions", &body)
            .await
            .status,
        200
    );
    let expected = format!(
        "\n{{ \"x_unknown\":1.50e+2 ,\"model\" :  \"tr\\\"ü\",\t{messages}, \"top_p\": null, \"big\":12345678901234567890123,\"temperature\":0.2,\"seed\":7,\"stop\":[\"\\n\"] }} "
    );
    assert_eq!(last_body(&mock), expected);

    // The client's own values win, and a stream is asked for its usage.
    let given = r#""temperature":1,"seed":1,"top_p":1,"stop":null"#;
    for (options, sent) in [
        ("", r#","stream_options":{"include_usage":true}"#),
        (
            r#","stream_options":{"include_usage":false,"x":1}"#,
            r#","stream_options":{"include_usage":true,"x":1}"#,
        ),
        (
            r#","stream_options": { "include_usage" : true }"#,
            r#","stream_options": { "include_usage" : true }"#,
        ),
    ] {
        let body = |model, options: &str| {
            format!("{{\"stream\":true,\"model\":{model},{given},{messages}{options}}}")
        };
        let reply = post_raw(&client, "/v1/chat/completions", &body("\"gpt\"", options)).await;
        assert_eq!(last_body(&mock), body("\"tr\\\"ü\"", sent));
        let has_usage = reply
            .events()
            .iter()
            .any(|event| event.contains("\"usage\":{"));
        assert_eq!(
            has_usage,
            options.contains("true"),
            "{options}: {:?}",
            reply.events()
        );
    }
}

#[tokio::test]
async fn a_body_in_which_nothing_must_change_is_passed_on_byte_for_byte() {
    let mock = mock().await;
    let route = "[routes.default]\ntargets = [\"a\"]\nparams = { temperature = 0.9 }\n";
    let gateway = Gateway::start(&format!("{}{route}", providers(&[("a", &mock)]))).await;
    let client = Client::new(&gateway);
    for (path, body) in [
        (
            "/v1/embeddings",
            "{ \"input\" : [\"a\", \"b\"], \"model\":\"e\" , \"dimensions\":2}",
        ),
        (
            "/v1/chat/completions",
            "{ \"model\":\"m\", \"temperature\" : 0,\"messages\":[]}",
        ),
        (
            "/v1/images/generations",
            "{ \"model\":\"i\" ,\"prompt\":\"고양이\"}",
        ),
        ("/v1/moderations", "{\"input\": \"x\" }"),
    ] {
        assert_eq!(post_raw(&client, path, body).await.status, 200, "{path}");
        assert_eq!(last_body(&mock), body, "{path}");
        assert_eq!(mock.requests().last().unwrap().path, path);
    }
}

#[tokio::test]
async fn weights_share_requests_out_and_zero_is_only_a_fallback() {
    let (often, seldom, never) = (mock().await, mock().await, mock().await);
    let route = r#"
        [routes.default]
        strategy = "weighted"
        retries = 0
        targets = [
            { provider = "never", weight = 0 },
            { provider = "seldom" },
            { provider = "often", weight = 9 },
        ]
    "#;
    let mocks = [("often", &often), ("seldom", &seldom), ("never", &never)];
    let gateway = Gateway::start(&format!("{}{route}", providers(&mocks))).await;
    let client = Client::new(&gateway);
    for _ in 0..200 {
        assert_eq!(client.chat("hi", false).await.status, 200);
    }
    let (often_asked, seldom_asked) = (often.counts().requests, seldom.counts().requests);
    assert_eq!(often_asked + seldom_asked, 200);
    // Expected 20; a fair lot is outside of this less than once in a million runs.
    assert!((2..=60).contains(&seldom_asked), "{seldom_asked}");
    assert_eq!(never.counts().requests, 0);

    often.stop().await;
    seldom.stop().await;
    let reply = client.chat("hi", false).await;
    assert_eq!(reply.header("x-millgate-provider"), "never");
}

#[tokio::test]
async fn the_least_busy_target_is_asked() {
    let gated = Script {
        gate: true,
        ..Script::default()
    };
    let (a, b) = (
        Mock::with(gated.clone()).await.unwrap(),
        Mock::with(gated).await.unwrap(),
    );
    let route = "[routes.default]\nstrategy = \"least_busy\"\ntargets = [\"a\", \"b\"]\n";
    let gateway = Gateway::start(&format!("{}{route}", providers(&[("a", &a), ("b", &b)]))).await;
    let client = Client::new(&gateway);
    let chat = || {
        let client = client.clone();
        tokio::spawn(async move { client.chat("hi", true).await })
    };
    let mut waiting = Vec::new();
    for round in 1..=3 {
        waiting.push(chat());
        tokio::select! {
            _ = a.wait_for(|counts| counts.in_flight == round) => {}
            _ = b.wait_for(|counts| counts.in_flight == round) => {}
        }
        // Whichever was chosen, the next one goes to the other.
        waiting.push(chat());
        let both = async {
            a.wait_for(|counts| counts.in_flight == round).await;
            b.wait_for(|counts| counts.in_flight == round).await;
        };
        tokio::time::timeout(PATIENCE, both).await.unwrap();
    }
    a.release(1000);
    b.release(1000);
    for reply in waiting {
        assert_eq!(reply.await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_target_that_lacks_the_endpoint_is_skipped_and_does_not_count() {
    let (chat_only, all) = (mock().await, mock().await);
    let config = format!(
        "{}[routes.default]\ntargets = [\"chat_only\", \"all\"]\n[routes.alone]\nmodel = \"alone\"\ntargets = [\"chat_only\"]\n",
        providers(&[("all", &all), ("chat_only", &chat_only)]) + "endpoints = [\"chat\"]\n"
    );
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    let reply = client.chat("hi", false).await;
    assert_eq!(reply.header("x-millgate-provider"), "chat_only");

    let reply = client
        .post("/v1/embeddings", &json!({"model": "m", "input": "x"}))
        .await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-millgate-provider"), "all");
    assert_eq!(reply.header("x-millgate-attempts"), "1");
    assert_eq!(chat_only.counts().requests, 1);

    let reply = client
        .post("/v1/embeddings", &json!({"model": "alone", "input": "x"}))
        .await;
    assert_eq!(reply.status, 400);
    assert_eq!(reply.code(), "unsupported_endpoint");
    assert_eq!(reply.header("x-should-retry"), "");

    // What went wrong with a target that was asked says more than that another was skipped.
    all.stop().await;
    let reply = client
        .post("/v1/embeddings", &json!({"model": "m", "input": "x"}))
        .await;
    assert_eq!(reply.status, 502);
    assert_eq!(reply.code(), "upstream_unreachable");
}

/// Targets in this order, the last of them rehearsal.
fn with_rehearsal(urls: &[&str], route: &str) -> String {
    let names = ["a", "b"];
    let providers: Vec<_> = names
        .into_iter()
        .zip(urls)
        .map(|(name, url)| (name, "openai", *url))
        .collect();
    let config = config(&providers, route);
    let end = config.find("]\nbackoff").unwrap();
    format!(
        "{}, \"rehearsal\"{}\n[providers.rehearsal]\n",
        &config[..end],
        &config[end..]
    )
}

#[tokio::test]
async fn rehearsal_answers_only_where_nothing_else_can_be_reached() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let (url, dead) = (mock.url(), nobody());
    let provider = async |urls: &[&str]| -> (u16, String) {
        let gateway = Gateway::start(&with_rehearsal(
            urls,
            "retries = 0\nattempt_timeout = \"300ms\"",
        ))
        .await;
        let reply = Client::new(&gateway).chat("hi", false).await;
        (
            reply.status.as_u16(),
            reply.header("x-millgate-provider").to_owned(),
        )
    };
    assert_eq!(
        provider(&[&dead, &dead]).await,
        (200, "rehearsal".to_owned())
    );
    assert_eq!(provider(&[&dead, &url]).await, (200, "b".to_owned()));
    for status in [400, 401, 404, 429, 500, 503] {
        mock.set_script(Script::status(status));
        for urls in [[&*url, &*dead], [&*dead, &*url]] {
            let (answered, by) = provider(&urls).await;
            assert_ne!(answered, 200, "{status}");
            assert_eq!(by, "", "{status}");
        }
    }
    // Somebody who keeps silent is there too.
    mock.set_script(Script::fault(millgate::mock::Fault::StallBeforeHead));
    assert_eq!(provider(&[&url, &dead]).await.1, "");
}

#[tokio::test]
async fn a_target_that_cannot_say_all_of_a_request_is_no_attempt() {
    let (ollama, openai) = (mock().await, mock().await);
    let providers = [
        ("local", "ollama", &*ollama.url()),
        ("far", "openai", &*openai.url()),
    ];
    let gateway = Gateway::start(&support::config(&providers, "")).await;
    let messages = json!([{"role": "user", "content": "hi"}]);
    let body = json!({"model": "m", "messages": messages, "logit_bias": {"42": -100}});
    let reply = Client::new(&gateway)
        .post("/v1/chat/completions", &body)
        .await;
    assert_eq!(
        reply.header("x-millgate-provider"),
        "far",
        "{}",
        reply.text()
    );
    assert_eq!(reply.header("x-millgate-attempts"), "1");
    assert_eq!(ollama.counts().requests, 0);
    let line = gateway.access_line(reply.header("x-request-id")).await;
    assert_eq!(line["attempts"], 1);
}

#[tokio::test]
async fn rehearsal_comes_last_wherever_it_stands() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let config =
        with_rehearsal(&[&mock.url()], "").replace("\"a\", \"rehearsal\"", "\"rehearsal\", \"a\"");
    assert!(config.contains("[\"rehearsal\", \"a\"]"), "{config}");
    let gateway = Gateway::start(&config).await;
    let reply = Client::new(&gateway).chat("hi", false).await;
    assert_eq!(reply.header("x-millgate-provider"), "a");
}

#[tokio::test]
async fn rehearsal_is_refused_in_production() {
    let config = with_rehearsal(&[&nobody()], "");
    let (code, said) = refused(&config, &[("ENVIRONMENT", "production")]).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("does not answer in production"), "{said}");
    assert!(said.contains('^'), "{said}");
}
