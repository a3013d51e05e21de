//! A client that takes nothing for granted.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::Mock;
use super::within;

pub(super) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// All that came until the connection ended, and how it ended.
pub(super) struct Raw {
    pub(super) bytes: Vec<u8>,
    pub(super) end: Result<(), io::ErrorKind>,
}

/// A reply whose framing was sound.
pub(super) struct Reply {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Client {
    pub(super) async fn connect(mock: &Mock) -> Self {
        let stream = TcpStream::connect(mock.address())
            .await
            .expect("the mock listens");
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub(super) async fn send(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) {
        let mut head = format!(
            "{method} {target} HTTP/1.1\r\nhost: mock\r\ncontent-length: {}\r\n",
            body.len()
        );
        for (name, value) in headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head.push_str("\r\n");
        self.write(&[head.as_bytes(), body].concat()).await;
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the mock reads");
    }

    /// Reads until `needle` has come, and returns all up to its end.
    pub(super) async fn read_until(&mut self, needle: &str) -> String {
        loop {
            if let Some(at) = memchr::memmem::find(&self.buffer, needle.as_bytes()) {
                let rest = self.buffer.split_off(at + needle.len());
                let read = std::mem::replace(&mut self.buffer, rest);
                return String::from_utf8_lossy(&read).into_owned();
            }
            let read = within(self.stream.read_buf(&mut self.buffer))
                .await
                .expect("no reset");
            assert!(
                read > 0,
                "closed before {needle:?}: {}",
                String::from_utf8_lossy(&self.buffer)
            );
        }
    }

    async fn read_exactly(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            let read = within(self.stream.read_buf(&mut self.buffer))
                .await
                .expect("no reset");
            assert!(read > 0, "closed early");
        }
        let rest = self.buffer.split_off(length);
        std::mem::replace(&mut self.buffer, rest)
    }

    /// Whether a byte is here already.
    pub(super) fn has_more(&self) -> bool {
        let mut byte = [0];
        !self.buffer.is_empty() || matches!(self.stream.try_read(&mut byte), Ok(1))
    }

    /// The next reply, by its framing.
    pub(super) async fn read_reply(&mut self) -> Reply {
        let head = self.read_until("\r\n\r\n").await;
        let mut body = Vec::new();
        if let Some(length) = header(&head, "content-length") {
            body = self.read_exactly(length.parse().expect("a length")).await;
        } else if header(&head, "transfer-encoding") == Some("chunked") {
            loop {
                let size = self.read_until("\r\n").await;
                let size = usize::from_str_radix(size.trim_end(), 16).expect("a chunk size");
                body.extend(self.read_exactly(size).await);
                assert_eq!(self.read_exactly(2).await, b"\r\n");
                if size == 0 {
                    break;
                }
            }
        }
        Reply { head, body }
    }

    pub(super) async fn ask(&mut self, method: &str, target: &str, body: &[u8]) -> Reply {
        self.send(method, target, &[], body).await;
        self.read_reply().await
    }

    pub(super) async fn read_to_end(mut self) -> Raw {
        let end = within(self.stream.read_to_end(&mut self.buffer))
            .await
            .map(|_| ())
            .map_err(|error| error.kind());
        Raw {
            bytes: self.buffer,
            end,
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let line = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")))?;
    Some(line[name.len() + 1..].trim())
}

impl Raw {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Head and body, which must be there.
    pub(super) fn parts(&self) -> (String, Vec<u8>) {
        let at = memchr::memmem::find(&self.bytes, b"\r\n\r\n").expect("a whole head") + 4;
        (
            String::from_utf8_lossy(&self.bytes[..at]).into_owned(),
            self.bytes[at..].to_vec(),
        )
    }

    pub(super) fn declared_length(&self) -> Option<usize> {
        header(&self.parts().0, "content-length").map(|length| length.parse().expect("a length"))
    }
}

impl Reply {
    pub(super) fn status(&self) -> u16 {
        self.head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .expect("a status")
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }

    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The JSON of all `data:` lines but `[DONE]`.
    pub(super) fn data(&self) -> Vec<serde_json::Value> {
        let text = self.text();
        let data = text
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .filter(|data| *data != "[DONE]");
        data.map(|data| serde_json::from_str(data).expect("JSON"))
            .collect()
    }

    /// The JSON of all lines.
    pub(super) fn lines(&self) -> Vec<serde_json::Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect()
    }
}
