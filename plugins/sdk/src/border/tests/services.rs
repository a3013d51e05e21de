//! What a plugin may call on.

use std::time::Duration;

use super::{
    super::{
        host::{host, table},
        slices::{bytes, header_lines, headers_of, sized, slice},
    },
    gateway::{METERS, connect},
};
use crate::testing::block_on;
use millgate_plugin_abi as abi;

#[test]
fn sums_and_metrics_are_the_gateways() {
    connect();
    let tally = host().tally("four");
    assert_eq!(tally.total(), 4);
    tally.add(-1);

    let host = host();
    let counter = host.counter("blocked", &[("why", "a \"word\""), ("list", "x")]);
    counter.add(2);
    counter.clone().add(3);
    let histogram = host.histogram("wait_seconds", &[]);
    histogram.record(0.5);
    let meters = METERS.take();
    assert_eq!(
        meters,
        [
            (
                r#"1 blocked {"list":"x","why":"a \"word\""}"#.to_owned(),
                5.0
            ),
            ("2 wait_seconds {}".to_owned(), 0.5),
        ]
    );
}

#[test]
fn sleep_is_over_whether_it_is_rung_at_once_or_later() {
    connect();
    for time in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        block_on(host().sleep(time));
    }
    // One that nobody waits for any more rings for nobody.
    let mut sleep = host().sleep(Duration::from_millis(1));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let _ = sleep.as_mut().poll(&mut context);
    drop(sleep);
}

#[test]
fn headers_cross_as_they_are_or_not_at_all() {
    let headers = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        let own = |&(name, value): &(&str, &str)| (name.to_owned(), value.to_owned());
        pairs.iter().map(own).collect()
    };
    let fine = headers(&[("a", "1"), ("b", ""), ("c", "x: y"), ("d", " z ")]);
    assert_eq!(headers_of(&header_lines(&fine).unwrap()), fine);
    for (name, value) in [("a", "1\nb: 2"), ("a\n", ""), ("a: b", "c"), ("a", "\r")] {
        assert_eq!(header_lines(&headers(&[(name, value)])), Err(name));
    }
}

#[test]
fn a_struct_is_as_long_as_it_says() {
    #[repr(C)]
    struct Older {
        size: u32,
        status: u32,
        error: abi::Slice,
    }
    #[repr(C)]
    struct Newer {
        answer: abi::HttpAnswer,
        more: u64,
    }
    let older = Older {
        size: size_of::<Older>() as u32,
        status: 200,
        error: slice(b"none"),
    };
    // SAFETY: the struct has as many bytes as it says.
    let read: abi::HttpAnswer = unsafe { sized((&raw const older).cast()) };
    assert_eq!((read.status, read.error.len), (200, 4));
    assert!(read.headers.ptr.is_null() && read.body.len == 0);

    let newer = Newer {
        answer: abi::HttpAnswer {
            size: size_of::<Newer>() as u32,
            body: slice(b"body"),
            ..read
        },
        more: u64::MAX,
    };
    // SAFETY: as above.
    let read: abi::HttpAnswer = unsafe { sized((&raw const newer).cast()) };
    assert_eq!((read.body.len, newer.more), (4, u64::MAX));

    // A size in the middle of a pointer gives none of it.
    let torn = Older {
        size: 12,
        status: 200,
        error: slice(b"torn"),
    };
    // SAFETY: as above.
    let read: abi::HttpAnswer = unsafe { sized((&raw const torn).cast()) };
    assert!(read.status == 200 && read.error.ptr.is_null());
}

#[test]
fn slices_that_cannot_be_are_empty() {
    for (ptr, len) in [
        (std::ptr::null(), 0),
        (std::ptr::null(), 5),
        (std::ptr::dangling(), usize::MAX),
    ] {
        // SAFETY: null or too long, so that nothing is read.
        assert_eq!(unsafe { bytes(abi::Slice { ptr, len }) }, b"");
    }
}

#[test]
fn the_table_is_the_one_that_was_connected() {
    connect();
    assert!(table().get.is_some());
    assert!(table().log.is_none());
}
