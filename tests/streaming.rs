//! Nothing is held back, nothing is lost however a stream is cut, and no reader makes the gateway grow.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::format_push_string,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what drives the gateway is part of the tests"
)]

mod support;

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use millgate::{
    mock::{Mock, Script},
    routing::answer::{Answer, Fault, Piece, Shape, Source},
};
use millgate_plugin::Endpoint;
use serde_json::{Value, json};
use support::{
    Client, Gateway, Live, PATIENCE, chat_body, config,
    raw::{RawClient, RawUpstream},
};
use tokio::task::JoinSet;

/// Every stage that there is, around the providers of [`config`].
fn with_stages(providers: &[(&str, &str, &str)], route: &str) -> String {
    let config =
        config(providers, route).replace("[\"route\"]", "[\"route\", \"company_headers\"]");
    format!(
        "{config}\n[stages.company_headers]\nkind = \"auth_header\"\nheaders = {{ \"x-ticket\" = \"{{uuid}}\" }}\n"
    )
}

fn body(path: &str) -> Value {
    match path {
        "/v1/chat/completions" => chat_body("안녕", true),
        "/v1/completions" => json!({"model": "gpt-test", "prompt": "안녕", "stream": true}),
        _ => json!({"model": "gpt-test", "input": "안녕", "stream": true}),
    }
}

async fn read_until(live: &mut Live, seen: &mut String, wanted: &str) {
    while !seen.contains(wanted) {
        let next = live
            .next()
            .await
            .unwrap_or_else(|| panic!("no {wanted:?} in {seen}"));
        seen.push_str(&String::from_utf8_lossy(&next.unwrap()));
    }
}

#[tokio::test]
async fn the_next_event_is_sent_only_after_the_client_has_the_one_before() {
    // Events that come before the first content, and are held until then.
    let cases = [
        ("/v1/chat/completions", "openai", 1),
        ("/v1/completions", "openai", 0),
        ("/v1/responses", "openai", 4),
        ("/v1/chat/completions", "ollama", 0),
        ("/v1/completions", "ollama", 0),
        ("/v1/responses", "ollama", 0),
    ];
    for (path, kind, silent) in cases {
        let gated = Script {
            gate: true,
            chunks: Some(8),
            ..Script::default()
        };
        let mock = Mock::with(gated).await.unwrap();
        let gateway = Gateway::start(&with_stages(&[("upstream", kind, &mock.url())], "")).await;
        mock.release(silent + 1);
        let mut live = Client::new(&gateway).open(path, &body(path)).await;
        let mut seen = String::new();
        for word in 0..8 {
            read_until(&mut live, &mut seen, &format!("word{word} ")).await;
            mock.release_one();
        }
        mock.release(100);
        let rest = live.rest().await;
        assert!(rest.complete, "{path} {kind}");
    }
}

#[tokio::test]
async fn what_has_no_content_is_held_back_up_to_64_kib_and_no_further() {
    let upstream = RawUpstream::bind().await;
    let gateway =
        Gateway::start(&with_stages(&[("upstream", "openai", &upstream.url())], "")).await;
    let answering = async {
        let mut connection = upstream.accept().await;
        assert!(connection.request().await);
        connection.stream_head().await;
        let silent = format!(": {}\n\n", "x".repeat(1020));
        connection.chunk(silent.repeat(65).as_bytes()).await;
        connection
    };
    let client = Client::new(&gateway);
    let body = chat_body("안녕", true);
    let (mut live, mut connection) =
        tokio::join!(client.open("/v1/chat/completions", &body), answering);
    assert_eq!(live.status, 200, "nothing of the answer has come yet");
    let mut seen = String::new();
    while seen.len() < 65 * 1024 {
        let next = live.next().await.unwrap().unwrap();
        seen.push_str(&String::from_utf8_lossy(&next));
    }
    let rest = &RECORDED[RECORDED.find("data:").unwrap()..];
    connection.chunk(rest.as_bytes()).await;
    connection.end().await;
    assert_eq!(live.rest().await.text(), rest);
}

#[tokio::test]
async fn what_came_with_an_error_in_one_piece_is_not_lost() {
    let upstream = RawUpstream::bind().await;
    let gateway =
        Gateway::start(&with_stages(&[("upstream", "ollama", &upstream.url())], "")).await;
    let said = |text: &str| {
        format!(
            "{{\"model\":\"m\",\"created_at\":\"2026-01-01T00:00:00Z\",\"message\":{{\"role\":\"assistant\",\"content\":\"{text}\"}},\"done\":false}}\n"
        )
    };
    let lines = said("서울의 ") + &said("봄") + "{\"error\":\"out of memory\"}\n";
    let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-ndjson\r\nconnection: close\r\n\r\n";
    let answering = async {
        let mut connection = upstream.accept().await;
        assert!(connection.request().await);
        connection
            .write((head.to_owned() + &lines).as_bytes())
            .await;
    };
    let client = Client::new(&gateway);
    let (reply, ()) = tokio::join!(client.chat("안녕", true), answering);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.streamed_text(), "서울의 봄");
    let last: Value = serde_json::from_str(reply.events().last().unwrap()).unwrap();
    assert_eq!(last["error"]["code"], "upstream_error");
}

#[tokio::test]
async fn a_response_that_fails_after_it_has_begun_says_so_in_its_own_event_alone() {
    let upstream = RawUpstream::bind().await;
    let gateway =
        Gateway::start(&with_stages(&[("upstream", "openai", &upstream.url())], "")).await;
    let event =
        |kind: &str, rest: &str| format!("event: {kind}\ndata: {{\"type\":\"{kind}\",{rest}}}\n\n");
    let failed = r#""response":{"id":"r","status":"failed","error":{"code":"server_error","message":"no more"}}"#;
    let stream = event(
        "response.created",
        r#""response":{"id":"r","status":"in_progress"}"#,
    ) + &event("response.output_text.delta", r#""delta":"안녕""#)
        + &event("response.failed", failed);
    let answering = async {
        let mut connection = upstream.accept().await;
        assert!(connection.request().await);
        connection.stream_head().await;
        connection.chunk(stream.as_bytes()).await;
        connection.end().await;
        connection
    };
    let client = Client::new(&gateway);
    let body = body("/v1/responses");
    let (reply, _connection) = tokio::join!(client.post("/v1/responses", &body), answering);
    assert_eq!((reply.status.as_u16(), reply.complete), (200, true));
    assert_eq!(reply.text(), stream);
}

/// A recorded stream: role, comment, Korean text, finish, usage, end; 600 bytes or so.
const RECORDED: &str = ": 안녕\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"서울의 \\\"봄\\\" 🌸\"},\"finish_reason\":null}]}\n\n: ping\n\nevent: message\nid: 7\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"두 번째\"},\"finish_reason\":null}]}\n\ndata: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

#[tokio::test]
async fn a_stream_cut_in_two_at_any_byte_arrives_whole() {
    let upstream = RawUpstream::bind().await;
    let gateway =
        Gateway::start(&with_stages(&[("upstream", "openai", &upstream.url())], "")).await;
    let client = Client::new(&gateway);
    // What is played next, and where it is cut.
    let next = Arc::new(Mutex::new((String::new(), 0)));
    let played = next.clone();
    // The gateway may open a second connection while the first is on its way back to the pool.
    let accepting = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let mut connection = upstream.accept().await;
            let played = played.clone();
            connections.spawn(async move {
                while connection.request().await {
                    let (recorded, at) = played.lock().unwrap().clone();
                    let (before, after) = recorded.as_bytes().split_at(at);
                    connection.stream_head().await;
                    connection.chunk(before).await;
                    // The gateway may read the parts together or apart: either way is a case.
                    tokio::task::yield_now().await;
                    connection.chunk(after).await;
                    connection.end().await;
                }
            });
        }
    });
    for recorded in [RECORDED.to_owned(), RECORDED.replace('\n', "\r\n")] {
        for at in 1..recorded.len() {
            *next.lock().unwrap() = (recorded.clone(), at);
            let reply = client.chat("안녕", true).await;
            assert!(reply.complete);
            // The LF behind a final CR means nothing.
            let (arrived, sent) = (
                reply.body.trim_ascii_end(),
                recorded.trim_ascii_end().as_bytes(),
            );
            assert_eq!(arrived, sent, "cut at {at}");
        }
    }
    accepting.abort();
}

#[tokio::test]
async fn a_stream_in_single_bytes_arrives_whole() {
    for (kind, crlf) in [
        ("openai", false),
        ("openai", true),
        ("ollama", false),
        ("ollama", true),
    ] {
        let text = "서울의 \"봄\" 🌸 두 번째";
        let script = Script {
            text: Some(text.to_owned()),
            one_byte: true,
            crlf,
            comments: 2,
            ..Script::default()
        };
        let mock = Mock::with(script).await.unwrap();
        let gateway = Gateway::start(&with_stages(&[("upstream", kind, &mock.url())], "")).await;
        let reply = Client::new(&gateway).chat("안녕", true).await;
        let streamed = support::Reply {
            body: reply.text().replace("\r\n", "\n").into(),
            ..reply
        };
        assert_eq!(streamed.streamed_text(), text, "{kind} {crlf}");
        assert!(streamed.complete);
    }
}

/// All that comes out of an answer whose bytes come in these parts.
async fn read(parts: &[&[u8]]) -> (Vec<Piece>, Option<Fault>) {
    let (sender, receiver) = tokio::sync::mpsc::channel(parts.len().max(1));
    for part in parts {
        sender.try_send(Ok(Bytes::copy_from_slice(part))).unwrap();
    }
    drop(sender);
    let mut answer = Answer::new(
        Source::Answering(receiver),
        Shape::events(Endpoint::Chat, 1),
        None,
    );
    let mut pieces = Vec::new();
    loop {
        match std::future::poll_fn(|context| answer.poll_piece(context)).await {
            Some(Ok(piece)) => pieces.push(piece),
            Some(Err(fault)) => return (pieces, Some(fault)),
            None => return (pieces, None),
        }
    }
}

#[tokio::test]
async fn every_cut_in_three_gives_the_same_bytes() {
    let recorded = RECORDED.replacen("\n\n", "\r\n\r\n", 3);
    let recorded = recorded.as_bytes();
    for first in 0..recorded.len() {
        for second in (first..recorded.len()).step_by(7) {
            let parts = [
                &recorded[..first],
                &recorded[first..second],
                &recorded[second..],
            ];
            let (pieces, fault) = read(&parts).await;
            assert!(
                fault.is_none(),
                "{fault:?} for cuts at {first} and {second}"
            );
            let bytes: Vec<u8> = pieces
                .iter()
                .flat_map(|piece| piece.bytes.to_vec())
                .collect();
            assert_eq!(
                bytes.trim_ascii_end(),
                recorded.trim_ascii_end(),
                "cuts at {first} and {second}"
            );
        }
    }
}

#[tokio::test]
async fn a_stream_that_ends_at_any_byte_gives_whole_events_and_then_its_fault() {
    for recorded in [RECORDED.to_owned(), RECORDED.replace('\n', "\r\n")] {
        let finished = recorded.find("\"stop\"}]}").unwrap() + "\"stop\"}]}".len();
        for end in 0..recorded.len() {
            let (pieces, fault) = read(&[&recorded.as_bytes()[..end]]).await;
            for piece in &pieces {
                let event = String::from_utf8(piece.bytes.to_vec()).unwrap();
                assert!(
                    event.ends_with("\n\n")
                        || event.ends_with("\r\n\r\n")
                        || event.ends_with("\r\n\r"),
                    "{event:?} of {end}"
                );
                let data: Vec<_> = event
                    .lines()
                    .filter_map(|line| line.strip_prefix("data: "))
                    .collect();
                let whole =
                    |data: &&str| *data == "[DONE]" || serde_json::from_str::<Value>(data).is_ok();
                assert!(data.iter().all(whole), "{event:?}, cut at {end}");
            }
            assert_eq!(fault.is_none(), end >= finished, "{fault:?}, cut at {end}");
        }
    }
}

#[tokio::test]
async fn the_usage_chunk_is_counted_and_shown_only_to_who_asked_for_it() {
    for kind in ["openai", "ollama"] {
        let mock = Mock::with(Script::default()).await.unwrap();
        let gateway = Gateway::start(&with_stages(&[("upstream", kind, &mock.url())], "")).await;
        let client = Client::new(&gateway);
        for asked in [None, Some(false), Some(true)] {
            let mut body = chat_body("안녕", true);
            if let Some(asked) = asked {
                body["stream_options"] = json!({"include_usage": asked});
            }
            let reply = client.post("/v1/chat/completions", &body).await;
            let events = reply.events();
            assert_eq!(events.last().unwrap(), "[DONE]", "{kind} {asked:?}");
            let usage: Vec<Value> = events
                .iter()
                .filter_map(|event| serde_json::from_str::<Value>(event).ok())
                .filter(|event| event["choices"] == json!([]))
                .collect();
            assert_eq!(
                usage.len(),
                usize::from(asked == Some(true)),
                "{kind} {asked:?}: {}",
                reply.text()
            );
            if let [usage] = &usage[..] {
                assert_eq!(usage["usage"]["prompt_tokens"], 11);
            }
            assert_eq!(reply.streamed_text(), "word0 word1 word2 word3 ");
            let access = gateway.access_line(reply.header("x-request-id")).await;
            assert_eq!(access["input_tokens"], 11, "{kind} {asked:?}");
            assert_eq!(access["output_tokens"], 4, "{kind} {asked:?}");
        }
    }
}

#[tokio::test]
async fn twenty_megabytes_pass_both_ways() {
    let large = Script {
        chunk_bytes: Some(5 << 20),
        ..Script::default()
    };
    let mock = Mock::with(large).await.unwrap();
    let gateway = Gateway::start(&with_stages(&[("upstream", "openai", &mock.url())], "")).await;
    let client = Client::new(&gateway);
    let prompt = "가나다라".repeat((20 << 20) / 12);
    for stream in [false, true] {
        mock.clear_requests();
        let reply = client.chat(&prompt, stream).await;
        assert_eq!(
            reply.status,
            200,
            "{}",
            reply.text().chars().take(500).collect::<String>()
        );
        assert!(reply.complete);
        let text = if stream {
            reply.streamed_text()
        } else {
            reply.json()["choices"][0]["message"]["content"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        assert_eq!(text.len(), 20 << 20);
        let begins: Vec<_> = (0..4).map(|part| &text[part * (5 << 20)..][..2]).collect();
        assert_eq!(begins, ["0 ", "1 ", "2 ", "3 "]);
        let arrived = &mock.requests()[0];
        assert!(
            arrived.json()["messages"][0]["content"] == prompt,
            "the prompt as it was sent"
        );
    }
}

/// Resident memory of a process, in bytes.
#[cfg(target_os = "linux")]
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim()
        .trim_end_matches(" kB")
        .trim()
        .parse::<u64>()
        .unwrap()
        * 1024
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_slow_reader_holds_the_upstream_back_and_not_the_gateways_memory() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const EVENTS: usize = 1024;
    let upstream = RawUpstream::bind().await;
    let gateway =
        Gateway::start(&with_stages(&[("upstream", "openai", &upstream.url())], "")).await;
    let mut client = RawClient::post(
        &gateway,
        "/v1/chat/completions",
        "slow",
        &chat_body("안녕", true),
    )
    .await;
    let mut connection = upstream.accept().await;
    assert!(connection.request().await);
    connection.stream_head().await;
    let event = format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
        "x".repeat(64 << 10)
    );
    connection.chunk(event.as_bytes()).await;
    client.read_until("data: ").await;
    let before = resident(gateway.pid());

    // 64 MiB are offered; what nobody takes for this long is held back by the reader.
    let chunk = [
        format!("{:x}\r\n", event.len()).as_bytes(),
        event.as_bytes(),
        b"\r\n",
    ]
    .concat();
    let patience = std::time::Duration::from_millis(700);
    let mut offered = 0;
    while let Ok(taken) = tokio::time::timeout(
        patience,
        connection.stream.write(&chunk[offered % chunk.len()..]),
    )
    .await
    {
        offered += taken.unwrap();
        assert!(
            offered < EVENTS * chunk.len(),
            "64 MiB went out although nobody reads"
        );
    }
    let grown = resident(gateway.pid()).saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes for one slow reader");

    let read_all = async {
        let mut buffer = vec![0; 1 << 20];
        let mut text = std::mem::take(&mut client.seen);
        while !text.ends_with(b"0\r\n\r\n") {
            let read = client.stream.read(&mut buffer).await.unwrap();
            assert!(read > 0, "the stream broke off");
            text.extend_from_slice(&buffer[..read]);
        }
        memchr::memchr_iter(b'x', &text).count()
    };
    let write_all = async {
        connection.write(&chunk[offered % chunk.len()..]).await;
        for _ in offered / chunk.len() + 1..EVENTS {
            connection.write(&chunk).await;
        }
        connection.chunk(b"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n").await;
        connection.end().await;
    };
    let (read, ()) =
        tokio::time::timeout(PATIENCE * 2, async { tokio::join!(read_all, write_all) })
            .await
            .expect("the stream did not go on");
    assert!(read >= EVENTS * (64 << 10), "{read}");
    let grown = resident(gateway.pid()).saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes after 64 MiB");
}
