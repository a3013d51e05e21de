//! `[providers.NAME]`: what every upstream has, whatever its kind.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use super::{
    Duration, Secret,
    url::{BaseUrl, ProxyUrl},
};

/// An upstream. Its kind may have further keys.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Provider {
    /// The kind of upstream: `"openai"`, `"ollama"`, `"rehearsal"`, or `"PLUGIN/KIND"`. Default: the table's name.
    pub kind: Option<String>,
    /// Where it is, such as `"http://localhost:11434"`. Default: none, and one is needed unless the kind answers by
    /// itself.
    pub base_url: Option<BaseUrl>,
    /// Its key, sent as `Authorization: Bearer …`. Give it as `"${NAME}"` or `"${file:/path}"`.
    /// Default: none.
    pub api_key: Option<Secret>,
    /// The model to ask for where the target names none. Default: the one that the client asks for.
    pub model: Option<String>,
    /// The model to ask for embeddings where the target names none. Default: the one that the client asks for.
    pub embedding_model: Option<String>,
    /// Names of further client headers to pass on, `*` standing for anything: `["x-team", "x-trace-*"]`.
    /// `api-key` and `x-api-key` pass only where they stand here as they are.
    /// Default: none.
    pub forward_headers: Vec<String>,
    /// Whether to pass on the client's own `Authorization` header. Default: false.
    pub forward_auth: bool,
    /// HTTP proxy on the way there, as `"http://proxy:3128"` or `"http://user:password@proxy:3128"`. Default: none.
    pub proxy: Option<ProxyUrl>,
    /// PEM file with further certificate authorities to trust. Default: none.
    pub ca_file: Option<PathBuf>,
    /// How long connecting may take, TLS included. Default: `"5s"`.
    pub connect_timeout: Duration,
    /// How long an unused connection is kept. Default: `"90s"`.
    pub pool_idle_timeout: Duration,
    /// How many unused connections are kept. Default: 256.
    pub pool_max_idle: u32,
    /// The largest share of attempts that may be retries, from 0 to 1, so that retries don't make an outage worse.
    /// Default: 0.2.
    #[serde(deserialize_with = "ratio")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub retry_ratio: f64,
}

/// The keys that belong to the host; the rest of the table is its kind's.
pub const KEYS: &[&str] = &[
    "kind",
    "base_url",
    "api_key",
    "model",
    "embedding_model",
    "forward_headers",
    "forward_auth",
    "proxy",
    "ca_file",
    "connect_timeout",
    "pool_idle_timeout",
    "pool_max_idle",
    "retry_ratio",
];

impl Default for Provider {
    fn default() -> Self {
        Self {
            kind: None,
            base_url: None,
            api_key: None,
            model: None,
            embedding_model: None,
            forward_headers: Vec::new(),
            forward_auth: false,
            proxy: None,
            ca_file: None,
            connect_timeout: Duration::from_secs(5),
            pool_idle_timeout: Duration::from_secs(90),
            pool_max_idle: 256,
            retry_ratio: 0.2,
        }
    }
}

fn ratio<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let ratio = f64::deserialize(deserializer)?;
    (0.0..=1.0)
        .contains(&ratio)
        .then_some(ratio)
        .ok_or_else(|| de::Error::custom("expected a number from 0 to 1"))
}
