//! Where log lines go: standard error, for people on a terminal, as JSON otherwise.

use std::io::IsTerminal;

use tracing_subscriber::{
    EnvFilter, Layer, Registry, layer::SubscriberExt, util::SubscriberInitExt,
};

use super::{
    json_lines::JsonLines,
    writer::{self, Writing},
};
use crate::config::{Log, log::Format};

/// Starts logging, which goes on until what is returned is dropped; the error names the filter that cannot be read.
pub fn init(log: &Log) -> Result<Option<Writing>, String> {
    let filter = EnvFilter::try_new(&log.level).map_err(|error| format!("log.level: {error}"))?;
    let is_terminal = std::io::stderr().is_terminal();
    let pretty = match log.format {
        Format::Pretty => true,
        Format::Json => false,
        Format::Auto => is_terminal,
    };
    let (lines, writing): (Box<dyn Layer<Registry> + Send + Sync>, _) = if pretty {
        let mut lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
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
    Ok(writing)
}
