//! The standard variables of OpenTelemetry.

use super::{load_with, render};
use crate::config::traces::Compression;

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

#[test]
fn an_exporter_of_none_turns_traces_off_unless_the_file_turns_them_on() {
    let enabled = |config: &str, exporter: &str| {
        let variables = [
            (GENERAL, "http://c:4318"),
            ("OTEL_TRACES_EXPORTER", exporter),
        ];
        let loaded = load_with(&format!("{config}{CONFIG}"), "", &variables);
        assert_eq!(render(&loaded), "", "{exporter}");
        loaded.config.traces.enabled
    };
    for (config, exporter, expected) in [
        ("", "none", false),
        ("", " None ", false),
        ("", "otlp", true),
        ("", "", true),
        ("[traces]\nendpoint = \"http://file\"\n", "none", false),
        ("[traces]\nenabled = true\n", "none", true),
        ("[traces]\nenabled = false\n", "otlp", false),
    ] {
        assert_eq!(enabled(config, exporter), expected, "{config}{exporter}");
    }
    for exporter in ["zipkin", "console", "otlp,none"] {
        let loaded = load_with(CONFIG, "", &[("OTEL_TRACES_EXPORTER", exporter)]);
        let told = render(&loaded);
        assert!(told.contains("`OTEL_TRACES_EXPORTER` names"), "{told}");
        assert!(!told.contains(exporter), "{told}");
    }
}

#[test]
fn compression_is_gzip_or_none() {
    let compression = |config: &str, variables: &[(&str, &str)]| {
        let loaded = load_with(&format!("{config}{CONFIG}"), "", variables);
        (loaded.config.traces.compression, render(&loaded))
    };
    let general = ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
    let traces = ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "none");
    let file = "[traces]\ncompression = \"none\"\n";
    for (config, variables, expected) in [
        ("", &[][..], Compression::None),
        ("", &[general], Compression::Gzip),
        ("", &[general, traces], Compression::None),
        (file, &[general], Compression::None),
    ] {
        let said = compression(config, variables);
        assert_eq!(said, (expected, String::new()), "{config}{variables:?}");
    }
    let (_, told) = compression("", &[(general.0, "zstd")]);
    assert!(told.contains(general.0) && !told.contains("zstd"), "{told}");
}
