//! The same over gRPC.

use std::time::{Duration, Instant};

use http::Method;
use millgate::mock::{Mock, Script};
use serde_json::json;

use crate::{
    collector::{Answer, Collector, normalised},
    in_order,
    support::{Client, Gateway, chat_body, config, nobody},
    traced,
};

const GRPC: &str = "protocol = \"grpc\"\nheaders = { x-tenant = \"t-1\" }";

#[tokio::test]
async fn spans_are_those_that_a_collector_gets_over_http() {
    let mut traces = Vec::new();
    for (more, is_packed) in [
        ("", false),
        (GRPC, false),
        ("compression = \"gzip\"", true),
        (&*format!("{GRPC}\ncompression = \"gzip\""), true),
    ] {
        let collector = Collector::start().await;
        let mock = Mock::with(Script::default()).await.unwrap();
        let base = config(&[("a", "openai", &mock.url())], "");
        let gateway = Gateway::start(&traced(&base, &collector, more)).await;
        let headers = [
            ("content-type", "application/json"),
            ("x-request-id", "the-same"),
        ];
        let body = chat_body("hallo", true).to_string();
        let path = "/v1/chat/completions";
        let client = Client::new(&gateway);
        let live = client.send(Method::POST, path, &headers, body).await;
        assert_eq!(live.rest().await.status, 200);
        traces.push(normalised(&in_order(collector.spans(2).await)));
        let resource = collector.resource();
        assert_eq!(resource["service.name"], "millgate", "{more}");
        if !more.is_empty() && more.starts_with("protocol") {
            assert_eq!(collector.heads()[0]["x-tenant"], "t-1");
        }
        let is_plain = memchr::memmem::find(&collector.bodies()[0], b"service.name").is_some();
        assert_ne!(is_plain, is_packed, "{more}");
    }
    assert!(
        traces.windows(2).all(|pair| pair[0] == pair[1]),
        "{traces:#?}"
    );
}

#[tokio::test]
async fn what_the_collector_says_of_a_batch_is_believed() {
    let collector = Collector::start().await;
    let (unavailable, invalid) = (14, 3);
    collector.next([
        Answer::Status(unavailable, None),
        Answer::Partial(1),
        Answer::Status(invalid, None),
    ]);
    let mock = Mock::with(Script::default()).await.unwrap();
    let base = config(&[("a", "openai", &mock.url())], "");
    let mut gateway = Gateway::start(&traced(&base, &collector, GRPC)).await;
    let client = Client::new(&gateway);
    client.chat("hi", false).await;
    collector.batches(2).await;
    assert_eq!(
        collector.bodies()[0],
        collector.bodies()[1],
        "the same batch"
    );
    client.chat("hi", false).await;
    collector.batches(3).await;
    client.chat("hi", false).await;
    collector.batches(4).await;
    gateway.signal("TERM");
    let told = gateway
        .log_line(|line| line["message"] == "some spans were not sent")
        .await;
    assert_eq!(
        (&told["dropped"], &told["exported"]),
        (&json!(3), &json!(3))
    );
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn a_collector_that_is_away_or_silent_or_no_collector_is_not_waited_for() {
    let silent = Collector::start().await;
    silent.then(Answer::Silence);
    let mock = Mock::with(Script::default()).await.unwrap();
    for endpoint in [nobody(), silent.url.clone(), mock.url()] {
        let base = config(&[("a", "openai", &mock.url())], "");
        let table = format!(
            "{base}\n[traces]\nprotocol = \"grpc\"\nendpoint = \"{endpoint}\"\ndelay = \"5ms\"\n"
        );
        let mut gateway = Gateway::start(&table).await;
        assert_eq!(Client::new(&gateway).chat("hi", false).await.status, 200);
        gateway.signal("TERM");
        let begun = Instant::now();
        assert!(gateway.ended().await.success());
        assert!(begun.elapsed() < Duration::from_secs(8), "{endpoint}");
        let told = gateway
            .log_line(|line| line["message"] == "some spans were not sent")
            .await;
        assert_eq!(
            (&told["dropped"], &told["exported"]),
            (&json!(2), &json!(0)),
            "{endpoint}"
        );
    }
}
