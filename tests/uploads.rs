//! Bodies that stream past: uploads on their way in, binary replies on their way out.

mod support;

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request};
use hyper::body::{Body, Frame};
use hyper_util::{client::legacy::Client as HyperClient, rt::TokioExecutor};
use millgate::mock::{Fault, Mock, Script};
use serde_json::{Value, json};
use support::{Client, Gateway, PATIENCE, Reply, config, nobody, raw::RawUpstream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const MULTIPART: &str = "multipart/form-data; boundary=b";

async fn upload(client: &Client, path: &str, body: impl Into<Bytes>) -> Reply {
    let headers = [("content-type", MULTIPART)];
    let live = client.send(Method::POST, path, &headers, body).await;
    live.rest().await
}

fn form(file: &[u8]) -> Bytes {
    let mut body = b"--b\r\ncontent-disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n".to_vec();
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--b--\r\n");
    body.into()
}

/// A route for files beside the route for models.
fn with_files(url: &str) -> String {
    config(&[("a", "openai", url)], "")
        + "[routes.files]\npaths = [\"/v1/files\", \"/v1/files/*\"]\nshared_state = true\ntargets = [\"a\"]\n"
}

/// The most memory that a process ever held, in KiB.
fn peak(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.pid())).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_large_file_streams_past_and_is_never_held() {
    const PIECE: usize = 1 << 20;
    const PIECES: usize = 96;
    let unlogged = Script {
        log: false,
        ..Script::default()
    };
    let mock = Mock::with(unlogged).await.unwrap();
    let gateway = Gateway::start(&with_files(&mock.url())).await;
    let before = {
        assert_eq!(
            upload(&Client::new(&gateway), "/v1/files", form(b"small"))
                .await
                .status,
            200
        );
        peak(&gateway)
    };
    let pieces = Pieces {
        piece: Bytes::from(vec![7; PIECE]),
        left: PIECES,
    };
    let client = HyperClient::builder(TokioExecutor::new()).build_http();
    let request = Request::post(format!("{}/v1/files", gateway.url()))
        .header("content-type", MULTIPART)
        .body(pieces)
        .unwrap();
    let response = tokio::time::timeout(3 * PATIENCE, client.request(request))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(response.status(), 200);
    let id = response.headers()["x-request-id"]
        .to_str()
        .unwrap()
        .to_owned();
    let body = http_body_util::BodyExt::collect(response.into_body())
        .await
        .unwrap()
        .to_bytes();
    let reply: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(reply["bytes"], PIECE * PIECES);
    assert_eq!(reply["content_type"], MULTIPART);
    let grown = peak(&gateway) - before;
    assert!(
        grown < 16 << 10,
        "{grown} KiB more for a file of {} KiB",
        PIECES << 10
    );
    let line = gateway.access_line(&id).await;
    assert_eq!(line["request_bytes"], PIECE * PIECES);
}

/// A body that is the same piece over and over, of no stated length.
struct Pieces {
    piece: Bytes,
    left: usize,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(left) = self.left.checked_sub(1) else {
            return Poll::Ready(None);
        };
        self.left = left;
        Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
    }
}

#[tokio::test]
async fn files_need_a_route_that_names_them() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let plain = Gateway::start(&config(&[("a", "openai", &mock.url())], "")).await;
    let client = Client::new(&plain);
    let job = json!({"model": "gpt-4o", "training_file": "file-1"});
    for reply in [
        upload(&client, "/v1/files", form(b"x")).await,
        client.get("/v1/files/file-1/content").await,
        client.post("/v1/fine_tuning/jobs", &job).await,
        client
            .post("/v1/batches", &json!({"input_file_id": "f"}))
            .await,
    ] {
        assert_eq!(reply.status, 404);
        assert_eq!(reply.code(), "no_route");
        assert!(
            reply.text().contains("shared_state = true"),
            "{}",
            reply.text()
        );
    }
    assert_eq!(mock.counts().requests, 0);

    let gateway = Gateway::start(&with_files(&mock.url())).await;
    let client = Client::new(&gateway);
    assert_eq!(upload(&client, "/v1/files", form(b"x")).await.status, 200);
    let reply = client.get("/v1/files/file-1/content?a=1%202").await;
    assert_eq!(reply.json()["path"], "/v1/files/file-1/content");
    assert_eq!(reply.json()["query"], "a=1%202");
    let live = client
        .send(Method::DELETE, "/v1/files/file-1", &[], "")
        .await;
    assert_eq!(live.rest().await.json()["method"], "DELETE");
    assert_eq!(client.post("/v1/batches", &json!({})).await.status, 404);
}

#[tokio::test]
async fn a_transcription_is_forwarded_unread_by_the_route_for_all_models() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let gateway = Gateway::start(&config(
        &[("a", "openai", &mock.url())],
        "params = { temperature = 0.5 }",
    ))
    .await;
    let body = form(&(0..=255).collect::<Vec<u8>>().repeat(300));
    let reply = upload(
        &Client::new(&gateway),
        "/v1/audio/transcriptions",
        body.clone(),
    )
    .await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("x-millgate-provider"), "a");
    let request = &mock.requests()[0];
    assert_eq!(request.body, body);
    assert_eq!(request.header("content-type"), Some(MULTIPART));
    assert_eq!(
        request.header("content-length"),
        Some(&*body.len().to_string())
    );
    let line = gateway.access_line(reply.header("x-request-id")).await;
    assert_eq!(
        (&line["endpoint"], &line["request_bytes"]),
        (&json!("forward"), &json!(body.len()))
    );
}

#[tokio::test]
async fn an_upload_is_not_tried_again_once_it_has_been_touched() {
    for failure in [
        Script::status(503),
        Script::fault(Fault::CloseBeforeHead),
        Script::fault(Fault::ResetBeforeHead),
    ] {
        let a = Mock::with(failure).await.unwrap();
        let b = Mock::with(Script::default()).await.unwrap();
        let providers = [("a", "openai", &*a.url()), ("b", "openai", &*b.url())];
        let gateway = Gateway::start(&config(&providers, "retries = 3")).await;
        let reply = upload(&Client::new(&gateway), "/v1/audio/translations", form(b"x")).await;
        assert!(reply.status.is_server_error());
        assert_eq!(reply.header("x-millgate-attempts"), "1");
        assert_eq!((a.counts().requests, b.counts().requests), (1, 0));
    }
}

#[tokio::test]
async fn nor_is_it_sent_again_where_a_pooled_connection_dies_of_it() {
    let upstream = support::raw::RawUpstream::bind().await;
    let route = "retries = 0\nattempt_timeout = \"5s\"";
    let gateway = Gateway::start(&config(&[("a", "openai", &upstream.url())], route)).await;
    let client = Client::new(&gateway);
    let answering = async {
        let mut connection = upstream.accept().await;
        assert!(connection.request().await);
        let whole =
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
        connection.write(whole).await;
        connection
    };
    let path = "/v1/audio/translations";
    let (first, mut connection) = tokio::join!(upload(&client, path, form(b"x")), answering);
    assert_eq!(first.status, 200);
    let dying = async {
        assert!(connection.request().await);
        drop(connection);
    };
    let (second, ()) = tokio::join!(upload(&client, path, form(b"x")), dying);
    assert_eq!(
        (second.status.as_u16(), &*second.code()),
        (502, "upstream_bad_reply")
    );
    // While a further request makes its way, a second connection would show.
    tokio::select! {
        biased;
        _ = upstream.accept() => panic!("it was sent again"),
        _ = client.get("/v1/nowhere") => {}
    }
}

#[tokio::test]
async fn an_upload_that_nobody_has_touched_falls_back() {
    let b = Mock::with(Script::default()).await.unwrap();
    let providers = [
        ("ollama", "ollama", &*nobody()),
        ("a", "openai", &*nobody()),
        ("b", "openai", &*b.url()),
    ];
    let gateway = Gateway::start(&config(&providers, "")).await;
    let body = form(b"a sound");
    let reply = upload(
        &Client::new(&gateway),
        "/v1/audio/transcriptions",
        body.clone(),
    )
    .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.header("x-millgate-provider"), "b");
    // Ollama has no such endpoint: it was skipped, not tried.
    assert_eq!(reply.header("x-millgate-attempts"), "2");
    assert_eq!(b.requests()[0].body, body);
}

#[tokio::test]
async fn an_upload_that_is_too_large_is_refused_with_and_without_a_length() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let config =
        config(&[("a", "openai", &mock.url())], "") + "[server]\nmax_upload_size = \"64KiB\"\n";
    let gateway = Gateway::start(&config).await;
    let client = Client::new(&gateway);
    let reply = upload(&client, "/v1/audio/transcriptions", form(&vec![1; 70_000])).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code()),
        (413, "body_too_large".to_owned())
    );
    assert_eq!(mock.counts().connections, 0);

    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    let head = format!(
        "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: localhost\r\ncontent-type: {MULTIPART}\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let chunk = [b"4000\r\n".to_vec(), vec![1; 0x4000], b"\r\n".to_vec()].concat();
    for _ in 0..5 {
        socket.write_all(&chunk).await.unwrap();
    }
    let mut reply = Vec::new();
    tokio::time::timeout(PATIENCE, socket.read_to_end(&mut reply))
        .await
        .unwrap()
        .unwrap();
    let reply = String::from_utf8_lossy(&reply);
    assert!(reply.starts_with("HTTP/1.1 413 "), "{reply}");
    assert!(reply.contains("body_too_large"), "{reply}");
    assert_eq!(mock.counts().completed, 0);
}

#[tokio::test]
async fn a_client_that_leaves_in_mid_upload_takes_the_upstream_s_request_with_it() {
    let (listener, url) = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (listener, url)
    };
    let gateway = Gateway::start(&config(&[("a", "openai", &url)], "")).await;
    let mut socket = TcpStream::connect(gateway.address).await.unwrap();
    let head = format!(
        "POST /v1/audio/transcriptions HTTP/1.1\r\nhost: localhost\r\nx-request-id: gone\r\ncontent-type: {MULTIPART}\r\ncontent-length: 1000\r\n\r\npart"
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    let (mut upstream, _) = listener.accept().await.unwrap();
    let mut seen = Vec::new();
    while !seen.ends_with(b"part") {
        assert_ne!(upstream.read_buf(&mut seen).await.unwrap(), 0);
    }
    drop(socket);
    let left = tokio::time::timeout(PATIENCE, upstream.read_buf(&mut seen))
        .await
        .unwrap();
    assert!(matches!(left, Ok(0) | Err(_)), "{left:?}");
    let line = gateway.access_line("gone").await;
    assert_eq!(line["outcome"], "client_closed");
}

#[tokio::test]
async fn speech_comes_back_byte_for_byte_as_it_is_spoken() {
    let spoken = Script {
        chunks: Some(3),
        chunk_bytes: Some(5000),
        gate: true,
        ..Script::default()
    };
    let mock = Mock::with(spoken).await.unwrap();
    let gateway = Gateway::start(&config(&[("a", "openai", &mock.url())], "")).await;
    let client = Client::new(&gateway);
    let body = json!({"model": "tts-1", "input": "안녕하세요", "voice": "alloy"});
    let mut live = client.open("/v1/audio/speech", &body).await;
    assert_eq!(live.status, 200);
    assert_eq!(live.headers["content-type"], "audio/mpeg");
    let mut heard = Vec::new();
    for piece in 1..=3 {
        mock.release_one();
        // Each piece is here before the next one is spoken.
        while heard.len() < piece * 5000 {
            heard.extend_from_slice(&live.next().await.unwrap().unwrap());
        }
    }
    assert!(live.rest().await.complete);
    let expected: Vec<u8> = (0..15_000).map(|n: usize| n as u8).collect();
    assert!(heard == expected);
    assert_eq!(mock.requests()[0].json(), body);
}

#[tokio::test]
async fn speech_that_breaks_off_is_cut_and_no_event_is_appended_to_it() {
    let upstream = RawUpstream::bind().await;
    let gateway = Gateway::start(&config(&[("a", "openai", &upstream.url())], "")).await;
    let client = Client::new(&gateway);
    // The endpoint takes `stream` too, and answers with audio all the same.
    let body = json!({"model": "tts-1", "input": "hi", "voice": "alloy", "stream": true});
    let speaking = async {
        let mut connection = upstream.accept().await;
        assert!(connection.request().await);
        connection
            .write(b"HTTP/1.1 200 OK\r\ncontent-type: audio/mpeg\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
        connection.chunk(b"spoken").await;
    };
    let (live, ()) = tokio::join!(client.open("/v1/audio/speech", &body), speaking);
    let reply = live.rest().await;
    assert!(!reply.complete, "{reply:?}");
    assert_eq!(reply.text(), "spoken");
}

#[tokio::test]
async fn a_length_that_the_upstream_names_is_kept_and_a_cut_reply_shows() {
    let mock = Mock::with(Script::default()).await.unwrap();
    let gateway = Gateway::start(&with_files(&mock.url())).await;
    let client = Client::new(&gateway);
    let reply = client.get("/v1/files/file-1").await;
    assert_eq!(reply.header("content-length"), reply.body.len().to_string());
    assert!(reply.complete);
    // With its last byte it is whole, whether its end was looked for or not.
    let line = gateway.access_line(reply.header("x-request-id")).await;
    assert_eq!(line["outcome"], "ok");

    let cut: millgate::mock::Plan = serde_json::from_value(json!({
        "paths": {"/v1/files/file-2": {"fault": "wrong_length_long"}},
    }))
    .unwrap();
    mock.set_script(cut);
    let reply = client.get("/v1/files/file-2").await;
    assert_eq!(reply.status, 200);
    assert!(
        !reply.complete,
        "the client must see that something is missing"
    );
    let line = gateway.access_line(reply.header("x-request-id")).await;
    assert_eq!(line["outcome"], "upstream_error");
}
