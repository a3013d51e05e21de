//! Raw sockets: an upstream that a test writes byte by byte, and a client that reads when it likes.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{Gateway, PATIENCE};

/// An upstream of one connection at a time, written by hand.
pub struct RawUpstream {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl RawUpstream {
    pub async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn accept(&self) -> RawConnection {
        let (stream, _) = self.listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        RawConnection { stream }
    }
}

pub struct RawConnection {
    pub stream: TcpStream,
}

impl RawConnection {
    /// Reads one request with a `content-length`; false where the peer has closed.
    pub async fn request(&mut self) -> bool {
        let mut head = Vec::new();
        let end = loop {
            if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if self.stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                return false;
            }
        };
        let text = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
        let length: usize = text
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .map_or(0, |length| length.trim().parse().unwrap());
        let mut left = length - (head.len() - end);
        let mut rest = vec![0; 64 << 10];
        while left > 0 {
            let most = left.min(rest.len());
            match self.stream.read(&mut rest[..most]).await {
                Ok(read @ 1..) => left -= read,
                _ => return false,
            }
        }
        true
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    /// The head of an event stream.
    pub async fn stream_head(&mut self) {
        self.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
            .await;
    }

    /// One chunk of a chunked body.
    pub async fn chunk(&mut self, bytes: &[u8]) {
        let mut chunk = format!("{:x}\r\n", bytes.len()).into_bytes();
        chunk.extend_from_slice(bytes);
        chunk.extend_from_slice(b"\r\n");
        self.write(&chunk).await;
    }

    /// The end of a chunked body.
    pub async fn end(&mut self) {
        self.write(b"0\r\n\r\n").await;
    }
}

/// A client on a bare socket: dropping it is leaving.
pub struct RawClient {
    pub stream: TcpStream,
    /// All that has come so far, head and chunk sizes included.
    pub seen: Vec<u8>,
}

impl RawClient {
    /// Posts JSON to the gateway.
    pub async fn post(gateway: &Gateway, path: &str, id: &str, body: &serde_json::Value) -> Self {
        let mut stream = TcpStream::connect(gateway.address).await.unwrap();
        let body = body.to_string();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nx-request-id: {id}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            gateway.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        Self {
            stream,
            seen: Vec::new(),
        }
    }

    /// Reads until this text has come; the end of the connection before it is a failure.
    pub async fn read_until(&mut self, wanted: &str) {
        let reading = async {
            while !String::from_utf8_lossy(&self.seen).contains(wanted) {
                let read = self.stream.read_buf(&mut self.seen).await.unwrap();
                assert!(
                    read > 0,
                    "no {wanted:?} in {}",
                    String::from_utf8_lossy(&self.seen)
                );
            }
        };
        tokio::time::timeout(PATIENCE, reading)
            .await
            .unwrap_or_else(|_| panic!("{wanted:?} did not come"));
    }
}
