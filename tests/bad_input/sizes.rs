//! Too much of it.

use millgate::mock::{Fault, Script};

use super::{
    CHAT, answer, gateway, nothing_happened,
    support::{
        Gateway, chat_body,
        wire::{self, Raw},
    },
};

#[tokio::test]
async fn a_body_that_is_too_large() {
    let (gateway, mock) = gateway("max_body_size = \"1KiB\"\nmax_upload_size = \"2KiB\"").await;
    // By its length, before a byte of it is sent, with and without waiting for leave.
    for expect in ["", "expect: 100-continue\r\n"] {
        let head = format!(
            "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\n{expect}content-type: application/json\r\ncontent-length: 1025\r\n\r\n"
        );
        let reply = answer(&gateway, head).await;
        assert_eq!(
            (reply.status.as_u16(), &*reply.refusal()),
            (413, "body_too_large")
        );
        assert_eq!(reply.header("connection"), "close");
    }
    // Chunked: once it is over, without waiting for its end.
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    let chunk = format!("200\r\n{}\r\n", " ".repeat(0x200));
    let reply = answer(&gateway, format!("{head}{chunk}{chunk}1\r\n \r\n")).await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (413, "body_too_large")
    );
    // An upload by its length.
    let upload = "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: localhost\r\ncontent-type: multipart/form-data; boundary=x\r\n";
    let reply = answer(&gateway, format!("{upload}content-length: 2049\r\n\r\n")).await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (413, "body_too_large")
    );
    assert_eq!(mock.counts().requests, 0);
    // A chunked one has begun to pass when it turns out.
    let mut client = Raw::with(
        gateway.address,
        format!("{upload}transfer-encoding: chunked\r\n\r\n"),
    )
    .await;
    for _ in 0..5 {
        client.send(&chunk).await;
    }
    let reply = client.reply().await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (413, "body_too_large")
    );
    nothing_happened(&gateway, &mock).await;
}

#[tokio::test]
async fn a_client_that_is_still_sending_reads_why_it_was_refused() {
    let (gateway, mock) = gateway("max_body_size = \"64KiB\"").await;
    let length = 16 << 20;
    for path in [CHAT, "/v1/nowhere"] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        let mut client = Raw::with(gateway.address, head).await;
        // Clients in a hurry read only when all is sent.
        assert!(client.try_send(vec![b' '; length]).await, "{path}");
        let reply = client.reply().await;
        assert!([404, 413].contains(&reply.status.as_u16()));
        reply.refusal();
        assert_eq!(client.closed().await, "");
    }
    nothing_happened(&gateway, &mock).await;
}

#[tokio::test]
async fn a_client_that_waits_for_leave_to_send_gets_it() {
    let (gateway, _mock) = gateway("").await;
    let request = String::from_utf8(wire::chat()).unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut client = Raw::with(
        gateway.address,
        format!("{head}\r\nexpect: 100-continue\r\n\r\n"),
    )
    .await;
    assert_eq!(client.head().await.0, 100);
    client.send(body).await;
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn heads_that_are_too_large() {
    let (gateway, mock) = gateway("max_header_size = \"16KiB\"\nmax_headers = 20").await;
    let start = "GET /v1/models HTTP/1.1\r\nhost: localhost\r\n";
    let fields = |count: usize| {
        (0..count).fold(String::new(), |fields, n| fields + &format!("x-{n}: y\r\n"))
    };
    assert_eq!(
        answer(&gateway, format!("{start}{}\r\n", fields(19)))
            .await
            .status,
        200
    );
    let mock_before = mock.counts().requests;
    for request in [
        format!("{start}x: {}\r\n\r\n", "y".repeat(20 << 10)),
        format!("{start}x: {}", "y".repeat(1 << 20)),
        format!("{start}{}\r\n", fields(20)),
        format!("{start}{}\r\n", fields(1000)),
    ] {
        let mut client = Raw::connect(gateway.address).await;
        assert!(client.try_send(request).await);
        let reply = client.reply().await;
        assert_eq!(reply.status, 431);
        assert_eq!(reply.refusal(), "headers_too_large");
        assert_eq!(client.closed().await, "");
    }
    let path = "a".repeat(15 << 10);
    let reply = answer(&gateway, wire::get(&format!("/v1/{path}"))).await;
    assert_eq!(
        (reply.status.as_u16(), &*reply.refusal()),
        (404, "unknown_path")
    );
    assert_eq!(mock.counts().requests, mock_before);
}

#[tokio::test]
async fn a_model_s_name_that_is_too_long() {
    let (gateway, mock) = gateway("").await;
    for path in [CHAT, "/v1/moderations"] {
        let post = async |length: usize| {
            let body = format!(r#"{{"model":"{}","messages":[]}}"#, "m".repeat(length));
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                body.len()
            );
            answer(&gateway, head + &body).await
        };
        let reply = post(1025).await;
        assert_eq!(
            (reply.status.as_u16(), &*reply.refusal()),
            (400, "invalid_value")
        );
        assert_eq!(mock.counts().paths.get(path), None);
        assert_eq!(post(1024).await.status, 200);
    }
}

/// A chat whose body has about this many bytes.
fn chat_of(length: usize, stream: bool) -> String {
    chat_body(&"x".repeat(length), stream).to_string()
}

#[tokio::test]
async fn bodies_that_are_too_many_together() {
    let (gateway, mock) = gateway("max_body_size = \"64KiB\"\nmax_buffered = \"64KiB\"").await;
    mock.set_script(Script {
        gate: true,
        ..Script::default()
    });
    let mut first = Raw::with(gateway.address, wire::post(CHAT, chat_of(40 << 10, true))).await;
    mock.wait_for(|counts| counts.in_flight == 1).await;

    // By its length, before a byte of it is sent, and chunked once there is no room for more.
    let fields = "host: localhost\r\ncontent-type: application/json\r\nx-request-id: too-many";
    let announced = format!("POST {CHAT} HTTP/1.1\r\n{fields}\r\ncontent-length: 40000\r\n\r\n");
    let chunk = format!("4000\r\n{}\r\n", " ".repeat(0x4000));
    let chunked = format!(
        "POST {CHAT} HTTP/1.1\r\n{fields}\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}"
    );
    for request in [announced, chunked] {
        let reply = answer(&gateway, request).await;
        assert_eq!(
            (reply.status.as_u16(), &*reply.refusal()),
            (503, "too_many_bodies")
        );
        assert_eq!(reply.header("retry-after"), "1");
        assert_eq!(reply.header("connection"), "close");
    }
    let line = gateway.access_line("too-many").await;
    assert_eq!(line["outcome"], "rejected");
    assert_eq!(mock.counts().requests, 1);

    // What fits beside it is served, and the end of the first makes room.
    mock.release(1000);
    let small = wire::post(CHAT, chat_of(10 << 10, false));
    assert_eq!(answer(&gateway, small).await.status, 200);
    assert_eq!(first.reply().await.status, 200);
    served_once_there_is_room(&gateway, 60 << 10).await;

    // So does a client that leaves.
    mock.set_script(Script::fault(Fault::StallBeforeHead));
    let leaving = Raw::with(gateway.address, wire::post(CHAT, chat_of(60 << 10, true))).await;
    mock.wait_for(|counts| counts.in_flight == 1).await;
    assert_eq!(
        answer(&gateway, wire::post(CHAT, chat_of(10 << 10, false)))
            .await
            .code(),
        "too_many_bodies"
    );
    mock.set_script(Script::default());
    drop(leaving);
    served_once_there_is_room(&gateway, 60 << 10).await;
}

/// The end of an exchange is seen by its client before the gateway has put everything away.
async fn served_once_there_is_room(gateway: &Gateway, length: usize) {
    for _ in 0..1000 {
        let reply = answer(gateway, wire::post(CHAT, chat_of(length, false))).await;
        if reply.status == 200 {
            return;
        }
        assert_eq!(reply.code(), "too_many_bodies");
    }
    panic!("no room for a body although nobody holds any");
}

#[tokio::test]
async fn clients_that_announce_much_and_send_nothing_take_nothing() {
    let (gateway, _mock) = gateway("max_body_size = \"64KiB\"\nmax_buffered = \"64KiB\"").await;
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-type: application/json\r\ncontent-length: 65536\r\n\r\n"
    );
    let mut silent = Vec::new();
    for _ in 0..20 {
        let mut client = Raw::with(gateway.address, &head).await;
        // Its body is being waited for.
        assert_eq!(client.head().await.0, 100);
        silent.push(client);
    }
    let largest = wire::post(CHAT, chat_of(60 << 10, false));
    assert_eq!(answer(&gateway, largest).await.status, 200);
}
