//! The child: it loads the plugin and runs it, and says each time before what it does.

use std::{
    io::{self, Write},
    path::Path,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
};

use millgate_plugin::{CallError, testing::FakeHost};
use serde_json::{Map, Value};

use super::{Arguments, drive::Blame, provider::check_provider, report::Line, stage::check_stage};
use crate::{
    cli::{fail, wants_color},
    config::{
        Findings, Section,
        finding::{Place, Renderer, Source},
        tree::{self, Node},
    },
    plugin::{
        host,
        image::{Image, Images},
        open,
    },
};

/// Says a line to the parent. Where nobody listens any more, nobody misses it.
pub(super) fn say(line: &Line) {
    let Ok(text) = serde_json::to_string(line) else {
        return;
    };
    // The plugin may have left a line of its own half written.
    let _ = writeln!(io::stdout(), "\n{text}");
}

pub(super) fn doing(what: impl Into<String>) {
    say(&Line::Doing(what.into()));
}

pub(super) fn fact(name: &str, value: impl Into<String>) {
    say(&Line::Fact(name.to_owned(), value.into()));
}

pub(super) fn fault(what: impl Into<String>) {
    say(&Line::Fault(what.into()));
}

/// Runs the hidden command.
pub(in crate::cli::plugin) fn run(arguments: &Arguments) -> ExitCode {
    tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(wants_color(&io::stderr()))
        .without_time()
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return fail(error),
    };
    let _inside = runtime.enter();
    host::serve(&lonely().host());
    doing("loading it");
    match load(&arguments.file) {
        Ok(image) => check(image, arguments),
        Err(message) => fault(message),
    }
    say(&Line::Done);
    ExitCode::SUCCESS
}

/// A host that makes no calls, so that what is run here bothers nobody.
pub(super) fn lonely() -> FakeHost {
    FakeHost::new()
        .answering(|_| Err(CallError("nobody is asked in a check".to_owned())))
        .later()
}

fn load(file: &Path) -> Result<&'static Image, String> {
    let path = open::absolute(Path::new(""), file).map_err(|error| error.to_string())?;
    Images::default().load(&path, None).map_err(|refused| {
        let help = refused.help.map(|help| format!("; {help}"));
        refused.message + &help.unwrap_or_default()
    })
}

fn check(image: &'static Image, arguments: &Arguments) {
    let facts = [
        ("name", image.name.to_owned()),
        ("version", image.version.to_owned()),
        ("written with", image.sdk.to_owned()),
        ("interface", format!("1.{}", image.minor)),
        ("file", image.path.display().to_string()),
        ("to pin", format!("sha256 = \"{}\"", image.sha256)),
    ];
    let facts = facts.map(|(name, value)| (name.to_owned(), value));
    say(&Line::Plugin(facts.into()));
    let is_wanted = |kind: &str| {
        let own = kind.split_once('/').map_or(kind, |(_, own)| own);
        let wanted = arguments.kind.as_deref();
        wanted.is_none_or(|wanted| wanted == own || wanted == kind)
    };
    let table = Table::new(arguments.config.as_ref());
    let mut schemas = image.schemas.iter();
    let mut is_any = false;
    for kind in &image.stages {
        let schema = schemas.next().and_then(Option::as_deref);
        if is_wanted(kind.kind) {
            is_any = true;
            say(&Line::Kind(format!("stage {}", kind.kind)));
            fact("table", shape(schema));
            let blame = Blame::new(image.plugin);
            if check_stage(kind, &table) {
                blame.tell(kind.kind);
            }
        }
    }
    for kind in &image.providers {
        let schema = schemas.next().and_then(Option::as_deref);
        if is_wanted(kind.kind) {
            is_any = true;
            say(&Line::Kind(format!("provider {}", kind.kind)));
            fact("table", shape(schema));
            let blame = Blame::new(image.plugin);
            if check_provider(kind, &table) {
                blame.tell(kind.kind);
            }
        }
    }
    if let (false, Some(wanted)) = (is_any, &arguments.kind) {
        fault(format!(
            "it has no kind of stage or provider called `{wanted}`"
        ));
    }
    if image.plugin.blocked.load(Ordering::Relaxed) > 0 {
        fault("a hook did not come back for a second: hooks must not block, but wait");
    }
}

/// The table that stages and providers are made from.
pub(super) struct Table {
    node: Node,
    is_given: bool,
}

impl Table {
    fn new(given: Option<&Map<String, Value>>) -> Self {
        let entries = given.into_iter().flatten();
        let lines = entries
            .filter(|(_, value)| !value.is_null())
            .map(|(key, value)| format!("{} = {}", Value::from(key.as_str()), toml(value)));
        let text = lines.collect::<Vec<_>>().join("\n");
        let source = Arc::new(Source {
            name: "--config".to_owned(),
            text,
            shown: true,
        });
        let findings = Findings::default();
        let node = tree::parse(&source, &findings).unwrap_or_else(|| Node {
            value: tree::Value::Table(tree::Table::default()),
            place: Place { source, span: 0..0 },
        });
        Self {
            node,
            is_given: given.is_some(),
        }
    }

    /// What is made of it; `None` after telling why not.
    pub(super) fn make<T>(&self, make: impl FnOnce(&Section<'_>) -> Option<T>) -> Option<T> {
        let findings = Findings::default();
        let value = make(&Section::new(&self.node, &findings));
        if value.is_some() {
            return value;
        }
        let findings = findings.sorted();
        if self.is_given {
            let told = Renderer::plain().render_all(&findings);
            fault(format!("it refuses the table:\n{told}"));
        } else {
            let told: Vec<_> = findings.iter().map(|finding| &*finding.message).collect();
            let told = told.join("; ");
            fact("not run", format!("give it a table with --config: {told}"));
        }
        None
    }
}

/// A JSON value as TOML has it on one line. Strings are the same in both, as they are written here.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(elements) => {
            let elements: Vec<_> = elements.iter().map(toml).collect();
            format!("[{}]", elements.join(", "))
        }
        Value::Object(members) => {
            let member =
                |(key, value): (&String, _)| format!("{} = {}", Value::from(&**key), toml(value));
            let members = members.iter().filter(|(_, value)| !value.is_null());
            let members: Vec<_> = members.map(member).collect();
            format!("{{{}}}", members.join(", "))
        }
        other => other.to_string(),
    }
}

/// The keys that a schema names, in short.
fn shape(schema: Option<&str>) -> String {
    let Some(schema) = schema else {
        return "no schema: the plugin alone judges it".to_owned();
    };
    let schema: Value = serde_json::from_str(schema).unwrap_or_default();
    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let key = |(name, _): (&String, &Value)| {
        let is_required = required.iter().any(|required| required == name);
        format!("{name}{}", if is_required { " (required)" } else { "" })
    };
    let keys: Vec<_> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(key)
        .collect();
    if keys.is_empty() {
        "no keys".to_owned()
    } else {
        keys.join(", ")
    }
}
