//! Latency, pace, faults, and readers that leave.

use millgate_plugin::{RefusalKind, SetupError};

use super::*;

const CHAT: &[u8] = br#"{"messages":[{"role":"user","content":"Hello there"}]}"#;

fn play(
    table: &str,
    is_stream: bool,
    id: &str,
    patience: Option<usize>,
) -> (Result<(), Refusal>, Collected) {
    let mut collected = Collected {
        patience,
        ..Collected::default()
    };
    let call = call(Endpoint::Chat, CHAT, is_stream, id);
    let result = provider(table).answer(&call, &mut collected);
    (result, collected)
}

fn setup_error(table: &str) -> SetupError {
    Rehearsal::new("rehearsal", toml::from_str(table).unwrap()).unwrap_err()
}

#[test]
fn latency_comes_first_and_pace_before_every_word() {
    let table = "latency = \"250ms\"\ntokens_per_second = 4";
    let (_, streamed) = play(table, true, "r", None);
    let mut expected = vec![Duration::from_millis(250)];
    expected.extend([Duration::from_millis(250); 12]);
    assert_eq!(streamed.waits, expected);
    assert_eq!(streamed.emitted.len(), 1 + 12 + 1 + 1);
    let (_, whole) = play(table, false, "r", None);
    assert_eq!(whole.waits, [Duration::from_millis(250)]);
}

#[test]
fn a_failure_comes_after_the_latency_and_before_any_byte() {
    let table = "latency = 1\n[faults]\nerror_rate = 1\nstatus = 429\nretry_after = \"7s\"";
    let (result, collected) = play(table, true, "r", None);
    let refusal = result.unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::RateLimited);
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(7)));
    assert_eq!(collected.waits, [Duration::from_secs(1)]);
    assert!(collected.emitted.is_empty());
}

#[test]
fn every_status_is_given_as_configured() {
    for status in [400, 401, 403, 404, 422, 429, 500, 502, 503, 504] {
        let table = format!("faults = {{ error_rate = 1, status = {status} }}");
        assert_eq!(
            play(&table, false, "r", None).0.unwrap_err().kind.status(),
            status
        );
    }
}

#[test]
fn a_rate_hits_that_share_of_requests_and_the_same_ones_again() {
    let provider = provider("faults = { error_rate = 0.3 }");
    let fails = |n: usize| {
        let id = format!("request-{n}");
        let call = call(Endpoint::Chat, CHAT, false, &id);
        provider.answer(&call, &mut Collected::default()).is_err()
    };
    let failed: Vec<usize> = (0..1000).filter(|n| fails(*n)).collect();
    assert!((250..350).contains(&failed.len()), "{}", failed.len());
    assert!(failed.iter().all(|n| fails(*n)));
}

#[test]
fn providers_of_different_names_fail_independently() {
    let faulty = |name| {
        Rehearsal::new(
            name,
            toml::from_str("faults = { error_rate = 0.5 }").unwrap(),
        )
        .unwrap()
    };
    let (one, other) = (faulty("one"), faulty("other"));
    let differ = (0..200).filter(|n| {
        let id = n.to_string();
        let fails = |provider: &Rehearsal| {
            let call = call(Endpoint::Chat, CHAT, false, &id);
            provider.answer(&call, &mut Collected::default()).is_err()
        };
        fails(&one) != fails(&other)
    });
    assert!((60..140).contains(&differ.count()));
}

#[test]
fn a_cut_stream_ends_in_the_middle_without_a_word() {
    let (result, cut) = play("faults = { cut_rate = 1 }", true, "r", None);
    let (_, whole) = play("", true, "r", None);
    assert_eq!(result, Ok(()));
    assert_eq!(
        cut.emitted,
        whole.emitted[..7],
        "the role and six of twelve words"
    );
    let (_, document) = play("faults = { cut_rate = 1 }", false, "r", None);
    assert_eq!(document.emitted.len(), 1, "only streams are cut");
}

#[test]
fn a_stalled_stream_goes_on_after_a_silence() {
    let (_, stalled) = play(
        "faults = { stall_rate = 1, stall = \"9s\" }",
        true,
        "r",
        None,
    );
    let (_, whole) = play("", true, "r", None);
    assert_eq!(stalled.emitted, whole.emitted);
    assert!(stalled.waits.contains(&Duration::from_secs(9)));
}

#[test]
fn a_reader_may_leave_at_any_step() {
    let table = "tokens_per_second = 10\nfaults = { stall_rate = 1 }";
    let (_, whole) = play(table, true, "r", None);
    let steps = whole.emitted.len() + whole.waits.len();
    for patience in 0..steps {
        let (result, collected) = play(table, true, "r", Some(patience));
        assert_eq!(result, Ok(()), "leaving is no error");
        assert_eq!(collected.emitted.len() + collected.waits.len(), patience);
    }
}

#[test]
fn numbers_out_of_range_are_refused_with_their_place() {
    let cases = [
        ("tokens_per_second = 0", ["tokens_per_second"].as_slice()),
        ("tokens_per_second = -1.5", &["tokens_per_second"]),
        ("tokens_per_second = inf", &["tokens_per_second"]),
        ("tokens_per_second = nan", &["tokens_per_second"]),
        ("faults = { error_rate = 1.1 }", &["faults", "error_rate"]),
        ("faults = { cut_rate = -0.1 }", &["faults", "cut_rate"]),
        ("faults = { stall_rate = nan }", &["faults", "stall_rate"]),
        ("faults = { status = 418 }", &["faults", "status"]),
    ];
    for (table, path) in cases {
        assert_eq!(setup_error(table).path, path, "{table}");
    }
    for table in [
        "latencies = 1",
        "faults = { rate = 1 }",
        "latency = \"soon\"",
    ] {
        assert!(
            toml::from_str::<super::super::RehearsalConfig>(table).is_err(),
            "{table}"
        );
    }
}
