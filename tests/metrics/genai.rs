//! What the conventions want to know.

use super::scrape::Scrape;

/// The metrics of the `GenAI` conventions after the same mix.
pub(super) fn check(scrape: &Scrape, embedded: u64) {
    let count = |name: &str, labels: &[(&str, &str)]| scrape.count(name, labels);
    let usage = "gen_ai_client_token_usage";
    let chat = [
        ("gen_ai_operation_name", "chat"),
        ("gen_ai_provider_name", "openai"),
    ];
    let of = |kind| [chat[0], chat[1], ("gen_ai_token_type", kind)];
    // Six at the first provider and one at the second; what was estimated is not among them.
    for (kind, each) in [("input", 11), ("output", 4)] {
        assert_eq!(count(&format!("{usage}_count"), &of(kind)), 7, "{kind}");
        assert_eq!(
            count(&format!("{usage}_sum"), &of(kind)),
            7 * each,
            "{kind}"
        );
        let within = |bound| {
            let labels = [chat[0], chat[1], ("gen_ai_token_type", kind), ("le", bound)];
            count(&format!("{usage}_bucket"), &labels)
        };
        assert_eq!(
            (within("1"), within("16"), within("6.7108864e+07")),
            (0, 7, 7)
        );
    }
    let embeddings = ("gen_ai_operation_name", "embeddings");
    assert_eq!(count(&format!("{usage}_sum"), &[embeddings]), embedded);
    let model = ("gen_ai_request_model", "text-embedding-3-small");
    assert_eq!(count(&format!("{usage}_count"), &[embeddings, model]), 1);

    let operations = "gen_ai_client_operation_duration_seconds_count";
    for (error, expected) in [("", 8), ("500", 4), ("503", 2), ("client_closed", 1)] {
        assert_eq!(
            count(operations, &[("error_type", error)]),
            expected,
            "{error}"
        );
    }
    let first = [
        ("millgate_provider", "first"),
        ("server_address", "127.0.0.1"),
    ];
    assert_eq!(count(operations, &first), 12);
    // Two whole streams of four events, and one of which two had come.
    let chunks = "gen_ai_client_operation_time_to_first_chunk_seconds_count";
    assert_eq!(count(chunks, &[]), 3);
    let gaps = count(
        "gen_ai_client_operation_time_per_output_chunk_seconds_count",
        &[],
    );
    assert_eq!(gaps, 3 + 3 + 1);

    let requests = "gen_ai_server_request_duration_seconds_count";
    for (error, expected) in [
        ("", 9),
        ("500", 1),
        ("400", 1),
        ("429", 1),
        ("client_closed", 1),
    ] {
        assert_eq!(
            count(requests, &[("error_type", error)]),
            expected,
            "{error}"
        );
    }
    assert_eq!(
        count("gen_ai_server_time_to_first_token_seconds_count", &[]),
        2
    );
    assert_eq!(
        count("gen_ai_server_time_per_output_token_seconds_count", &[]),
        2
    );
}
