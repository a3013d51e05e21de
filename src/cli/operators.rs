//! A running gateway, asked over its listener for operators.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::Value;

use super::{ConfigFile, DEFAULT_CONFIG, ask::reachable, print_findings};
use crate::{
    config,
    http::sse::{self, Splitter},
    routing::{
        pool::UpstreamReply,
        transport::{Base, Options, SendError, Transport},
        upload::UpstreamBody,
    },
    runtime::gateway::process_environment,
};

/// How long an answer may take; a reload may load plugins.
const PATIENCE: Duration = Duration::from_secs(30);

/// The largest answer that is read, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// The largest event that is read, in bytes.
const MAX_EVENT: usize = 4 << 20;

/// Which gateway is meant.
#[derive(clap::Args)]
pub(super) struct Gateway {
    /// Base URL of the gateway's listener for operators [default: where the config's admin listens]
    #[arg(short, long, value_name = "URL")]
    url: Option<String>,
    /// What the gateway asks operators for [default: the token of the config's admin, where no URL is given]
    #[arg(
        long,
        env = "MILLGATE_ADMIN_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    token: Option<String>,
    /// Print JSON, for programs
    #[arg(long)]
    pub(super) json: bool,
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
        let method = Method::from_bytes(method.as_bytes()).map_err(|error| error.to_string())?;
        runtime()?.block_on(async {
            let answer = self.reach()?.call(method, path, body).await;
            answer.map_err(|error| error.to_string())
        })
    }

    /// The way to the gateway, to be asked more than once. Within a runtime.
    pub(super) fn reach(&self) -> Result<Operators, String> {
        let token = self.token.clone().filter(|token| !token.is_empty());
        let (url, token) = if let Some(url) = &self.url {
            // The config's token is for the gateway of that config, and for no other.
            (url.clone(), token)
        } else {
            let loaded = config::load(&self.file.config, &process_environment);
            // A default says which gateway is meant; a file that cannot be read does not.
            let is_left_out =
                self.file.config.as_os_str() == DEFAULT_CONFIG && !self.file.config.exists();
            if loaded.findings.has_errors() && !is_left_out {
                print_findings(&loaded);
                return Err(
                    "the config has errors: it does not tell where operators reach the gateway; say so with --url"
                        .to_owned(),
                );
            }
            let admin = &loaded.config.admin;
            let token = token.or_else(|| admin.token().map(str::to_owned));
            (format!("http://{}", reachable(admin.listen.0)), token)
        };
        let url = url.trim_end_matches('/').to_owned();
        let base = Base::parse(&url, "").map_err(|error| format!("{url}: {error}"))?;
        let options = Options {
            connect_timeout: Duration::from_secs(5),
            pool_idle_timeout: Duration::from_secs(5),
            pool_max_idle: 1,
            proxy: None,
            ca_file: None,
        };
        Ok(Operators {
            transport: Transport::new(base, options)?,
            url,
            token,
        })
    }
}

/// A runtime for a command that asks a gateway.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())
}

/// The way to a gateway's listener for operators.
pub(super) struct Operators {
    transport: Transport,
    url: String,
    token: Option<String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Nobody is there; it may be worth another try.
    #[error(
        "no gateway can be reached at {url}: {detail}\n  start one with `millgate serve`, or say with --url where operators reach it"
    )]
    Away {
        /// Where was asked.
        url: String,
        /// What happened.
        detail: String,
    },
    /// It was refused.
    #[error("{0}")]
    Refused(String),
}

impl Operators {
    /// Asks for a document. The path may have a query.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Failure> {
        let asked = async {
            let response = self.send(method, path, body).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER)
                .collect()
                .await
                .map_err(|error| self.away(error.to_string()))?
                .to_bytes();
            self.read(status, &body)
        };
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(self.away("it took too long".to_owned())),
        }
    }

    /// Follows events. The path may have a query.
    pub(super) async fn follow(&self, path: &str) -> Result<Events, Failure> {
        let sent = tokio::time::timeout(PATIENCE, self.send(Method::GET, path, None)).await;
        let response = sent.map_err(|_| self.away("it took too long".to_owned()))??;
        let status = response.status();
        if status == StatusCode::OK {
            return Ok(Events {
                body: response.into_body(),
                splitter: Splitter::new(MAX_EVENT),
            });
        }
        let body = response.into_body().collect().await;
        let body = body.map_err(|error| self.away(error.to_string()))?;
        self.read(status, &body.to_bytes())?;
        Err(Failure::Refused("it does not tell of events".to_owned()))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Response<UpstreamReply>, Failure> {
        let mut headers = HeaderMap::new();
        let json = HeaderValue::from_static("application/json");
        headers.insert(header::CONTENT_TYPE, json);
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {token}"));
            let mut value = value.map_err(|_| {
                Failure::Refused("the token holds a character that no header may".to_owned())
            })?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let body = body.map(|body| Bytes::from(body.to_string()));
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        let sent = self
            .transport
            .send(method, path, query, headers, UpstreamBody::Full(body));
        sent.await.map_err(|error| match error {
            SendError::Connect(detail)
            | SendError::StaleConnection(detail)
            | SendError::Broken(detail) => self.away(detail),
            SendError::Unsendable(detail) => Failure::Refused(detail),
        })
    }

    fn read(&self, status: StatusCode, body: &[u8]) -> Result<Value, Failure> {
        let document: Value = serde_json::from_slice(body).unwrap_or_default();
        if status == StatusCode::OK && document.is_object() {
            return Ok(document);
        }
        let url = &self.url;
        Err(Failure::Refused(
            match document["error"]["message"].as_str() {
                _ if status == StatusCode::UNAUTHORIZED => {
                    let what = if self.token.is_some() {
                        "does not know this token"
                    } else {
                        "asks operators for a token"
                    };
                    format!(
                        "{url} {what}\n  give the one of its [admin] with --token, or as MILLGATE_ADMIN_TOKEN"
                    )
                }
                Some(message) if document["error"]["code"] != "unknown_path" => message.to_owned(),
                // Nor does the listener for clients know these paths.
                _ => format!(
                    "{url} does not answer as a gateway's listener for operators does\n  `millgate serve` prints where operators reach it"
                ),
            },
        ))
    }

    fn away(&self, detail: String) -> Failure {
        let url = self.url.clone();
        Failure::Away { url, detail }
    }
}

/// Events as they come.
pub(super) struct Events {
    body: UpstreamReply,
    splitter: Splitter,
}

/// Why no more events come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// The connection has ended, or tells what nobody understands.
    Ended,
    /// Nothing has come for too long, comments included: whatever the socket says, nobody is there.
    Silent,
}

impl Events {
    /// The next event's name and data. `patience` is how long nothing at all may come: a gateway sends a comment where it has
    /// had nothing to tell for 15 s.
    pub(super) async fn next(&mut self, patience: Duration) -> Result<(String, Value), Lost> {
        loop {
            while let Some(event) = self.splitter.next_event().map_err(|_| Lost::Ended)? {
                let name = event
                    .split(|byte| *byte == b'\n')
                    .find_map(|line| line.strip_prefix(b"event: "));
                if let Some(name) = name {
                    let name = String::from_utf8_lossy(name).trim_end().to_owned();
                    let data = serde_json::from_slice(&sse::data(&event));
                    return Ok((name, data.map_err(|_| Lost::Ended)?));
                }
            }
            let frame = tokio::time::timeout(patience, self.body.frame()).await;
            let frame = frame.map_err(|_| Lost::Silent)?;
            let frame = frame.and_then(Result::ok).ok_or(Lost::Ended)?;
            self.splitter.push(frame.into_data().unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;

    #[tokio::test]
    async fn a_stream_that_is_silent_is_not_waited_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gateway = Gateway {
            url: Some(format!("http://{}", listener.local_addr().unwrap())),
            token: None,
            json: false,
            file: ConfigFile {
                config: String::new().into(),
            },
        };
        let operators = gateway.reach().unwrap();
        let told = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 4096]).await.unwrap() > 0);
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
            stream.write_all(head).await.unwrap();
            let events = b": millgate\n\nevent: exchange\ndata: {}\n\n";
            stream.write_all(events).await.unwrap();
            stream
        };
        let (events, open) = tokio::join!(operators.follow("/api/events"), told);
        let mut events = events.unwrap();
        let (name, _) = events.next(PATIENCE).await.unwrap();
        assert_eq!(name, "exchange");
        assert_eq!(
            events.next(Duration::from_millis(50)).await,
            Err(Lost::Silent)
        );
        drop(open);
        assert_eq!(events.next(PATIENCE).await, Err(Lost::Ended));
    }
}
