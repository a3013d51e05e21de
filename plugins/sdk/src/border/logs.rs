//! What a plugin logs, through `tracing`, `log` or a panic, goes to the gateway's log: a plugin's statics are its own.

use millgate_plugin_abi as abi;

use super::{host::table, slices::slice};

/// Writes a line to the gateway's log.
fn write(level: u32, target: &str, message: &str) {
    if let Some(log) = table().log {
        // SAFETY: the texts are borrowed for the call.
        unsafe {
            log(level, slice(target.as_bytes()), slice(message.as_bytes()));
        }
    }
}

#[cfg(any(feature = "log", feature = "tracing"))]
fn is_written(level: u32, target: &str) -> bool {
    // SAFETY: the text is borrowed for the call.
    let logs = table().logs;
    logs.is_none_or(|logs| unsafe { logs(level, slice(target.as_bytes())) != 0 })
}

/// Takes over from whatever would write to standard error.
pub(super) fn install() {
    std::panic::set_hook(Box::new(|panic| {
        write(abi::LEVEL_ERROR, "panic", &panic.to_string());
    }));
    #[cfg(feature = "tracing")]
    tracing::install();
    #[cfg(feature = "log")]
    log_crate::install();
}

#[cfg(feature = "log")]
mod log_crate {
    use log::{Level, LevelFilter, Log, Metadata, Record};
    use millgate_plugin_abi as abi;

    use super::{is_written, write};

    pub(super) fn install() {
        if log::set_logger(&Bridge).is_ok() {
            log::set_max_level(LevelFilter::Trace);
        }
    }

    struct Bridge;

    const fn number(level: Level) -> u32 {
        match level {
            Level::Error => abi::LEVEL_ERROR,
            Level::Warn => abi::LEVEL_WARN,
            Level::Info => abi::LEVEL_INFO,
            Level::Debug => abi::LEVEL_DEBUG,
            Level::Trace => abi::LEVEL_TRACE,
        }
    }

    impl Log for Bridge {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            is_written(number(metadata.level()), metadata.target())
        }

        fn log(&self, record: &Record<'_>) {
            if self.enabled(record.metadata()) {
                write(
                    number(record.level()),
                    record.target(),
                    &record.args().to_string(),
                );
            }
        }

        fn flush(&self) {}
    }
}

#[cfg(feature = "tracing")]
mod tracing {
    use std::fmt::{Debug, Write};

    use millgate_plugin_abi as abi;
    use tracing_core::{
        Event, Level, Metadata, Subscriber,
        dispatcher::{Dispatch, set_global_default},
        field::{Field, Visit},
        span,
        subscriber::Interest,
    };

    use super::{is_written, write};

    pub(super) fn install() {
        // Somebody in the plugin may have set one already, and wants it.
        let _ = set_global_default(Dispatch::new(Bridge));
    }

    /// Events go out, spans are nobody's.
    struct Bridge;

    fn number(level: Level) -> u32 {
        match level {
            Level::ERROR => abi::LEVEL_ERROR,
            Level::WARN => abi::LEVEL_WARN,
            Level::INFO => abi::LEVEL_INFO,
            Level::DEBUG => abi::LEVEL_DEBUG,
            _ => abi::LEVEL_TRACE,
        }
    }

    impl Subscriber for Bridge {
        fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
            // The gateway's filter may change while it runs, so that it is asked for every event.
            if metadata.is_event() {
                Interest::sometimes()
            } else {
                Interest::never()
            }
        }

        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            metadata.is_event() && is_written(number(*metadata.level()), metadata.target())
        }

        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }

        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

        fn event(&self, event: &Event<'_>) {
            let mut line = Line::default();
            event.record(&mut line);
            let metadata = event.metadata();
            write(number(*metadata.level()), metadata.target(), &line.text());
        }

        fn enter(&self, _: &span::Id) {}

        fn exit(&self, _: &span::Id) {}
    }

    /// `message name=value name=value`
    #[derive(Default)]
    struct Line {
        message: String,
        fields: String,
    }

    impl Line {
        fn text(mut self) -> String {
            self.message.push_str(&self.fields);
            self.message
        }
    }

    impl Visit for Line {
        fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
            // Writing to a string does not fail.
            let _ = if field.name() == "message" {
                write!(self.message, "{value:?}")
            } else {
                write!(self.fields, " {}={value:?}", field.name())
            };
        }
    }
}
