//! Tokens that nobody has counted.

use crate::support::{Client, Gateway, chat_body, config, raw::RawUpstream};

#[tokio::test]
async fn where_no_usage_comes_the_pieces_of_a_stream_are_counted_and_marked_as_an_estimate() {
    let upstream = RawUpstream::bind().await;
    let gateway = Gateway::start(&config(&[("a", "openai", &upstream.url())], "")).await;
    let delta = |delta: &str, finish: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":0,\"delta\":{{{delta}}},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let stream = delta(r#""role":"assistant","content":"""#, "null")
        + &delta(r#""content":"서울의 ""#, "null")
        + &delta(r#""content":"봄""#, "null")
        + &delta("", r#""stop""#)
        + "data: [DONE]\n\n";
    let answering = async {
        let mut connection = upstream.accept().await;
        assert!(connection.request().await);
        connection.stream_head().await;
        connection.chunk(stream.as_bytes()).await;
        connection.end().await;
        connection
    };
    let client = Client::new(&gateway);
    let body = chat_body("hi", true);
    let (reply, _connection) = tokio::join!(client.post("/v1/chat/completions", &body), answering);
    let line = gateway.access_line(reply.header("x-request-id")).await;
    // Five of the prompt and two of the answer, as the ledger has it.
    assert_eq!(line["estimated_tokens"], 7, "{line}");
    assert_eq!(line["output_tokens"], serde_json::Value::Null);
}
