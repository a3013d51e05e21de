//! A client's `traceparent` and `tracestate`: what is read is what is there, and what goes out is well formed whatever came
//! in.
//!
//! The first line of the input is the `traceparent`, each further one a `tracestate`.
#![no_main]

use std::num::NonZeroU64;

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use millgate::telemetry::traces::context::{
    Parent, TRACEPARENT, TRACESTATE, TraceContext, is_tracestate,
};

fuzz_target!(|input: &[u8]| {
    let mut client = HeaderMap::new();
    for (at, line) in input.split(|&byte| byte == b'\n').enumerate() {
        let name = if at == 0 { TRACEPARENT } else { TRACESTATE };
        let Ok(value) = HeaderValue::from_bytes(line) else {
            return;
        };
        client.append(name, value);
    }
    let parent = Parent::of(&client);
    let first = client[TRACEPARENT].as_bytes();
    assert_eq!(parent, Parent::parse(first));
    if let Some(parent) = parent {
        let text = format!("{:032x}-{:016x}", parent.trace, parent.span);
        assert_eq!(&first[3..52], text.as_bytes());
    }
    for is_sampled in [false, true] {
        goes_on(parent, is_sampled, &client);
    }
});

/// What an upstream is sent.
fn goes_on(parent: Option<Parent>, is_sampled: bool, client: &HeaderMap) {
    let context = TraceContext::begin(parent, is_sampled);
    let span = NonZeroU64::MAX;
    let mut sent = HeaderMap::new();
    context.write(span, client, &mut sent);
    let next = Parent::of(&sent).expect("one that is well formed");
    assert_eq!((next.trace, next.span), (context.trace, span));
    assert_eq!(next.is_sampled(), is_sampled);
    if let Some(parent) = parent {
        assert_eq!(next.trace, parent.trace);
    }
    let states = |headers: &HeaderMap| {
        headers
            .get_all(TRACESTATE)
            .iter()
            .cloned()
            .collect::<Vec<_>>()
    };
    if parent.is_some() && is_tracestate(client) {
        assert_eq!(states(&sent), states(client));
        assert!(
            members(&sent)
                .iter()
                .all(|member| member.split(|&byte| byte == b'=').count() == 2)
        );
        assert!((1..=32).contains(&members(&sent).len()));
    } else {
        assert!(!sent.contains_key(TRACESTATE));
    }
}

/// The members of all lists that are not empty.
fn members(headers: &HeaderMap) -> Vec<Vec<u8>> {
    let lists = headers.get_all(TRACESTATE).iter();
    let members = lists.flat_map(|list| list.as_bytes().split(|&byte| byte == b','));
    members
        .map(|member| member.trim_ascii().to_vec())
        .filter(|member| !member.is_empty())
        .collect()
}
