//! A client that leaves takes its upstream request along, at once and in whatever state it is; and one that leaves
//! after the end has left nothing behind.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::format_push_string,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what drives the gateway is part of the tests"
)]

mod support;

use std::{io::Write as _, time::Duration};

use millgate::mock::{Counts, Fault, Mock, Script};
use serde_json::json;
use support::{Client, Gateway, PATIENCE, chat_body, config, raw::RawClient};

const CHAT: &str = "/v1/chat/completions";

/// Far less than any timeout of the routes here, so that none of them can be what ended a request.
const PROMPTLY: Duration = Duration::from_secs(5);

async fn promptly(mock: &Mock, condition: impl FnMut(&Counts) -> bool) -> Counts {
    tokio::time::timeout(PROMPTLY, mock.wait_for(condition))
        .await
        .unwrap_or_else(|_| panic!("not in time: {:?}", mock.counts()))
}

/// A first upstream that does as told, a second one that must not be asked, and retries that must not happen.
struct Bench {
    first: Mock,
    second: Mock,
    gateway: Gateway,
}

impl Bench {
    async fn start(kind: &str, script: Script) -> Self {
        let first = Mock::with(script).await.unwrap();
        let second = Mock::with(Script::default()).await.unwrap();
        let providers = [
            ("first", kind, first.url()),
            ("second", "openai", second.url()),
        ];
        let providers = providers
            .each_ref()
            .map(|(name, kind, url)| (*name, *kind, &**url));
        let gateway = Gateway::start(&config(
            &providers,
            "retries = 2\nattempt_timeout = \"60s\"",
        ))
        .await;
        Self {
            first,
            second,
            gateway,
        }
    }

    /// After the client `id` has left: it is logged so, nobody was asked again, and the next client is served.
    async fn is_over(&self, id: &str, requests: u64) {
        let access = self.gateway.access_line(id).await;
        assert_eq!(access["outcome"], "client_closed", "{access}");
        assert_eq!(access["attempts"], 1, "{access}");
        promptly(&self.first, |counts| counts.in_flight == 0).await;
        self.first.set_script(Script::default());
        let reply = Client::new(&self.gateway).chat("안녕", true).await;
        assert_eq!(reply.streamed_text(), "word0 word1 word2 word3 ");
        assert_eq!(reply.header("x-millgate-provider"), "first");
        assert_eq!(self.first.counts().requests, requests + 1);
        assert_eq!(self.second.counts().requests, 0);
    }
}

#[derive(Clone, Copy, Debug)]
enum When {
    BeforeHead,
    BeforeContent,
    Midway,
}

/// The upstream stalls where the client is to leave.
fn stalling(when: When, kind: &str, stream: bool) -> Script {
    match when {
        When::BeforeHead => Script::fault(Fault::StallBeforeHead),
        When::BeforeContent if stream && kind == "openai" => {
            Script::fault(Fault::RoleOnlyThenStall)
        }
        When::BeforeContent if stream => Script {
            at: Some(0),
            ..Script::fault(Fault::StallMidStream)
        },
        When::BeforeContent => Script::fault(Fault::StallMidStream),
        When::Midway if stream => Script {
            at: Some(3),
            ..Script::fault(Fault::StallMidStream)
        },
        // Large enough to be passed on before its end.
        When::Midway => Script {
            chunk_bytes: Some(1 << 20),
            ..Script::fault(Fault::StallMidStream)
        },
    }
}

#[tokio::test]
async fn leaving_closes_the_upstream_request_whenever_it_happens() {
    for kind in ["openai", "ollama"] {
        for stream in [false, true] {
            for when in [When::BeforeHead, When::BeforeContent, When::Midway] {
                // A document that has to be translated is never passed on before its end.
                if kind == "ollama" && !stream && matches!(when, When::Midway) {
                    continue;
                }
                println!("{kind}, stream {stream}, {when:?}");
                let bench = Bench::start(kind, stalling(when, kind, stream)).await;
                let body = chat_body("안녕", stream);
                let mut client = RawClient::post(&bench.gateway, CHAT, "leaver", &body).await;
                promptly(&bench.first, |counts| counts.in_flight == 1).await;
                if matches!(when, When::Midway) {
                    client
                        .read_until(if stream { "word1 " } else { "xxxx" })
                        .await;
                }
                drop(client);
                let counts = promptly(&bench.first, |counts| counts.aborted == 1).await;
                assert_eq!(counts.requests, 1);
                bench.is_over("leaver", 1).await;
            }
        }
    }
}

#[tokio::test]
async fn leaving_while_a_retry_waits_means_that_it_is_not_made() {
    let script = Script {
        headers: [("retry-after".to_owned(), "7".to_owned())].into(),
        ..Script::status(503)
    };
    for stream in [false, true] {
        let bench = Bench::start("openai", script.clone()).await;
        let client =
            RawClient::post(&bench.gateway, CHAT, "leaver", &chat_body("안녕", stream)).await;
        bench
            .gateway
            .log_line(|line| {
                line["message"] == "attempt failed" || line["fields"]["message"] == "attempt failed"
            })
            .await;
        drop(client);
        bench.is_over("leaver", 1).await;
    }
}

#[tokio::test]
async fn leaving_a_stream_that_flows_stops_it() {
    let script = Script {
        chunks: Some(100_000),
        interval: 2,
        ..Script::default()
    };
    let bench = Bench::start("openai", script).await;
    let mut client =
        RawClient::post(&bench.gateway, CHAT, "leaver", &chat_body("안녕", true)).await;
    client.read_until("word20 ").await;
    drop(client);
    promptly(&bench.first, |counts| counts.aborted == 1).await;
    bench.is_over("leaver", 1).await;
}

#[tokio::test]
async fn leaving_in_the_middle_of_the_request_asks_nobody() {
    use tokio::io::AsyncWriteExt;
    let bench = Bench::start("openai", Script::default()).await;
    let mut stream = tokio::net::TcpStream::connect(bench.gateway.address)
        .await
        .unwrap();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: {}\r\nx-request-id: leaver\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{{\"model\":",
        bench.gateway.address
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream);
    let access = bench.gateway.access_line("leaver").await;
    // It is told in case it is still reading.
    assert_eq!(access["outcome"], "client_closed", "{access}");
    assert_eq!(access["error"], "body_cut_short");
    assert_eq!(access["attempts"], 0);
    assert_eq!(bench.first.counts().requests, 0);
}

/// The number of events of a mock's chat stream with usage: role, four words, finish, usage, `[DONE]`.
const ALL_EVENTS: usize = 8;

#[tokio::test]
async fn leaving_right_after_done_is_a_success_even_if_the_upstream_lingers() {
    let lingering = Script {
        at: Some(ALL_EVENTS),
        ..Script::fault(Fault::StallMidStream)
    };
    for script in [Script::default(), lingering.clone()] {
        let bench = Bench::start("openai", script).await;
        let mut client =
            RawClient::post(&bench.gateway, CHAT, "done", &chat_body("안녕", true)).await;
        client.read_until("data: [DONE]\n\n").await;
        drop(client);
        let access = bench.gateway.access_line("done").await;
        assert_eq!(access["outcome"], "ok", "{access}");
        assert_eq!(access["output_tokens"], 4);
        promptly(&bench.first, |counts| counts.in_flight == 0).await;
    }
    // A client that stays is not made to wait for the upstream's own end.
    let bench = Bench::start("openai", lingering).await;
    let reply = tokio::time::timeout(PROMPTLY, Client::new(&bench.gateway).chat("안녕", true))
        .await
        .expect("the upstream's lingering became the client's");
    assert!(reply.complete);
    assert_eq!(reply.events().last().unwrap(), "[DONE]");
}

/// A gateway whose only provider answers by itself, with these keys.
async fn rehearsing(keys: &str) -> Gateway {
    let config = format!(
        "pipeline = [\"route\"]\n[server]\ndrain_timeout = \"1s\"\n[providers.rehearsal]\nkind = \"rehearsal\"\n{keys}\n[routes.default]\ntargets = [\"rehearsal\"]\nattempt_timeout = \"60s\"\n"
    );
    Gateway::start(&config).await
}

#[tokio::test]
async fn a_provider_that_answers_by_itself_stops_when_its_reader_leaves() {
    let cases = [
        ("latency = \"10m\"", false, None),
        ("latency = \"10m\"", true, None),
        ("tokens_per_second = 2.0", true, Some("data: ")),
    ];
    for (keys, stream, seen) in cases {
        let mut gateway = rehearsing(keys).await;
        let body = json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "안녕 ".repeat(200)}]});
        let mut client = RawClient::post(&gateway, CHAT, "leaver", &body).await;
        match seen {
            Some(text) => client.read_until(text).await,
            // Only a request that came later is proof that this one has been read.
            None => drop(Client::new(&gateway).get("/v1/nothing").await),
        }
        drop(client);
        let access = gateway.access_line("leaver").await;
        assert_eq!(access["outcome"], "client_closed", "{keys}: {access}");
        // The process ends only once no thread answers any more.
        gateway.signal("TERM");
        tokio::time::timeout(PATIENCE, gateway.ended())
            .await
            .unwrap();
    }
}

/// A request and the end of what its client sends come in one read: nobody ever polls what would answer it.
#[tokio::test]
async fn who_is_gone_as_soon_as_all_is_sent_is_told_of_all_the_same() {
    let gateway = rehearsing("latency = \"10m\"").await;
    let body = chat_body("hi", true).to_string();
    for number in 0..30 {
        let id = format!("gone-{number}");
        let request = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nx-request-id: {id}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut client = std::net::TcpStream::connect(gateway.address).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        let access = gateway.access_line(&id).await;
        assert_eq!(access["outcome"], "client_closed", "{access}");
    }
}
