//! A client that costs little: prebuilt requests over one connection that is kept alive.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const READ_BYTES: usize = 64 << 10;
const SERIAL_DIGITS: usize = 12;
const DONE: &[u8] = b"data: [DONE]\n\n";

/// What the requests of a scenario look like.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Bytes of the prompt.
    pub(crate) prompt_bytes: usize,
    /// Whether half of the prompt is Korean, three bytes a letter.
    pub(crate) korean: bool,
    /// Whether the answer is asked for as a stream.
    pub(crate) stream: bool,
    /// Whether all requests are the same, so that a cache can answer them.
    pub(crate) same: bool,
}

/// A request but for its number.
#[derive(Clone)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    /// Where in the prompt the number goes; nowhere if all requests are to be the same.
    serial_at: Option<usize>,
    stream: bool,
}

impl Template {
    pub(crate) fn new(shape: Shape) -> Self {
        let marker = "#".repeat(SERIAL_DIGITS);
        let prompt = prompt(shape);
        let stream = shape.stream;
        let body = format!(
            r#"{{"model":"gpt-4","messages":[{{"role":"system","content":"You are a helpful assistant."}},{{"role":"user","content":"{marker} {prompt}"}}],"temperature":0.7,"stream":{stream}}}"#
        );
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: application/json\r\n\
             authorization: Bearer sk-overhead-0123456789abcdef\r\ncontent-type: application/json\r\n\
             user-agent: OpenAI/Python 2.8.0\r\nx-stainless-lang: python\r\nx-stainless-package-version: 2.8.0\r\n\
             x-stainless-retry-count: 0\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let serial_at = (head.len()..).zip(body.as_bytes().windows(SERIAL_DIGITS));
        let serial_at = serial_at
            .filter(|(_, window)| *window == marker.as_bytes())
            .map(|(at, _)| at)
            .next();
        Self {
            bytes: [head, body].concat().into_bytes(),
            serial_at: serial_at.filter(|_| !shape.same),
            stream,
        }
    }

    /// Makes this the request with that number, so that no two are the same.
    pub(crate) fn number(&mut self, serial: u64) {
        if let Some(at) = self.serial_at {
            let digits = format!("{serial:0SERIAL_DIGITS$}");
            self.bytes[at..at + SERIAL_DIGITS].copy_from_slice(&digits.as_bytes()[..SERIAL_DIGITS]);
        }
    }
}

fn prompt(shape: Shape) -> String {
    let sentence = if shape.korean {
        "서울의 날씨를 알려 주세요, please tell me the weather of Seoul today "
    } else {
        "Please tell me what the weather of Seoul will be like today and tomorrow. "
    };
    let mut prompt = sentence.repeat(shape.prompt_bytes / sentence.len());
    let rest = shape.prompt_bytes - prompt.len();
    prompt.extend(std::iter::repeat_n('.', rest));
    prompt
}

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(READ_BYTES),
        })
    }

    /// Sends a request and reads its reply to the end.
    ///
    /// Fails where the connection breaks, and with `InvalidData` where the reply is not a whole answer
    /// under 200.
    pub(crate) async fn ask(&mut self, template: &Template) -> io::Result<()> {
        self.stream.write_all(&template.bytes).await?;
        let tail = self.read_reply().await?;
        if template.stream && tail != DONE {
            return Err(invalid("the stream did not end in [DONE]", &tail));
        }
        Ok(())
    }

    /// Puts `body` to `path`, to steer the mock.
    pub(crate) async fn put(&mut self, path: &str, body: &str) -> io::Result<()> {
        let head = format!(
            "PUT {path} HTTP/1.1\r\nhost: mock\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        self.stream
            .write_all([&head, body].concat().as_bytes())
            .await?;
        self.read_reply().await.map(|_| ())
    }

    /// Reads a reply under 200, and returns the end of its body: as many bytes as [`DONE`] has.
    async fn read_reply(&mut self) -> io::Result<Vec<u8>> {
        self.buffer.clear();
        let head_bytes = loop {
            self.read_more().await?;
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
        };
        let head = String::from_utf8_lossy(&self.buffer[..head_bytes]).to_ascii_lowercase();
        if !head.starts_with("http/1.1 200 ") {
            return Err(invalid("the reply is not a good one", &self.buffer));
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"));
        if let Some(length) = length {
            let length: usize = length
                .trim()
                .parse()
                .map_err(|_| invalid("bad content-length", head.as_bytes()))?;
            while self.buffer.len() < head_bytes + length {
                self.read_more().await?;
            }
            return Ok(self.buffer[self.buffer.len().saturating_sub(DONE.len())..].to_vec());
        }
        self.buffer.drain(..head_bytes);
        self.read_chunks().await
    }

    /// Reads a chunked body to its end.
    async fn read_chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut tail = Vec::new();
        let mut at = 0;
        loop {
            let Some(line) = find(&self.buffer[at..], b"\r\n") else {
                self.buffer.drain(..at);
                at = 0;
                self.read_more().await?;
                continue;
            };
            let size = std::str::from_utf8(&self.buffer[at..at + line]).ok();
            let size = size.and_then(|size| usize::from_str_radix(size, 16).ok());
            let size = size.ok_or_else(|| invalid("bad chunk size", &self.buffer[at..]))?;
            let begin = at + line + 2;
            let end = begin + size + 2;
            while self.buffer.len() < end {
                self.read_more().await?;
            }
            if size == 0 {
                return Ok(tail);
            }
            tail.extend_from_slice(&self.buffer[begin..begin + size]);
            tail.drain(..tail.len().saturating_sub(DONE.len()));
            at = end;
        }
    }

    async fn read_more(&mut self) -> io::Result<()> {
        self.buffer.reserve(READ_BYTES);
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            return Err(invalid("the connection was closed", &self.buffer));
        }
        Ok(())
    }
}

/// Where `needle` begins.
fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes
        .windows(needle.len())
        .position(|window| window == needle)
}

fn invalid(what: &str, seen: &[u8]) -> io::Error {
    let seen = String::from_utf8_lossy(&seen[..seen.len().min(300)]);
    io::Error::new(io::ErrorKind::InvalidData, format!("{what}: {seen:?}"))
}
