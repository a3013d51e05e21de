//! What is fetched behind a stale answer belongs to the trace that has set it off.

use millgate::mock::{Mock, Script};
use opentelemetry_proto::tonic::trace::v1::{Span, SpanFlags, span::SpanKind};
use serde_json::json;

use crate::{
    PARENT, TRACE, ask,
    collector::{Collector, attributes},
    hex,
    support::{Client, Gateway, chat_body, config},
    traced,
};

#[tokio::test]
async fn what_is_fetched_behind_a_stale_answer_is_a_span_below_the_exchange_that_got_it() {
    let collector = Collector::start().await;
    let mock = Mock::with(Script::default()).await.unwrap();
    let base = config(&[("up", "openai", &mock.url())], "").replace(
        "pipeline = [\"route\"]",
        "pipeline = [\"cache\", \"route\"]",
    ) + "[stages.cache]\nttl = \"0s\"\nstale_while_revalidate = \"1h\"\n";
    let gateway = Gateway::start(&traced(&base, &collector, "")).await;
    let client = Client::new(&gateway);
    let mut body = chat_body("hallo", false);
    body["temperature"] = json!(0);
    ask(&client, &[], &body).await;
    let parent = format!("00-{TRACE}-{PARENT}-01");
    ask(&client, &[("traceparent", &parent)], &body).await;

    // Two of the first exchange, one of the second, and two of what was fetched behind it.
    let spans = collector.spans(5).await;
    let ours: Vec<&Span> = spans
        .iter()
        .filter(|span| hex(&span.trace_id) == TRACE)
        .collect();
    let of = |kind: SpanKind| {
        let span = ours.iter().find(|span| span.kind() == kind);
        *span.unwrap_or_else(|| panic!("no {kind:?} in {ours:#?}"))
    };
    let (server, own, call) = (
        of(SpanKind::Server),
        of(SpanKind::Internal),
        of(SpanKind::Client),
    );
    assert_eq!(ours.len(), 3);
    assert_eq!(hex(&server.parent_span_id), PARENT);
    assert_eq!(own.parent_span_id, server.span_id);
    assert_eq!(call.parent_span_id, own.span_id);
    let is_remote = SpanFlags::ContextIsRemoteMask as u32;
    assert_eq!(
        (server.flags & is_remote, own.flags & is_remote),
        (is_remote, 0)
    );
    let cache = |span: &Span| attributes(&span.attributes)["millgate.cache"].clone();
    assert_eq!(
        (cache(server), cache(own)),
        (json!("stale"), json!("revalidate"))
    );
    let requests = mock.requests();
    let sent = requests.last().unwrap().header("traceparent");
    let wanted = format!("00-{TRACE}-{}-01", hex(&call.span_id));
    assert_eq!(sent, Some(&*wanted));
}
