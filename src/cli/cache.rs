//! `millgate cache`

use std::{fmt::Write as _, process::ExitCode};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{fail, operators::Gateway, print};

/// Options of `cache`.
#[derive(Args)]
#[group(skip)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print how much is kept, and how often it was of use
    Stats(Gateway),
    /// Forget answers; what is under way is not shared any more
    Purge {
        #[command(flatten)]
        what: What,
        #[command(flatten)]
        gateway: Gateway,
    },
}

/// What to forget.
#[derive(Args)]
#[group(required = true, multiple = false)]
struct What {
    /// Everything
    #[arg(long)]
    all: bool,
    /// The answer with this key, or one that begins so; see `cache_key` in the access log
    #[arg(long, value_name = "KEY")]
    key: Option<String>,
    /// Answers of a model, by the name that was asked for or the one that answered
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// What a caller was answered, by its id or its address
    #[arg(long, value_name = "CALLER")]
    caller: Option<String>,
    /// What was asked for with this mark in x-millgate-cache-tag, or by this team
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let told = match &arguments.command {
        Command::Stats(gateway) => gateway
            .call("GET", "/api/cache", None)
            .map(|stats| gateway.tell(&stats, &sentences(&stats))),
        Command::Purge { what, gateway } => gateway
            .call("POST", "/api/cache/purge", Some(what.to_json()))
            .map(|purged| gateway.tell(&purged, &format!("purged {}\n", purged["purged"]))),
    };
    match told {
        Ok(text) => print(&text),
        Err(error) => fail(error),
    }
}

/// One line for each number.
fn sentences(stats: &Value) -> String {
    let mut lines = String::new();
    for (name, number) in stats.as_object().into_iter().flatten() {
        // Writing to a string does not fail.
        let _ = writeln!(lines, "{name:<10} {number}");
    }
    lines
}

impl What {
    fn to_json(&self) -> Value {
        match self {
            Self { key: Some(key), .. } => json!({ "key": key }),
            Self {
                model: Some(model), ..
            } => json!({ "model": model }),
            Self {
                caller: Some(caller),
                ..
            } => json!({ "caller": caller }),
            Self { tag: Some(tag), .. } => json!({ "tag": tag }),
            _ => json!({ "all": true }),
        }
    }
}
