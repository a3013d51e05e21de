use bytes::Bytes;

use super::*;
use crate::cache::bench::{request, route};

fn admitted(endpoint: Endpoint, body: &str, lines: &str, cacheable: Cacheable) -> Result<(), Why> {
    admit(&request(endpoint, body), &route(lines), cacheable)
}

fn deterministic(body: &str) -> Result<(), Why> {
    admitted(Endpoint::Chat, body, "", Cacheable::Deterministic)
}

#[test]
fn only_what_would_be_answered_the_same_again_is_for_the_cache() {
    for (body, verdict) in [
        (r#"{"temperature":0}"#, Ok(())),
        (r#"{"temperature":0.0,"n":1}"#, Ok(())),
        (r#"{"temperature":1,"seed":7}"#, Ok(())),
        (r#"{"temperature":0,"tools":[{"type":"function"}]}"#, Ok(())),
        (r"{}", Err(Why::Temperature)),
        (r#"{"temperature":null}"#, Err(Why::Temperature)),
        (r#"{"temperature":0.1}"#, Err(Why::Temperature)),
        (r#"{"temperature":"0"}"#, Err(Why::Temperature)),
        (r#"{"seed":null}"#, Err(Why::Temperature)),
        (r#"{"temperature":0,"n":2}"#, Err(Why::SeveralChoices)),
        (r#"{"temperature":0,"best_of":3}"#, Err(Why::SeveralChoices)),
        (r#"{"temperature":0,"n":"2"}"#, Err(Why::SeveralChoices)),
        (r#"{"temperature":0,"store":true}"#, Err(Why::State)),
        (
            r#"{"temperature":0,"previous_response_id":"r"}"#,
            Err(Why::State),
        ),
        (r#"{"temperature":0,"previous_response_id":null}"#, Ok(())),
    ] {
        assert_eq!(deterministic(body), verdict, "{body}");
    }
    let always = |body| admitted(Endpoint::Chat, body, "", Cacheable::Always);
    assert_eq!(always(r#"{"temperature":1,"n":3}"#), Ok(()));
    assert_eq!(always(r#"{"store":true}"#), Err(Why::State));
}

#[test]
fn what_the_route_adds_counts_where_the_client_says_nothing() {
    let cold = "params = { temperature = 0 }";
    let at = |body, lines| admitted(Endpoint::Chat, body, lines, Cacheable::Deterministic);
    assert_eq!(at("{}", cold), Ok(()));
    assert_eq!(at(r#"{"temperature":1}"#, cold), Err(Why::Temperature));
    assert_eq!(
        at("{}", "params = { temperature = 0.7 }"),
        Err(Why::Temperature)
    );
    assert_eq!(at("{}", "params = { seed = 3 }"), Ok(()));
}

#[test]
fn embeddings_are_always_the_same_and_what_is_only_passed_on_is_not_known() {
    let at = |endpoint| admitted(endpoint, "{}", "", Cacheable::Deterministic);
    assert_eq!(at(Endpoint::Embeddings), Ok(()));
    assert_eq!(at(Endpoint::Forward), Err(Why::Endpoint));
    let at = |endpoint| admitted(endpoint, "{}", "", Cacheable::Always);
    assert_eq!(at(Endpoint::Forward), Err(Why::Endpoint));
    assert_eq!(at(Endpoint::Models), Err(Why::Endpoint));
}

fn keeps(endpoint: Endpoint, request_body: &str, answer: &'static str) -> bool {
    let pieces = [Piece {
        bytes: Bytes::from_static(answer.as_bytes()),
        is_usage: false,
    }];
    let request = request(endpoint, request_body);
    may_keep(&request, pieces.iter(), Cacheable::Deterministic)
}

#[test]
fn answers_that_call_tools_or_were_filtered_are_not_kept() {
    let chat = |body, answer| keeps(Endpoint::Chat, body, answer);
    let tools = r#"{"tools":[{}]}"#;
    let called =
        r#"{"choices":[{"message":{"tool_calls":[{"id":"x"}]},"finish_reason":"tool_calls"}]}"#;
    assert!(!chat(tools, called));
    assert!(!chat(
        tools,
        r#"data: {"choices":[{"delta":{"tool_calls": [ {"index":0}]}}]}"#
    ));
    assert!(!chat(
        r#"{"functions":[{}]}"#,
        r#"{"message":{"function_call":{"name":"f"}}}"#
    ));
    let quoted =
        r#"{"message":{"content":"\"tool_calls\":[{}]","tool_calls":[],"function_call":null}}"#;
    assert!(chat(tools, quoted));
    assert!(chat(
        tools,
        r#"{"message":{"content":"hi"},"finish_reason":"length"}"#
    ));
    assert!(!chat("{}", r#"{"finish_reason":"content_filter"}"#));
    assert!(chat(
        "{}",
        r#"{"content_filter_results":{},"finish_reason":"stop"}"#
    ));
    let responses = |answer| keeps(Endpoint::Responses, tools, answer);
    assert!(!responses(r#"{"output":[{"type":"function_call"}]}"#));
    assert!(!responses(r#"{"output":[{"type":"web_search_call"}]}"#));
    assert!(responses(r#"{"output":[{"type":"message"}]}"#));
}

#[test]
fn a_response_that_stays_at_the_upstream_is_not_for_the_cache() {
    let shared = "paths = [\"/v1/chat*\"]\nshared_state = true";
    let at = |body, lines| admitted(Endpoint::Responses, body, lines, Cacheable::Always);
    assert_eq!(at(r#"{"input":"x"}"#, ""), Ok(()));
    assert_eq!(at(r#"{"input":"x"}"#, shared), Err(Why::State));
    assert_eq!(at(r#"{"input":"x","store":false}"#, shared), Ok(()));
    assert_eq!(at(r#"{"prompt":{"id":"p"}}"#, shared), Err(Why::State));
}
