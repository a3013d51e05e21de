//! Calls under way that several share.

use millgate::mock::{Fault, Script};
use serde_json::json;
use tokio::task::JoinSet;

use super::{
    Bench, CHAT, WORDS, ask, ask_with, gated, question,
    support::{
        Client, Gateway, PATIENCE, Reply,
        raw::{RawClient, RawUpstream},
    },
    text,
};

#[tokio::test]
async fn two_hundred_at_once_are_one_call_half_of_them_streamed() {
    for first_streams in [false, true] {
        let script = Script {
            text: Some("안녕하세요 반갑습니다 이것은 하나의 답입니다".to_owned()),
            ..gated()
        };
        let bench = Bench::start(script, "").await;
        let mut clients: JoinSet<Reply> = JoinSet::new();
        for n in 0..200 {
            let client = bench.client.clone();
            let stream = (n % 2 == 0) == first_streams;
            clients.spawn(async move { ask(&client, "안녕", stream).await });
        }
        bench.stat("collapsed", 199).await;
        bench.mock.release(1000);
        let (mut streams, mut misses) = (0, 0);
        while let Some(reply) = clients.join_next().await {
            let reply = reply.unwrap();
            assert!(reply.status == 200 && reply.complete, "{reply:?}");
            assert_eq!(
                text(&reply).trim(),
                "안녕하세요 반갑습니다 이것은 하나의 답입니다"
            );
            streams += usize::from(
                reply
                    .header("content-type")
                    .starts_with("text/event-stream"),
            );
            let status = reply.header("cache-status");
            misses += usize::from(!status.contains("collapsed"));
            assert!(status.starts_with("millgate; fwd=miss"), "{status}");
            assert_eq!(reply.header("x-millgate-provider"), "up");
        }
        assert_eq!((streams, misses), (100, 1));
        assert_eq!(bench.asked(), 1);
        // And it is kept.
        let reply = ask(&bench.client, "안녕", true).await;
        assert!(
            reply
                .header("cache-status")
                .starts_with("millgate; hit; ttl="),
            "{reply:?}"
        );
        assert_eq!(bench.asked(), 1);
    }
}

#[tokio::test]
async fn a_late_one_gets_all_that_came_before_and_follows_live() {
    let bench = Bench::start(gated(), "").await;
    bench.mock.release(3);
    let mut first = RawClient::post(&bench.gateway, CHAT, "first", &question("hi", true)).await;
    first.read_until("word1 ").await;
    let mut late = RawClient::post(&bench.gateway, CHAT, "late", &question("hi", true)).await;
    late.read_until("word1 ").await;
    bench.mock.release_one();
    first.read_until("word2 ").await;
    late.read_until("word2 ").await;
    bench.mock.release(100);
    first.read_until("[DONE]").await;
    late.read_until("[DONE]").await;
    assert_eq!(bench.asked(), 1);
    let line = bench.gateway.access_line("late").await;
    assert_eq!(line["cache"], "collapsed", "{line}");
    assert_eq!(
        (&line["attempts"], &line["output_tokens"]),
        (&json!(0), &json!(4))
    );
}

#[tokio::test]
async fn a_leader_that_leaves_takes_nothing_along_and_is_charged_for_all() {
    for midway in [false, true] {
        let bench = Bench::start(gated(), "").await;
        let leader = RawClient::post(&bench.gateway, CHAT, "leader", &question("hi", true)).await;
        bench.mock_has(|counts| counts.requests == 1).await;
        let follower = tokio::spawn({
            let client = bench.client.clone();
            async move { ask(&client, "hi", true).await }
        });
        let other_form = tokio::spawn({
            let client = bench.client.clone();
            async move { ask(&client, "hi", false).await }
        });
        bench.stat("collapsed", 2).await;
        let mut leader = leader;
        if midway {
            bench.mock.release(3);
            leader.read_until("word1 ").await;
        }
        drop(leader);
        bench.mock.release(100);
        for follower in [follower, other_form] {
            let reply = follower.await.unwrap();
            assert!(reply.complete && text(&reply) == WORDS, "{reply:?}");
        }
        let line = bench.gateway.access_line("leader").await;
        assert_eq!(line["outcome"], "client_closed", "{line}");
        assert_eq!(
            (&line["cache"], &line["attempts"]),
            (&json!("miss"), &json!(1))
        );
        assert_eq!(
            (&line["input_tokens"], &line["output_tokens"]),
            (&json!(11), &json!(4))
        );
        assert_eq!(bench.gateway.access_lines("leader"), 1);
        let counts = bench.mock_has(|counts| counts.completed == 1).await;
        assert_eq!((counts.requests, counts.aborted), (1, 0));
    }
}

#[tokio::test]
async fn the_last_one_that_leaves_closes_the_upstream() {
    for stream in [false, true] {
        let bench = Bench::start(gated(), "").await;
        let first = RawClient::post(&bench.gateway, CHAT, "first", &question("hi", stream)).await;
        bench.mock_has(|counts| counts.requests == 1).await;
        let second = RawClient::post(&bench.gateway, CHAT, "second", &question("hi", stream)).await;
        bench.stat("collapsed", 1).await;
        drop(first);
        drop(second);
        bench.mock_has(|counts| counts.aborted == 1).await;
        for id in ["first", "second"] {
            let line = bench.gateway.access_line(id).await;
            assert_eq!(line["outcome"], "client_closed", "{line}");
        }
        bench.stat("flights", 0).await;
        // Nothing of it is left.
        bench.mock.set_script(Script::default());
        assert_eq!(text(&ask(&bench.client, "hi", stream).await), WORDS);
        assert_eq!(bench.asked(), 2);
    }
}

#[tokio::test]
async fn a_failure_is_everybodys_and_nothing_is_kept_of_it() {
    let slow = Script {
        delay: 300,
        ..Script::status(503)
    };
    let bench = Bench::start(vec![slow, Script::default()], "").await;
    let mut clients: JoinSet<Reply> = JoinSet::new();
    for n in 0..8 {
        let client = bench.client.clone();
        clients.spawn(async move { ask(&client, "hi", n % 2 == 0).await });
    }
    let mut ids = Vec::new();
    while let Some(reply) = clients.join_next().await {
        let reply = reply.unwrap();
        // Whoever came late has begun anew.
        if reply.status != 200 {
            assert_eq!(reply.status, 503);
            reply.refusal();
        }
        ids.push(reply.header("x-request-id").to_owned());
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 8);
    assert_eq!(text(&ask(&bench.client, "hi", false).await), WORDS);
    assert_eq!(bench.asked(), 2);
}

#[tokio::test]
async fn what_breaks_off_ends_with_an_error_for_everybody_and_is_not_kept() {
    let cut = Script {
        at: Some(3),
        gate: true,
        ..Script::fault(Fault::CloseMidStream)
    };
    let bench = Bench::start(vec![cut, Script::default()], "").await;
    let mut clients: JoinSet<Reply> = JoinSet::new();
    let (leader, follower, other) = (
        bench.client.clone(),
        bench.client.clone(),
        bench.client.clone(),
    );
    clients.spawn(async move { ask(&leader, "hi", true).await });
    bench.mock_has(|counts| counts.requests == 1).await;
    clients.spawn(async move { ask(&follower, "hi", true).await });
    clients.spawn(async move { ask(&other, "hi", false).await });
    bench.stat("collapsed", 2).await;
    bench.mock.release(100);
    while let Some(reply) = clients.join_next().await {
        let reply = reply.unwrap();
        if reply
            .header("content-type")
            .starts_with("text/event-stream")
        {
            let last = reply.events().pop().unwrap();
            assert!(last.contains("\"error\""), "{last}");
        } else {
            // It had not begun yet, and so can still say it with its status.
            assert_eq!(reply.status, 502, "{reply:?}");
        }
    }
    assert_eq!(text(&ask(&bench.client, "hi", true).await), WORDS);
    assert_eq!(bench.asked(), 2);
}

#[tokio::test]
async fn a_slow_reader_holds_nobody_up_and_loses_nothing() {
    let script = Script {
        chunks: Some(200),
        chunk_bytes: Some(16 << 10),
        ..gated()
    };
    let bench = Bench::start(script, "max_entry_size = \"8MiB\"").await;
    let mut slow = RawClient::post(&bench.gateway, CHAT, "slow", &question("hi", true)).await;
    bench.mock_has(|counts| counts.requests == 1).await;
    let fast = tokio::spawn({
        let client = bench.client.clone();
        async move { ask(&client, "hi", true).await }
    });
    bench.stat("collapsed", 1).await;
    bench.mock.release(1000);
    let reply = fast.await.unwrap();
    assert!(reply.complete && reply.body.len() > 200 * (16 << 10));
    slow.read_until("[DONE]").await;
}

#[tokio::test]
async fn what_is_too_large_to_be_kept_is_read_together_and_joined_by_nobody() {
    let script = Script {
        chunks: Some(100),
        chunk_bytes: Some(8 << 10),
        ..gated()
    };
    let bench = Bench::start(script, "max_entry_size = \"64KiB\"").await;
    bench.mock.release(2);
    let mut first = RawClient::post(&bench.gateway, CHAT, "first", &question("hi", true)).await;
    first.read_until("0 xxx").await;
    let mut second = RawClient::post(&bench.gateway, CHAT, "second", &question("hi", true)).await;
    second.read_until("0 xxx").await;
    bench.mock.release(30);
    let both = async { tokio::join!(first.read_until("\"20 xxx"), second.read_until("\"20 xxx")) };
    tokio::time::timeout(PATIENCE, both).await.unwrap();
    bench.mock.release(1000);
    let late = ask(&bench.client, "hi", true).await;
    assert!(
        late.complete && late.header("cache-status") == "millgate; fwd=miss",
        "{:?}",
        late.headers
    );
    tokio::join!(first.read_until("[DONE]"), second.read_until("[DONE]"));
    assert_eq!(bench.asked(), 2);
    assert_eq!(bench.stats().await["entries"], 0);
}

#[tokio::test]
async fn a_document_wanted_of_a_stream_that_is_too_large_is_asked_for_by_itself() {
    let large = Script {
        chunks: Some(40),
        chunk_bytes: Some(8 << 10),
        ..gated()
    };
    let bench = Bench::start(vec![large, Script::default()], "max_entry_size = \"64KiB\"").await;
    let mut leader = RawClient::post(&bench.gateway, CHAT, "leader", &question("hi", true)).await;
    bench.mock_has(|counts| counts.requests == 1).await;
    let follower = tokio::spawn({
        let client = bench.client.clone();
        async move { ask(&client, "hi", false).await }
    });
    bench.stat("collapsed", 1).await;
    bench.mock.release(1000);
    let reply = follower.await.unwrap();
    assert_eq!(text(&reply), WORDS);
    assert_eq!(
        reply.header("cache-status"),
        "millgate; fwd=bypass; detail=form"
    );
    leader.read_until("[DONE]").await;
    assert_eq!(bench.asked(), 2);
}

#[tokio::test]
async fn a_follower_waits_no_longer_than_its_own_deadline() {
    let upstream = RawUpstream::bind().await;
    let config = super::config(&upstream.url(), "", "deadline = \"600ms\"");
    let gateway = Gateway::start(&config).await;
    let leader = RawClient::post(&gateway, CHAT, "leader", &question("hi", false)).await;
    let mut connection = upstream.accept().await;
    assert!(connection.request().await);
    let client = Client::new(&gateway);
    let late = [("x-request-id", "late")];
    let reply = ask_with(&client, &late, &question("hi", false)).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (504, "upstream_timeout".to_owned())
    );
    drop(leader);
    for id in ["leader", "late"] {
        gateway.access_line(id).await;
    }
}
