use proptest::prelude::*;

use super::*;

const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn headers(name: &HeaderName, values: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(name.clone(), HeaderValue::from_str(value).unwrap());
    }
    headers
}

#[test]
fn the_recommendations_own_example_is_read() {
    let parent = Parent::parse(EXAMPLE.as_bytes()).unwrap();
    assert_eq!(
        parent.trace.get(),
        0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736
    );
    assert_eq!(parent.span.get(), 0x00f0_67aa_0ba9_02b7);
    assert!(parent.is_sampled());
}

#[test]
fn what_is_not_well_formed_is_ignored() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    for text in [
        String::new(),
        format!("00-{trace}-00f067aa0ba902b7"),
        format!("00-{trace}-00f067aa0ba902b7-1"),
        format!("00-{trace}-00f067aa0ba902b7-01-"),
        format!("00-{trace}-00f067aa0ba902b7-01-more"),
        format!("00-{}-00f067aa0ba902b7-01", trace.to_uppercase()),
        format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
        format!("00-{trace}-0000000000000000-01"),
        format!("ff-{trace}-00f067aa0ba902b7-01"),
        format!("0X-{trace}-00f067aa0ba902b7-01"),
        format!("cc-{trace}-00f067aa0ba902b7-01x"),
        format!("00_{trace}-00f067aa0ba902b7-01"),
        format!("00-{trace}-00f067aa0ba902b7-0g"),
        format!(" {EXAMPLE}"),
    ] {
        assert_eq!(Parent::parse(text.as_bytes()), None, "{text:?}");
    }
    assert_eq!(
        Parent::of(&headers(&TRACEPARENT, &[EXAMPLE, EXAMPLE])),
        None
    );
    assert!(Parent::of(&headers(&TRACEPARENT, &[EXAMPLE])).is_some());
}

#[test]
fn of_a_version_to_come_the_known_fields_are_read() {
    for rest in ["", "-", "-what-the-future-will-be-like"] {
        let text = format!("cc{}{rest}", &EXAMPLE[2..]);
        assert!(Parent::parse(text.as_bytes()).is_some(), "{text}");
    }
}

#[test]
fn a_tracestate_is_passed_on_only_if_it_is_well_formed() {
    let member = |number: usize| format!("k{number}=v");
    let most = (0..32).map(member).collect::<Vec<_>>().join(",");
    for (lists, is_fine) in [
        (vec!["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"], true),
        (vec!["rojo=1", "congo=2"], true),
        (vec!["a=1 , \t b=2,,"], true),
        (vec!["1tenant@vendor=x"], true),
        (vec![&*most], true),
        (vec![&*most, "more=1"], false),
        (vec!["a=1,a=2"], false),
        (vec!["a"], false),
        (vec!["a="], false),
        (vec!["A=1"], false),
        (vec!["1a=1"], false),
        (vec!["a=1=2"], false),
        (vec!["@v=1"], false),
        (vec!["t@=1"], false),
        (vec![","], false),
        (vec![], false),
    ] {
        assert_eq!(
            is_tracestate(&headers(&TRACESTATE, &lists)),
            is_fine,
            "{lists:?}"
        );
    }
}

#[test]
fn a_tracestate_without_its_traceparent_ends_here() {
    let client = headers(&TRACESTATE, &["rojo=1"]);
    let mut sent = client.clone();
    let begun = TraceContext::begin(None, true);
    begun.write(begun.span, &client, &mut sent);
    assert!(!sent.contains_key(TRACESTATE));
    let parent = Parent::parse(EXAMPLE.as_bytes());
    TraceContext::begin(parent, true).write(begun.span, &client, &mut sent);
    assert_eq!(sent[TRACESTATE], "rojo=1");
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(trace in 1u128.., span in 1u64.., own in 1u64.., flags in 0u8..4, sampled: bool) {
        let parent = Parent {
            trace: NonZeroU128::new(trace).unwrap(),
            span: NonZeroU64::new(span).unwrap(),
            flags,
        };
        let context = TraceContext::begin(Some(parent), sampled);
        let own = NonZeroU64::new(own).unwrap();
        let read = Parent::parse(context.traceparent(own).as_bytes()).unwrap();
        prop_assert_eq!(read.trace, parent.trace);
        prop_assert_eq!(read.span, own);
        prop_assert_eq!(read.is_sampled(), sampled);
        prop_assert_eq!(read.flags & RANDOM, flags & RANDOM);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        prop_assert_eq!(Parent::parse(&bytes), None);
    }

    #[test]
    fn one_wrong_character_spoils_it(at in 0usize..55, to in "[A-Zg-z ,=]") {
        let mut text = EXAMPLE.to_owned();
        text.replace_range(at..=at, &to);
        prop_assert_eq!(Parent::parse(text.as_bytes()), None);
    }

    #[test]
    fn no_list_makes_it_panic(list in "[a-z0-9@=, \t!-~]{0,80}") {
        let _ = is_tracestate(&headers(&TRACESTATE, &[&list]));
    }
}
