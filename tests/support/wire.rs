//! A client at the level of bytes: it sends what no HTTP library would.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{PATIENCE, Reply};

pub struct Raw {
    stream: TcpStream,
    /// Bytes read and not yet taken.
    buffer: Vec<u8>,
}

impl Raw {
    pub async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Connects and sends.
    pub async fn with(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Self {
        let mut raw = Self::connect(address).await;
        raw.send(bytes).await;
        raw
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// Sends for as long as the other side takes it; false where it has closed.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Sends no more, but reads on.
    pub async fn half_close(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// Reads once; false at the end.
    async fn read(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.buffer);
        let read = tokio::time::timeout(PATIENCE, read).await;
        read.expect("nothing more came").unwrap() > 0
    }

    /// The next head, its status line and fields.
    pub async fn head(&mut self) -> (StatusCode, HeaderMap) {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; 64];
            let mut head = httparse::Response::new(&mut fields);
            if let httparse::Status::Complete(length) = head.parse(&self.buffer).unwrap() {
                let mut headers = HeaderMap::new();
                for field in head.headers.iter() {
                    headers.append(
                        HeaderName::from_bytes(field.name.as_bytes()).unwrap(),
                        HeaderValue::from_bytes(field.value).unwrap(),
                    );
                }
                let status = StatusCode::from_u16(head.code.unwrap()).unwrap();
                self.buffer.drain(..length);
                return (status, headers);
            }
            assert!(
                self.read().await,
                "the connection ended before a head: {:?}",
                String::from_utf8_lossy(&self.buffer)
            );
        }
    }

    /// The next reply. Its body must have a length or be chunked.
    pub async fn reply(&mut self) -> Reply {
        let (status, headers) = self.head().await;
        let body = if headers.contains_key("transfer-encoding") {
            let mut body = Vec::new();
            loop {
                let size = self.line().await;
                let size = usize::from_str_radix(&size, 16).unwrap();
                let chunk = self.take(size).await;
                assert_eq!(self.line().await, "");
                if size == 0 {
                    break body;
                }
                body.extend_from_slice(&chunk);
            }
        } else {
            let length = headers.get("content-length");
            let length = length.map_or("0", |length| length.to_str().unwrap());
            self.take(length.parse().unwrap()).await
        };
        Reply {
            status,
            headers,
            body: Bytes::from(body),
            complete: true,
        }
    }

    async fn line(&mut self) -> String {
        loop {
            let end = self.buffer.windows(2).position(|two| two == b"\r\n");
            if let Some(end) = end {
                let line = self.take(end + 2).await;
                return String::from_utf8_lossy(&line[..end]).into_owned();
            }
            assert!(self.read().await, "the connection ended in a body");
        }
    }

    async fn take(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            assert!(self.read().await, "the connection ended in a body");
        }
        self.buffer.drain(..length).collect()
    }

    /// Waits for the other side to close; whatever still comes, beyond what was taken. A reset counts as a close.
    pub async fn closed(&mut self) -> String {
        let all = async {
            while self
                .stream
                .read_buf(&mut self.buffer)
                .await
                .is_ok_and(|read| read > 0)
            {}
        };
        tokio::time::timeout(PATIENCE, all)
            .await
            .expect("the connection was not closed");
        String::from_utf8_lossy(&self.buffer).into_owned()
    }

    /// Whether the connection stays open and silent for this long.
    pub async fn stays_open(&mut self, time: Duration) -> bool {
        let read = self.stream.read_buf(&mut self.buffer);
        tokio::time::timeout(time, read).await.is_err()
    }
}

/// A POST of JSON with a length.
pub fn post(path: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut request = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// A GET.
pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")
}

/// A chat completion.
pub fn chat() -> Vec<u8> {
    post(
        "/v1/chat/completions",
        super::chat_body("hi", false).to_string(),
    )
}
