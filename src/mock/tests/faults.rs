//! Each fault, down to the bytes.

use std::io::ErrorKind;

use serde_json::{Value, json};

use super::client::{Client, Raw};
use super::{CHAT, chat, chat_to_the_end, mock, within};

/// A chat against a mock whose only script is this.
async fn scripted(script: Value, stream: bool) -> Raw {
    chat_to_the_end(&mock(&script).await, stream).await
}

fn is_complete(raw: &Raw) -> bool {
    raw.bytes.ends_with(b"\r\n0\r\n\r\n")
}

fn events(raw: &Raw) -> usize {
    raw.text().matches("data: ").count()
}

#[tokio::test]
async fn nothing_comes_before_a_reset_or_a_close() {
    let reset = scripted(json!({ "fault": "reset_before_head" }), false).await;
    assert_eq!(
        (reset.bytes.len(), reset.end),
        (0, Err(ErrorKind::ConnectionReset))
    );
    let closed = scripted(json!({ "fault": "close_before_head", "comments": 2 }), true).await;
    assert_eq!((closed.bytes.len(), closed.end), (0, Ok(())));
}

#[tokio::test]
async fn a_stall_lasts_until_the_peer_leaves() {
    const HEAD: &str = "200 OK";
    const HOUR: u64 = 3_600_000;
    let cases: [(Value, &[&str]); 6] = [
        (json!({ "fault": "stall_before_head" }), &[]),
        (json!({ "delay": HOUR }), &[]),
        (json!({ "first_byte_delay": HOUR }), &[HEAD, "\r\n\r\n"]),
        (
            json!({ "interval": HOUR }),
            &[HEAD, "assistant", "\n\n\r\n"],
        ),
        (
            json!({ "fault": "role_only_then_stall" }),
            &[HEAD, "assistant", "\n\n\r\n"],
        ),
        (
            json!({ "fault": "stall_mid_stream", "at": 2 }),
            &[HEAD, "assistant", "word0", "\n\n\r\n"],
        ),
    ];
    for (script, before) in cases {
        let mock = mock(&script).await;
        let mut client = Client::connect(&mock).await;
        client.send("POST", CHAT, &[], chat(true).as_bytes()).await;
        for needle in before {
            client.read_until(needle).await;
        }
        let counts = within(mock.wait_for(|counts| counts.in_flight == 1)).await;
        assert_eq!((counts.completed, counts.aborted), (0, 0));
        assert!(!client.has_more(), "{script} sent more than {before:?}");
        drop(client);
        within(
            mock.wait_for(|counts| (counts.aborted, counts.in_flight, counts.open) == (1, 0, 0)),
        )
        .await;
    }
}

#[tokio::test]
async fn a_stream_can_break_in_the_middle_in_four_ways() {
    let reset = scripted(json!({ "fault": "reset_mid_stream", "at": 3 }), true).await;
    assert_eq!(
        (events(&reset), reset.end),
        (3, Err(ErrorKind::ConnectionReset))
    );

    let closed = scripted(json!({ "fault": "close_mid_stream", "at": 3 }), true).await;
    assert_eq!(
        (events(&closed), closed.end, is_complete(&closed)),
        (3, Ok(()), false)
    );

    let cut = scripted(json!({ "fault": "cut_mid_stream", "at": 3 }), true).await;
    assert_eq!(
        (events(&cut), cut.end, is_complete(&cut)),
        (3, Ok(()), true)
    );
    assert!(!cut.text().contains("[DONE]") && !cut.text().contains(r#""finish_reason":"stop""#));

    let half = scripted(json!({ "fault": "half_event", "at": 3 }), true).await;
    assert_eq!((events(&half), is_complete(&half)), (4, true));
    assert_eq!(half.text().matches("\n\n\r\n").count(), 3);
}

#[tokio::test]
async fn a_whole_body_breaks_at_its_half() {
    let reset = scripted(json!({ "fault": "reset_mid_stream" }), false).await;
    let (_, body) = reset.parts();
    let declared = reset.declared_length().unwrap();
    assert_eq!(
        (body.len(), reset.end),
        (declared / 2, Err(ErrorKind::ConnectionReset))
    );

    let cut = scripted(json!({ "fault": "cut_mid_stream" }), false).await;
    assert_eq!(cut.declared_length(), Some(cut.parts().1.len()));
    assert!(serde_json::from_slice::<Value>(&cut.parts().1).is_err());
}

#[tokio::test]
async fn content_can_be_broken_under_200() {
    let garbage = scripted(json!({ "fault": "garbage" }), false).await;
    let (head, body) = garbage.parts();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"));
    assert!(serde_json::from_slice::<Value>(&body).is_err());

    let bad = scripted(json!({ "fault": "bad_sse", "at": 1 }), true)
        .await
        .text();
    let broken: Vec<&str> = bad
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .filter(|data| *data != "[DONE]" && serde_json::from_str::<Value>(data).is_err())
        .collect();
    assert_eq!(broken.len(), 1);
    assert!(bad.contains("[DONE]"));

    let (head, body) = scripted(json!({ "fault": "html_200" }), true).await.parts();
    assert!(head.contains("200 OK") && head.contains("text/html"));
    assert!(body.starts_with(b"<!doctype html>"));
}

#[tokio::test]
async fn an_error_event_ends_a_stream_under_200() {
    for (at, before) in [(json!(0), 0), (json!(2), 2), (Value::Null, 0)] {
        let raw = scripted(json!({ "fault": "error_event", "at": at }), true).await;
        assert_eq!((events(&raw), is_complete(&raw)), (before + 1, true));
        let text = raw.text();
        assert!(text.starts_with("HTTP/1.1 200 OK"));
        assert!(
            text.lines()
                .rfind(|line| line.starts_with("data: "))
                .unwrap()
                .starts_with(r#"data: {"error":{"message":"#)
        );
    }
}

#[tokio::test]
async fn an_error_line_ends_an_ollama_stream_under_200() {
    let mock = mock(&json!({ "fault": "error_line", "at": 1 })).await;
    let reply = Client::connect(&mock)
        .await
        .ask("POST", "/api/chat", b"{}")
        .await;
    let lines = reply.lines();
    assert_eq!((reply.status(), lines.len()), (200, 2));
    assert!(lines[1]["error"].is_string());
}

#[tokio::test]
async fn the_length_can_be_wrong_both_ways() {
    for stream in [false, true] {
        let long = scripted(json!({ "fault": "wrong_length_long" }), stream).await;
        assert_eq!(
            (long.declared_length(), long.end),
            (Some(long.parts().1.len() + 100), Ok(()))
        );
        let short = scripted(json!({ "fault": "wrong_length_short" }), stream).await;
        assert_eq!(
            (short.declared_length(), short.end),
            (Some(short.parts().1.len() / 2), Ok(()))
        );
    }
}

#[tokio::test]
async fn the_head_can_be_odd() {
    let hints = scripted(json!({ "fault": "early_hints" }), false)
        .await
        .text();
    assert!(
        hints.starts_with("HTTP/1.1 103 Early Hints\r\n")
            && hints.contains("\r\n\r\nHTTP/1.1 200 OK\r\n")
    );
    let proceed = scripted(json!({ "fault": "continue_100" }), false)
        .await
        .text();
    assert!(proceed.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"));
    let redirect = scripted(json!({ "fault": "redirect" }), false).await.text();
    assert!(
        redirect.starts_with("HTTP/1.1 302 Found\r\n")
            && redirect.contains("location: /v1/redirected\r\n")
    );
    let huge = scripted(json!({ "fault": "huge_headers" }), false).await;
    assert!(huge.parts().0.len() > 1 << 20);
    let gzip = scripted(json!({ "fault": "compressed" }), false).await;
    let (head, body) = gzip.parts();
    assert!(head.contains("content-encoding: gzip\r\n") && body.starts_with(&[0x1f, 0x8b, 8]));
}

#[tokio::test]
async fn the_end_of_a_stream_can_be_left_out() {
    let unfinished = scripted(json!({ "fault": "no_finish" }), true).await.text();
    assert!(unfinished.contains("[DONE]") && !unfinished.contains(r#""finish_reason":"stop""#));
    let undone = scripted(json!({ "fault": "no_done" }), true).await.text();
    assert!(!undone.contains("[DONE]") && undone.contains(r#""finish_reason":"stop""#));

    let mock = mock(&json!({ "fault": "no_finish" })).await;
    let mut client = Client::connect(&mock).await;
    let events = client
        .ask("POST", "/v1/responses", br#"{"stream":true}"#)
        .await
        .data();
    assert_eq!(events.last().unwrap()["type"], "response.output_item.done");
    let lines = client.ask("POST", "/api/chat", b"{}").await.lines();
    assert_eq!(lines.last().unwrap()["done"], false);
}

#[tokio::test]
async fn a_stopped_mock_resets_its_connections_and_refuses_new_ones() {
    let mock = mock(&json!({ "fault": "stall_mid_stream" })).await;
    let idle = Client::connect(&mock).await;
    let mut busy = Client::connect(&mock).await;
    busy.send("POST", CHAT, &[], chat(true).as_bytes()).await;
    busy.read_until("word0").await;
    within(mock.wait_for(|counts| counts.open == 2)).await;
    within(mock.stop()).await;
    assert_eq!(
        busy.read_to_end().await.end,
        Err(ErrorKind::ConnectionReset)
    );
    assert_eq!(
        idle.read_to_end().await.end,
        Err(ErrorKind::ConnectionReset)
    );
    let refused = tokio::net::TcpStream::connect(mock.address())
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    let counts = mock.counts();
    assert_eq!(
        (
            counts.open,
            counts.in_flight,
            counts.aborted,
            counts.requests
        ),
        (0, 0, 0, 1)
    );
}
