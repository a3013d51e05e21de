use std::time;

use proptest::prelude::*;

use super::*;

#[test]
fn durations_as_operators_write_them() {
    for (text, milliseconds) in [
        ("250ms", 250),
        ("1.5s", 1500),
        ("5m", 300_000),
        ("2h", 7_200_000),
        ("1d", 86_400_000),
        ("60", 60_000),
        ("0.25", 250),
        (" 10 s ", 10_000),
        ("0", 0),
    ] {
        let duration: Duration = text.parse().unwrap();
        assert_eq!(
            duration.get(),
            time::Duration::from_millis(milliseconds),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_duration() {
    for text in [
        "",
        "s",
        "5 parsecs",
        "1.s",
        ".5s",
        "1.2.3s",
        "+5s",
        "1e3",
        "5S",
        "5m30",
        "٣s",
        "inf",
        "nan",
    ] {
        assert_eq!(
            text.parse::<Duration>(),
            Err(UnitError::Malformed),
            "{text}"
        );
    }
    for text in ["-1s", "-0.5", "-5"] {
        assert!(
            matches!(text.parse::<Duration>(), Err(UnitError::TooSmall(_))),
            "{text}"
        );
    }
    let huge = "9".repeat(60);
    for text in ["3651d", "99999999999h", huge.as_str()] {
        assert!(
            matches!(text.parse::<Duration>(), Err(UnitError::TooLarge(_))),
            "{text}"
        );
    }
}

#[test]
fn durations_show_in_their_largest_unit() {
    for (text, shown) in [
        ("90s", "90s"),
        ("120s", "2m"),
        ("24h", "1d"),
        ("1.5s", "1500ms"),
        ("0ms", "0s"),
    ] {
        assert_eq!(text.parse::<Duration>().unwrap().to_string(), shown);
    }
}

#[test]
fn sizes_as_operators_write_them() {
    for (text, bytes) in [
        ("64MiB", 64 << 20),
        ("32KB", 32_000),
        ("1.5KiB", 1536),
        ("512", 512),
        ("512 b", 512),
        ("1gib", 1 << 30),
        ("2TB", 2_000_000_000_000),
    ] {
        assert_eq!(text.parse::<Size>().unwrap().bytes(), bytes, "{text}");
    }
    for text in ["", "MiB", "1.5", "1.5B", "64 M", "64Mi", "x"] {
        assert_eq!(text.parse::<Size>(), Err(UnitError::Malformed), "{text}");
    }
    assert!(matches!("-1".parse::<Size>(), Err(UnitError::TooSmall(_))));
    assert!(matches!(
        "18446744073709551616".parse::<Size>(),
        Err(UnitError::TooLarge(_))
    ));
    assert!(matches!(
        "20000000TiB".parse::<Size>(),
        Err(UnitError::TooLarge(_))
    ));
}

#[test]
fn rates_as_operators_write_them() {
    for (text, count, per) in [
        ("600/min", 600, Per::Minute),
        ("10/s", 10, Per::Second),
        ("5 / hour", 5, Per::Hour),
        ("1/day", 1, Per::Day),
        ("100k/min", 100_000, Per::Minute),
        ("2M / h", 2_000_000, Per::Hour),
    ] {
        assert_eq!(
            text.parse::<Rate>().unwrap(),
            Rate::new(count, per).unwrap(),
            "{text}"
        );
    }
    for text in [
        "",
        "600",
        "/min",
        "600/",
        "1.5/s",
        "+1/s",
        "600/fortnight",
        "1/s/s",
        "k/s",
        "1m/s",
        "1K/s",
        "1kk/s",
    ] {
        assert_eq!(text.parse::<Rate>(), Err(UnitError::Malformed), "{text}");
    }
    for text in ["0/s", "-1/s"] {
        assert!(
            matches!(text.parse::<Rate>(), Err(UnitError::TooSmall(_))),
            "{text}"
        );
    }
    assert!(matches!(
        "99999999999999999999/s".parse::<Rate>(),
        Err(UnitError::TooLarge(_))
    ));
    assert!(matches!(
        "18446744073709552k/s".parse::<Rate>(),
        Err(UnitError::TooLarge(_))
    ));
}

proptest! {
    #[test]
    fn durations_survive_being_shown(nanoseconds in 0u64..3650 * 86_400 * 1_000_000_000) {
        let duration: Duration = format!("{nanoseconds}ns").parse().unwrap();
        prop_assert_eq!(duration.get(), time::Duration::from_nanos(nanoseconds));
        prop_assert_eq!(duration.to_string().parse::<Duration>().unwrap(), duration);
    }

    #[test]
    fn whole_and_decimal_seconds_agree(milliseconds in 0u64..10_000_000_000) {
        let decimal = format!("{}.{:03}", milliseconds / 1000, milliseconds % 1000);
        prop_assert_eq!(decimal.parse::<Duration>().unwrap().get(), time::Duration::from_millis(milliseconds));
        let read: Duration = serde_json::from_str(&decimal).unwrap();
        let difference = read.get().abs_diff(time::Duration::from_millis(milliseconds));
        prop_assert!(difference < time::Duration::from_micros(10));
    }

    #[test]
    fn sizes_survive_being_shown(bytes: u64) {
        let size = Size::from_bytes(bytes);
        prop_assert_eq!(size.to_string().parse::<Size>().unwrap(), size);
        let text = serde_json::to_string(&size).unwrap();
        prop_assert_eq!(serde_json::from_str::<Size>(&text).unwrap(), size);
        prop_assert_eq!(serde_json::from_str::<Size>(&bytes.to_string()).unwrap(), size);
    }

    #[test]
    fn rates_survive_being_shown(count in 1u64.., per in prop::sample::select(vec![Per::Second, Per::Minute, Per::Hour, Per::Day])) {
        let rate = Rate::new(count, per).unwrap();
        prop_assert_eq!(rate.to_string().parse::<Rate>().unwrap(), rate);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[-+]?[0-9.]{0,50} ?(ns|ms|s|m|h|d|TiB|KB|B|/s|/day)?") {
        let _ = (text.parse::<Duration>().is_ok(), text.parse::<Size>().is_ok(), text.parse::<Rate>().is_ok());
    }

    #[test]
    fn negative_numbers_are_refused(number in i64::MIN..0) {
        prop_assert!(serde_json::from_str::<Duration>(&number.to_string()).is_err());
        prop_assert!(serde_json::from_str::<Size>(&number.to_string()).is_err());
    }
}
