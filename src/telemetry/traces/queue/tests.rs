use proptest::prelude::*;

use super::*;
use crate::telemetry::ended::{Captured, sample::sample};

/// An exchange without attempts: one span.
fn holding(bytes: u64) -> Arc<Ended> {
    let mut ended = sample();
    ended.captured = Some(Arc::new(Captured {
        request: "x".repeat(bytes as usize),
        reply: String::new(),
    }));
    Arc::new(ended)
}

#[test]
fn what_waits_is_bounded_in_bytes_until_it_has_been_sent() {
    let queue = Queue::new(1000, Arc::default());
    let half = holding(MOST_CONTENT / 2);
    for _ in 0..3 {
        queue.push(half.clone());
    }
    queue.push(holding(0));
    let stats = queue.counts.stats(true);
    assert_eq!((stats.waiting, stats.dropped), (3, 1));
    assert_eq!(queue.take(10).len(), 1, "it fills a batch by itself");
    queue.push(half.clone());
    assert_eq!(queue.counts.stats(true).dropped, 2, "it is still held");
    queue.settle(1);
    queue.push(half);
    let stats = queue.counts.stats(true);
    assert_eq!((stats.waiting, stats.exported, stats.dropped), (3, 1, 2));
    queue.end();
    let stats = queue.counts.stats(true);
    assert_eq!((stats.waiting, stats.exported, stats.dropped), (0, 1, 5));
}

proptest! {
    /// Whatever comes: every span is counted once, no batch is larger than one exchange beyond its bounds, and at the end
    /// nothing is held.
    #[test]
    fn every_span_becomes_one_thing(
        sizes in proptest::collection::vec(0..BATCH_CONTENT / 2, 1..80),
        capacity in 1_u64..60,
        most in 1_u64..20,
    ) {
        let queue = Queue::new(capacity, Arc::default());
        let (mut sent, mut kept) = (0, 0);
        for size in &sizes {
            queue.push(holding(*size));
            if size % 3 == 0 {
                let batch = queue.take(most);
                let content: u64 = batch.iter().map(|ended| content_of(ended)).sum();
                prop_assert!(batch.len() as u64 <= most);
                prop_assert!(content < BATCH_CONTENT + BATCH_CONTENT / 2);
                sent += batch.len() as u64;
                queue.settle(batch.len() as u64);
            }
            let held = queue.lock().held;
            prop_assert!(held.spans <= capacity && held.content <= MOST_CONTENT);
            kept = held.spans;
        }
        let stats = queue.counts.stats(true);
        prop_assert_eq!((stats.exported, stats.waiting), (sent, kept));
        prop_assert_eq!(stats.exported + stats.waiting + stats.dropped, sizes.len() as u64);
        queue.end();
        prop_assert_eq!(queue.counts.stats(true).dropped, sizes.len() as u64 - sent);
    }
}
