//! Answers that are kept and given again: which, to whom, in which form, for how long.

use millgate::mock::{Fault, Mock, Script};
use serde_json::{Value, json};

use super::{
    Bench, CHAT, WORDS, ask, ask_with, question,
    support::{Client, Gateway, Reply},
    text,
};

fn hit(reply: &Reply) -> bool {
    reply.header("cache-status").starts_with("millgate; hit")
}

#[tokio::test]
async fn a_hit_is_the_same_answer_and_says_that_it_is_one() {
    let bench = Bench::start(Script::default(), "").await;
    for stream in [false, true] {
        let content = format!("안녕 {stream}");
        let first = ask(&bench.client, &content, stream).await;
        let again = ask_with(
            &bench.client,
            &[("x-request-id", &format!("again-{stream}"))],
            &question(&content, stream),
        )
        .await;
        assert_eq!((first.status, &first.body), (again.status, &again.body));
        assert!(!hit(&first) && hit(&again), "{:?}", again.headers);
        assert_eq!(again.header("age"), "0");
        assert_eq!(again.header("content-type"), first.header("content-type"));
        assert_eq!(again.header("x-millgate-provider"), "up");
        assert_eq!(again.header("x-millgate-model"), "gpt-test");
        assert_eq!(again.header("x-millgate-attempts"), "0");
        assert_ne!(again.header("x-request-id"), first.header("x-request-id"));
        let line = bench.gateway.access_line(&format!("again-{stream}")).await;
        assert_eq!(
            (&line["cache"], &line["outcome"]),
            (&json!("hit"), &json!("ok")),
            "{line}"
        );
        assert_eq!(
            (&line["input_tokens"], &line["output_tokens"]),
            (&json!(11), &json!(4))
        );
        assert_eq!(
            (&line["provider"], &line["attempts"]),
            (&json!("up"), &json!(0))
        );
        assert_eq!(line["cache_key"].as_str().unwrap().len(), 32);
    }
    assert_eq!(bench.asked(), 2);
}

#[tokio::test]
async fn a_stream_serves_documents_and_a_document_serves_streams() {
    let bench = Bench::start(
        Script {
            text: Some("안녕 하세요 \"여러분\"".to_owned()),
            ..Script::default()
        },
        "",
    )
    .await;
    for stored_as_stream in [true, false] {
        let content = format!("q {stored_as_stream}");
        ask(&bench.client, &content, stored_as_stream).await;
        let other = ask(&bench.client, &content, !stored_as_stream).await;
        assert!(
            hit(&other) && text(&other) == "안녕 하세요 \"여러분\"",
            "{other:?}"
        );
        if stored_as_stream {
            let document = other.json();
            assert_eq!(document["object"], "chat.completion");
            assert_eq!(document["usage"]["prompt_tokens"], 11);
            assert_eq!(document["choices"][0]["finish_reason"], "stop");
        } else {
            assert_eq!(other.events().last().unwrap(), "[DONE]");
            assert!(!other.text().contains("prompt_tokens"), "{}", other.text());
        }
        let mut body = question(&content, true);
        body["stream_options"] = json!({ "include_usage": true });
        let with_usage = ask_with(&bench.client, &[], &body).await;
        assert!(hit(&with_usage) && with_usage.text().contains("\"prompt_tokens\":11"));
    }
    assert_eq!(bench.asked(), 2);
}

#[tokio::test]
async fn callers_share_nothing_unless_the_scope_says_so() {
    let from =
        |gateway: &Gateway, last: u8| Client::from_address(gateway, &format!("127.0.0.{last}"));
    for (scope, calls) in [
        ("", 2),
        ("scope = \"caller\"", 2),
        ("scope = \"team\"", 2),
        ("scope = \"all\"", 1),
    ] {
        let bench = Bench::start(Script::default(), scope).await;
        let (one, other) = (from(&bench.gateway, 1), from(&bench.gateway, 2));
        for client in [&one, &other, &one, &other] {
            assert_eq!(text(&ask(client, "비밀", false).await), WORDS);
        }
        assert_eq!(bench.asked(), calls, "{scope}");
        assert_eq!(bench.stats().await["hits"], 4 - calls);
    }
}

#[tokio::test]
async fn callers_with_keys_share_by_caller_team_or_not_at_all() {
    for (scope, calls) in [("caller", 3), ("team", 2), ("all", 1)] {
        let mock = Mock::with(Script::default()).await.unwrap();
        let caller = |name: &str, team: &str| {
            let key = format!("sk-{name}-0123456789abcdef0123456789abcdef");
            format!("[callers.{name}]\nkey = \"{key}\"\nteam = \"{team}\"\n")
        };
        let config = super::config(&mock.url(), &format!("scope = \"{scope}\""), "")
            .replace("[\"cache\"", "[\"auth\", \"cache\"")
            + "[stages.auth]\n"
            + &caller("kim", "red")
            + &caller("lee", "red")
            + &caller("choi", "blue");
        let gateway = Gateway::start(&config).await;
        let client = Client::new(&gateway);
        for name in ["kim", "lee", "choi", "kim", "choi", "lee"] {
            let key = format!("Bearer sk-{name}-0123456789abcdef0123456789abcdef");
            let headers = [("authorization", &*key)];
            let reply = ask_with(&client, &headers, &question("비밀", false)).await;
            assert_eq!((reply.status.as_u16(), text(&reply).as_str()), (200, WORDS));
        }
        assert_eq!(mock.counts().requests, calls, "{scope}");
    }
}

#[tokio::test]
async fn what_is_asked_with_a_key_of_the_clients_own_is_nobody_elses() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let config = super::config(&mock.url(), "scope = \"all\"", "")
        .replace("[\"cache\"", "[\"auth\", \"cache\"")
        .replace(
            "kind = \"openai\"",
            "kind = \"openai\"\nforward_auth = true",
        )
        + "[stages.auth]\nrequire = \"upstream\"\n";
    let gateway = Gateway::start(&config).await;
    for _ in 0..2 {
        let headers = [("authorization", "Bearer sk-upstream-0123456789abcdef")];
        let reply = ask_with(&Client::new(&gateway), &headers, &question("hi", false)).await;
        let status = reply.header("cache-status");
        assert_eq!(status, "millgate; fwd=bypass; detail=credential");
    }
    assert_eq!(mock.counts().requests, 2);
}

#[tokio::test]
async fn the_order_of_members_makes_no_difference_and_an_unknown_one_does() {
    let bench = Bench::start(Script::default(), "").await;
    let post = async |body: &str| {
        let headers = [("content-type", "application/json")];
        let live = bench
            .client
            .send(http::Method::POST, CHAT, &headers, body.to_owned());
        live.await.rest().await
    };
    let messages = r#""messages":[{"role":"user","content":"안녕"}]"#;
    post(&format!(r#"{{"model":"m","temperature":0,{messages}}}"#)).await;
    assert!(hit(&post(&format!(
        r#"{{{messages}, "user":"kim","temperature":0,"model":"m"}}"#
    ))
    .await));
    assert!(!hit(&post(&format!(
        r#"{{"model":"m","temperature":0,{messages},"x_new":1}}"#
    ))
    .await));
    assert!(!hit(&post(&format!(
        r#"{{"model":"m","temperature":0,"top_k":4,{messages}}}"#
    ))
    .await));
    assert_eq!(bench.asked(), 3);
}

#[tokio::test]
async fn what_may_be_answered_differently_is_neither_kept_nor_shared() {
    let bench = Bench::start(Script::default(), "").await;
    let with = |name: &str, value: Value| {
        let mut body = question("hi", false);
        body[name] = value;
        body
    };
    let tools = json!([{ "type": "function", "function": { "name": "f" } }]);
    let mut called = with("tools", tools);
    called["tool_choice"] = json!("required");
    for (body, status) in [
        (
            with("temperature", json!(0.3)),
            "millgate; fwd=bypass; detail=temperature",
        ),
        (
            with("n", json!(2)),
            "millgate; fwd=bypass; detail=several_choices",
        ),
        (called.clone(), "millgate; fwd=miss"),
    ] {
        let before = bench.asked();
        for _ in 0..2 {
            let reply = ask_with(&bench.client, &[], &body).await;
            assert_eq!(
                (reply.status.as_u16(), reply.header("cache-status")),
                (200, status),
                "{body}"
            );
        }
        assert_eq!(bench.asked(), before + 2, "{body}");
    }
    assert_eq!(bench.stats().await["entries"], 0);
    let bench = Bench::start(Script::default(), "cacheable = \"always\"").await;
    for body in [with("temperature", json!(0.3)), with("n", json!(2)), called] {
        ask_with(&bench.client, &[], &body).await;
        assert!(hit(&ask_with(&bench.client, &[], &body).await), "{body}");
    }
}

#[tokio::test]
async fn errors_and_cut_streams_are_not_kept() {
    for (script, stream) in [
        (Script::status(500), false),
        (Script::status(429), true),
        (Script::status(400), false),
        (Script::fault(Fault::CutMidStream), true),
        (Script::fault(Fault::ResetMidStream), true),
        (Script::fault(Fault::ErrorEvent), true),
        (Script::fault(Fault::Garbage), false),
    ] {
        let bench = Bench::start(vec![script.clone(), Script::default()], "").await;
        let first = ask(&bench.client, "hi", stream).await;
        assert!(
            first.status != 200 || first.text().contains("\"error\""),
            "{script:?}"
        );
        let second = ask(&bench.client, "hi", stream).await;
        assert!(
            !hit(&second) && text(&second) == WORDS,
            "{script:?}: {second:?}"
        );
        assert!(hit(&ask(&bench.client, "hi", stream).await));
    }
}

#[tokio::test]
async fn a_stream_that_lingers_behind_its_done_is_kept() {
    // Role, four words, finish, usage, `[DONE]`.
    let lingering = Script {
        at: Some(8),
        ..Script::fault(Fault::StallMidStream)
    };
    let bench = Bench::start(lingering, "").await;
    let mut live = bench.client.open(CHAT, &question("hi", true)).await;
    let mut seen = String::new();
    while !seen.contains("[DONE]") {
        seen += &String::from_utf8_lossy(&live.next().await.unwrap().unwrap());
    }
    drop(live);
    assert!(hit(&ask(&bench.client, "hi", true).await));
    assert_eq!(bench.asked(), 1);
}

#[tokio::test]
async fn a_fallbacks_answer_is_kept_only_where_the_config_says_so() {
    for (cache, calls) in [("", 3), ("cache_fallbacks = true", 1)] {
        let (first, second) = (
            Mock::with(Script::status(503)).await.unwrap(),
            Mock::with(Script::default()).await.unwrap(),
        );
        let config = format!(
            "pipeline = [\"cache\", \"route\"]\n[stages.cache]\n{cache}\n[providers.first]\nkind = \"openai\"\nbase_url = \"{}/v1\"\n[providers.second]\nkind = \"openai\"\nbase_url = \"{}/v1\"\n[routes.default]\ntargets = [\"first\", \"second\"]\nretries = 0\n",
            first.url(),
            second.url()
        );
        let gateway = Gateway::start(&config).await;
        for _ in 0..3 {
            let reply = ask(&Client::new(&gateway), "hi", false).await;
            assert_eq!(
                (text(&reply).as_str(), reply.header("x-millgate-provider")),
                (WORDS, "second")
            );
        }
        assert_eq!(second.counts().requests, calls, "{cache}");
    }
}

#[tokio::test]
async fn what_rehearsal_says_is_never_kept() {
    let config = "pipeline = [\"cache\", \"route\"]\n[stages.cache]\ncacheable = \"always\"\n[providers.rehearsal]\nkind = \"rehearsal\"\n[routes.default]\ntargets = [\"rehearsal\"]\n";
    let gateway = Gateway::start(config).await;
    for _ in 0..2 {
        let reply = ask(&Client::new(&gateway), "hi", false).await;
        assert_eq!(
            (reply.status.as_u16(), reply.header("cache-status")),
            (200, "millgate; fwd=miss")
        );
    }
}

#[tokio::test]
async fn embeddings_are_kept_without_a_temperature() {
    let bench = Bench::start(Script::default(), "").await;
    let body = json!({ "model": "m", "input": "안녕" });
    let first = bench.client.post("/v1/embeddings", &body).await;
    let again = bench.client.post("/v1/embeddings", &body).await;
    assert!(hit(&again) && first.body == again.body, "{again:?}");
}

#[tokio::test]
async fn a_request_says_what_it_takes() {
    let bench = Bench::start(Script::default(), "").await;
    let body = question("hi", false);
    let ask = async |directive: &str| {
        ask_with(&bench.client, &[("cache-control", directive)], &body).await
    };
    let absent = ask("only-if-cached").await;
    assert_eq!(
        (absent.status.as_u16(), absent.refusal()),
        (504, "not_cached".to_owned())
    );
    assert_eq!(bench.asked(), 0);
    assert_eq!(
        ask("no-store").await.header("cache-status"),
        "millgate; fwd=request"
    );
    assert_eq!(
        ask("max-age=60").await.header("cache-status"),
        "millgate; fwd=miss; stored"
    );
    assert!(hit(&ask("only-if-cached").await));
    assert!(hit(&ask("max-age=60").await));
    assert_eq!(
        ask("no-store").await.header("cache-status"),
        "millgate; fwd=request"
    );
    assert_eq!(
        ask("no-cache").await.header("cache-status"),
        "millgate; fwd=request; stored"
    );
    assert_eq!(bench.asked(), 4);
}

#[tokio::test]
async fn what_an_upstream_forbids_to_store_is_not() {
    let script = Script {
        headers: [("cache-control".to_owned(), "private, no-store".to_owned())].into(),
        ..Script::default()
    };
    let bench = Bench::start(script, "").await;
    for _ in 0..2 {
        assert_eq!(
            ask(&bench.client, "hi", false).await.header("cache-status"),
            "millgate; fwd=miss"
        );
    }
}

#[tokio::test]
async fn a_stale_answer_is_given_at_once_and_fetched_anew() {
    let text_of = |text: &str| Script {
        text: Some(text.to_owned()),
        ..Script::default()
    };
    // Nothing is fresh for longer than no time.
    let bench = Bench::start(
        vec![text_of("old"), text_of("new")],
        "ttl = \"0s\"\nstale_while_revalidate = \"1h\"",
    )
    .await;
    assert_eq!(text(&ask(&bench.client, "hi", false).await), "old");
    let stale = ask_with(
        &bench.client,
        &[("x-request-id", "stale")],
        &question("hi", false),
    )
    .await;
    assert_eq!(
        (text(&stale).as_str(), stale.header("cache-status")),
        ("old", "millgate; hit; ttl=-1")
    );
    // What was given, and what was fetched in its place: an exchange of the gateway's own.
    let of = |cache: &'static str| {
        bench
            .gateway
            .log_line(move |line| line["request_id"] == "stale" && line["cache"] == cache)
    };
    assert_eq!(of("stale").await["attempts"], 0);
    let own = of("revalidate").await;
    assert_eq!(
        (&own["outcome"], &own["attempts"], &own["bytes"]),
        (&json!("ok"), &json!(1), &json!(0))
    );
    assert_eq!(text(&ask(&bench.client, "hi", false).await), "new");
}

#[tokio::test]
async fn a_stale_answer_stands_in_for_an_error() {
    let bench = Bench::start(
        vec![Script::default(), Script::status(503)],
        "ttl = \"0s\"\nstale_if_error = \"1h\"",
    )
    .await;
    ask(&bench.client, "hi", false).await;
    for stream in [false, true] {
        let reply = ask(&bench.client, "hi", stream).await;
        assert_eq!((reply.status.as_u16(), text(&reply).as_str()), (200, WORDS));
        assert!(
            reply
                .header("cache-status")
                .starts_with("millgate; hit; ttl=-")
        );
    }
    assert_eq!(bench.asked(), 3);
    assert_eq!(
        ask(&bench.client, "something else", false).await.status,
        503
    );
}
