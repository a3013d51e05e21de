//! `millgate ask`

use std::{
    io::{Read, Write},
    process::ExitCode,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{ConfigFile, fail};
use crate::{
    config,
    http::sse::{self, Splitter},
    routing::{
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
    prompt: Vec<String>,
    /// The model to ask for
    #[arg(short, long, default_value = "any")]
    model: String,
    /// The gateway's base URL [default: where the config's server listens]
    #[arg(short, long, value_name = "URL")]
    url: Option<String>,
    /// The caller's key
    #[arg(
        short,
        long,
        env = "OPENAI_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    key: Option<String>,
    /// Print each event as JSON, for programs
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    file: ConfigFile,
}

/// The largest event that is printed.
const MAX_EVENT: usize = 16 << 20;

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let mut prompt = arguments.prompt.join(" ");
    if prompt.is_empty() && std::io::stdin().read_to_string(&mut prompt).is_err() {
        return fail("the prompt is not UTF-8");
    }
    if prompt.trim().is_empty() {
        return fail("there is no prompt: millgate ask \"…\"");
    }
    let url = arguments.url.clone().unwrap_or_else(|| {
        let loaded = config::load(&arguments.file.config, &process_environment);
        format!("http://{}", loaded.config.server.listen.0)
    });
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(error),
    };
    match runtime.block_on(ask(arguments, &url, prompt.trim())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
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
    let mut headers = HeaderMap::new();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    if let Some(key) = &arguments.key {
        let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_| "the key cannot be sent in a header")?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    let body = json!({"model": arguments.model, "stream": true, "messages": [{"role": "user", "content": prompt}]});
    let body = UpstreamBody::Full(Some(Bytes::from(body.to_string())));
    let response = transport.send(Method::POST, "/chat/completions", None, headers, body).await.map_err(|error| match error {
        SendError::Connect(_) => format!("nothing listens at {url}\n  start the gateway with `millgate serve`, or name its URL with --url"),
        SendError::StaleConnection(error) | SendError::Broken(error) | SendError::Unsendable(error) => error,
    })?;
    if !response.status().is_success() {
        return Err(explain(response).await);
    }
    print_stream(response, arguments.json).await
}

async fn explain(response: Response<Incoming>) -> String {
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
        None => format!("{status}: {}", String::from_utf8_lossy(&body)),
    }
}

async fn print_stream(response: Response<Incoming>, as_json: bool) -> Result<(), String> {
    let mut body = response.into_body();
    let mut splitter = Splitter::new(MAX_EVENT);
    let mut out = std::io::stdout().lock();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame
            .map_err(|error| format!("the answer broke off: {error}"))?
            .into_data()
        else {
            continue;
        };
        splitter.push(data);
        while let Some(event) = splitter.next_event().map_err(|error| error.to_string())? {
            let data = sse::data(&event);
            if data.starts_with(b"[DONE]") {
                continue;
            }
            let document: Value = serde_json::from_slice(&data).unwrap_or_default();
            if let Some(message) = document["error"]["message"].as_str() {
                return Err(message.to_owned());
            }
            let written = if as_json {
                writeln!(out, "{document}")
            } else {
                write!(
                    out,
                    "{}",
                    document["choices"][0]["delta"]["content"]
                        .as_str()
                        .unwrap_or_default()
                )
            };
            written
                .and_then(|()| out.flush())
                .map_err(|error| error.to_string())?;
        }
    }
    if !as_json {
        writeln!(out).map_err(|error| error.to_string())?;
    }
    Ok(())
}
