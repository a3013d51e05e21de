//! HTTP/2 connections: how long one is kept, and what one stream may cost the others.

mod support;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{Connection, SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use millgate::mock::{Mock, Script};
use support::{Client, Gateway, PATIENCE, chat_body, config};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

type Driver = Connection<TokioIo<TcpStream>, Full<Bytes>, TokioExecutor>;

async fn gateway(server: &str) -> (Gateway, Mock) {
    let mock = Mock::with(Script::default()).await.unwrap();
    let config = config(&[("up", "openai", &mock.url())], "") + &format!("[server]\n{server}\n");
    (Gateway::start(&config).await, mock)
}

async fn connect(gateway: &Gateway) -> (SendRequest<Full<Bytes>>, Driver) {
    let stream = TcpStream::connect(gateway.address).await.unwrap();
    handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .unwrap()
}

fn chat(id: &str, stream: bool) -> Request<Full<Bytes>> {
    Request::post("http://localhost/v1/chat/completions")
        .header("content-type", "application/json")
        .header("x-request-id", id)
        .body(Full::new(chat_body("hi", stream).to_string().into()))
        .unwrap()
}

#[tokio::test]
async fn a_connection_that_nobody_uses_makes_room_for_another() {
    for asks in [true, false] {
        let (gateway, _mock) = gateway("keep_alive_timeout = \"200ms\"\nmax_connections = 1").await;
        let (mut sender, driver) = connect(&gateway).await;
        let mut drivers = JoinSet::new();
        drivers.spawn(driver);
        if asks {
            let reply = sender.send_request(chat("first", false)).await.unwrap();
            assert_eq!(reply.status(), 200);
            reply.into_body().collect().await.unwrap();
        }
        // The client keeps its end: it is the gateway that closes, and says so first.
        let ended = tokio::time::timeout(PATIENCE, drivers.join_next()).await;
        ended.expect("still open").unwrap().unwrap().unwrap();
        loop {
            let reply = Client::new(&gateway).chat("hi", false).await;
            if reply.status == 200 {
                break;
            }
            assert_eq!(reply.code(), "too_many_connections");
        }
    }
}

#[tokio::test]
async fn a_client_that_never_finishes_its_first_head_is_let_go() {
    let (gateway, _mock) = gateway("header_timeout = \"200ms\"").await;
    let settings = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    // HEADERS of stream 1, without END_HEADERS and without a continuation.
    let headers = b"\x00\x00\x01\x01\x00\x00\x00\x00\x01\x82";
    for frames in [&settings[..], &[&settings[..], headers].concat()] {
        let mut client = TcpStream::connect(gateway.address).await.unwrap();
        client
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .await
            .unwrap();
        client.write_all(frames).await.unwrap();
        let mut said = Vec::new();
        let ended = tokio::time::timeout(PATIENCE, client.read_to_end(&mut said)).await;
        assert!(ended.is_ok(), "still open");
    }
}

#[tokio::test]
async fn a_connection_in_use_is_kept_however_long_its_exchange_takes() {
    let (gateway, mock) = gateway("keep_alive_timeout = \"100ms\"").await;
    mock.set_script(Script {
        delay: 600,
        ..Script::default()
    });
    let (mut sender, driver) = connect(&gateway).await;
    let mut drivers = JoinSet::new();
    drivers.spawn(driver);
    let reply = sender.send_request(chat("long", false)).await.unwrap();
    assert_eq!(reply.status(), 200);
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_let_go_and_the_others_are_served() {
    let (gateway, mock) = gateway("write_timeout = \"300ms\"").await;
    // More than the window of a stream and all buffers can hold.
    mock.set_script(Script {
        chunks: Some(4000),
        chunk_bytes: Some(16 << 10),
        ..Script::default()
    });
    let (mut sender, driver) = connect(&gateway).await;
    let mut drivers = JoinSet::new();
    drivers.spawn(driver);
    let deaf = sender.send_request(chat("deaf", true)).await.unwrap();
    assert_eq!(deaf.status(), 200);
    mock.set_script(Script::default());
    let other = async |sender: &mut SendRequest<_>| {
        let reply = sender.send_request(chat("other", true)).await.unwrap();
        assert_eq!(reply.status(), 200);
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        assert!(body.ends_with(b"data: [DONE]\n\n"));
    };
    other(&mut sender).await;
    let line = gateway.access_line("deaf").await;
    assert_eq!(line["outcome"], "client_closed", "{line}");
    mock.wait_for(|counts| counts.aborted == 1).await;
    // The connection lives on, and the client sees that its reply is cut.
    other(&mut sender).await;
    let body = tokio::time::timeout(PATIENCE, deaf.into_body().collect()).await;
    assert!(body.unwrap().is_err());
}

#[tokio::test]
async fn a_stream_whose_upstream_is_slow_is_kept() {
    let (gateway, mock) = gateway("write_timeout = \"200ms\"").await;
    mock.set_script(Script {
        gate: true,
        ..Script::default()
    });
    let (mut sender, driver) = connect(&gateway).await;
    let mut drivers = JoinSet::new();
    drivers.spawn(driver);
    mock.release(2);
    let mut reply = sender.send_request(chat("slow", true)).await.unwrap();
    reply.body_mut().frame().await.unwrap().unwrap();
    // Longer than a client may take: it is not the client who takes long.
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    mock.release(1000);
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    assert!(body.ends_with(b"data: [DONE]\n\n"));
}
