use http::HeaderValue;

use super::*;
use crate::telemetry::metrics::family::Series;

fn families() -> Vec<Family> {
    let mut waits = Family::new("mill_wait_seconds", Kind::Histogram, "How long.");
    waits.series.push(Series {
        labels: vec![
            ("route".into(), "a\"b\\c\nd".into()),
            ("none".into(), "".into()),
        ],
        value: Value::Buckets(Buckets {
            within: vec![(0.5, 1), (1.0, 1)],
            sum: 7.25,
            count: 2,
            exemplars: vec![
                Some(Exemplar {
                    request_id: HeaderValue::from_static("r-1"),
                    trace: None,
                    value: 0.25,
                    time: 1_760_000_000.5,
                }),
                None,
                Some(Exemplar {
                    request_id: HeaderValue::from_str(&"x".repeat(119)).unwrap(),
                    trace: None,
                    value: 7.0,
                    time: 1.0,
                }),
            ],
        }),
    });
    vec![
        waits,
        Family::new("mill_turns", Kind::Counter, "Turns.")
            .with(&[("way", "right")], 2.0)
            .with(&[("way", "left")], 1.5),
        Family::new("mill_build", Kind::Info, "Which.").with(&[("version", "1")], 1.0),
    ]
}

#[test]
fn the_classic_form_is_exact() {
    let expected = r#"# HELP mill_build_info Which.
# TYPE mill_build_info gauge
mill_build_info{version="1"} 1
# HELP mill_turns_total Turns.
# TYPE mill_turns_total counter
mill_turns_total{way="left"} 1.5
mill_turns_total{way="right"} 2
# HELP mill_wait_seconds How long.
# TYPE mill_wait_seconds histogram
mill_wait_seconds_bucket{route="a\"b\\c\nd",le="0.5"} 1
mill_wait_seconds_bucket{route="a\"b\\c\nd",le="1"} 1
mill_wait_seconds_bucket{route="a\"b\\c\nd",le="+Inf"} 2
mill_wait_seconds_sum{route="a\"b\\c\nd"} 7.25
mill_wait_seconds_count{route="a\"b\\c\nd"} 2
"#;
    assert_eq!(Form::Classic.write(families()), expected);
}

#[test]
fn openmetrics_has_units_and_exemplars_and_an_end() {
    let expected = r#"# HELP mill_build Which.
# TYPE mill_build info
mill_build_info{version="1"} 1
# HELP mill_turns Turns.
# TYPE mill_turns counter
mill_turns_total{way="left"} 1.5
mill_turns_total{way="right"} 2
# HELP mill_wait_seconds How long.
# TYPE mill_wait_seconds histogram
# UNIT mill_wait_seconds seconds
mill_wait_seconds_bucket{route="a\"b\\c\nd",le="0.5"} 1 # {request_id="r-1"} 0.25 1760000000.500
mill_wait_seconds_bucket{route="a\"b\\c\nd",le="1.0"} 1
mill_wait_seconds_bucket{route="a\"b\\c\nd",le="+Inf"} 2
mill_wait_seconds_sum{route="a\"b\\c\nd"} 7.25
mill_wait_seconds_count{route="a\"b\\c\nd"} 2
# EOF
"#;
    assert_eq!(Form::OpenMetrics.write(families()), expected);
}

#[test]
fn the_form_is_the_one_that_is_preferred() {
    let open = [
        "application/openmetrics-text",
        "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        "text/plain;q=0.5, Application/OpenMetrics-Text; Version=\"1.0.0\"",
    ];
    for accept in open {
        assert_eq!(Form::accepted(accept), Form::OpenMetrics, "{accept}");
    }
    let classic = [
        "",
        "*/*",
        "text/html",
        "text/plain;version=0.0.4, application/openmetrics-text;version=1.0.0;q=0.5",
        "application/openmetrics-text;version=0.0.1",
        "application/openmetrics-text;q=0, */*",
        "application/openmetrics-text;q=much, text/plain",
    ];
    for accept in classic {
        assert_eq!(Form::accepted(accept), Form::Classic, "{accept}");
    }
}

#[test]
fn bounds_are_written_as_all_others_write_them() {
    for (bound, classic, open) in [
        (0.000_01, "1e-05", "1e-05"),
        (0.000_025, "2.5e-05", "2.5e-05"),
        (0.000_1, "0.0001", "0.0001"),
        (0.25, "0.25", "0.25"),
        (1.0, "1", "1.0"),
        (262_144.0, "262144", "262144.0"),
        (1_048_576.0, "1.048576e+06", "1.048576e+06"),
        (1e10, "1e+10", "1e+10"),
        (f64::INFINITY, "+Inf", "+Inf"),
    ] {
        assert_eq!(Form::Classic.bound(bound), classic);
        assert_eq!(Form::OpenMetrics.bound(bound), open);
    }
}

#[test]
fn quotes_in_a_help_are_escaped_only_where_they_have_to_be() {
    let help = || vec![Family::new("mill", Kind::Gauge, "A \"mill\"\\\nit is")];
    let classic = Form::Classic.write(help());
    let expected = "# HELP mill A \"mill\"\\\\\\nit is\n# TYPE mill gauge\n";
    assert_eq!(classic, expected);
    let open = Form::OpenMetrics.write(help());
    let expected = "# HELP mill A \\\"mill\\\"\\\\\\nit is\n";
    assert!(open.starts_with(expected), "{open}");
}
