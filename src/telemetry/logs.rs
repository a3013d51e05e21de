//! Where log lines go: standard error, for people on a terminal, as JSON otherwise.

use std::{fmt, io::IsTerminal, panic::PanicHookInfo};

use tracing::field::Field;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    field::MakeExt,
    fmt::format::{Writer, debug_fn},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use super::{
    filter::{clean, is_typed},
    json_lines::JsonLines,
};
use crate::config::{Log, log::Format};

/// The target of the gateway's own events.
const OWN: &str = env!("CARGO_PKG_NAME");

/// Starts logging; the error names the filter that cannot be read.
pub fn init(log: &Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(&log.level).map_err(|error| format!("log.level: {error}"))?;
    let pretty = match log.format {
        Format::Pretty => true,
        Format::Json => false,
        Format::Auto => std::io::stderr().is_terminal(),
    };
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if pretty {
        let lines = tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .fmt_fields(debug_fn(write_field).delimited(" "));
        Box::new(lines.compact().with_filter(filter))
    } else {
        Box::new(JsonLines.with_filter(filter))
    };
    tracing_subscriber::registry()
        .with(lines)
        .try_init()
        .map_err(|error| error.to_string())?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(())
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
    match field.name() {
        "message" => to.write_str(&text),
        name => write!(to, "{name}={text}"),
    }
}

/// What a panic says may be what a client said, so that it goes the way of all logs.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    let message = panic.payload_as_str().unwrap_or("no message");
    tracing::error!(place, panic = message, "panicked");
}
