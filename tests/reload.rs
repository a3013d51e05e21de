//! SIGHUP: another config without losing a request.

mod support;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use millgate::mock::{Mock, Script};
use serde_json::{Value, json};
use support::{Client, Gateway, chat_body, config};

async fn mock() -> (Mock, String) {
    let mock = Mock::with(Script::default()).await.unwrap();
    let base = format!("{}/v1", mock.url());
    (mock, base)
}

fn to(name: &str, base: &str) -> String {
    config(&[(name, "openai", base)], "")
}

fn says(message: &str) -> impl Fn(&Value) -> bool + '_ {
    move |line| line["message"] == message
}

/// Puts a config in force, and waits until it is: generation `generation`.
async fn reload(gateway: &Gateway, config: &str, generation: u64) {
    gateway.write_config(config);
    gateway.signal("HUP");
    gateway
        .log_line(|line| says("config reloaded")(line) && line["generation"] == generation)
        .await;
}

/// Waits until so many configs have been refused.
async fn refusals(gateway: &Gateway, wanted: usize) {
    let is_refusal = says("the new config has errors: the old one stays in force");
    loop {
        let log = gateway.log();
        if log.iter().filter(|line| is_refusal(line)).count() >= wanted {
            return;
        }
        gateway.log_lines(log.len() + 1).await;
    }
}

#[tokio::test]
async fn no_request_fails_and_the_next_one_takes_the_new_way() {
    let ((first, first_base), (second, second_base)) = (mock().await, mock().await);
    let gateway = Gateway::start(&to("first", &first_base)).await;
    let stop = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));
    let mut load = tokio::task::JoinSet::new();
    for n in 0..8 {
        let (client, stop, answered) = (Client::new(&gateway), stop.clone(), answered.clone());
        load.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                let reply = client.chat("hi", n % 2 == 0).await;
                assert!(reply.status == 200 && reply.complete, "{reply:?}");
                assert!(n % 2 == 1 || reply.text().ends_with("[DONE]\n\n"));
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    first.wait_for(|counts| counts.completed > 20).await;
    let client = Client::new(&gateway);
    for round in 0..6 {
        let (name, base) = [("second", &second_base), ("first", &first_base)][round % 2];
        reload(&gateway, &to(name, base), round as u64 + 2).await;
        let reply = client.chat("hi", false).await;
        assert_eq!(reply.header("x-millgate-provider"), name);
    }
    let before = answered.load(Ordering::Relaxed);
    second.wait_for(|counts| counts.completed > 5).await;
    first.wait_for(|counts| counts.completed > 40).await;
    stop.store(true, Ordering::Relaxed);
    while let Some(client) = load.join_next().await {
        client.unwrap();
    }
    assert!(answered.load(Ordering::Relaxed) >= before);
}

#[tokio::test]
async fn a_stream_that_has_begun_ends_where_it_began() {
    let script = Script {
        gate: true,
        ..Script::default()
    };
    let first = Mock::with(script).await.unwrap();
    let (_second, second_base) = mock().await;
    let gateway = Gateway::start(&to("first", &format!("{}/v1", first.url()))).await;
    let client = Client::new(&gateway);
    first.release(2);
    let mut live = client
        .open("/v1/chat/completions", &chat_body("hi", true))
        .await;
    live.next().await.unwrap().unwrap();
    reload(&gateway, &to("second", &second_base), 2).await;
    let reply = client.chat("hi", false).await;
    assert_eq!(reply.header("x-millgate-provider"), "second");
    first.release(100);
    let reply = live.rest().await;
    assert_eq!(reply.header("x-millgate-provider"), "first");
    assert!(reply.complete && reply.text().ends_with("[DONE]\n\n"));
    first.wait_for(|counts| counts.completed == 1).await;
}

#[tokio::test]
async fn a_broken_file_changes_nothing_and_its_errors_are_logged() {
    let (_mock, base) = mock().await;
    let good = to("up", &base);
    let gateway = Gateway::start(&good).await;
    let client = Client::new(&gateway);
    let half = &good[..good.len() / 2];
    // Two errors in one file, both told; then files as an editor or a full disk leaves them.
    let wrong = format!("{good}[routes.more]\ntargets = [\"nobody\"]\nretrise = 3\n");
    let line_of =
        |text: &str, wanted: &str| 1 + text[..text.find(wanted).unwrap()].matches('\n').count();
    let mut refused = 0;
    for (broken, told) in [
        (
            &*wrong,
            vec![
                ("nobody", line_of(&wrong, "nobody")),
                ("retrise", line_of(&wrong, "retrise")),
            ],
        ),
        (half, vec![]),
        ("pipeline = [", vec![]),
        ("", vec![]),
        ("\0\0\0\0", vec![]),
    ] {
        refused += 1;
        gateway.write_config(broken);
        gateway.signal("HUP");
        refusals(&gateway, refused).await;
        for (word, number) in told {
            let line = gateway
                .log_line(|line| {
                    line["finding"]
                        .as_str()
                        .is_some_and(|finding| finding.contains(word))
                })
                .await;
            assert_eq!(line["level"], "ERROR");
            let finding = line["finding"].as_str().unwrap();
            assert!(
                finding.contains(&format!("config.toml:{number}:")),
                "{finding}"
            );
        }
        let reply = client.chat("hi", false).await;
        assert_eq!(
            (reply.status.as_u16(), reply.header("x-millgate-provider")),
            (200, "up")
        );
    }
    std::fs::remove_file(gateway.config_path()).unwrap();
    gateway.signal("HUP");
    refusals(&gateway, refused + 1).await;
    assert_eq!(client.chat("hi", false).await.status, 200);
    // And a good one is taken again.
    reload(&gateway, &good, 2).await;
    assert_eq!(client.chat("hi", false).await.status, 200);
}

#[tokio::test]
async fn a_provider_that_is_the_same_keeps_its_connections() {
    let (mock, base) = mock().await;
    let gateway = Gateway::start(&to("up", &base)).await;
    let client = Client::new(&gateway);
    for generation in 2..6 {
        assert_eq!(client.chat("hi", false).await.status, 200);
        // The route differs, the provider does not.
        let changed = format!("# a comment\n{}retries = {generation}\n", to("up", &base));
        reload(&gateway, &changed, generation).await;
    }
    assert_eq!(client.chat("hi", false).await.status, 200);
    assert_eq!(mock.counts().connections, 1);
    // A changed one begins anew.
    let changed = to("up", &base).replace(
        "kind = \"openai\"",
        "kind = \"openai\"\napi_key = \"another\"",
    );
    reload(&gateway, &changed, 6).await;
    assert_eq!(client.chat("hi", false).await.status, 200);
    assert_eq!(mock.counts().connections, 2);
    assert_eq!(
        mock.requests().last().unwrap().header("authorization"),
        Some("Bearer another")
    );
}

#[tokio::test]
async fn limits_and_who_may_call_follow() {
    let (_mock, base) = mock().await;
    let gateway = Gateway::start(&to("up", &base)).await;
    let client = Client::new(&gateway);
    assert_eq!(client.chat("hi", false).await.status, 200);
    let stricter = format!(
        "{}[server]\nmax_body_size = \"10B\"\nexpose = \"minimal\"\nhosts = [\"gate.corp\"]\n",
        to("up", &base)
    );
    reload(&gateway, &stricter, 2).await;
    let reply = client.chat("hi", false).await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (413, "body_too_large")
    );
    assert_eq!(reply.header("server-timing"), "");
    let smaller = format!(
        "{}[server]\nmax_body_size = \"1KiB\"\nmax_buffered = \"1KiB\"\n",
        to("up", &base)
    );
    reload(&gateway, &smaller, 3).await;
    assert_eq!(client.chat("hi", false).await.status, 200);
    reload(&gateway, &stricter, 4).await;
    let named = client
        .send(
            http::Method::GET,
            "/v1/nowhere",
            &[("host", "gate.corp")],
            "",
        )
        .await;
    assert_eq!(named.status, 404);
}

#[tokio::test]
async fn what_only_a_start_reads_is_warned_of() {
    let (_mock, base) = mock().await;
    let base_config = to("up", &base);
    let config = format!(
        "{base_config}[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n"
    );
    let gateway = Gateway::start_as(&config, &[], &[]).await;
    let changed = format!(
        "{base_config}[server]\nlisten = \"127.0.0.1:1\"\nmax_connections = 7\nmax_body_size = \"1MiB\"\n[admin]\nlisten = \"127.0.0.1:0\"\n"
    );
    reload(&gateway, &changed, 2).await;
    let mut warned: Vec<_> = gateway
        .log()
        .iter()
        .filter(|line| line["level"] == "WARN")
        .map(|line| (line["key"].clone(), line["value"].clone()))
        .collect();
    warned.sort_by_key(|(key, _)| key.to_string());
    assert_eq!(
        warned,
        [
            (json!("server.listen"), json!("127.0.0.1:1")),
            (json!("server.max_connections"), json!("7"))
        ]
    );
    // Back as it was: nothing to say.
    reload(&gateway, &config, 3).await;
    assert_eq!(
        gateway
            .log()
            .iter()
            .filter(|line| line["level"] == "WARN")
            .count(),
        2
    );
    assert_eq!(Client::new(&gateway).chat("hi", false).await.status, 200);
}
