//! `[server]`: the listener for clients.

use std::{borrow::Cow, fmt, net::SocketAddr, num::NonZeroU32, path::PathBuf, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Duration, Size};

/// The listener for clients.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port for clients, whose `base_url` is then `http://127.0.0.1:8080/v1`.
    /// Default: `"127.0.0.1:8080"`.
    pub listen: Listen,
    /// The largest request body that is collected. Larger ones are answered with 413. Default: `"32MiB"`.
    pub max_body_size: Size,
    /// The most that all collected request bodies together may take, each until its reply has been sent; further ones
    /// are answered with 503. Bytes are counted as they arrive, each once, although a body that is rewritten for its
    /// provider is there twice for a while. At least `max_body_size`. Default: `"512MiB"`.
    pub max_buffered: Size,
    /// The largest body that streams past without being collected, such as a file upload. Default: `"512MiB"`.
    pub max_upload_size: Size,
    /// The largest request head, all headers together. Default: `"64KiB"`.
    pub max_header_size: Size,
    /// The largest number of headers in a request. Default: 100.
    pub max_headers: NonZeroU32,
    /// The largest number of client connections at a time; further ones are answered with 503. Default: 4096.
    pub max_connections: NonZeroU32,
    /// How long a client may take to send the head of a request. Default: `"10s"`.
    pub header_timeout: Duration,
    /// How long a connection is kept that its client is done with for now; on HTTP/2 up to twice as long. Longer than
    /// what proxies and balancers before the gateway keep theirs (nginx and AWS: 60 s), so that it is they who close,
    /// and no request meets a closed one. Default: `"90s"`.
    pub keep_alive_timeout: Duration,
    /// How long a client may take nothing of what is sent to it, before its connection, or on HTTP/2 that stream, is
    /// closed. Default: `"60s"`.
    pub write_timeout: Duration,
    /// How long a client may take to send a body that is collected. Default: `"60s"`.
    pub body_timeout: Duration,
    /// How long a client may send nothing of a body that streams past, such as a file upload, before it is answered
    /// with 408. The time that clients take to send is not counted by a route's `attempt_timeout` and `deadline`.
    /// Default: `"60s"`.
    pub upload_timeout: Duration,
    /// How long a shutdown waits for requests that are under way. Default: `"30s"`.
    pub drain_timeout: Duration,
    /// Origins of web pages that may call the gateway from a browser, such as `"https://chat.example.com"`.
    /// Default: none.
    pub cors_origins: Vec<String>,
    /// `Host` names to accept beside loopback names and the address of `listen`. Default: none.
    pub hosts: Vec<String>,
    /// Whether to listen beyond loopback without an `auth` stage. Default: false.
    pub allow_anonymous: bool,
    /// File with further `[callers.ID]` tables, and nothing else; placeholders work there too. A relative path begins at
    /// the folder of the configuration. Default: none.
    pub callers_file: Option<PathBuf>,
    /// Which `x-millgate-*` and timing headers replies carry: `"full"`, or `"minimal"` for none that tell about
    /// providers. Default: `"full"`.
    pub expose: Expose,
    /// Folder for what outlives a restart: keys made by `millgate key`, budgets. Relative to the config file. Made with
    /// mode 0700, and only where it is needed. Default: `$STATE_DIRECTORY`, else `$XDG_STATE_HOME/millgate`, which is
    /// `~/.local/state/millgate` where that is not set.
    pub state_dir: Option<PathBuf>,
    /// Number of worker threads. Default: one for each core.
    pub workers: Option<NonZeroU32>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: Listen(SocketAddr::from(([127, 0, 0, 1], 8080))),
            max_body_size: Size::from_mib(32),
            max_buffered: Size::from_mib(512),
            max_upload_size: Size::from_mib(512),
            max_header_size: Size::from_kib(64),
            max_headers: NonZeroU32::MIN.saturating_add(99),
            max_connections: NonZeroU32::MIN.saturating_add(4095),
            header_timeout: Duration::from_secs(10),
            keep_alive_timeout: Duration::from_secs(90),
            write_timeout: Duration::from_secs(60),
            body_timeout: Duration::from_secs(60),
            upload_timeout: Duration::from_secs(60),
            drain_timeout: Duration::from_secs(30),
            cors_origins: Vec::new(),
            hosts: Vec::new(),
            allow_anonymous: false,
            callers_file: None,
            expose: Expose::Full,
            state_dir: None,
            workers: None,
        }
    }
}

/// How much replies tell about the way that a request took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expose {
    /// Provider, model, attempts, cache and timings.
    #[default]
    Full,
    /// Only `x-request-id` and what clients need to retry.
    Minimal,
}

/// Address and port to listen on: `"127.0.0.1:8080"`, `"[::1]:8080"`, `"localhost:8080"`. Port 0 picks a free one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let numeric = match text.strip_prefix("localhost:") {
            Some(port) => Cow::Owned(format!("127.0.0.1:{port}")),
            None => Cow::Borrowed(text),
        };
        numeric
            .parse()
            .map(Self)
            .map_err(|_| "expected an address and port like \"127.0.0.1:8080\"")
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Listen {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Listen {
    fn schema_name() -> Cow<'static, str> {
        "Listen".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Address and port to listen on, like \"127.0.0.1:8080\" or \"[::1]:8080\".",
            "type": "string",
            "pattern": ":[0-9]+$",
        })
    }
}
