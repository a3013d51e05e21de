//! An exchange of which little is known, for tests to begin with.

use std::net::Ipv4Addr;

use super::*;

/// A request for a chat, answered at once.
pub(crate) fn sample() -> Ended {
    Ended {
        id: Uuid::nil(),
        request_id: HeaderValue::from_static("r"),
        time: SystemTime::UNIX_EPOCH,
        started: Instant::now(),
        total: Duration::ZERO,
        reading: Duration::ZERO,
        upstream: None,
        first: None,
        peer: Ipv4Addr::LOCALHOST.into(),
        caller: Caller::default(),
        method: Method::POST,
        path: "/v1/chat/completions".into(),
        endpoint: Endpoint::Chat,
        stream: false,
        route: None,
        asked: "gpt".into(),
        provider: None,
        model: None,
        attempts: SmallVec::new(),
        stages: SmallVec::new(),
        looked_up: None,
        status: 200,
        outcome: Outcome::Ok,
        error: None,
        cache: None,
        is_revalidation: false,
        tokens: None,
        cost: None,
        saved: None,
        request_bytes: 0,
        bytes: 0,
        captured: None,
        trace: None,
        parameters: None,
    }
}
