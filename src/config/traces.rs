//! `[traces]`: where spans of exchanges are sent.

use std::{collections::BTreeMap, num::NonZeroU32};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Duration, Secret, url::BaseUrl};

/// Where spans of exchanges are sent, by the OpenTelemetry protocol. What the file leaves out is taken from the standard
/// `OTEL_*` variables: first the one for traces alone, then the general one, then the default. `OTEL_SDK_DISABLED=true` turns
/// traces off whatever the file says.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Traces {
    /// Whether spans are made at all; `OTEL_SDK_DISABLED=true` comes before it. Variable: `OTEL_TRACES_EXPORTER`, which is `otlp`,
    /// or `none` for `false`. Default: `true`.
    pub enabled: bool,
    /// The collector, such as `"http://localhost:4318"`. Without a path, that of the protocol (`/v1/traces`) is added.
    /// Variables: `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT`, the same, and `OTEL_EXPORTER_OTLP_ENDPOINT`, to which `/v1/traces` is
    /// added. Default: none, and no spans are made.
    pub endpoint: Option<BaseUrl>,
    /// What it speaks: `"http/protobuf"`, or `"grpc"` where the gateway was built with that. Variables:
    /// `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL`, `OTEL_EXPORTER_OTLP_PROTOCOL`. Default: `"http/protobuf"`.
    pub protocol: Protocol,
    /// How what it is sent is compressed: `"none"` or `"gzip"`. Variables: `OTEL_EXPORTER_OTLP_TRACES_COMPRESSION`,
    /// `OTEL_EXPORTER_OTLP_COMPRESSION`. Default: `"none"`.
    pub compression: Compression,
    /// Headers for it, by name; their values are secrets. Variables: `OTEL_EXPORTER_OTLP_TRACES_HEADERS`,
    /// `OTEL_EXPORTER_OTLP_HEADERS`. Default: none.
    pub headers: BTreeMap<String, Secret>,
    /// Of which exchanges spans are made: `"always_on"`, `"always_off"`, `"traceidratio"`, or, where the client says whether it
    /// makes spans, as it says: `"parentbased_always_on"`, `"parentbased_always_off"`, `"parentbased_traceidratio"`. Variable:
    /// `OTEL_TRACES_SAMPLER`. Default: `"parentbased_always_on"`; with `sample`, `"parentbased_traceidratio"`.
    pub sampler: Option<Sampler>,
    /// The share of traces that a sampler with a ratio takes, from 0 to 1. Variable: `OTEL_TRACES_SAMPLER_ARG`. Default: `1`.
    pub sample: Option<f64>,
    /// How long sending a batch may take. Variables, in milliseconds: `OTEL_EXPORTER_OTLP_TRACES_TIMEOUT`,
    /// `OTEL_EXPORTER_OTLP_TIMEOUT`. Default: `"10s"`.
    pub timeout: Duration,
    /// How many spans may wait to be sent; further ones are dropped, and counted. Variable: `OTEL_BSP_MAX_QUEUE_SIZE`.
    /// Default: `2048`.
    pub max_queue_size: NonZeroU32,
    /// About how many spans are sent at a time. Variable: `OTEL_BSP_MAX_EXPORT_BATCH_SIZE`. Default: `512`.
    pub max_batch_size: NonZeroU32,
    /// How long a span may wait for its batch to fill. Variable, in milliseconds: `OTEL_BSP_SCHEDULE_DELAY`. Default: `"5s"`.
    pub delay: Duration,
    /// What this service is called in traces. Variable: `OTEL_SERVICE_NAME`. Default: `"millgate"`.
    pub service_name: Option<String>,
    /// Further attributes of the process, such as `{ "deployment.environment.name" = "production" }`. Those of the variable
    /// `OTEL_RESOURCE_ATTRIBUTES` that are not named here are added. Default: none.
    pub resource: BTreeMap<String, String>,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            enabled: true,
            endpoint: None,
            protocol: Protocol::default(),
            compression: Compression::default(),
            headers: BTreeMap::new(),
            sampler: None,
            sample: None,
            timeout: Duration::from_secs(10),
            max_queue_size: NonZeroU32::MIN.saturating_add(2047),
            max_batch_size: NonZeroU32::MIN.saturating_add(511),
            delay: Duration::from_secs(5),
            service_name: None,
            resource: BTreeMap::new(),
        }
    }
}

/// What a collector speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub enum Protocol {
    /// OTLP over HTTP, in protobuf.
    #[default]
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
    /// OTLP over gRPC.
    #[serde(rename = "grpc")]
    Grpc,
}

/// How what a collector is sent is compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
}

/// Of which exchanges spans are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// Of all.
    AlwaysOn,
    /// Of none.
    AlwaysOff,
    /// Of a share, by the trace's id.
    Traceidratio,
    /// As the client says, else of all.
    #[default]
    ParentbasedAlwaysOn,
    /// As the client says, else of none.
    ParentbasedAlwaysOff,
    /// As the client says, else of a share.
    ParentbasedTraceidratio,
}
