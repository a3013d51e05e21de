//! `millgate ask`

mod answer;

use std::{
    io::{self, IsTerminal, Read},
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::{ConfigFile, fail};
use crate::{
    config,
    routing::{
        pool::UpstreamReply,
        transport::{Base, Options, SendError, Transport},
        upload::UpstreamBody,
    },
    runtime::gateway::process_environment,
};

/// Options of `ask`.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    /// The prompt; read from standard input where it is left out
    #[arg(value_name = "PROMPT")]
    prompt: Vec<String>,
    /// The model to ask for
    #[arg(short, long, default_value = "any")]
    model: String,
    /// The gateway's base URL [default: where the config's server listens]
    #[arg(short, long, value_name = "URL")]
    url: Option<String>,
    /// The key to send as `Authorization: Bearer …`
    #[arg(
        short,
        long,
        env = "OPENAI_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    key: Option<String>,
    /// Print every event of the answer as a line of JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

/// What a shell gives a command that Ctrl-C has ended.
const INTERRUPTED: u8 = 130;

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let prompt = match prompt(&arguments.prompt) {
        Ok(prompt) => prompt,
        Err(error) => return fail(error),
    };
    let url = arguments.url.clone().unwrap_or_else(|| {
        let loaded = config::load(&arguments.file.config, &process_environment);
        format!("http://{}", reachable(loaded.config.server.listen.0))
    });
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(error),
    };
    let asked = runtime.block_on(async {
        tokio::select! {
            asked = ask(arguments, &url, &prompt) => Some(asked),
            _ = tokio::signal::ctrl_c() => None,
        }
    });
    match asked {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => fail(error),
        None => {
            eprintln!();
            ExitCode::from(INTERRUPTED)
        }
    }
}

fn prompt(words: &[String]) -> Result<String, &'static str> {
    let mut prompt = words.join(" ");
    if words.is_empty() {
        if io::stdin().is_terminal() {
            eprintln!("Type the prompt, then Ctrl-D:");
        }
        io::stdin()
            .read_to_string(&mut prompt)
            .map_err(|_| "the prompt is not UTF-8 text")?;
    }
    match prompt.trim() {
        "" => Err("there is no prompt: millgate ask \"…\""),
        trimmed => Ok(trimmed.to_owned()),
    }
}

/// The address at which to reach a listener: one on all addresses is also on loopback.
pub(super) fn reachable(mut listener: SocketAddr) -> SocketAddr {
    if listener.ip().is_unspecified() {
        listener.set_ip(match listener {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    listener
}

async fn ask(arguments: &Arguments, url: &str, prompt: &str) -> Result<(), String> {
    let base = Base::parse(url, "/v1").map_err(|error| format!("{url}: {error}"))?;
    let options = Options {
        connect_timeout: Duration::from_secs(5),
        pool_idle_timeout: Duration::from_secs(5),
        pool_max_idle: 1,
        proxy: None,
        ca_file: None,
    };
    let transport = Transport::new(base, options)?;
    let headers = headers(arguments.key.as_deref())?;
    let body = json!({
        "model": arguments.model,
        "stream": true,
        "messages": [{ "role": "user", "content": prompt }],
    });
    let body = UpstreamBody::Full(Some(Bytes::from(body.to_string())));
    let response = transport
        .send(Method::POST, "/chat/completions", None, headers, body)
        .await
        .map_err(|error| unsent(url, error))?;
    if !response.status().is_success() {
        return Err(explain(response).await);
    }
    let content_type = response.headers().get(header::CONTENT_TYPE);
    if !content_type.is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream")) {
        return Err(format!(
            "{url} answers, but not with a stream of events\n  does a gateway listen there?"
        ));
    }
    answer::print(response.into_body(), arguments.json).await
}

fn headers(key: Option<&str>) -> Result<HeaderMap, &'static str> {
    let mut headers = HeaderMap::new();
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, json);
    if let Some(key) = key.filter(|key| !key.is_empty()) {
        let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_| "the key holds a character that no header may")?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    Ok(headers)
}

/// Why there is no reply, and what to do about it.
fn unsent(url: &str, error: SendError) -> String {
    match error {
        SendError::Connect(detail) => format!(
            "no gateway can be reached at {url}: {detail}\n  start one with `millgate serve`, or say with --url where it is"
        ),
        SendError::StaleConnection(detail) | SendError::Broken(detail) => {
            format!("{url} does not answer as a gateway does: {detail}")
        }
        SendError::Unsendable(detail) => detail,
    }
}

/// An error reply in its own words.
async fn explain(response: Response<UpstreamReply>) -> String {
    let status = response.status();
    let body = response
        .into_body()
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let document: Value = serde_json::from_slice(&body).unwrap_or_default();
    match document["error"]["message"].as_str() {
        Some(message) => format!("{status}: {message}"),
        None => format!("{status}\n  does a gateway listen there?"),
    }
}
