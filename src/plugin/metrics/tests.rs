use super::*;

fn find(name: &str) -> Vec<Snapshot> {
    let mut all = snapshot();
    all.retain(|metric| metric.name == name);
    all
}

#[test]
fn a_counter_adds_up_under_its_plugins_name() {
    let plugin = Plugin::leak("counting", "1");
    let count =
        |labels: &[(&str, &str)]| metric(Some(plugin), MetricKind::Counter, "words_total", labels);
    let one = count(&[("b", "2"), ("a", "1")]).unwrap();
    assert_eq!(count(&[("a", "1"), ("b", "2")]), Ok(one));
    let other = count(&[]).unwrap();
    record(one, 2.0);
    record(one, 0.5);
    record(one, -7.0);
    record(one, f64::NAN);
    record(other, 1.0);
    record(0, 1.0);
    record(u64::MAX, 1.0);
    let found = find("millgate_plugin_words_total");
    let values: Vec<_> = found.iter().map(|metric| &metric.value).collect();
    assert_eq!(values, [&Value::Counter(2.5), &Value::Counter(1.0)]);
    let plugin = ("plugin".to_owned(), "counting".to_owned());
    assert!(found.iter().all(|metric| metric.labels.contains(&plugin)));
    assert_eq!(found[0].labels[0], ("a".to_owned(), "1".to_owned()));
}

#[test]
fn no_two_metrics_are_written_alike() {
    let of = |kind, name| metric(Some(watch::built_in()), kind, name, &[]).err();
    let (counter, histogram) = (MetricKind::Counter, MetricKind::Histogram);
    assert_eq!(of(histogram, "alike"), None);
    for (kind, name) in [
        (counter, "alike_sum"),
        (counter, "alike_count_total"),
        (histogram, "alike_bucket"),
        (counter, "alike_total"),
        (counter, "alike_created"),
    ] {
        assert_eq!(of(kind, name), Some(Refused::Like), "{name}");
    }
    assert_eq!(of(counter, "whole_sum"), None);
    assert_eq!(of(histogram, "whole"), Some(Refused::Like));
    assert_eq!(of(counter, "alike_summary"), None);
}

#[test]
fn a_histogram_counts_values_within_bounds() {
    let number = metric(None, MetricKind::Histogram, "wait_seconds", &[]).unwrap();
    for value in [0.0004, 0.3, 0.4, 2e9] {
        record(number, value);
    }
    let found = find("millgate_plugin_wait_seconds");
    assert_eq!(
        found[0].labels,
        [("plugin".to_owned(), "unknown".to_owned())]
    );
    let Value::Histogram { buckets, count, .. } = &found[0].value else {
        panic!("{found:?}");
    };
    let within = |bound: f64| {
        buckets
            .iter()
            .find(|(upper, _)| upper.total_cmp(&bound).is_eq())
            .map(|(_, n)| *n)
    };
    assert_eq!(
        (
            within(0.0005),
            within(0.25),
            within(0.5),
            within(1_000_000.0)
        ),
        (Some(1), Some(1), Some(3), Some(3))
    );
    assert_eq!(*count, 4);
}

#[test]
fn what_no_metric_could_be_is_refused() {
    let counter =
        |name: &str, labels: &[(&str, &str)]| metric(None, MetricKind::Counter, name, labels).err();
    for name in ["", "1st", "a-b", "a b", "é", &"a".repeat(65)] {
        assert_eq!(counter(name, &[]), Some(Refused::Name), "{name:?}");
        assert_eq!(counter("good", &[(name, "")]), Some(Refused::Name));
    }
    for labels in [
        &[("plugin", "x")][..],
        &[("le", "x")],
        &[("__x", "x")],
        &[("a", "1"), ("a", "2")],
    ] {
        assert_eq!(counter("good", labels), Some(Refused::Labels), "{labels:?}");
    }
    assert_eq!(counter("good", &[("a", "1"); 9]), Some(Refused::Labels));
    let long = "v".repeat(129);
    assert_eq!(counter("good", &[("a", &long)]), Some(Refused::Value));
    metric(None, MetricKind::Histogram, "both", &[]).unwrap();
    assert_eq!(counter("both", &[]), Some(Refused::Kind));
}

#[test]
fn a_name_has_only_so_many_series() {
    let made: Vec<_> = (0..100)
        .map(|at| {
            metric(
                None,
                MetricKind::Counter,
                "by_user",
                &[("user", &at.to_string())],
            )
        })
        .collect();
    assert!(made[..64].iter().all(Result::is_ok));
    assert!(made[64..].iter().all(|made| *made == Err(Refused::TooMany)));
    assert_eq!(find("millgate_plugin_by_user").len(), 64);
}
