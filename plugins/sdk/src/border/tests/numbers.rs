//! What the traits say in enums, the interface says in numbers.

use millgate_plugin_abi as abi;

use crate::{CacheStatus, Endpoint, Field, Hooks, MetricKind, Outcome, RefusalKind};

#[test]
fn fields_have_the_numbers_of_the_interface() {
    for (number, field) in [
        (abi::FIELD_METHOD, Field::Method),
        (abi::FIELD_PATH, Field::Path),
        (abi::FIELD_ENDPOINT, Field::Endpoint),
        (abi::FIELD_MODEL, Field::Model),
        (abi::FIELD_STREAM, Field::Stream),
        (abi::FIELD_REQUEST_ID, Field::RequestId),
        (abi::FIELD_PEER_ADDRESS, Field::PeerAddress),
        (abi::FIELD_CALLER_ID, Field::CallerId),
        (abi::FIELD_CALLER_TEAM, Field::CallerTeam),
        (abi::FIELD_CALLER_META, Field::CallerMeta),
        (abi::FIELD_CALLER_KEY, Field::CallerKey),
        (abi::FIELD_MODEL_ALLOWED, Field::ModelAllowed),
        (abi::FIELD_CALLER_MODELS, Field::CallerModels),
        (abi::FIELD_FORWARDS_AUTH, Field::ForwardsAuth),
        (abi::FIELD_REQUEST_HEADER, Field::RequestHeader),
        (abi::FIELD_REQUEST_BODY, Field::RequestBody),
        (abi::FIELD_REQUEST_MEMBER, Field::RequestMember),
        (abi::FIELD_ROUTE, Field::Route),
        (abi::FIELD_PROVIDER, Field::Provider),
        (abi::FIELD_TARGET_MODEL, Field::TargetModel),
        (abi::FIELD_ATTEMPT, Field::Attempt),
        (abi::FIELD_UPSTREAM_HEADER, Field::UpstreamHeader),
        (abi::FIELD_DEADLINE_LEFT, Field::DeadlineLeft),
        (abi::FIELD_REPLY_STATUS, Field::ReplyStatus),
        (abi::FIELD_REPLY_HEADER, Field::ReplyHeader),
        (abi::FIELD_INPUT_TOKENS, Field::InputTokens),
        (abi::FIELD_OUTPUT_TOKENS, Field::OutputTokens),
        (abi::FIELD_INPUT_ESTIMATE, Field::InputEstimate),
        (abi::FIELD_OUTPUT_ESTIMATE, Field::OutputEstimate),
        (abi::FIELD_COST, Field::Cost),
        (abi::FIELD_CACHE_STATUS, Field::CacheStatus),
        (abi::FIELD_INPUT_PRICE, Field::InputPrice),
        (abi::FIELD_OUTPUT_PRICE, Field::OutputPrice),
        (abi::FIELD_VAR, Field::Var),
    ] {
        assert_eq!(number, field as u32, "{field:?}");
        assert_eq!(Field::from_number(number), Some(field));
    }
    let known = (0..1000).filter(|&number| Field::from_number(number).is_some());
    assert_eq!(known.count(), 34, "one of them is not in the list above");
}

#[test]
fn so_have_the_other_enums() {
    for (number, endpoint) in [
        (abi::ENDPOINT_CHAT, Endpoint::Chat),
        (abi::ENDPOINT_COMPLETIONS, Endpoint::Completions),
        (abi::ENDPOINT_EMBEDDINGS, Endpoint::Embeddings),
        (abi::ENDPOINT_RESPONSES, Endpoint::Responses),
        (abi::ENDPOINT_MODELS, Endpoint::Models),
        (abi::ENDPOINT_FORWARD, Endpoint::Forward),
    ] {
        assert_eq!(Endpoint::from_number(number.into()), Some(endpoint));
        assert_eq!(number, endpoint as u32);
    }
    for (number, kind) in [
        (abi::REFUSAL_INVALID_REQUEST, RefusalKind::InvalidRequest),
        (abi::REFUSAL_UNAUTHORIZED, RefusalKind::Unauthorized),
        (abi::REFUSAL_FORBIDDEN, RefusalKind::Forbidden),
        (abi::REFUSAL_NOT_FOUND, RefusalKind::NotFound),
        (abi::REFUSAL_UNPROCESSABLE, RefusalKind::Unprocessable),
        (abi::REFUSAL_RATE_LIMITED, RefusalKind::RateLimited),
        (abi::REFUSAL_INTERNAL, RefusalKind::Internal),
        (abi::REFUSAL_BAD_UPSTREAM, RefusalKind::BadUpstream),
        (abi::REFUSAL_UNAVAILABLE, RefusalKind::Unavailable),
        (abi::REFUSAL_TIMEOUT, RefusalKind::Timeout),
        (abi::REFUSAL_UNSUPPORTED, RefusalKind::Unsupported),
    ] {
        assert_eq!(RefusalKind::from_number(number), Some(kind));
        assert_eq!(number, kind as u32);
    }
    for (number, outcome) in [
        (abi::OUTCOME_OK, Outcome::Ok),
        (abi::OUTCOME_CLIENT_CLOSED, Outcome::ClientClosed),
        (abi::OUTCOME_CLIENT_ERROR, Outcome::ClientError),
        (abi::OUTCOME_REJECTED, Outcome::Rejected),
        (abi::OUTCOME_UPSTREAM_ERROR, Outcome::UpstreamError),
        (abi::OUTCOME_TIMEOUT, Outcome::Timeout),
        (abi::OUTCOME_INTERNAL_ERROR, Outcome::InternalError),
    ] {
        assert_eq!(Outcome::from_number(number), Some(outcome));
        assert_eq!(number, outcome as u32);
    }
    for (number, hook) in [
        (abi::HOOK_REQUEST, Hooks::REQUEST),
        (abi::HOOK_RESPONSE, Hooks::RESPONSE),
        (abi::HOOK_CHUNK, Hooks::CHUNK),
        (abi::HOOK_END, Hooks::END),
        (abi::HOOK_REQUEST_HEAD, Hooks::REQUEST_HEAD),
    ] {
        assert_eq!(number, hook.0);
    }
    assert_eq!(abi::METRIC_COUNTER, MetricKind::Counter as u32);
    assert_eq!(abi::METRIC_HISTOGRAM, MetricKind::Histogram as u32);
    assert_eq!(CacheStatus::from_number(5), Some(CacheStatus::Bypass));
}
