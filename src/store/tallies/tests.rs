use std::thread;

use super::*;

fn totals(tallies: &Tallies, keys: &[&str]) -> Vec<i64> {
    keys.iter().map(|key| tallies.tally(key).total()).collect()
}

#[test]
fn one_key_is_one_sum() {
    let tallies = Tallies::default();
    tallies.tally("a").add(5);
    tallies.tally("a").add(-2);
    tallies.tally("b").add(1);
    assert_eq!(totals(&tallies, &["a", "b", "c"]), [3, 1, 0]);
}

#[test]
fn the_store_is_told_of_each_increment_once() {
    let tallies = Tallies::default();
    let told = || -> Vec<_> {
        let increments = tallies.take();
        let told = increments
            .iter()
            .map(|one| (one.key().to_owned(), one.amount()));
        let told = told.collect();
        for increment in increments {
            let stored = increment.own + 100;
            increment.settle(stored);
        }
        told
    };
    let tally = tallies.tally("a");
    tally.add(1);
    tally.add(1);
    assert_eq!(told(), [("a".to_owned(), 2)]);
    assert_eq!(tally.total(), 102, "others had added 100");
    assert_eq!(told(), []);
    tally.add(3);
    assert_eq!(told(), [("a".to_owned(), 3)]);
    assert_eq!(tally.total(), 105);
}

#[test]
fn what_the_store_did_not_take_is_told_again_with_what_came_since() {
    let tallies = Tallies::default();
    let tally = tallies.tally("a");
    tally.add(1);
    let refused = tallies.take();
    tally.add(1);
    refused.into_iter().for_each(Increment::put_back);
    assert_eq!(tallies.unwritten(), 1);
    let amounts: Vec<_> = tallies.take().iter().map(Increment::amount).collect();
    assert_eq!(amounts, [2]);
    assert_eq!(tally.total(), 2);
}

#[test]
fn what_is_added_while_the_store_is_told_is_not_lost() {
    const THREADS: i64 = 4;
    const EACH: i64 = 20_000;
    let tallies = Tallies::default();
    let mut stored = 0;
    thread::scope(|scope| {
        let adding: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let tally = tallies.tally("a");
                    (0..EACH).for_each(|_| tally.add(1));
                })
            })
            .collect();
        let mut write = || {
            for increment in tallies.take() {
                stored += increment.amount();
                increment.settle(stored);
            }
        };
        while !adding.iter().all(thread::ScopedJoinHandle::is_finished) {
            write();
        }
        write();
    });
    assert_eq!(stored, THREADS * EACH);
    assert_eq!(totals(&tallies, &["a"]), [THREADS * EACH]);
}

#[test]
fn a_sweep_keeps_what_somebody_holds_and_what_tells_something() {
    let tallies = Tallies::default();
    let held = tallies.tally("held");
    tallies.learn([
        ("given up".into(), 5),
        ("known".into(), 6),
        ("held, given up".into(), 7),
    ]);
    let held_too = tallies.tally("held, given up");
    let _ = tallies.tally("asked for, never added to");
    tallies.sweep(&["given up".into(), "held, given up".into()]);
    let mut left: Vec<_> = lock(&tallies.sums).keys().cloned().collect();
    left.sort();
    let left: Vec<_> = left.iter().map(|key| &**key).collect();
    assert_eq!(left, ["held", "held, given up", "known"]);
    held.add(1);
    held_too.add(1);
    assert_eq!(
        totals(&tallies, &["held", "held, given up", "known"]),
        [1, 1, 6]
    );
}
