//! The filter of the logs: the secrets of the config, and the redactor of the stage `redact`.

use millgate_plugin::Stage;
use tracing::Level;
use tracing_subscriber::filter::Targets;

use super::Runtime;
use crate::{
    config::{self, Loaded, Severity, secret::secrets, tree::Value},
    redact::Redactor,
    stages::redact::{CAPTURE, Config, Redact},
    telemetry::filter::Filter,
};

/// Keys that every other stage has.
const REFUSED: &[(&str, &str)] = &[
    (
        "when",
        "one filter serves the whole process, whatever the request",
    ),
    (
        "mode",
        "redaction refuses nothing that could be let through",
    ),
    (
        "on_error",
        "a log line that cannot be redacted is never written as it is",
    ),
];

/// The filter. What is wrong with the stage's own keys is told where the pipeline is compiled.
pub(super) fn compile(loaded: &Loaded, previous: Option<&Runtime>) -> Filter {
    let mut stages = of_pipeline(loaded);
    let first = stages.next();
    for name in first.into_iter().chain(of_pipeline(loaded)) {
        for (key, why) in REFUSED {
            if loaded.tree.at(&["stages", name, key]).is_some() {
                let message = format!("`{key}` means nothing to `redact`: {why}");
                loaded.report_key(
                    &["stages", name, key],
                    Severity::Error,
                    message,
                    Some("take it out".to_owned()),
                );
            }
        }
    }
    if let (Some(first), Some(second)) = (first, stages.next()) {
        let message = format!("`{first}` redacts already, and one filter serves the whole process");
        let help = Some("put all of it into one table".to_owned());
        loaded.report_key(&["stages", second], Severity::Error, message, help);
    }
    if let Some(name) = first {
        unheard(loaded, name);
    }
    let redactor = first.and_then(|name| redactor(loaded, name));
    Filter::new(
        secrets(&loaded.tree),
        redactor,
        previous.map(|previous| &*previous.filter),
    )
}

/// What is captured is logged at a level that may be turned off, and goes into spans where there are any.
fn unheard(loaded: &Loaded, name: &str) {
    let place = ["stages", name, "capture"];
    let is_on = matches!(loaded.tree.at(&place).map(|node| &node.value), Some(Value::String(text)) if text.text == "redacted");
    let level = loaded.config.log.level.parse();
    let is_heard = level.is_ok_and(|level: Targets| level.would_enable(CAPTURE, &Level::DEBUG));
    let traces = &loaded.config.traces;
    let is_traced = traces.enabled && traces.endpoint.is_some();
    if is_on && !is_heard && !is_traced {
        let message =
            "what is captured has the level debug, which `log.level` does not let through";
        let help = format!(
            "set log.level = \"{},{CAPTURE}=debug\", or send it to a collector with [traces]",
            loaded.config.log.level
        );
        loaded.report(&place, Severity::Warning, message, Some(help));
    }
}

/// The redactor of the stage of that kind which stands in the pipeline, else of any.
#[must_use]
pub fn configured(loaded: &Loaded) -> Option<Redactor> {
    let any = || {
        loaded
            .config
            .stages
            .names()
            .find(|name| is_redact(loaded, name))
    };
    let name = of_pipeline(loaded).next().or_else(any)?;
    redactor(loaded, name)
}

fn redactor(loaded: &Loaded, name: &str) -> Option<Redactor> {
    let (_, own) = loaded
        .section(&["stages", name])?
        .split(config::stage::KEYS);
    match own.read::<Config>()?.redactor() {
        Ok(redactor) => Some(redactor),
        Err(error) => {
            own.report(&error.path, error.message);
            None
        }
    }
}

fn of_pipeline(loaded: &Loaded) -> impl Iterator<Item = &str> {
    let names = loaded.config.pipeline.iter().map(String::as_str);
    names.filter(|name| is_redact(loaded, name))
}

fn is_redact(loaded: &Loaded, name: &str) -> bool {
    let kind = |stage: &config::Stage| stage.kind.as_deref().unwrap_or(name) == Redact::KIND;
    loaded.config.stages.get(name).is_some_and(kind)
}
