//! Log events as JSON, one line each: `{"timestamp":…,"level":…,FIELDS,"target":…}`.
//!
//! Every exchange writes a line, so this is on the hot path: an event is written into a buffer that its thread
//! keeps, without any step in between, and left with the thread that writes.

use std::{cell::RefCell, fmt, io::Write, time::SystemTime};

use smallvec::SmallVec;
use tracing::{
    Event, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{Layer, layer::Context};

use super::{
    filter::{clean, is_typed},
    writer::Lines,
};
use crate::{calendar::timestamp, http::json::write_string};

/// Writes events as lines.
pub struct JsonLines(pub Lines);

/// What a field shows itself as: an address, an id.
type SmallText = SmallVec<[u8; 64]>;

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// A buffer larger than this is given back after its line.
const KEPT: usize = 16 << 10;

impl<S: Subscriber> Layer<S> for JsonLines {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        BUFFER.with_borrow_mut(|line| {
            line.clear();
            write_line(line, event, SystemTime::now());
            self.0.leave(line);
            if line.capacity() > KEPT {
                *line = Vec::new();
            }
        });
    }
}

fn write_line(line: &mut Vec<u8>, event: &Event<'_>, now: SystemTime) {
    line.extend_from_slice(b"{\"timestamp\":\"");
    write_time(line, now);
    line.extend_from_slice(b"\",\"level\":\"");
    line.extend_from_slice(event.metadata().level().as_str().as_bytes());
    line.push(b'"');
    event.record(&mut Fields {
        line,
        target: event.metadata().target(),
    });
    line.extend_from_slice(b",\"target\":");
    write_string(line, event.metadata().target());
    line.extend_from_slice(b"}\n");
}

/// RFC 3339 in UTC with microseconds: `2026-11-22T14:14:39.266418Z`.
fn write_time(line: &mut Vec<u8>, time: SystemTime) {
    thread_local! {
        /// The second last written, up to its point.
        static SECOND: RefCell<(u64, String)> = const { RefCell::new((u64::MAX, String::new())) };
    }
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != since.as_secs() {
            *second = since.as_secs();
            *text = timestamp(since.as_secs()) + ".";
        }
        line.extend_from_slice(text.as_bytes());
    });
    let mut digits = *b"000000Z";
    let mut micros = since.subsec_micros();
    for digit in digits[..6].iter_mut().rev() {
        *digit = b'0' + (micros % 10) as u8;
        micros /= 10;
    }
    line.extend_from_slice(&digits);
}

/// Writes `,"name":value` for each field. Free text goes through the filter.
struct Fields<'a> {
    line: &'a mut Vec<u8>,
    target: &'static str,
}

impl Fields<'_> {
    fn text(&mut self, field: &Field, text: &str) {
        self.name(field);
        if is_typed(self.target, field.name()) {
            write_string(self.line, text);
        } else {
            write_string(self.line, &clean(text));
        }
    }

    fn name(&mut self, field: &Field) {
        self.line.push(b',');
        write_string(self.line, field.name());
        self.line.push(b':');
    }

    fn number(&mut self, field: &Field, number: impl fmt::Display) {
        self.name(field);
        // Writing to memory does not fail.
        let _ = write!(self.line, "{number}");
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        if value.is_finite() {
            self.number(field, value);
        } else {
            self.name(field);
            self.line.extend_from_slice(b"null");
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.number(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = SmallText::new();
        // Writing to memory does not fail.
        let _ = write!(text, "{value:?}");
        self.text(field, &String::from_utf8_lossy(&text));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Mutex},
        time::Duration,
    };

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// Collects lines instead of writing them.
    #[derive(Clone, Default)]
    struct Collected(Arc<Mutex<Vec<u8>>>);

    impl<S: Subscriber> Layer<S> for Collected {
        fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_micros(1_795_356_879_000_042);
            write_line(&mut self.0.lock().unwrap(), event, time);
        }
    }

    #[test]
    fn an_event_is_one_line_of_json_in_the_order_of_its_fields() {
        let collected = Collected::default();
        tracing::subscriber::with_default(
            tracing_subscriber::registry().with(collected.clone()),
            || {
                tracing::warn!(target: "t", text = "안녕 \"you\"\n", whole = 3, part = 0.5, nan = f64::NAN, yes = true,
                absent = Option::<&str>::None, shown = %"%", debugged = ?Some(1), "done");
            },
        );
        let line = String::from_utf8(collected.0.lock().unwrap().clone()).unwrap();
        assert_eq!(
            line,
            "{\"timestamp\":\"2026-11-22T14:14:39.000042Z\",\"level\":\"WARN\",\"message\":\"done\",\"text\":\"안녕 \\\"you\\\"\\n\",\"whole\":3,\"part\":0.5,\"nan\":null,\"yes\":true,\"shown\":\"%\",\"debugged\":\"Some(1)\",\"target\":\"t\"}\n"
        );
    }
}
