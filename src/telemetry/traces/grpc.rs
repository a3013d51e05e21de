//! The exporter over gRPC, for collectors that take nothing else. It brings a transport of its own, without TLS.

use opentelemetry_otlp::{
    ExporterBuildError, Protocol, SpanExporter, WithExportConfig as _, WithTonicConfig as _,
    tonic_types::metadata::MetadataMap,
};

use super::settings::Settings;

/// The exporter. To be called within a runtime of tokio.
pub(super) fn exporter(settings: &Settings) -> Result<SpanExporter, ExporterBuildError> {
    SpanExporter::builder()
        .with_tonic()
        .with_endpoint(settings.endpoint.to_string())
        .with_protocol(Protocol::Grpc)
        .with_timeout(settings.timeout)
        .with_metadata(MetadataMap::from_headers(settings.headers.clone()))
        .build()
}
