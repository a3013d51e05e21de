use super::*;

#[test]
fn a_plugin_that_keeps_panicking_is_switched_off() {
    let plugin = Plugin::leak("shaky", "1");
    let now = Instant::now();
    for second in 0..9 {
        plugin.panicked_at("oh", now + Duration::from_secs(second));
    }
    assert!(!plugin.is_off());
    plugin.panicked_at("oh", now + Duration::from_secs(59));
    assert!(plugin.is_off());
    assert_eq!(plugin.panics.load(Ordering::Relaxed), 10);
}

#[test]
fn panics_that_are_far_between_switch_nothing_off() {
    let plugin = Plugin::leak("moody", "1");
    let now = Instant::now();
    for time in 0..100 {
        plugin.panicked_at("oh", now + Duration::from_secs(7 * time));
    }
    assert!(!plugin.is_off());
}

#[test]
fn the_plugin_that_runs_is_known_also_when_another_ran_within_it() {
    let (outer, inner) = (Plugin::leak("outer", "1"), Plugin::leak("inner", "1"));
    let name = || current().map(|plugin| &*plugin.name);
    assert_eq!(name(), None);
    {
        let _outer = enter(outer);
        assert_eq!(name(), Some("outer"));
        {
            let _inner = enter_at_leisure(inner);
            assert_eq!(name(), Some("inner"));
        }
        assert_eq!(name(), Some("outer"));
        assert_eq!(
            thread::spawn(|| current().is_some()).join().ok(),
            Some(false)
        );
    }
    assert_eq!(name(), None);
}

#[test]
fn a_hook_that_blocks_is_told_of_once_and_one_that_may_is_not() {
    let (slow, patient) = (Plugin::leak("slow", "1"), Plugin::leak("patient", "1"));
    let seat = Seat::default();
    for (plugin, since) in [(slow, 7), (patient, 0)] {
        seat.whose
            .store(ptr::from_ref(plugin).cast_mut(), Ordering::Relaxed);
        seat.since.store(since, Ordering::Relaxed);
        look(&seat, 7 + PATIENCE - 1);
        assert_eq!(plugin.blocked.load(Ordering::Relaxed), 0);
        look(&seat, 7 + PATIENCE);
        look(&seat, 8 + PATIENCE);
    }
    assert_eq!(slow.blocked.load(Ordering::Relaxed), 1);
    assert_eq!(patient.blocked.load(Ordering::Relaxed), 0);
}

#[test]
fn the_watch_sees_a_hook_that_blocks_on_its_thread() {
    let plugin = Plugin::leak("blocking", "1");
    let _running = enter(plugin);
    let patience = Instant::now() + Duration::from_secs(30);
    while plugin.blocked.load(Ordering::Relaxed) == 0 && Instant::now() < patience {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(plugin.blocked.load(Ordering::Relaxed), 1);
}

#[test]
fn a_thread_that_ends_leaves_its_seat() {
    let plugin = Plugin::leak("leaving", "1");
    let seat = thread::spawn(|| {
        let running = enter(plugin);
        let seats = SEATS.lock().unwrap_or_else(PoisonError::into_inner);
        let seat = seats
            .iter()
            .find(|seat| ptr::eq(Arc::as_ptr(seat), running.seat));
        seat.map(Arc::downgrade)
    });
    let seat = seat.join().ok().flatten().expect("it sat down");
    assert!(
        seat.upgrade()
            .is_none_or(|seat| seat.since.load(Ordering::Relaxed) == 0)
    );
}
