use proptest::prelude::*;

use super::*;

fn table(places: u32) -> Arc<SlotTable> {
    let table = Arc::new(SlotTable::default());
    table.set_places(places);
    table
}

fn is_placed(place: &Place) -> bool {
    let waits = |waiter: &Arc<Waiter>| waiter.verdict() != Verdict::Placed;
    !place.waiter.as_ref().is_some_and(waits)
}

fn taken(table: &SlotTable, key: u64) -> u32 {
    table
        .keys
        .with_known(key, |slots| slots.taken())
        .unwrap_or(0)
}

#[test]
fn there_are_so_many_places_and_no_more_wait_than_may() {
    let table = table(2);
    let first = table.ask(1, 1, 1).unwrap();
    let second = table.ask(1, 1, 1).unwrap();
    let third = table.ask(1, 1, 1).unwrap();
    assert!(is_placed(&first) && is_placed(&second) && !is_placed(&third));
    assert!(table.ask(1, 1, 1).is_none());
    assert!(
        table.ask(2, 1, 1).is_some(),
        "another key has places of its own"
    );
    drop(first);
    assert!(is_placed(&third));
    drop(second);
    drop(third);
    assert_eq!(taken(&table, 1), 0);
}

#[test]
fn callers_take_turns_whoever_came_first() {
    let table = table(1);
    let mut current = table.ask(1, 9, 100).unwrap();
    // Caller 1 comes with five at once, callers 2 and 3 with two and one after it.
    let mut waiting: Vec<_> = [1, 1, 1, 1, 1, 2, 2, 3]
        .into_iter()
        .map(|caller| (caller, table.ask(1, caller, 100).unwrap()))
        .collect();
    let mut order = Vec::new();
    while !waiting.is_empty() {
        drop(current);
        let next = waiting
            .iter()
            .position(|(_, place)| is_placed(place))
            .unwrap();
        assert_eq!(
            waiting.iter().filter(|(_, place)| is_placed(place)).count(),
            1
        );
        let (caller, place) = waiting.remove(next);
        order.push(caller);
        current = place;
    }
    assert_eq!(order, [1, 2, 3, 1, 2, 1, 1, 1]);
}

#[test]
fn a_full_queue_makes_room_for_a_caller_that_waits_less() {
    let table = table(1);
    let _current = table.ask(1, 1, 3).unwrap();
    let greedy: Vec<_> = (0..3).map(|_| table.ask(1, 1, 3).unwrap()).collect();
    assert!(
        table.ask(1, 1, 3).is_none(),
        "not for one that waits most itself"
    );
    let modest = table.ask(1, 2, 3).unwrap();
    let verdicts = greedy
        .iter()
        .map(|place| place.waiter.as_ref().unwrap().verdict());
    assert_eq!(
        verdicts.collect::<Vec<_>>(),
        [Verdict::Waiting, Verdict::Waiting, Verdict::Displaced]
    );
    assert!(!is_placed(&modest));
    assert!(table.ask(1, 2, 3).is_none(), "two and one are fair");
}

#[test]
fn a_waiter_that_leaves_is_passed_over_and_one_that_was_placed_hands_on() {
    let table = table(1);
    let current = table.ask(1, 1, 9).unwrap();
    let left = table.ask(1, 1, 9).unwrap();
    let placed_and_left = table.ask(1, 2, 9).unwrap();
    let last = table.ask(1, 3, 9).unwrap();
    drop(left);
    drop(current);
    assert!(is_placed(&placed_and_left) && !is_placed(&last));
    // It was told, but its client had gone before it could notice.
    drop(placed_and_left);
    assert!(is_placed(&last));
    drop(last);
    assert_eq!(taken(&table, 1), 0);
}

#[test]
fn more_places_are_given_out_as_soon_as_anybody_moves() {
    let table = table(1);
    let _current = table.ask(1, 1, 9).unwrap();
    let second = table.ask(1, 1, 9).unwrap();
    table.set_places(3);
    let third = table.ask(1, 1, 9).unwrap();
    assert!(is_placed(&second) && is_placed(&third));
    table.set_places(1);
    let fourth = table.ask(1, 1, 9).unwrap();
    drop(second);
    assert!(!is_placed(&fourth), "there are fewer places now");
    drop(third);
    assert!(!is_placed(&fourth));
}

#[test]
fn counting_alone_holds_nobody_up() {
    let table = table(1);
    let places: Vec<_> = (0..3).map(|_| table.count(1, 2)).collect();
    assert!(places.iter().all(Option::is_some));
    assert!(table.count(1, 2).is_none());
    drop(places);
    assert_eq!(taken(&table, 1), 0);
}

proptest! {
    /// Whatever comes and goes: never more than there are places, no place stays empty while somebody waits, and
    /// in the end all of it is free again.
    #[test]
    fn places_are_neither_lost_nor_made(
        places in 1..4u32,
        queue in 0..6u32,
        steps in prop::collection::vec((any::<bool>(), 0..4u64, any::<prop::sample::Index>()), 1..120),
    ) {
        let table = table(places);
        let mut held: Vec<Place> = Vec::new();
        for (comes, caller, which) in steps {
            if comes {
                held.extend(table.ask(1, caller, queue));
            } else if !held.is_empty() {
                held.swap_remove(which.index(held.len()));
            }
            let placed = held.iter().filter(|place| is_placed(place)).count() as u32;
            let waits = |place: &&Place| {
                place.waiter.as_ref().is_some_and(|waiter| waiter.verdict() == Verdict::Waiting)
            };
            let waiting = held.iter().filter(waits).count() as u32;
            prop_assert!(placed <= places && waiting <= queue);
            prop_assert!(waiting == 0 || placed == places);
            prop_assert_eq!(taken(&table, 1), placed);
        }
        held.clear();
        prop_assert_eq!(taken(&table, 1), 0);
    }
}
