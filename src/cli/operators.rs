//! A running gateway, asked over its listener for operators.

use std::time::Duration;

use millgate_plugin::{HttpAnswer, HttpCall};
use serde_json::Value;
use tokio::sync::oneshot;

use super::{ConfigFile, ask::reachable};
use crate::{
    config,
    runtime::{gateway::process_environment, host::Process},
};

/// Which gateway is meant.
#[derive(clap::Args)]
pub(super) struct Gateway {
    /// Base URL of the gateway's listener for operators [default: where the config's admin listens]
    #[arg(short, long, value_name = "URL")]
    url: Option<String>,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

impl Gateway {
    /// What to print of an answer: the answer itself for a program, `text` for a person.
    pub(super) fn tell(&self, answer: &Value, text: &str) -> String {
        if self.json {
            format!("{answer}\n")
        } else {
            text.to_owned()
        }
    }

    /// What the gateway answers; the error says what to do.
    pub(super) fn call(
        &self,
        method: &'static str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, String> {
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
