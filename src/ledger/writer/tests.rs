use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError, atomic::Ordering, mpsc::sync_channel},
    time::SystemTime,
};

use uuid::Uuid;

use super::*;
use crate::{
    ledger::{
        Key, Keys,
        capture::Sealed,
        clock::Believed,
        usage::{By, UsageRow},
    },
    telemetry::ended::Captured,
};

/// A database that does as a test tells it.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

type Fault = fn(&[Row], &[(Uuid, Sealed)]) -> Result<(), LedgerError>;

#[derive(Default)]
struct Script {
    /// Ids that are written, and how much was captured of each.
    written: BTreeMap<u128, usize>,
    /// How many rows each attempt had.
    attempts: Vec<usize>,
    /// The content that each attempt had.
    contents: Vec<Vec<(Uuid, Sealed)>>,
    /// What becomes of an attempt.
    fault: Option<Fault>,
    /// What becomes of what is noted and deleted, and how often that was tried.
    pruning_fault: Option<fn() -> LedgerError>,
    prunings: usize,
}

impl Scripted {
    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Backend for Scripted {
    fn write(&mut self, rows: &[Row], sealed: &[(Uuid, Sealed)]) -> Result<(), LedgerError> {
        let mut script = self.script();
        script.attempts.push(rows.len());
        script.contents.push(sealed.to_vec());
        if let Some(fault) = script.fault {
            fault(rows, sealed)?;
        }
        for row in rows {
            let content = sealed.iter().find(|(id, _)| *id == row.id);
            let bytes = content.map_or(0, |(_, sealed)| sealed.content.len());
            let before = script.written.insert(row.id.as_u128(), bytes);
            assert_eq!(before, None, "a row that was settled is written again");
        }
        Ok(())
    }

    fn prune(&mut self, _: SystemTime, _: u64) -> Result<bool, LedgerError> {
        Ok(false)
    }

    fn is_larger(&mut self, _: u64) -> bool {
        self.script().pruning_fault.is_some()
    }

    fn known_time(&mut self) -> Result<Option<Believed>, LedgerError> {
        Ok(None)
    }

    fn note_time(&mut self, _: &Believed) -> Result<(), LedgerError> {
        let mut script = self.script();
        script.prunings += 1;
        script.pruning_fault.map_or(Ok(()), |fault| Err(fault()))
    }

    fn usage(&mut self, _: SystemTime, _: SystemTime, _: By) -> Result<Vec<UsageRow>, LedgerError> {
        Ok(Vec::new())
    }

    fn captured(&mut self, _: Uuid) -> Result<Option<Sealed>, LedgerError> {
        Ok(None)
    }
}

fn settings() -> Settings {
    Settings {
        enabled: true,
        url: None,
        ca_file: None,
        interval: Duration::from_millis(10),
        queue: 5000,
        max_age: Duration::from_hours(24),
        max_size: 1 << 30,
        keys: Keys {
            current: Key::parse(&"0f".repeat(32)),
            old: Vec::new(),
        },
    }
}

/// A writer with this database open, and as many rows that wait, of which these have content.
fn writer(rows: u128, with_content: &[u128]) -> (Scripted, Arc<Shared>, Writer) {
    let (database, shared, settings) =
        (Scripted::default(), Arc::new(Shared::default()), settings());
    shared.admit(true, &settings);
    let place = Place::Sqlite {
        folder: "/dev/null/nowhere".into(),
    };
    let mut writer = Writer::new(shared.clone(), settings, place);
    reopen(&mut writer, &database);
    for number in 0..rows {
        let content = Captured {
            request: "question".to_owned(),
            reply: "answer".to_owned(),
        };
        shared.push(Row {
            captured: with_content.contains(&number).then(|| Arc::new(content)),
            ..crate::ledger::row::sample(number, SystemTime::UNIX_EPOCH)
        });
    }
    (database, shared, writer)
}

fn reopen(writer: &mut Writer, database: &Scripted) {
    writer.open = Some(Box::new(database.clone()));
}

fn dropped(shared: &Shared) -> u64 {
    shared.dropped.load(Ordering::Relaxed)
}

#[test]
fn a_row_that_no_database_takes_is_lost_alone() {
    let (database, shared, mut writer) = writer(1000, &[]);
    database.script().fault = Some(|rows, _| {
        let is_bad = rows.iter().any(|row| row.id.as_u128() == 700);
        if is_bad {
            Err(LedgerError::Row("it is bad".to_owned()))
        } else {
            Ok(())
        }
    });
    writer.beat();
    assert_eq!(
        (shared.waiting(), dropped(&shared), shared.error()),
        (0, 1, None)
    );
    let script = database.script();
    assert_eq!(script.written.len(), 999);
    assert!(!script.written.contains_key(&700));
    assert!(script.attempts.len() < 100, "{:?}", script.attempts);
}

#[test]
fn a_batch_that_takes_too_long_is_halved_until_it_does_not() {
    let (database, shared, mut writer) = writer(1000, &[]);
    database.script().fault = Some(|rows, _| {
        if rows.len() > 100 {
            Err(LedgerError::Silent)
        } else {
            Ok(())
        }
    });
    for beat in 0.. {
        writer.beat();
        if shared.waiting() == 0 {
            break;
        }
        assert!(beat < 100, "it sticks: {:?}", database.script().attempts);
        assert!(shared.error().unwrap().contains("does not answer"));
        // A connection that is silent is not kept.
        assert!(writer.open.is_none());
        reopen(&mut writer, &database);
    }
    assert_eq!(database.script().attempts[..4], [1000, 500, 250, 125]);
    assert_eq!(
        (database.script().written.len(), dropped(&shared)),
        (1000, 0)
    );
}

#[test]
fn one_row_whose_content_takes_too_long_loses_that_after_many_attempts() {
    let (database, shared, mut writer) = writer(3, &[0, 1, 2]);
    database.script().fault = Some(|_, sealed| {
        if sealed.iter().any(|(id, _)| id.as_u128() == 1) {
            Err(LedgerError::Slow("canceled".to_owned()))
        } else {
            Ok(())
        }
    });
    // Three; then one, which is written, and two; then the one in question.
    for _ in 0..2 + PATIENT_ATTEMPTS {
        writer.beat();
        assert!(shared.waiting() > 0);
    }
    assert_eq!(writer.pause, LONGEST_RETRY, "minutes, and not seconds");
    writer.beat();
    assert_eq!((shared.waiting(), dropped(&shared)), (0, 0));
    let script = database.script();
    assert!(script.written[&0] > 0 && script.written[&2] > 0);
    assert_eq!(script.written[&1], 0);
}

#[test]
fn content_is_encrypted_once_however_often_it_is_tried() {
    let (database, shared, mut writer) = writer(5, &[1, 3, 4]);
    database.script().fault = Some(|rows, _| {
        if rows.len() > 2 {
            Err(LedgerError::TooMuch("it is".to_owned()))
        } else {
            Ok(())
        }
    });
    writer.beat();
    assert_eq!((shared.waiting(), dropped(&shared)), (0, 0));
    let script = database.script();
    let [all, tried @ ..] = &script.contents[..] else {
        panic!("nothing was tried")
    };
    let ids: Vec<_> = all.iter().map(|(id, _)| id.as_u128()).collect();
    assert_eq!((&ids[..], script.attempts[0]), (&[1, 3, 4][..], 5));
    // A nonce is random: nothing is encrypted twice to the same.
    assert!(tried.iter().flatten().all(|content| all.contains(content)));
    let kept = |id| script.written[&id] > 0;
    assert_eq!([0, 1, 2, 3, 4].map(kept), [false, true, false, true, true]);
}

#[test]
fn a_server_that_is_slow_costs_no_row_however_long() {
    let (database, shared, mut writer) = writer(20, &[3]);
    database.script().fault = Some(|rows, _| {
        Err(if rows.len() % 2 == 0 {
            LedgerError::Slow("canceled".to_owned())
        } else {
            LedgerError::Silent
        })
    });
    for _ in 0..100 {
        writer.beat();
        reopen(&mut writer, &database);
    }
    assert_eq!((shared.waiting(), dropped(&shared)), (20, 0));
    database.script().fault = None;
    writer.beat();
    assert_eq!((shared.waiting(), dropped(&shared)), (0, 0));
    assert!(database.script().written[&3] > 0, "its content is kept");
}

#[test]
fn a_server_that_is_away_costs_no_row_however_long() {
    let (database, shared, mut writer) = writer(2, &[]);
    database.script().fault = Some(|_, _| Err(LedgerError::Busy("others".to_owned())));
    for _ in 0..20 {
        writer.beat();
    }
    assert_eq!((shared.waiting(), dropped(&shared)), (2, 0));
    database.script().fault = None;
    writer.beat();
    assert_eq!((shared.waiting(), shared.error()), (0, None));
}

#[test]
fn what_cannot_be_deleted_stops_no_row_and_is_told() {
    let (database, shared, mut writer) = writer(3, &[]);
    database.script().pruning_fault = Some(|| LedgerError::Full("no space".to_owned()));
    writer.beat();
    assert_eq!((shared.waiting(), shared.error()), (0, None));
    assert!(shared.pruning_error().unwrap().contains("no space"));
    // Though the ledger is too large, it is not tried again at every beat.
    shared.push(crate::ledger::row::sample(7, SystemTime::UNIX_EPOCH));
    writer.beat();
    assert!(database.script().written.contains_key(&7));
    assert_eq!(database.script().prunings, 1);
    assert_eq!(writer.retry_at, None, "rows are written at their own pace");
    // It has its own time to be tried again, of which the new ledger of a reload knows nothing.
    database.script().pruning_fault = None;
    writer.pruning = Pruning::new();
    writer.beat();
    assert_eq!(database.script().prunings, 2);
}

#[test]
fn a_connection_that_ends_while_old_rows_are_deleted_is_opened_anew() {
    let (database, shared, mut writer) = writer(3, &[]);
    database.script().pruning_fault = Some(|| LedgerError::Silent);
    writer.beat();
    assert_eq!((shared.waiting(), shared.error()), (0, None));
    assert!(shared.pruning_error().is_some() && writer.open.is_none());
}

#[cfg(feature = "sqlite")]
#[test]
fn a_panic_costs_the_rows_in_hand_which_are_counted_and_the_thread_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (database, shared, mut writer) = writer(5, &[]);
    writer.place = Some(Place::Sqlite {
        folder: folder.path().to_owned(),
    });
    database.script().fault = Some(|_, _| panic!("a defect"));
    let (stopped, is_stopped) = sync_channel(1);
    shared.order(Order::Stop(stopped));
    let thread = thread::spawn(move || writer.live());
    assert!(
        is_stopped.recv().is_err(),
        "it did not come to an end in good order"
    );
    shared.push(crate::ledger::row::sample(7, SystemTime::UNIX_EPOCH));
    let (stopped, is_stopped) = sync_channel(1);
    shared.order(Order::Stop(stopped));
    assert!(is_stopped.recv().is_ok());
    thread.join().unwrap();
    assert_eq!((dropped(&shared), shared.waiting()), (5, 0));
    assert_eq!(shared.written.load(Ordering::Relaxed), 1);
}

#[test]
fn a_panic_is_told_for_as_long_as_nothing_is_written() {
    let (database, shared, mut writer) = writer(5, &[]);
    database.script().fault = Some(|_, _| panic!("a defect"));
    assert!(catch_unwind(AssertUnwindSafe(|| writer.beat())).is_err());
    writer.outlive();
    assert!(shared.error().unwrap().contains("panicked"));
    assert_eq!((dropped(&shared), shared.waiting()), (5, 0));
    assert!(writer.open.is_none());
    database.script().fault = None;
    reopen(&mut writer, &database);
    shared.push(crate::ledger::row::sample(7, SystemTime::UNIX_EPOCH));
    writer.beat();
    assert_eq!((shared.error(), dropped(&shared)), (None, 5));
}
