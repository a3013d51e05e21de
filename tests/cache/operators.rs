//! What operators see of the cache and do to it: config, reload, statistics, purge.

use millgate::mock::{Mock, Script};
use serde_json::json;

use super::{
    Bench, ask, ask_with, config, question,
    support::{Client, Gateway, refused},
    text,
};

#[tokio::test]
async fn a_cache_stands_right_above_route_once_and_neither_refuses_nor_fails() {
    let rest = "[providers.rehearsal]\nkind = \"rehearsal\"\n[routes.default]\ntargets = [\"rehearsal\"]\n";
    for (pipeline, stages, told) in [
        (
            "[\"route\", \"cache\"]",
            "[stages.cache]\n",
            "must stand above \"route\"",
        ),
        (
            "[\"cache\", \"second\", \"route\"]",
            "[stages.cache]\n[stages.second]\nkind = \"cache\"\n",
            "must stand right above \"route\"",
        ),
        (
            "[\"cache\", \"route\"]",
            "[stages.cache]\nmode = \"shadow\"\n",
            "`mode` means nothing to a cache",
        ),
        (
            "[\"cache\", \"route\"]",
            "[stages.cache]\non_error = \"skip\"\n",
            "`on_error` means nothing to a cache",
        ),
        (
            "[\"cache\", \"route\"]",
            "[stages.cache]\nttll = \"1m\"\n",
            "ttl",
        ),
        (
            "[\"cache\", \"route\"]",
            "[stages.cache]\nscope = \"world\"\n",
            "scope",
        ),
    ] {
        let (code, said) = refused(&format!("pipeline = {pipeline}\n{stages}{rest}"), &[]).await;
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(told), "{said}");
    }
}

#[tokio::test]
async fn it_is_only_for_what_when_says() {
    let bench = Bench::start(Script::default(), "when = { model = \"gpt-*\" }").await;
    assert_eq!(
        ask(&bench.client, "hi", false).await.header("cache-status"),
        "millgate; fwd=miss; stored"
    );
    let mut body = question("hi", false);
    body["model"] = json!("llama");
    assert_eq!(
        ask_with(&bench.client, &[], &body)
            .await
            .header("cache-status"),
        ""
    );
}

#[tokio::test]
async fn a_reload_keeps_what_is_still_right_and_nothing_else() {
    let (one, two) = (
        Mock::with(Script::default()).await.unwrap(),
        Mock::with(Script {
            text: Some("other".to_owned()),
            ..Script::default()
        })
        .await
        .unwrap(),
    );
    let gateway = Gateway::start(&config(&one.url(), "", "")).await;
    let client = Client::new(&gateway);
    let mut generation = 1;
    let mut reload = async |text: &str| {
        generation += 1;
        gateway.write_config(text);
        gateway.signal("HUP");
        gateway
            .log_line(|line| {
                line["message"] == "config reloaded" && line["generation"] == generation
            })
            .await;
    };
    ask(&client, "hi", false).await;
    // A table that decides no answer, and another size and time of the cache's own.
    reload(&config(&one.url(), "", "attempt_timeout = \"7s\"")).await;
    assert!(
        ask(&client, "hi", false)
            .await
            .header("cache-status")
            .contains("hit")
    );
    reload(&config(&one.url(), "ttl = \"5m\"\nmax_size = \"1MiB\"", "")).await;
    assert!(
        ask(&client, "hi", false)
            .await
            .header("cache-status")
            .contains("hit")
    );
    assert_eq!(one.counts().requests, 1);
    // Another model is another answer, and so is another upstream.
    reload(&config(&one.url(), "", "params = { top_p = 0.5 }")).await;
    assert!(
        ask(&client, "hi", false)
            .await
            .header("cache-status")
            .contains("miss")
    );
    reload(&config(&two.url(), "", "")).await;
    assert_eq!(text(&ask(&client, "hi", false).await), "other");
}

#[tokio::test]
async fn answers_are_purged_by_what_they_are_known_by() {
    let bench = Bench::start(Script::default(), "").await;
    let operators = Client::at(&format!("http://{}", bench.gateway.admin));
    let purge = async |what: serde_json::Value| operators.post("/api/cache/purge", &what).await;
    let fill = async || {
        for content in ["하나", "둘"] {
            ask_with(
                &bench.client,
                &[
                    ("x-request-id", content.len().to_string().as_str()),
                    ("x-millgate-cache-tag", "docs, nightly"),
                ],
                &question(content, false),
            )
            .await;
        }
    };
    fill().await;
    let key = bench.gateway.access_line("6").await["cache_key"]
        .as_str()
        .unwrap()
        .to_owned();
    for (what, purged) in [
        (json!({ "model": "another" }), 0),
        (json!({ "tag": "doc" }), 0),
        (json!({ "caller": "127.0.0.2" }), 0),
        (json!({ "key": key }), 1),
        (json!({ "key": &key[..8] }), 0),
        (json!({ "model": "gpt-test" }), 1),
    ] {
        assert_eq!(purge(what.clone()).await.json()["purged"], purged, "{what}");
    }
    for what in [
        json!({ "tag": "nightly" }),
        json!({ "caller": "127.0.0.1" }),
        json!({ "all": true }),
    ] {
        fill().await;
        assert_eq!(purge(what.clone()).await.json()["purged"], 2, "{what}");
        assert_eq!(bench.stats().await["entries"], 0);
    }
    for wrong in [
        json!({}),
        json!({ "all": true, "model": "m" }),
        json!({ "everything": true }),
        json!({ "key": "" }),
        json!([]),
    ] {
        assert_eq!(purge(wrong).await.status, 400);
    }
    assert_eq!(operators.get("/api/cache/purge").await.status, 405);
    let elsewhere = [
        ("origin", "https://evil.example"),
        ("content-type", "application/json"),
    ];
    let reply = operators
        .send(
            http::Method::POST,
            "/api/cache/purge",
            &elsewhere,
            "{\"all\":true}",
        )
        .await;
    assert_eq!(reply.status, 403);
}

#[tokio::test]
async fn a_purge_also_means_what_is_under_way() {
    let bench = Bench::start(super::gated(), "").await;
    let first = tokio::spawn({
        let client = bench.client.clone();
        async move { ask(&client, "hi", false).await }
    });
    bench.mock_has(|counts| counts.requests == 1).await;
    let operators = Client::at(&format!("http://{}", bench.gateway.admin));
    operators
        .post("/api/cache/purge", &json!({ "all": true }))
        .await;
    bench.mock.release(100);
    assert_eq!(
        first.await.unwrap().header("cache-status"),
        "millgate; fwd=miss"
    );
    assert!(
        ask(&bench.client, "hi", false)
            .await
            .header("cache-status")
            .contains("miss")
    );
    assert_eq!(bench.asked(), 2);
}

#[tokio::test]
async fn the_command_tells_and_purges() {
    let bench = Bench::start(Script::default(), "").await;
    for _ in 0..3 {
        ask(&bench.client, "hi", false).await;
    }
    let url = format!("http://{}", bench.gateway.admin);
    let run = async |arguments: &[&str]| {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_millgate"))
            .arg("cache")
            .args(arguments)
            .args(["--url", &url])
            .output()
            .await
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, told, _) = run(&["stats"]).await;
    assert_eq!(code, Some(0));
    assert!(
        told.contains("hits       2") && told.contains("entries    1"),
        "{told}"
    );
    let (_, told, _) = run(&["stats", "--json"]).await;
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&told).unwrap()["misses"],
        1
    );
    assert_eq!(run(&["purge", "--model", "gpt-test"]).await.1, "purged 1\n");
    assert_eq!(
        run(&["purge", "--all", "--json"]).await.1,
        "{\"purged\":0}\n"
    );
    assert_eq!(run(&["purge"]).await.0, Some(2));
    let (code, _, error) = run(&["stats", "--url", "http://127.0.0.1:9"]).await;
    assert!(code != Some(0) && !error.is_empty(), "{error}");
}
