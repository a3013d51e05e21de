//! The plugins of `plugins/examples`.
#![allow(
    clippy::disallowed_methods,
    reason = "clients that go on by themselves"
)]

use std::{path::Path, pin::pin, process::Command};

use millgate::mock::{Mock, Script};
use serde_json::{Value, json};

use super::support::{
    Client, Gateway, PATIENCE, Reply, chat_body,
    plugins::{Folder, run},
    raw::{RawConnection, RawUpstream},
};

/// A config with one plugin, one stage `it` of it with this table, and this upstream.
fn config(plugin: &str, library: &Path, pipeline: &str, stage: &str, upstream: &str) -> String {
    format!(
        "pipeline = {pipeline}\n\
         [plugins.{plugin}]\npath = \"{}\"\n\
         [stages.it]\n{stage}\n\
         [providers.upstream]\nkind = \"openai\"\nbase_url = \"{upstream}/v1\"\n\
         [routes.default]\ntargets = [\"upstream\"]\nretries = 0\n",
        library.display()
    )
}

/// The tests in C, under sanitizers.
#[test]
fn the_word_filters_own_tests_pass() {
    let folder = Folder::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/examples/word-filter-c");
    let said = run(Command::new("make")
        .arg("test")
        .arg(format!("OUT={}", folder.path().display()))
        .current_dir(source));
    assert!(said.contains("all tests passed"), "{said}");
}

/// `ticket-header` changes requests.
#[tokio::test]
async fn an_upstream_learns_on_whose_ticket_a_request_runs() {
    let folder = Folder::new();
    let library = folder.rust("millgate-ticket-header");
    let mock = Mock::with(Script::default()).await.unwrap();
    let callers = "[stages.auth]\n\
         [callers.shop]\nkey = \"shop-key-0123456789\"\nteam = \"판매\"\nmeta = { ticket = \"T-42\" }\n\
         [callers.guest]\nkey = \"guest-key-0123456789\"\n";
    let stage = "kind = \"ticket-header/headers\"\n\
         headers = { \"x-dep-ticket\" = \"{meta.ticket}\", \"user-id\" = \"{caller}@{team}\" }";
    let config = config(
        "ticket-header",
        &library,
        "[\"auth\", \"route\", \"it\"]",
        stage,
        &mock.url(),
    ) + callers;
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    let chat = async |key: &str| {
        let headers = [
            ("content-type", "application/json"),
            ("authorization", key),
            ("x-dep-ticket", "made up"),
        ];
        let body = chat_body("hi", false).to_string();
        let sent = client.send(http::Method::POST, "/v1/chat/completions", &headers, body);
        sent.await.rest().await
    };

    let reply = chat("Bearer shop-key-0123456789").await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let requests = mock.requests();
    let sent = |name: &str| {
        let mut headers = requests[0].headers.iter();
        let found = headers.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    };
    assert_eq!(sent("x-dep-ticket"), Some("T-42"));
    assert_eq!(sent("user-id"), Some("shop@%ED%8C%90%EB%A7%A4"));

    let reply = chat("Bearer guest-key-0123456789").await;
    assert_eq!(reply.status, 403, "{}", reply.text());
    assert_eq!(reply.refusal(), "ticket_missing");
    assert_eq!(mock.requests().len(), 1, "the upstream was not asked");
}

/// `word-filter-c` refuses requests, replaces replies and rewrites streams.
#[tokio::test]
async fn words_are_taken_out_of_whole_and_streamed_replies() {
    let folder = Folder::new();
    let library = folder.word_filter("-O1");
    let upstream = RawUpstream::bind().await;
    let stage = "kind = \"word-filter-c/filter\"\nwords = [\"xyzzy\"]";
    let pipeline = "[\"it\", \"route\"]";
    let config = config("word-filter-c", &library, pipeline, stage, &upstream.url());
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);

    let refused = client.chat("say Xyzzy", false).await;
    assert_eq!(refused.status, 422);
    assert_eq!(refused.refusal(), "word_refused");

    let whole = async {
        let mut connection = upstream.accept().await;
        assert!(connection.request().await);
        answer(connection, 200, "", &completion("It is xyzzy.")).await;
    };
    let (reply, ()) = both(client.chat("say it", false), whole).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        reply.json()["choices"][0]["message"]["content"],
        "It is ***."
    );

    let streamed = async {
        let mut connection = upstream.accept().await;
        assert!(connection.request().await);
        connection.stream_head().await;
        for text in ["It is x", "yz", "zy, not xy", "z."] {
            let delta = json!({"content": text});
            let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
            let event = json!({"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]});
            connection
                .chunk(format!("data: {event}\n\n").as_bytes())
                .await;
        }
        let last = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
        connection.chunk(last.as_bytes()).await;
        connection.end().await;
    };
    let (reply, ()) = both(client.chat("say it", true), streamed).await;
    assert!(reply.complete, "{}", reply.text());
    assert_eq!(reply.streamed_text(), "It is ***, not xyz.");
    assert_eq!(reply.events().last().unwrap(), "[DONE]");
}

/// `latency-guard` waits, and is resumed by the answer to a call that the gateway makes.
#[tokio::test]
async fn a_request_waits_for_another_service_before_it_passes() {
    let folder = Folder::new();
    let library = folder.rust("millgate-latency-guard");
    let mock = Mock::with(Script::default()).await.unwrap();
    let service = RawUpstream::bind().await;
    let stage = format!(
        "kind = \"latency-guard/guard\"\nurl = \"{}/may-pass\"\ndeadline = \"10s\"\non_unavailable = \"refuse\"",
        service.url()
    );
    let pipeline = "[\"it\", \"route\"]";
    let config = config("latency-guard", &library, pipeline, &stage, &mock.url());
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);

    // While one waits, the others are served: it holds up no thread.
    let asked = tokio::spawn({
        let client = client.clone();
        async move { client.chat("hi", false).await }
    });
    let mut waiting = service.accept().await;
    assert!(waiting.request().await);
    let models = client.get("/v1/models");
    let second = async {
        let mut connection = service.accept().await;
        assert!(connection.request().await);
        answer(connection, 204, "", "").await;
    };
    let (models, ()) = both(models, second).await;
    assert_eq!(models.status, 200, "{}", models.text());
    assert!(!asked.is_finished());
    assert!(
        mock.requests()
            .iter()
            .all(|request| !request.path.ends_with("completions"))
    );
    answer(waiting, 200, "", "").await;
    let reply = asked.await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());

    let busy = async {
        let mut connection = service.accept().await;
        assert!(connection.request().await);
        answer(connection, 429, "retry-after: 7\r\n", "").await;
    };
    let (reply, ()) = both(client.chat("hi", false), busy).await;
    assert_eq!(reply.status, 429, "{}", reply.text());
    assert_eq!(reply.refusal(), "guard_busy");
    assert_eq!(reply.header("retry-after"), "7");

    drop(service);
    let reply = client.chat("hi", false).await;
    assert_eq!(reply.status, 503, "{}", reply.text());
    assert_eq!(reply.refusal(), "guard_unavailable");
}

/// `anthropic` answers streams, as recorded.
#[tokio::test]
async fn claude_answers_chat_completions() {
    let golden =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/examples/anthropic/tests/golden");
    let read = |path: &str| std::fs::read_to_string(golden.join(path)).unwrap();
    let folder = Folder::new();
    let library = folder.rust("millgate-anthropic");
    let upstream = RawUpstream::bind().await;
    let config = format!(
        "[plugins.anthropic]\npath = \"{}\"\n\
         [providers.claude]\nkind = \"anthropic/messages\"\nbase_url = \"{}\"\nx_api_key = \"sk-ant\"\n\
         [routes.default]\ntargets = [\"claude\"]\n",
        library.display(),
        upstream.url()
    );
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    let body = |case: &str| -> Value {
        let request: Value = serde_json::from_str(&read(&format!("{case}/request.json"))).unwrap();
        request["body"].clone()
    };

    let whole = async {
        let mut connection = upstream.accept().await;
        assert!(connection.request().await);
        answer(connection, 200, "", &read("plain/upstream.json")).await;
    };
    let mut plain = body("plain");
    // The gateway itself refuses to have anything stored.
    plain.as_object_mut().unwrap().remove("store");
    let (reply, ()) = both(client.post("/v1/chat/completions", &plain), whole).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(
        reply.json()["choices"][0]["message"]["content"],
        "안녕하세요! \"Hello\"\n🙂"
    );
    assert_eq!(reply.json()["usage"]["prompt_tokens"], 12);

    let expected: String = read("stream_text/reply.sse")
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .filter_map(|event| Some(event["choices"][0]["delta"]["content"].as_str()?.to_owned()))
        .collect();
    let recorded = read("stream_text/upstream.sse");
    let streamed = async {
        let mut connection = upstream.accept().await;
        assert!(connection.request().await);
        connection.stream_head().await;
        // Cut anywhere, as networks do.
        for piece in recorded.as_bytes().chunks(37) {
            connection.chunk(piece).await;
        }
        connection.end().await;
    };
    let stream = body("stream_text");
    let (reply, ()) = both(client.post("/v1/chat/completions", &stream), streamed).await;
    assert!(reply.complete, "{}", reply.text());
    assert!(!expected.is_empty());
    assert_eq!(reply.streamed_text(), expected);
    assert_eq!(reply.events().last().unwrap(), "[DONE]");
}

/// A new image comes in under load: every request is answered, by the one or the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_image_comes_in_without_a_failed_request() {
    let folder = Folder::new();
    let library = folder.word_filter("-O1");
    let mock = Mock::with(Script::default()).await.unwrap();
    let stage = "kind = \"word-filter-c/filter\"\nwords = [\"xyzzy\"]\nrequests = \"pass\"";
    let pipeline = "[\"it\", \"route\"]";
    let config = config("word-filter-c", &library, pipeline, stage, &mock.url());
    let gateway = Gateway::start(&config).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let workers: Vec<_> = (0..4)
        .map(|worker| {
            let (client, stopped) = (Client::new(&gateway), stopped.clone());
            tokio::spawn(async move {
                let mut answered = 0;
                while !*stopped.borrow() {
                    let reply = client.chat("hi", (worker + answered) % 2 == 0).await;
                    assert!(reply.status == 200 && reply.complete, "{}", reply.text());
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    for generation in 2..6 {
        folder.word_filter(if generation % 2 == 0 { "-O0" } else { "-O1" });
        gateway.signal("HUP");
        gateway
            .log_line(|line| {
                line["message"] == "config reloaded" && line["generation"] == generation
            })
            .await;
        // Each image serves for a while.
        let so_far = mock.counts().completed;
        mock.wait_for(|counts| counts.completed >= so_far + 20)
            .await;
    }
    stop.send(true).unwrap();
    for worker in workers {
        assert!(worker.await.unwrap() > 0);
    }
    let operators = Client::at(&format!("http://{}", gateway.admin));
    let images = operators.get("/api/plugins").await.json();
    assert_eq!(images["plugins"].as_array().unwrap().len(), 2, "{images}");
}

/// A reply, and what an upstream does for it meanwhile. A reply that comes without it is a failure, not a wait.
async fn both<T>(
    reply: impl Future<Output = Reply>,
    upstream: impl Future<Output = T>,
) -> (Reply, T) {
    let (mut reply, mut upstream) = (pin!(reply), pin!(upstream));
    tokio::select! {
        value = &mut upstream => (reply.await, value),
        early = &mut reply => match tokio::time::timeout(PATIENCE, upstream).await {
            Ok(value) => (early, value),
            Err(elapsed) => panic!("{elapsed}: nobody was asked: {}", early.text()),
        },
    }
}

/// Writes a whole reply, the last of its connection.
async fn answer(mut connection: RawConnection, status: u16, headers: &str, body: &str) {
    let length = match status {
        204 => String::new(),
        _ => format!("content-length: {}\r\n", body.len()),
    };
    let reply = format!(
        "HTTP/1.1 {status} Said\r\ncontent-type: application/json\r\nconnection: close\r\n{headers}{length}\r\n{body}"
    );
    connection.write(reply.as_bytes()).await;
}

fn completion(text: &str) -> String {
    let choice = json!({"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"});
    json!({"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]})
        .to_string()
}
