//! Reading requests off a socket (RFC 9112), and remembering them.

use std::collections::VecDeque;
use std::io;

use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde::ser::SerializeStruct;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MAX_HEADERS: usize = 256;
const MAX_HEAD_BYTES: usize = 1 << 20;
const READ_BYTES: usize = 16 << 10;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path, without the query, as it came (percent-encoding included).
    pub path: String,
    /// What stood behind the `?`.
    pub query: Option<String>,
    /// Names as they were written, in order. Bytes of a value that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// The body, its transfer coding taken off.
    pub body: Bytes,
    /// The connection it came on: the first that the mock accepted is 1.
    pub connection: u64,
}

impl Request {
    /// The value of the first header of this name, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON; `Null` where it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    fn asks(&self, name: &str, token: &str) -> bool {
        self.header(name).is_some_and(|value| {
            value
                .split(',')
                .any(|part| part.trim().eq_ignore_ascii_case(token))
        })
    }

    /// Whether the peer wants the connection closed after the reply.
    pub(super) fn closes(&self) -> bool {
        self.asks("connection", "close")
    }
}

impl Serialize for Request {
    /// The body as text, with what is not UTF-8 replaced.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Request", 6)?;
        fields.serialize_field("method", &self.method)?;
        fields.serialize_field("path", &self.path)?;
        fields.serialize_field("query", &self.query)?;
        fields.serialize_field("headers", &self.headers)?;
        fields.serialize_field("body", &String::from_utf8_lossy(&self.body))?;
        fields.serialize_field("connection", &self.connection)?;
        fields.end()
    }
}

/// Reads the next request of a connection. `buffer` holds what was read beyond it. `None`: the peer
/// closed between two requests.
///
/// Fails with `InvalidData` where the peer does not speak HTTP/1.1, and with what the socket says.
pub(super) async fn read(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    connection: u64,
) -> io::Result<Option<Request>> {
    let (mut request, head_bytes) = loop {
        if let Some(parsed) = parse_head(buffer, connection)? {
            break parsed;
        }
        if buffer.len() > MAX_HEAD_BYTES {
            return Err(invalid("the head is too long"));
        }
        buffer.reserve(READ_BYTES);
        if stream.read_buf(buffer).await? == 0 {
            return if buffer.is_empty() {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
    };
    let _head = buffer.split_to(head_bytes);
    let length = match request.header("content-length") {
        Some(length) => length
            .parse()
            .map_err(|_| invalid("content-length is no number"))?,
        None => 0,
    };
    let chunked = request.asks("transfer-encoding", "chunked");
    if request.asks("expect", "100-continue") && (chunked || length > 0) {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    request.body = if chunked {
        read_chunked(stream, buffer).await?
    } else {
        take(stream, buffer, length).await?
    };
    Ok(Some(request))
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// The request of a complete head, and the length of that head.
fn parse_head(bytes: &[u8], connection: u64) -> io::Result<Option<(Request, usize)>> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    };
    let target = head.path.unwrap_or_default();
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (target, None),
    };
    let request = Request {
        method: head.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query,
        headers: head
            .headers
            .iter()
            .map(|header| {
                (
                    header.name.to_owned(),
                    String::from_utf8_lossy(header.value).into_owned(),
                )
            })
            .collect(),
        body: Bytes::new(),
        connection,
    };
    Ok(Some((request, length)))
}

/// The next `length` bytes.
async fn take(stream: &mut TcpStream, buffer: &mut BytesMut, length: usize) -> io::Result<Bytes> {
    if length > buffer.len() {
        buffer.reserve(length - buffer.len());
    }
    while buffer.len() < length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(buffer.split_to(length).freeze())
}

/// A body in the chunked coding (RFC 9112, 7.1), trailers dropped.
async fn read_chunked(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<Bytes> {
    let mut body = BytesMut::new();
    loop {
        let line = read_line(stream, buffer).await?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size =
            usize::from_str_radix(size, 16).map_err(|_| invalid("a chunk size is no number"))?;
        if size == 0 {
            while !read_line(stream, buffer).await?.is_empty() {}
            return Ok(body.freeze());
        }
        body.extend_from_slice(&take(stream, buffer, size).await?);
        if !read_line(stream, buffer).await?.is_empty() {
            return Err(invalid("a chunk is longer than its size"));
        }
    }
}

/// The next line, without its CR LF.
async fn read_line(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<String> {
    loop {
        if let Some(end) = memchr::memmem::find(buffer, b"\r\n") {
            let line = buffer.split_to(end + 2);
            return Ok(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        if buffer.len() > MAX_HEAD_BYTES {
            return Err(invalid("a line is too long"));
        }
        buffer.reserve(READ_BYTES);
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

/// The requests of late, as many as fit.
#[derive(Default)]
pub(super) struct Log {
    requests: VecDeque<Request>,
    body_bytes: usize,
}

impl Log {
    const MAX_REQUESTS: usize = 10_000;
    const MAX_BODY_BYTES: usize = 256 << 20;

    pub(super) fn push(&mut self, request: Request) {
        self.body_bytes += request.body.len();
        self.requests.push_back(request);
        while self.requests.len() > Self::MAX_REQUESTS || self.body_bytes > Self::MAX_BODY_BYTES {
            let Some(oldest) = self.requests.pop_front() else {
                return;
            };
            self.body_bytes -= oldest.body.len();
        }
    }

    pub(super) fn to_vec(&self) -> Vec<Request> {
        self.requests.iter().cloned().collect()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
