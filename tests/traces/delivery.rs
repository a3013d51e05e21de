//! Collectors that are away, slow or refusing.

use std::time::{Duration, Instant};

use millgate::mock::{Mock, Script};
use serde_json::json;

use crate::{
    collector::{Answer, Collector},
    support::{Client, Gateway, config, nobody},
    traced,
};

#[tokio::test]
async fn a_collector_that_asks_for_time_gets_it_and_one_that_takes_a_part_is_believed() {
    let collector = Collector::start().await;
    collector.next([
        Answer::Status(429, Some("0")),
        Answer::Status(503, Some("0")),
        Answer::Partial(1),
        Answer::Status(400, Some("0")),
        Answer::Status(413, None),
        Answer::Long,
    ]);
    let mock = Mock::with(Script::default()).await.unwrap();
    let base = config(&[("a", "openai", &mock.url())], "");
    let mut gateway = Gateway::start(&traced(&base, &collector, "")).await;
    let client = Client::new(&gateway);
    client.chat("hi", false).await;
    collector.batches(3).await;
    let bodies = collector.bodies();
    assert!(
        bodies[0] == bodies[1] && bodies[1] == bodies[2],
        "the same batch"
    );
    // What is refused is not sent again.
    client.chat("hi", false).await;
    collector.batches(4).await;
    client.chat("hi", false).await;
    collector.batches(5).await;
    client.chat("hi", false).await;
    collector.batches(6).await;
    let bodies = collector.bodies();
    assert!(bodies[3] != bodies[4] && bodies[4] != bodies[5]);
    gateway.signal("TERM");
    let told = gateway
        .log_line(|line| line["message"] == "some spans were not sent")
        .await;
    // One that the collector would not have, and four that it refused.
    assert_eq!(
        (&told["dropped"], &told["exported"]),
        (&json!(5), &json!(3))
    );
    assert!(gateway.ended().await.success());
}

#[tokio::test]
async fn a_collector_that_is_away_or_silent_costs_no_request_anything_and_the_stop_is_bounded() {
    let collector = Collector::start().await;
    collector.then(Answer::Silence);
    let mock = Mock::with(Script::default()).await.unwrap();
    for endpoint in [nobody(), collector.url.clone()] {
        let base = config(&[("a", "openai", &mock.url())], "");
        let table = format!(
            "{base}\n[traces]\nendpoint = \"{endpoint}\"\ndelay = \"5ms\"\nmax_queue_size = 8\nmax_batch_size = 4\n"
        );
        let mut gateway = Gateway::start(&table).await;
        let client = Client::new(&gateway);
        for _ in 0..40 {
            assert_eq!(client.chat("hi", false).await.status, 200);
        }
        gateway.signal("TERM");
        let begun = Instant::now();
        assert!(gateway.ended().await.success());
        assert!(
            begun.elapsed() < Duration::from_secs(8),
            "{:?}",
            begun.elapsed()
        );
        let told = gateway
            .log_line(|line| line["message"] == "some spans were not sent")
            .await;
        assert_eq!(
            (&told["dropped"], &told["exported"]),
            (&json!(80), &json!(0))
        );
    }
}

/// Content of this many bytes in each request, kept whole.
fn content(base: &str, bytes: usize) -> (String, String) {
    let stage = "[stages.redact]\ncapture = \"redacted\"\ncapture_limit = \"1MiB\"\n";
    let base = base.replace("pipeline = [", "pipeline = [\"redact\", ") + stage;
    (base, "word ".repeat(bytes / 5))
}

#[tokio::test]
async fn much_content_makes_batches_small_and_early() {
    let collector = Collector::start().await;
    let mock = Mock::with(Script::default()).await.unwrap();
    let base = config(&[("a", "openai", &mock.url())], "");
    let (base, prompt) = content(&base, 60 << 10);
    let table = traced(&base, &collector, "").replace("delay = \"20ms\"", "delay = \"1h\"");
    let mut gateway = Gateway::start(&table).await;
    let client = Client::new(&gateway);
    let count = 60;
    for _ in 0..count {
        assert_eq!(client.chat(&prompt, false).await.status, 200);
    }
    // Far fewer spans than make a batch, and far less time than they may wait.
    collector.batches(3).await;
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    assert_eq!(collector.taken(), 2 * count);
    let sizes: Vec<_> = collector.bodies().iter().map(bytes::Bytes::len).collect();
    assert!(sizes.iter().all(|size| *size < 2 << 20), "{sizes:?}");
}

#[tokio::test]
async fn content_that_waits_is_bounded_and_what_does_not_fit_is_counted() {
    let collector = Collector::start().await;
    collector.then(Answer::Silence);
    let mock = Mock::with(Script::default()).await.unwrap();
    let base = config(&[("a", "openai", &mock.url())], "");
    let (base, prompt) = content(&base, 1 << 20);
    let gateway = Gateway::start(&traced(&base, &collector, "")).await;
    let client = Client::new(&gateway);
    for _ in 0..36 {
        let reply = client.chat(&prompt, false).await;
        assert_eq!(reply.status, 200);
        gateway.access_line(reply.header("x-request-id")).await;
    }
    let operators = Client::at(&format!("http://{}", gateway.admin));
    let metrics = operators.get("/metrics").await.text();
    let value = |name: &str| -> u64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    };
    // 32 MiB, and two spans for each: far fewer than may wait.
    let waiting = value("millgate_traces_waiting_spans ");
    let lost = value("millgate_traces_spans_lost_total ");
    assert!((60..=64).contains(&waiting), "{waiting}");
    assert_eq!(
        (waiting + lost, value("millgate_traces_spans_sent_total ")),
        (72, 0)
    );
}

#[tokio::test]
async fn a_reload_puts_another_collector_in_force_and_nothing_is_lost() {
    let (one, other) = (Collector::start().await, Collector::start().await);
    let mock = Mock::with(Script::default()).await.unwrap();
    let base = config(&[("a", "openai", &mock.url())], "");
    let slow = "\ndelay = \"1h\"";
    let to =
        |collector: &Collector| traced(&base, collector, "").replace("\ndelay = \"20ms\"", slow);
    let mut gateway = Gateway::start(&to(&one)).await;
    let client = Client::new(&gateway);
    let reply = client.chat("hi", false).await;
    gateway.access_line(reply.header("x-request-id")).await;
    gateway.write_config(&to(&other));
    gateway.signal("HUP");
    one.spans(2).await;
    client.chat("hi", false).await;
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    assert_eq!(
        (one.taken(), other.taken()),
        (2, 2),
        "what waits is sent before the end"
    );
}
