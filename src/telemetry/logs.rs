//! Where log lines go: standard error, for people on a terminal, as JSON otherwise.

use std::io::IsTerminal;

use tracing_subscriber::{
    EnvFilter, Layer, Registry, layer::SubscriberExt, util::SubscriberInitExt,
};

use super::json_lines::JsonLines;
use crate::config::{Log, log::Format};

/// Starts logging; the error names the filter that cannot be read.
pub fn init(log: &Log) -> Result<(), String> {
    let filter = EnvFilter::try_new(&log.level).map_err(|error| format!("log.level: {error}"))?;
    let is_terminal = std::io::stderr().is_terminal();
    let pretty = match log.format {
        Format::Pretty => true,
        Format::Json => false,
        Format::Auto => is_terminal,
    };
    let lines: Box<dyn Layer<Registry> + Send + Sync> = if pretty {
        let mut lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
        if !is_terminal {
            lines.set_ansi(false);
        }
        Box::new(lines.compact().with_filter(filter))
    } else {
        Box::new(JsonLines.with_filter(filter))
    };
    tracing_subscriber::registry()
        .with(lines)
        .try_init()
        .map_err(|error| error.to_string())
}
