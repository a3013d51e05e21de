//! The standard variables of OpenTelemetry.

use super::{load_with, render};

const GENERAL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";

const CONFIG: &str = "[providers.rehearsal]\n[routes.default]\ntargets = [\"rehearsal\"]\n";

fn endpoint(config: &str, variables: &[(&str, &str)]) -> Option<String> {
    let loaded = load_with(&format!("{config}{CONFIG}"), "", variables);
    assert_eq!(render(&loaded), "");
    let endpoint = loaded.config.traces.endpoint?;
    Some(endpoint.to_string())
}

/// <https://opentelemetry.io/docs/specs/otel/protocol/exporter/#endpoint-urls-for-otlphttp>
#[test]
fn where_spans_go_is_told_as_the_standard_says() {
    let cases = [
        (GENERAL, "http://c:4318", "http://c:4318/v1/traces"),
        (GENERAL, "http://c:4318/", "http://c:4318/v1/traces"),
        (GENERAL, "http://c/otlp", "http://c/otlp/v1/traces"),
        (TRACES, "http://c:4318/v1/traces", "http://c:4318/v1/traces"),
        (TRACES, "http://c:4318/other", "http://c:4318/other"),
    ];
    for (name, value, expected) in cases {
        let said = endpoint("", &[(name, value)]);
        assert_eq!(said.as_deref(), Some(expected), "{name}={value}");
    }
}

#[test]
fn the_file_comes_first_and_then_the_variable_for_traces() {
    let both = [(GENERAL, "http://general"), (TRACES, "http://traces/x")];
    assert_eq!(endpoint("", &both).as_deref(), Some("http://traces/x"));
    let file = "[traces]\nendpoint = \"http://file\"\n";
    assert_eq!(endpoint(file, &both).as_deref(), Some("http://file"));
    assert_eq!(endpoint("", &[]), None);
}
