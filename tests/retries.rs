//! Trying again: how often, when, and what the client reads when nothing helps.

mod support;

use std::time::{Duration, Instant, SystemTime};

use millgate::mock::{Fault, Mock, Plan, Script};
use serde_json::json;
use support::{Client, Gateway, PATIENCE, Reply, config, nobody};

struct Chain {
    a: Mock,
    b: Mock,
    _gateway: Gateway,
    client: Client,
}

impl Chain {
    /// Two targets, the second of which answers well.
    async fn start(a: impl Into<Plan>, route: &str) -> Self {
        let a = Mock::with(a).await.unwrap();
        let b = Mock::with(Script::default()).await.unwrap();
        let providers = [("a", "openai", &*a.url()), ("b", "openai", &*b.url())];
        let gateway = Gateway::start(&config(&providers, route)).await;
        let client = Client::new(&gateway);
        Self {
            a,
            b,
            _gateway: gateway,
            client,
        }
    }

    async fn chat(&self, stream: bool) -> Reply {
        let reply = self.client.chat("hi", stream).await;
        assert!(reply.complete);
        reply
    }

    fn asked(&self) -> (u64, u64) {
        (self.a.counts().requests, self.b.counts().requests)
    }
}

/// One target alone.
async fn alone(script: impl Into<Plan>, route: &str) -> (Mock, Gateway, Client) {
    let mock = Mock::with(script).await.unwrap();
    let gateway = Gateway::start(&config(&[("a", "openai", &mock.url())], route)).await;
    let client = Client::new(&gateway);
    (mock, gateway, client)
}

fn with_header(status: u16, name: &str, value: &str) -> Script {
    Script {
        headers: [(name.to_owned(), value.to_owned())].into(),
        ..Script::status(status)
    }
}

#[tokio::test]
async fn the_same_target_is_tried_again_and_then_the_next() {
    for failure in [
        Script::status(500),
        Script::status(503),
        Script::status(429),
        Script::status(408),
        Script::fault(Fault::ResetBeforeHead),
        Script::fault(Fault::Garbage),
        Script::fault(Fault::Html200),
        Script::fault(Fault::Compressed),
        Script::fault(Fault::ErrorEvent),
    ] {
        let chain = Chain::start(failure.clone(), "retries = 2").await;
        let reply = chain.chat(false).await;
        assert_eq!(reply.status, 200, "{failure:?}");
        assert_eq!(reply.header("x-millgate-provider"), "b");
        assert_eq!(reply.header("x-millgate-attempts"), "4", "{failure:?}");
        assert_eq!(chain.asked(), (3, 1), "{failure:?}");
    }
}

#[tokio::test]
async fn what_will_not_pass_moves_on_at_once() {
    for failure in [
        Script::status(401),
        Script::status(403),
        Script::status(407),
    ] {
        let chain = Chain::start(failure, "retries = 5").await;
        assert_eq!(chain.chat(true).await.header("x-millgate-provider"), "b");
        assert_eq!(chain.asked(), (1, 1));
    }
    let lacks_the_model = Plan {
        only: Some(vec!["another".to_owned()]),
        ..Plan::default()
    };
    let chain = Chain::start(lacks_the_model, "retries = 5").await;
    assert_eq!(chain.chat(false).await.header("x-millgate-provider"), "b");
    assert_eq!(chain.asked(), (1, 1));

    let chain = Chain::start(Script::default(), "retries = 5").await;
    chain.a.stop().await;
    let reply = chain.chat(false).await;
    assert_eq!(reply.header("x-millgate-provider"), "b");
    assert_eq!(reply.header("x-millgate-attempts"), "2");
}

#[tokio::test]
async fn a_mistake_of_the_client_is_final_and_in_the_upstream_s_words() {
    for status in [400, 413, 422] {
        let body = json!({"error": {"message": "too hot", "type": "x", "param": "temperature", "code": "hot", "more": 1}});
        let script = Script {
            body: Some(body.to_string()),
            ..Script::status(status)
        };
        let chain = Chain::start(script, "").await;
        let reply = chain.chat(true).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.json(), body);
        assert_eq!(reply.header("x-should-retry"), "");
        assert_eq!(chain.asked(), (1, 0));
    }
}

#[tokio::test]
async fn a_target_that_recovers_keeps_the_request() {
    let script = Script {
        fail_first: Some(2),
        ..Script::status(502)
    };
    let chain = Chain::start(script, "retries = 2").await;
    let reply = chain.chat(true).await;
    assert_eq!(reply.header("x-millgate-provider"), "a");
    assert_eq!(reply.header("x-millgate-attempts"), "3");
    assert_eq!(reply.streamed_text(), "word0 word1 word2 word3 ");
    assert_eq!(chain.asked(), (3, 0));
}

#[tokio::test]
async fn fallback_on_narrows_what_is_tried_again() {
    for (fallback_on, failure, falls_back) in [
        (r#"["connect"]"#, Script::status(500), false),
        (r#"["5xx"]"#, Script::status(500), true),
        (r#"["5xx"]"#, Script::status(429), false),
        ("[429]", Script::status(429), true),
        (
            r#"["timeout"]"#,
            Script::fault(Fault::ResetBeforeHead),
            false,
        ),
        (r#"["stream"]"#, Script::fault(Fault::ResetBeforeHead), true),
        (r#"["5xx"]"#, Script::status(401), false),
        (r#"["upstream_auth"]"#, Script::status(403), true),
        ("[422]", Script::status(422), true),
        ("[]", Script::status(503), false),
    ] {
        let route = format!("retries = 0\nfallback_on = {fallback_on}");
        let chain = Chain::start(failure.clone(), &route).await;
        let reply = chain.chat(false).await;
        let asked = (1, u64::from(falls_back));
        assert_eq!(chain.asked(), asked, "{fallback_on} {failure:?}");
        assert_eq!(reply.status == 200, falls_back);
    }
}

#[tokio::test]
async fn an_upstream_s_word_on_when_to_come_back_is_waited_for() {
    for (name, value, at_least) in [
        ("retry-after-ms", Some("400"), 400),
        ("retry-after", Some("1"), 1000),
        ("retry-after", Some("0.3"), 300),
        ("retry-after", None, 500),
    ] {
        // A date has whole seconds: of three seconds from now more than one is left when it is read.
        let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(3));
        let value = value.unwrap_or(&date);
        let script = vec![with_header(429, name, value), Script::default()];
        let (mock, _gateway, client) = alone(script, "retries = 1").await;
        let begun = Instant::now();
        let reply = client.chat("hi", false).await;
        assert_eq!(reply.status, 200);
        assert_eq!(mock.counts().requests, 2);
        assert!(
            begun.elapsed() >= Duration::from_millis(at_least),
            "{name}: {value}"
        );
    }
}

#[tokio::test]
async fn a_wait_that_is_too_long_is_moved_on_from_or_told_to_the_client() {
    let busy = with_header(429, "retry-after", "60");
    let chain = Chain::start(busy.clone(), "retries = 3").await;
    let begun = Instant::now();
    assert_eq!(chain.chat(false).await.header("x-millgate-provider"), "b");
    assert_eq!(chain.asked(), (1, 1));
    assert!(begun.elapsed() < Duration::from_secs(10));

    let (mock, _gateway, client) = alone(busy, "retries = 3\ndeadline = \"20s\"").await;
    let reply = client.chat("hi", false).await;
    assert_eq!(reply.status, 429);
    assert_eq!(reply.header("retry-after"), "60");
    assert_eq!(reply.header("retry-after-ms"), "60000");
    assert_eq!(reply.header("x-should-retry"), "false");
    assert_eq!(mock.counts().requests, 1);
    assert!(begun.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn retries_are_bounded_by_a_budget_in_an_outage() {
    let mock = Mock::with(Script::status(503)).await.unwrap();
    let config = format!(
        "pipeline = [\"route\"]\n[providers.a]\nkind = \"openai\"\nbase_url = \"{}\"\nretry_ratio = 0.1\n[routes.default]\ntargets = [\"a\"]\nretries = 6\nbackoff = \"1ms\"\n",
        mock.url()
    );
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    let begun = Instant::now();
    for _ in 0..60 {
        assert_eq!(client.chat("hi", false).await.status, 503);
    }
    let retries = mock.counts().requests - 60;
    let from_time = 10.0 * (begun.elapsed().as_secs_f64() + 1.0);
    let allowed = 100.0 + 0.1 * 60.0 + from_time;
    assert!(
        retries as f64 <= allowed,
        "{retries} retries, {allowed} allowed"
    );
    assert!(retries >= 100, "{retries}: what was saved up is used");
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_is_given_up_and_its_connection_closed() {
    for fault in [Fault::StallBeforeHead, Fault::RoleOnlyThenStall] {
        let chain = Chain::start(
            Script::fault(fault),
            "retries = 0\nattempt_timeout = \"250ms\"",
        )
        .await;
        let reply = chain.chat(true).await;
        assert_eq!(reply.header("x-millgate-provider"), "b", "{fault:?}");
        let closed = chain.a.wait_for(|counts| counts.aborted == 1);
        tokio::time::timeout(PATIENCE, closed).await.unwrap();
    }
}

#[tokio::test]
async fn the_deadline_bounds_all_attempts_together() {
    let route = "retries = 100\nattempt_timeout = \"300ms\"\ndeadline = \"1s\"";
    let (mock, gateway, client) = alone(Script::fault(Fault::StallBeforeHead), route).await;
    let begun = Instant::now();
    let reply = client.chat("hi", true).await;
    assert_eq!(reply.status, 504);
    assert_eq!(reply.code(), "upstream_timeout");
    assert_eq!(reply.header("x-should-retry"), "false");
    assert!(
        begun.elapsed() >= Duration::from_millis(900),
        "{:?}",
        begun.elapsed()
    );
    assert!((2..=4).contains(&mock.counts().requests));
    let line = gateway.access_line(reply.header("x-request-id")).await;
    assert_eq!(line["outcome"], "timeout");
}

#[tokio::test]
async fn an_attempt_may_take_no_longer_than_all_of_them() {
    let route = "attempt_timeout = \"1h\"\ndeadline = \"300ms\"";
    let (_mock, _gateway, client) = alone(Script::fault(Fault::StallBeforeHead), route).await;
    let reply = client.chat("hi", false).await;
    assert_eq!(reply.status, 504);
    assert!(reply.text().contains("(deadline)"), "{}", reply.text());
}

#[tokio::test]
async fn a_connection_that_is_not_made_in_time_is_given_up() {
    // TCP is accepted by the kernel; the TLS hello is never answered.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let b = Mock::with(Script::default()).await.unwrap();
    let silent_url = format!("https://{}", silent.local_addr().unwrap());
    let providers = [("a", "openai", &*silent_url), ("b", "openai", &*b.url())];
    let config = config(&providers, "retries = 3").replace(
        "[providers.b]",
        "connect_timeout = \"300ms\"\n[providers.b]",
    );
    let gateway = Gateway::start(&config).await;
    let reply = Client::new(&gateway).chat("hi", false).await;
    assert_eq!(reply.header("x-millgate-provider"), "b");
    assert_eq!(reply.header("x-millgate-attempts"), "2");
    let line = gateway.access_line(reply.header("x-request-id")).await;
    assert!(
        line["failed"].as_str().unwrap().starts_with("a:connect:"),
        "{line}"
    );
}

#[tokio::test]
async fn silence_after_the_commit_ends_a_stream_with_an_error_event() {
    let script = Script::fault(Fault::StallMidStream);
    let (mock, gateway, client) = alone(script, "idle_timeout = \"250ms\"").await;
    let reply = client.chat("hi", true).await;
    assert_eq!(reply.status, 200);
    let events = reply.events();
    let error: serde_json::Value = serde_json::from_str(events.last().unwrap()).unwrap();
    assert_eq!(error["error"]["code"], "upstream_timeout");
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("idle_timeout")
    );
    assert!(reply.streamed_text().starts_with("word0 "));
    assert!(!events.contains(&"[DONE]".to_owned()));
    assert_eq!(
        mock.counts().requests,
        1,
        "nothing is tried again after the commit"
    );
    let line = gateway.access_line(reply.header("x-request-id")).await;
    assert_eq!(
        (&line["status"], &line["outcome"]),
        (&json!(200), &json!("timeout"))
    );
}

#[tokio::test]
async fn a_stream_that_keeps_coming_is_not_silent_however_long_it_takes() {
    let script = Script {
        chunks: Some(12),
        interval: 200,
        ..Script::default()
    };
    let (_mock, _gateway, client) = alone(script, "idle_timeout = \"1s\"").await;
    let begun = Instant::now();
    let reply = client.chat("hi", true).await;
    assert!(begun.elapsed() > Duration::from_secs(1));
    assert!(
        reply.text().ends_with("data: [DONE]\n\n"),
        "{}",
        reply.text()
    );
}

#[tokio::test]
async fn a_stream_may_be_bounded_as_a_whole() {
    let script = Script {
        chunks: Some(10_000),
        interval: 20,
        ..Script::default()
    };
    let (mock, _gateway, client) = alone(script, "stream_timeout = \"400ms\"").await;
    let reply = client.chat("hi", true).await;
    assert!(reply.events().last().unwrap().contains("stream_timeout"));
    assert!(reply.events().len() > 2);
    let closed = mock.wait_for(|counts| counts.aborted == 1);
    tokio::time::timeout(PATIENCE, closed).await.unwrap();
}

#[tokio::test]
async fn commit_at_the_head_does_not_wait_for_content_and_cannot_fall_back() {
    let failing = Script {
        gate: true,
        at: Some(1),
        ..Script::fault(Fault::ResetMidStream)
    };
    let chain = Chain::start(failing.clone(), "commit = \"head\"\nretries = 0").await;
    let live = chain
        .client
        .open("/v1/chat/completions", &support::chat_body("hi", true))
        .await;
    // The head is here although the mock has not sent a single event.
    assert_eq!(live.status, 200);
    chain.a.release(10);
    let reply = live.rest().await;
    assert!(
        reply
            .events()
            .last()
            .unwrap()
            .contains("upstream_bad_reply"),
        "{:?}",
        reply.events()
    );
    assert_eq!(chain.asked(), (1, 0));

    let chain = Chain::start(failing, "commit = \"content\"\nretries = 0").await;
    chain.a.release(10);
    assert_eq!(chain.chat(true).await.header("x-millgate-provider"), "b");
}

#[tokio::test]
async fn a_pooled_connection_that_has_died_is_replaced_for_free() {
    for fault in [Fault::CloseBeforeHead, Fault::ResetBeforeHead] {
        let script = vec![Script::default(), Script::fault(fault), Script::default()];
        let (mock, _gateway, client) = alone(script, "retries = 0").await;
        assert_eq!(client.chat("hi", false).await.status, 200);
        mock.wait_for(|counts| counts.completed == 1).await;
        let reply = client.chat("hi", false).await;
        assert_eq!(reply.status, 200, "{fault:?}");
        assert_eq!(reply.header("x-millgate-attempts"), "1");
        assert_eq!(mock.counts().requests, 3);
        assert_eq!(mock.counts().connections, 2);
    }
}

#[tokio::test]
async fn a_new_connection_that_dies_is_a_failure() {
    let (mock, _gateway, client) =
        alone(Script::fault(Fault::CloseBeforeHead), "retries = 0").await;
    let reply = client.chat("hi", false).await;
    assert_eq!(reply.status, 502);
    assert_eq!(reply.code(), "upstream_bad_reply");
    assert_eq!(mock.counts().requests, 1);
}

#[tokio::test]
async fn when_all_fail_the_client_reads_the_last_real_status_and_is_told_not_to_retry() {
    let a = Mock::with(Script::status(503)).await.unwrap();
    let dead = nobody();
    for order in [[&*a.url(), &*dead], [&*dead, &*a.url()]] {
        let providers = [("x", "openai", order[0]), ("y", "openai", order[1])];
        let gateway = Gateway::start(&config(&providers, "retries = 1")).await;
        let client = Client::new(&gateway);
        for stream in [false, true] {
            let reply = client.chat("hi", stream).await;
            assert_eq!(reply.status, 503);
            assert_eq!(reply.code(), "upstream_error");
            assert_eq!(reply.header("x-should-retry"), "false");
            assert_eq!(reply.header("x-millgate-attempts"), "3");
            assert!(!reply.text().contains("127.0.0.1"), "{}", reply.text());
            let line = gateway.access_line(reply.header("x-request-id")).await;
            assert_eq!(line["attempts"], 3);
            assert_eq!(line["outcome"], "upstream_error");
            let failed = line["failed"].as_str().unwrap();
            assert_eq!(failed.matches(":503:").count(), 2, "{failed}");
            assert_eq!(failed.matches(":connect:").count(), 1, "{failed}");
        }
    }
}

#[tokio::test]
async fn what_may_have_left_something_behind_is_not_asked_for_twice() {
    let failures = [
        json!({"fault": "close_before_head"}),
        json!({"fault": "reset_before_head"}),
        json!({"status": 502}),
    ];
    for failure in failures {
        let steps = json!({"paths": {"/v1/batches": [{}, failure, {"status": 502}, {}]}});
        let plan: Plan = serde_json::from_value(steps).unwrap();
        let mock = Mock::with(plan).await.unwrap();
        let other = Mock::with(Script::default()).await.unwrap();
        let providers = [("a", "openai", &*mock.url()), ("b", "openai", &other.url())];
        let route = "retries = 3\npaths = [\"/v1/*\"]\nshared_state = true";
        let gateway = Gateway::start(&config(&providers, route)).await;
        let client = Client::new(&gateway);
        assert_eq!(client.get("/v1/batches").await.status, 200);
        mock.wait_for(|counts| counts.completed == 1).await;
        let reply = client.post("/v1/batches", &json!({})).await;
        assert_eq!(reply.status, 502, "{failure}");
        assert_eq!((mock.counts().requests, other.counts().requests), (2, 0));
        // What only looks may be asked again.
        assert_eq!(client.get("/v1/batches").await.status, 200);
        assert_eq!((mock.counts().requests, other.counts().requests), (4, 0));
    }
}

#[tokio::test]
async fn what_left_nothing_behind_is_asked_of_the_next() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let providers = [("a", "openai", &*nobody()), ("b", "openai", &mock.url())];
    let route = "paths = [\"/v1/*\"]\nshared_state = true";
    let gateway = Gateway::start(&config(&providers, route)).await;
    let client = Client::new(&gateway);
    let reply = client.post("/v1/batches", &json!({})).await;
    assert_eq!(reply.status, 200);
    assert_eq!(mock.counts().requests, 1);
}
