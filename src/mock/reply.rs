//! A reply before it is sent: status, headers, events, and how it ends.

use bytes::Bytes;
use serde_json::Value;

use super::Script;

/// What is to be sent.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) kind: Kind,
    /// The body in the pieces that go out one by one.
    pub(super) events: Vec<Bytes>,
    /// What `content-length` says. `None`: the chunked coding is used.
    pub(super) length: Option<usize>,
    /// Whole heads that go out before the real one.
    pub(super) interim: &'static str,
    /// Whether there is a head at all.
    pub(super) silent: bool,
    pub(super) ending: Ending,
}

/// How the events of a body are told apart.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One body.
    Whole,
    /// Server-sent events.
    Events,
    /// JSON, a line each.
    Lines,
    /// Bytes in no order that the mock knows.
    Bytes,
}

/// What happens after the last event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The body ends as its framing says, and the connection takes the next request.
    Complete,
    /// The same, then the connection is closed.
    CompleteThenClose,
    /// The connection is closed, the body unfinished.
    Close,
    /// The connection is reset.
    Reset,
    /// Nothing, until the peer goes away.
    Stall,
}

impl Reply {
    fn new(
        status: u16,
        content_type: &str,
        kind: Kind,
        events: Vec<Bytes>,
        length: Option<usize>,
    ) -> Self {
        Self {
            status,
            headers: vec![("content-type".into(), content_type.into())],
            kind,
            events,
            length,
            interim: "",
            silent: false,
            ending: Ending::Complete,
        }
    }

    /// A body of known length.
    pub(super) fn whole(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let length = Some(body.len());
        Self::new(status, content_type, Kind::Whole, vec![body], length)
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::whole(status, "application/json", body.to_string())
    }

    /// Server-sent events, complete with their blank lines.
    pub(super) fn events(events: Vec<Bytes>) -> Self {
        Self::new(
            200,
            "text/event-stream; charset=utf-8",
            Kind::Events,
            events,
            None,
        )
    }

    /// Lines, complete with their ends.
    pub(super) fn lines(events: Vec<Bytes>) -> Self {
        Self::new(200, "application/x-ndjson", Kind::Lines, events, None)
    }

    /// A binary stream.
    pub(super) fn bytes(content_type: &str, events: Vec<Bytes>) -> Self {
        Self::new(200, content_type, Kind::Bytes, events, None)
    }

    /// Puts one body in place of the events, keeping status, content type and framing.
    pub(super) fn set_body(&mut self, body: impl Into<Bytes>) {
        let body = body.into();
        self.length = self.length.map(|_| body.len());
        self.events = vec![body];
    }

    /// As [`set_body`](Self::set_body), cut where events end if this is a stream.
    pub(super) fn set_recorded(&mut self, body: &str) {
        self.set_body(body.to_owned());
        let ends: &[&str] = match self.kind {
            Kind::Whole | Kind::Bytes => return,
            Kind::Events => &["\n\n", "\r\n\r\n"],
            Kind::Lines => &["\n"],
        };
        self.events.clear();
        let mut rest = body;
        while !rest.is_empty() {
            let end = ends
                .iter()
                .filter_map(|end| rest.find(end).map(|at| at + end.len()))
                .min();
            let (event, after) = rest.split_at(end.unwrap_or(rest.len()));
            self.events.push(Bytes::copy_from_slice(event.as_bytes()));
            rest = after;
        }
    }

    /// Sets a header in place of any other of its name.
    pub(super) fn set_header(&mut self, name: &str, value: &str) {
        self.headers
            .retain(|(key, _)| !key.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// What the script says of any reply, whatever is in it.
    pub(super) fn dress(&mut self, script: &Script) {
        if self.kind == Kind::Events && !self.silent {
            let pings = std::iter::repeat_n(Bytes::from_static(b": ping\n\n"), script.comments);
            self.events.splice(0..0, pings);
        }
        if script.crlf && matches!(self.kind, Kind::Events | Kind::Lines) {
            for event in &mut self.events {
                *event = String::from_utf8_lossy(event).replace('\n', "\r\n").into();
            }
        }
        for (name, value) in &script.headers {
            self.set_header(name, value);
            if name.eq_ignore_ascii_case("connection") && value.eq_ignore_ascii_case("close") {
                self.close_after();
            }
        }
    }

    /// Closes the connection once the reply is complete.
    pub(super) fn close_after(&mut self) {
        if self.ending == Ending::Complete {
            self.ending = Ending::CompleteThenClose;
        }
    }

    /// Leaves the body out, as for HEAD; its length is still told.
    pub(super) fn drop_body(&mut self) {
        self.events.clear();
        if self.length.is_none() {
            self.length = Some(0);
        }
    }

    /// The head, interim heads before it.
    pub(super) fn head(&self) -> Vec<u8> {
        let reason = http::StatusCode::from_u16(self.status)
            .ok()
            .and_then(|status| status.canonical_reason());
        let mut head = format!(
            "{}HTTP/1.1 {} {}\r\n",
            self.interim,
            self.status,
            reason.unwrap_or("Unknown")
        );
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        match self.length {
            _ if self.has_no_body() => {}
            Some(length) => head.extend(["content-length: ", &length.to_string(), "\r\n"]),
            None => head.push_str("transfer-encoding: chunked\r\n"),
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// Whether the status forbids a body (RFC 9112, 6.3).
    pub(super) fn has_no_body(&self) -> bool {
        matches!(self.status, 100..=199 | 204 | 304)
    }
}
