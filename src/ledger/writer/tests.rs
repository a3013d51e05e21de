use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError, atomic::Ordering},
};

use uuid::Uuid;

use super::*;
use crate::{
    ledger::{
        Key, Keys,
        capture::Sealed,
        usage::{By, UsageRow},
    },
    telemetry::ended::Captured,
};

/// A database that does as a test tells it.
#[derive(Clone, Default)]
struct Scripted(Arc<Mutex<Script>>);

#[derive(Default)]
struct Script {
    /// Ids that are written, and how much was captured of each.
    written: BTreeMap<u128, usize>,
    /// How many rows each attempt had.
    attempts: Vec<usize>,
    /// What becomes of an attempt.
    fault: Option<fn(&[Row], &[(Uuid, Sealed)]) -> Result<(), LedgerError>>,
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

    fn known_time(&mut self) -> Result<Option<SystemTime>, LedgerError> {
        Ok(None)
    }

    fn note_time(&mut self, _: SystemTime) -> Result<(), LedgerError> {
        Ok(())
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
        folder: "/nowhere".into(),
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
    let now = Instant::now();
    writer.open = Some(Open {
        backend: Box::new(database.clone()),
        clock: Clock::new(None, SystemTime::now(), now),
        prune_at: now,
    });
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
    assert!(script.attempts.len() < 40, "{:?}", script.attempts);
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
fn one_row_that_takes_too_long_loses_its_content_first_and_then_itself() {
    let (database, shared, mut writer) = writer(3, &[0, 1, 2]);
    database.script().fault = Some(|rows, sealed| {
        let has = |id: Uuid, wanted| id.as_u128() == wanted;
        let is_slow =
            sealed.iter().any(|(id, _)| has(*id, 1)) || rows.iter().any(|row| has(row.id, 2));
        if is_slow {
            Err(LedgerError::Slow("canceled".to_owned()))
        } else {
            Ok(())
        }
    });
    for _ in 0..20 {
        writer.beat();
    }
    assert_eq!((shared.waiting(), dropped(&shared)), (0, 1));
    let script = database.script();
    assert_eq!(script.written.keys().copied().collect::<Vec<_>>(), [0, 1]);
    assert!(script.written[&0] > 0, "its content is kept");
    assert_eq!(script.written[&1], 0);
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
