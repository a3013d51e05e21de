//! `millgate cache`

use std::{fmt::Write as _, process::ExitCode, time::Duration};

use clap::{Args, Subcommand};
use millgate_plugin::{HttpAnswer, HttpCall};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::{ConfigFile, ask::reachable, fail, print};
use crate::{
    config,
    runtime::{gateway::process_environment, host::Process},
};

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

/// Which gateway is meant.
#[derive(Args)]
struct Gateway {
    /// Base URL of the gateway's listener for operators [default: where the config's admin listens]
    #[arg(short, long, value_name = "URL")]
    url: Option<String>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
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

impl Gateway {
    fn tell(&self, answer: &Value, text: &str) -> String {
        if self.json {
            format!("{answer}\n")
        } else {
            text.to_owned()
        }
    }

    fn call(&self, method: &'static str, path: &str, body: Option<Value>) -> Result<Value, String> {
        let base = self.url.clone().unwrap_or_else(|| {
            let loaded = config::load(&self.file.config, &process_environment);
            format!("http://{}", reachable(loaded.config.admin.listen.0))
        });
        let base = base.trim_end_matches('/');
        let call = HttpCall {
            method,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.map(|body| body.to_string().into()).unwrap_or_default(),
            timeout: Duration::from_secs(30),
            ..HttpCall::get(format!("{base}{path}"))
        };
        let answer = fetch(call).map_err(|error| {
            format!("no gateway can be reached at {base}: {error}\n  start one with `millgate serve`, or say with --url where operators reach it")
        })?;
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        if answer.status == 200 && document.is_object() {
            return Ok(document);
        }
        Err(match document["error"]["message"].as_str() {
            Some(message) => message.to_owned(),
            None => format!("{base} does not answer as a gateway's listener for operators does"),
        })
    }
}

fn fetch(call: HttpCall) -> Result<HttpAnswer, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let (done, answer) = oneshot::channel();
        Process::default().host.call(call, move |answer| {
            // Nobody else waits for it.
            let _ = done.send(answer);
        });
        match answer.await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the call was given up".to_owned()),
        }
    })
}
