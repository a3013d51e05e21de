use std::{
    collections::BTreeMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use uuid::Uuid;

use super::{
    backend::Backend,
    capture::Sealed,
    clock::Believed,
    queue::Order,
    row::{Row, sample as row},
    sqlite::Sqlite,
    usage::{By, captured, usage},
    writer::Writer,
    *,
};
use crate::telemetry::ended::Captured;

const DAY: Duration = Duration::from_hours(24);

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
}

fn settings(folder: &Path) -> (Settings, Place) {
    let settings = Settings {
        enabled: true,
        url: None,
        ca_file: None,
        interval: Duration::from_millis(10),
        queue: 10,
        max_age: 90 * DAY,
        max_size: 1 << 30,
        keys: Keys::default(),
    };
    let place = settings.place(Some(folder)).unwrap().unwrap();
    (settings, place)
}

fn open(folder: &Path) -> Sqlite {
    Sqlite::open(folder, true).unwrap()
}

fn exchanges(place: &Place) -> i64 {
    let until = now() + 1000 * DAY;
    let usage = usage(place, SystemTime::UNIX_EPOCH, until, By::Caller).unwrap();
    usage.totals.exchanges
}

#[test]
fn a_batch_that_is_written_again_makes_no_second_rows() {
    let folder = tempfile::tempdir().unwrap();
    let (_, place) = settings(folder.path());
    let mut ledger = open(folder.path());
    let rows: Vec<_> = (0..100).map(|number| row(number, now())).collect();
    let sealed = [(
        Uuid::from_u128(1),
        Sealed {
            key: "k".to_owned(),
            content: vec![1],
        },
    )];
    ledger.write(&rows[..60], &sealed).unwrap();
    ledger.write(&rows, &sealed).unwrap();
    assert_eq!(exchanges(&place), 100);
}

#[test]
fn sums_tell_exact_estimated_shared_and_unpriced_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (_, place) = settings(folder.path());
    let plain = row(1, now());
    let estimated = Row {
        estimated: true,
        outcome: "client_closed",
        cost: Some(1),
        ..row(2, now())
    };
    let shared = Row {
        shared: true,
        cost: None,
        saved: Some(500_000_000),
        ..row(3, now())
    };
    let unpriced = Row {
        cost: None,
        caller: "ben".into(),
        ..row(4, now() + DAY)
    };
    let refused = Row {
        cost: None,
        input: None,
        output: None,
        reasoning: None,
        outcome: "timeout",
        caller: "chris".into(),
        ..row(5, now())
    };
    let rows = [plain, estimated, shared, unpriced, refused];
    open(folder.path()).write(&rows, &[]).unwrap();
    let told = usage(&place, now(), now() + 2 * DAY, By::Caller).unwrap();
    let keys: Vec<_> = told.rows.iter().map(|row| row.key.as_deref()).collect();
    assert_eq!(keys, [Some("anna"), Some("ben"), Some("chris")]);
    let [anna, ben, chris] = &told.rows[..] else {
        panic!("{told:?}")
    };
    assert_eq!((anna.exchanges, anna.cancelled, anna.cache_hits), (3, 1, 1));
    assert_eq!((anna.input_tokens, anna.output_tokens), (10, 5));
    assert_eq!((anna.estimated_tokens, anna.reasoning_tokens), (15, 2));
    assert_eq!(anna.cost, Some(1.500_000_001));
    assert_eq!(anna.saved, Some(0.5));
    assert_eq!((ben.cost, ben.unpriced_exchanges), (None, 1));
    assert_eq!(
        (chris.cost, chris.unpriced_exchanges, chris.errors),
        (Some(0.0), 0, 1)
    );
    assert_eq!(told.totals.cost, Some(1.500_000_001));
    let days = usage(&place, now(), now() + 2 * DAY, By::Day).unwrap();
    let days: Vec<_> = days.rows.iter().map(|row| row.key.as_deref()).collect();
    assert_eq!(days, [Some("2027-01-15"), Some("2027-01-16")]);
    let none = usage(&place, now() + DAY, now() + DAY, By::Model).unwrap();
    assert_eq!((none.rows.len(), none.totals.exchanges), (0, 0));
}

#[test]
fn what_is_old_is_deleted_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (_, place) = settings(folder.path());
    let mut ledger = open(folder.path());
    let rows: Vec<_> = (0..50)
        .map(|number| row(number, now() - DAY * number as u32))
        .collect();
    let sealed: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.id,
                Sealed {
                    key: "k".to_owned(),
                    content: vec![0; 10],
                },
            )
        })
        .collect();
    ledger.write(&rows, &sealed).unwrap();
    while ledger.prune(now() - 9 * DAY, 1 << 30).unwrap() {}
    assert_eq!(exchanges(&place), 10);
    assert!(ledger.captured(Uuid::from_u128(9)).unwrap().is_some());
    assert!(ledger.captured(Uuid::from_u128(10)).unwrap().is_none());
    // A clock that has stepped back makes nothing old.
    assert!(!ledger.prune(SystemTime::UNIX_EPOCH, 1 << 30).unwrap());
    assert_eq!(exchanges(&place), 10);
}

#[test]
fn a_file_that_is_too_large_loses_its_oldest_rows_and_shrinks() {
    let folder = tempfile::tempdir().unwrap();
    let (_, place) = settings(folder.path());
    let mut ledger = open(folder.path());
    for batch in 0..10 {
        let rows: Vec<_> = (0..1000)
            .map(|number| batch * 1000 + number)
            .map(|number| row(number, now() + Duration::from_secs(number as u64)))
            .collect();
        ledger.write(&rows, &[]).unwrap();
    }
    let max_size = 1 << 20;
    assert!(ledger.is_larger(max_size));
    while ledger.prune(SystemTime::UNIX_EPOCH, max_size).unwrap() {}
    assert!(!ledger.is_larger(max_size));
    let left = exchanges(&place);
    assert!((500..9000).contains(&left), "{left}");
    let first = SystemTime::UNIX_EPOCH;
    let cut = now() + Duration::from_secs(10_000 - left as u64);
    let gone = usage(&place, first, cut, By::Caller).unwrap();
    assert_eq!(gone.totals.exchanges, 0, "the oldest went first");
    drop(ledger);
    let size = std::fs::metadata(folder.path().join(place::FILE))
        .unwrap()
        .len();
    assert!(size < 2 * max_size, "{size}");
}

#[test]
fn a_time_that_was_believed_is_known_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut ledger = open(folder.path());
    assert_eq!(ledger.known_time().unwrap(), None);
    ledger.write(&[row(1, now())], &[]).unwrap();
    let mut noted = Believed {
        time: now(),
        running: 0,
        least: BTreeMap::new(),
    };
    assert_eq!(ledger.known_time().unwrap().as_ref(), Some(&noted));
    for running in [5, 7] {
        noted = Believed {
            time: now() - DAY,
            running,
            least: BTreeMap::from([(3, -4), (9, running)]),
        };
        ledger.note_time(&noted).unwrap();
        drop(ledger);
        ledger = open(folder.path());
        assert_eq!(ledger.known_time().unwrap().as_ref(), Some(&noted));
    }
}

#[test]
fn the_log_beside_a_file_counts_and_is_cut_before_rows_are_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (_, place) = settings(folder.path());
    let mut ledger = open(folder.path());
    let rows: Vec<_> = (0..1000).map(|number| row(number, now())).collect();
    ledger.write(&rows, &[]).unwrap();
    let log = folder.path().join("ledger.db-wal");
    let size = |path: &Path| std::fs::metadata(path).unwrap().len();
    let max_size = 2 << 20;
    // Somebody reads, and the log cannot be cut as it grows.
    let reader = rusqlite::Connection::open(folder.path().join(place::FILE)).unwrap();
    reader
        .execute_batch("BEGIN; SELECT * FROM believed")
        .unwrap();
    let count = || reader.query_row("SELECT count(*) FROM exchanges", [], |row| row.get(0));
    assert_eq!(count(), Ok(1000));
    for millis in 0..1000 {
        let noted = Believed {
            time: now() + Duration::from_millis(millis),
            running: 0,
            least: BTreeMap::new(),
        };
        ledger.note_time(&noted).unwrap();
    }
    assert!(size(&log) > max_size, "{}", size(&log));
    assert!(ledger.is_larger(max_size));
    while ledger.prune(SystemTime::UNIX_EPOCH, max_size).unwrap() {}
    reader.execute_batch("COMMIT").unwrap();
    assert!(ledger.is_larger(max_size));
    while ledger.prune(SystemTime::UNIX_EPOCH, max_size).unwrap() {}
    assert!(!ledger.is_larger(max_size));
    assert!(size(&log) < max_size / 4, "{}", size(&log));
    assert_eq!(exchanges(&place), 1000, "no row is deleted for it");
}

/// A question that never ends: its table is one of endless rows.
#[test]
fn a_question_that_takes_too_long_is_interrupted_and_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let file = rusqlite::Connection::open(folder.path().join(place::FILE)).unwrap();
    let view = "ALTER TABLE exchanges RENAME TO finite; CREATE VIEW exchanges AS \
                WITH RECURSIVE n (at) AS (SELECT 0 UNION ALL SELECT 0 FROM n) \
                SELECT n.at AS time, 'anna' AS caller, finite.outcome, finite.shared, finite.estimated, finite.input_tokens, \
                finite.output_tokens, finite.cached_tokens, finite.reasoning_tokens, finite.cost, finite.saved \
                FROM n LEFT JOIN finite ON finite.id = ''";
    file.execute_batch(view).unwrap();
    let mut reading = Sqlite::read(folder.path(), Duration::ZERO).unwrap();
    let error = reading.usage(SystemTime::UNIX_EPOCH, now(), By::Caller);
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("10 seconds") && error.contains("less time"),
        "{error}"
    );
}

#[test]
fn reading_leaves_a_file_of_another_version_as_it_is_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let (_, place) = settings(folder.path());
    drop(open(folder.path()));
    let file = rusqlite::Connection::open(folder.path().join(place::FILE)).unwrap();
    for (version, words) in [(1, "older millgate"), (99, "newer millgate")] {
        file.pragma_update(None, "user_version", version).unwrap();
        let asked = usage(&place, SystemTime::UNIX_EPOCH, now(), By::Caller);
        let error = asked.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.is_missing());
        let after = file.pragma_query_value(None, "user_version", |row| row.get(0));
        assert_eq!(after, Ok(version));
    }
}

#[test]
fn a_file_that_is_empty_yet_is_no_ledger_yet() {
    let folder = tempfile::tempdir().unwrap();
    let (_, place) = settings(folder.path());
    std::fs::write(folder.path().join(place::FILE), "").unwrap();
    let asked = usage(&place, SystemTime::UNIX_EPOCH, now(), By::Caller);
    assert!(asked.unwrap_err().is_missing());
    let size = std::fs::metadata(folder.path().join(place::FILE)).unwrap();
    assert_eq!(size.len(), 0, "reading makes nothing of it");
}

#[test]
fn of_many_keys_the_largest_are_told_and_the_others_in_one_row() {
    let folder = tempfile::tempdir().unwrap();
    let (_, place) = settings(folder.path());
    let rows: Vec<_> = (0..1010)
        .map(|number: u32| Row {
            caller: format!("caller-{number}").into(),
            input: Some(i64::from(number)),
            output: Some(0),
            cost: Some(1_000_000_000),
            ..row(number.into(), now())
        })
        .collect();
    open(folder.path()).write(&rows, &[]).unwrap();
    let told = usage(&place, now(), now() + DAY, By::Caller).unwrap();
    assert_eq!(told.rows.len(), 1001);
    assert_eq!(told.rows[0].key.as_deref(), Some("caller-1009"));
    assert_eq!(told.rows[999].key.as_deref(), Some("caller-10"));
    let other = &told.rows[1000];
    assert_eq!(
        (other.key.as_deref(), other.others),
        (Some("other"), Some(10))
    );
    assert_eq!(
        (other.exchanges, other.input_tokens, other.cost),
        (10, 45, Some(10.0))
    );
    assert_eq!(told.totals.exchanges, 1010);
    assert_eq!(told.totals.input_tokens, (0..1010).sum::<i64>());
    let team = usage(&place, now(), now() + DAY, By::Team).unwrap();
    assert_eq!((team.rows.len(), team.rows[0].others), (1, None));
}

/// The thread's work, done by the test.
fn writer(folder: &Path, settings: &Settings) -> (Arc<Shared>, Writer) {
    let shared = Arc::new(Shared::default());
    shared.admit(true, settings);
    let place = settings.place(Some(folder)).unwrap().unwrap();
    (shared.clone(), Writer::new(shared, settings.clone(), place))
}

#[test]
fn a_full_disk_keeps_rows_waiting_up_to_the_bound_and_the_rest_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (settings, place) = settings(folder.path());
    let (shared, mut writer) = writer(folder.path(), &settings);
    // As many pages as there are: a row of the longest texts does not fit.
    writer.limit_pages(1);
    for number in 0..25 {
        shared.push(Row {
            asked: Some("x".repeat(4000).into()),
            ..row(number, now())
        });
    }
    assert_eq!(
        (shared.waiting(), shared.dropped.load(Ordering::Relaxed)),
        (10, 15)
    );
    writer.beat();
    assert!(shared.error().unwrap().contains("is full"));
    assert_eq!(shared.waiting(), 10);
    writer.limit_pages(1_000_000);
    writer.beat();
    assert_eq!((shared.error(), shared.waiting()), (None, 0));
    assert_eq!(exchanges(&place), 10);
    assert_eq!(shared.written.load(Ordering::Relaxed), 10);
}

/// A ledger whose files somebody has laid hands on meanwhile: that is told, and what they have left
/// and what was to be written is there then.
fn is_noticed(left: i64, meddle: impl Fn(&Path)) {
    let folder = tempfile::tempdir().unwrap();
    let (settings, place) = settings(folder.path());
    let (shared, mut writer) = writer(folder.path(), &settings);
    shared.push(row(1, now()));
    writer.beat();
    shared.push(row(2, now()));
    writer.beat();
    meddle(folder.path());
    shared.push(row(3, now()));
    writer.beat();
    assert!(shared.error().is_some());
    assert_eq!(shared.waiting(), 1);
    writer.beat();
    assert_eq!((shared.error(), shared.waiting()), (None, 0));
    assert_eq!(exchanges(&place), left + 1);
}

#[test]
fn a_log_that_is_taken_away_is_noticed() {
    is_noticed(2, |folder| {
        std::fs::remove_file(folder.join("ledger.db-wal")).unwrap();
    });
}

#[test]
fn a_file_that_is_emptied_is_noticed() {
    // All rows are still in the log.
    is_noticed(2, |folder| {
        std::fs::write(folder.join(place::FILE), "").unwrap();
    });
    is_noticed(0, |folder| {
        let path = folder.join(place::FILE);
        let file = rusqlite::Connection::open(&path).unwrap();
        let cut = file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
        assert_eq!(cut, Ok(0));
        std::fs::write(path, "").unwrap();
    });
}

#[test]
fn a_log_that_was_cut_is_the_same_log() {
    let folder = tempfile::tempdir().unwrap();
    let (_, place) = settings(folder.path());
    let mut ledger = open(folder.path());
    ledger.write(&[row(1, now())], &[]).unwrap();
    let file = rusqlite::Connection::open(folder.path().join(place::FILE)).unwrap();
    let cut = file.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
    assert_eq!(cut, Ok(0));
    drop(file);
    ledger.write(&[row(2, now())], &[]).unwrap();
    assert_eq!(exchanges(&place), 2);
}

#[test]
fn content_is_kept_with_a_key_alone_and_read_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (mut settings, place) = settings(folder.path());
    let content = Captured {
        request: "canary question".to_owned(),
        reply: "canary answer".to_owned(),
    };
    let with_content = |number| Row {
        captured: Some(Arc::new(content.clone())),
        ..row(number, now())
    };
    let (shared, mut first) = writer(folder.path(), &settings);
    shared.push(with_content(1));
    first.beat();
    drop(first);
    settings.keys.current = Key::parse(&"0f".repeat(32));
    let (shared, mut second) = writer(folder.path(), &settings);
    shared.push(with_content(2));
    second.beat();
    drop(second);
    let read = |number| captured(&place, &settings.keys, Uuid::from_u128(number)).unwrap();
    assert_eq!((read(1), read(2)), (None, Some(content.clone())));
    assert!(captured(&place, &Keys::default(), Uuid::from_u128(2)).is_err());
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(6).any(|window| window == b"canary"));
    }
}

#[test]
fn a_small_queue_wakes_the_writer_before_it_is_full() {
    let shared = Shared::default();
    let folder = tempfile::tempdir().unwrap();
    let (mut settings, _) = settings(folder.path());
    let until = Instant::now() + Duration::from_secs(20);
    for (queue, full) in [(1, 1), (2, 1), (10, 5), (1500, 750)] {
        settings.queue = queue;
        shared.admit(true, &settings);
        for number in 0..full {
            shared.push(row(number, now()));
        }
        assert!(shared.wait(until, true).is_none());
        assert!(Instant::now() < until, "{queue}");
        shared.take(&mut Vec::new());
        shared.settle(full as usize, 0);
    }
}

#[test]
fn an_order_comes_before_rows_and_a_full_batch_before_the_interval() {
    let shared = Shared::default();
    let folder = tempfile::tempdir().unwrap();
    let (mut settings, place) = settings(folder.path());
    settings.queue = 5000;
    shared.admit(true, &settings);
    let far = Instant::now() + Duration::from_mins(10);
    for number in 0..1000 {
        shared.push(row(number, now()));
    }
    assert!(shared.wait(far, true).is_none());
    shared.order(Order::Change(settings, Some(place)));
    assert!(matches!(shared.wait(far, true), Some(Order::Change(..))));
    assert!(shared.wait(Instant::now(), false).is_none());
}
