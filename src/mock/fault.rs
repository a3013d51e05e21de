//! Doing to a good reply what a fault asks for.

use bytes::Bytes;

use super::gzip;
use super::reply::{Ending, Kind, Reply};
use super::script::Fault;
use super::shape::Shape;

const GARBAGE: &[u8] = b"\x00\xff\xfe<<this is not JSON>>\n\n";
const HTML: &str = "<!doctype html><html><body><h1>It works!</h1></body></html>";

/// Makes `reply` faulty. `at` is the number of events that go out before the fault.
///
/// The faults that leave out an event of a known meaning ([`Fault::NoFinish`], [`Fault::NoDone`]) are
/// the shapes' to commit; they pass through here untouched.
pub(super) fn commit(fault: Fault, at: Option<usize>, shape: Shape, reply: &mut Reply) {
    match fault {
        Fault::ResetBeforeHead => silence(reply, Ending::Reset),
        Fault::CloseBeforeHead => silence(reply, Ending::Close),
        Fault::StallBeforeHead => silence(reply, Ending::Stall),
        Fault::StallMidStream => cut(reply, at, Ending::Stall),
        Fault::ResetMidStream => cut(reply, at, Ending::Reset),
        Fault::CloseMidStream => cut(reply, at, Ending::Close),
        Fault::RoleOnlyThenStall => cut(reply, at.or(Some(1)), Ending::Stall),
        Fault::CutMidStream => {
            cut(reply, at, Ending::Complete);
            reply.length = reply.length.map(|_| total(&reply.events));
        }
        Fault::HalfEvent => halve(reply, at),
        Fault::Garbage => reply.set_body(GARBAGE),
        Fault::BadSse => break_event(reply, at),
        Fault::ErrorEvent | Fault::ErrorLine => end_in_error(reply, at, shape),
        Fault::WrongLengthLong => lie_about_length(reply, |length| length + 100),
        Fault::WrongLengthShort => lie_about_length(reply, |length| length / 2),
        Fault::Compressed => {
            let body = reply.events.concat();
            reply.set_body(gzip::compress(&body));
            reply.set_header("content-encoding", "gzip");
        }
        Fault::Redirect => {
            *reply = Reply::whole(302, "text/plain", "moved");
            reply.set_header("location", "/v1/redirected");
        }
        Fault::EarlyHints => {
            reply.interim = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n";
        }
        Fault::Continue100 => reply.interim = "HTTP/1.1 100 Continue\r\n\r\n",
        Fault::HugeHeaders => {
            let filler = "h".repeat(1024);
            reply
                .headers
                .extend((0..1024).map(|n| (format!("x-huge-{n}"), filler.clone())));
        }
        Fault::Html200 => *reply = Reply::whole(200, "text/html; charset=utf-8", HTML),
        Fault::NoFinish | Fault::NoDone => {}
    }
}

fn silence(reply: &mut Reply, ending: Ending) {
    reply.silent = true;
    reply.events.clear();
    reply.ending = ending;
}

fn total(events: &[Bytes]) -> usize {
    events.iter().map(Bytes::len).sum()
}

/// Splits a whole body in two, so that there is a middle to fail in, and tells how many events remain.
fn place(reply: &mut Reply, at: Option<usize>) -> usize {
    if let [body] = reply.events.as_mut_slice() {
        let rest = body.split_off(body.len() / 2);
        reply.events.push(rest);
    }
    at.unwrap_or(reply.events.len() / 2).min(reply.events.len())
}

/// Keeps the first `at` events. What `content-length` says stays as it was.
fn cut(reply: &mut Reply, at: Option<usize>, ending: Ending) {
    let at = place(reply, at);
    reply.events.truncate(at);
    reply.ending = ending;
}

fn halve(reply: &mut Reply, at: Option<usize>) {
    let at = place(reply, at);
    reply.events.truncate(at + 1);
    if let Some(event) = reply.events.get_mut(at) {
        event.truncate(event.len() / 2);
    }
    reply.length = reply.length.map(|_| total(&reply.events));
}

fn break_event(reply: &mut Reply, at: Option<usize>) {
    let at = place(reply, at);
    let broken: &'static [u8] = match reply.kind {
        Kind::Events => b"data: {\"choices\":[{\"delta\":\n\n",
        _ => b"{\"message\":{\"content\":\n",
    };
    if let Some(event) = reply.events.get_mut(at) {
        *event = Bytes::from_static(broken);
    }
    reply.length = reply.length.map(|_| total(&reply.events));
}

fn end_in_error(reply: &mut Reply, at: Option<usize>, shape: Shape) {
    let error = shape.error(500, "The scripted error of the mock.");
    let event = match reply.kind {
        Kind::Events => format!("data: {error}\n\n"),
        Kind::Lines => format!("{error}\n"),
        Kind::Whole | Kind::Bytes => return reply.set_body(error.to_string()),
    };
    reply.events.truncate(at.unwrap_or(0));
    reply.events.push(event.into());
}

fn lie_about_length(reply: &mut Reply, lie: fn(usize) -> usize) {
    reply.length = Some(lie(total(&reply.events)));
    reply.ending = Ending::Close;
}
