//! Where log lines go: standard error, for people on a terminal, as JSON otherwise.

use std::{borrow::Cow, fmt, io::IsTerminal, panic::PanicHookInfo};

use tracing::field::Field;
use tracing_subscriber::{
    Layer, Registry,
    field::MakeExt,
    filter::Targets,
    fmt::format::{Writer, debug_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use super::{
    filter::{clean, is_typed},
    json_lines::JsonLines,
    writer::{self, Writing},
};
use crate::config::{Log, log::Format};

/// The target of the gateway's own events.
const OWN: &str = env!("CARGO_PKG_NAME");

/// Starts logging, which goes on until what is returned is dropped; the error names the filter that cannot be read.
pub fn init(log: &Log) -> Result<Option<Writing>, String> {
    let filter: Targets = (log.level.parse()).map_err(|error| format!("log.level: {error}"))?;
    let is_terminal = std::io::stderr().is_terminal();
    let pretty = match log.format {
        Format::Pretty => true,
        Format::Json => false,
        Format::Auto => is_terminal,
    };
    let (lines, writing): (Box<dyn Layer<Registry> + Send + Sync>, _) = if pretty {
        let mut lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .fmt_fields(debug_fn(write_field).delimited(" "));
        if !is_terminal {
            lines.set_ansi(false);
        }
        (Box::new(lines.compact().with_filter(filter)), None)
    } else {
        let (lines, writing) = writer::start(std::io::stderr())
            .map_err(|error| format!("cannot start the thread that writes the log: {error}"))?;
        (
            Box::new(JsonLines(lines).with_filter(filter)),
            Some(writing),
        )
    };
    tracing_subscriber::registry()
        .with(lines)
        .try_init()
        .map_err(|error| error.to_string())?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(writing)
}

/// A field of an event for people: the message as it is, anything else with its name.
fn write_field(to: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let text = format!("{value:?}");
    // Whose event it is, is not known here: the name alone decides.
    let text = if is_typed(OWN, field.name()) {
        text.into()
    } else {
        clean(&text)
    };
    let text = on_one_line(&text);
    match field.name() {
        "message" => to.write_str(&text),
        name => write!(to, "{name}={text}"),
    }
}

/// A text of one line that leaves the terminal alone: what an upstream or a plugin says looks like no line of the log's own.
fn on_one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let mut line = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if char.is_control() {
            line.extend(char.escape_default());
        } else {
            line.push(char);
        }
    }
    line.into()
}

/// What a panic says may be what a client said, so that it goes the way of all logs.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let message = panic.payload_as_str().unwrap_or("no message");
    tracing::error!(place, panic = message, "panicked");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_and_does_nothing_to_the_terminal() {
        let forged = "late\r\n2026-11-22T00:00:00Z  INFO all is well \u{1b}[31m\u{9b}2J";
        assert_eq!(
            on_one_line(forged),
            r"late\r\n2026-11-22T00:00:00Z  INFO all is well \u{1b}[31m\u{9b}2J"
        );
        assert_eq!(on_one_line("여보세요, déjà vu"), "여보세요, déjà vu");
    }
}
