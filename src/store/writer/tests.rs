use proptest::prelude::*;

use super::*;

const OPENING: Opening = Opening {
    create: true,
    patience: Duration::from_millis(1),
    durable: false,
};

/// A process as far as the store knows it.
struct Process {
    memory: Memory,
    open: Open,
}

impl Process {
    fn start(folder: &tempfile::TempDir) -> Self {
        let memory = Memory::default();
        let database = Database::open(folder.path(), OPENING).unwrap();
        let open = Open::read(database, &memory).unwrap();
        Self { memory, open }
    }

    fn keep(&mut self) -> Result<(), StoreError> {
        self.open.keep(&self.memory)
    }

    fn add(&self, key: &str, amount: i64) {
        self.memory.tallies.tally(key).add(amount);
    }

    fn total(&self, key: &str) -> i64 {
        self.memory.tallies.tally(key).total()
    }
}

#[test]
fn while_another_writes_or_the_disk_is_full_sums_stay_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(&folder);
    let other = rusqlite::Connection::open(folder.path().join("millgate.db")).unwrap();
    process.add("a", 1);
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(process.keep().unwrap_err().passes());
    assert_eq!(
        (process.total("a"), process.memory.tallies.unwritten()),
        (1, 1)
    );
    other.execute_batch("ROLLBACK").unwrap();
    process.keep().unwrap();
    assert_eq!(
        (process.total("a"), process.memory.tallies.unwritten()),
        (1, 0)
    );

    process.open.database.limit_pages(1);
    for key in 0..1000 {
        process.add(&format!("key {key}"), 1);
    }
    let full = process.keep().unwrap_err();
    assert!(matches!(full, StoreError::Full { .. }), "{full}");
    assert_eq!(process.memory.tallies.unwritten(), 1000);
    process.open.database.limit_pages(1 << 20);
    process.keep().unwrap();
    assert_eq!(process.memory.tallies.unwritten(), 0);
    let later = Process::start(&folder);
    assert_eq!((later.total("a"), later.total("key 999")), (1, 1));
}

#[test]
fn what_others_do_to_keys_is_read_at_the_next_beat() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::start(&folder);
    let other = rusqlite::Connection::open(folder.path().join("millgate.db")).unwrap();
    let known = |process: &Process| process.memory.keys.load_full();
    let before = known(&process);
    process.add("a", 1);
    process.keep().unwrap();
    assert!(Arc::ptr_eq(&before, &known(&process)), "sums are no keys");
    // By hand, in the shell of SQLite.
    other
        .execute_batch("INSERT INTO keys (hash, caller, tags, meta, created) VALUES (zeroblob(32), 'anna', '[]', '{}', 0)")
        .unwrap();
    process.keep().unwrap();
    assert_eq!(&*known(&process)[&[0; 32]].id, "anna");
    other.execute_batch("DELETE FROM keys").unwrap();
    process.keep().unwrap();
    assert!(known(&process).is_empty());
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// A process adds.
    Add(usize, usize, i64),
    /// A process writes and reads.
    Keep(usize),
    /// It tries to, while somebody has the file locked.
    Blocked(usize),
    /// It ends without another word, and starts anew.
    Crash(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let process = 0..2_usize;
    prop_oneof![
        6 => (process.clone(), 0..3_usize, -50..1000_i64).prop_map(|(p, key, n)| Step::Add(p, key, n)),
        4 => process.clone().prop_map(Step::Keep),
        1 => process.clone().prop_map(Step::Blocked),
        1 => process.prop_map(Step::Crash),
    ]
}

const KEYS: [&str; 3] = ["a", "b", "c"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Two processes add up in whatever order they write, and a crash loses what was not written and nothing else.
    #[test]
    fn two_processes_add_up(steps in prop::collection::vec(step(), 0..40)) {
        let folder = tempfile::tempdir().unwrap();
        let mut processes = [Process::start(&folder), Process::start(&folder)];
        let lock = rusqlite::Connection::open(folder.path().join("millgate.db")).unwrap();
        let mut stored = [0; 3];
        // What each process has added and not written.
        let mut pending = [[0; 3]; 2];
        for step in steps {
            match step {
                Step::Add(p, key, amount) => {
                    let before = processes[p].total(KEYS[key]);
                    processes[p].add(KEYS[key], amount);
                    prop_assert_eq!(processes[p].total(KEYS[key]), before + amount);
                    pending[p][key] += amount;
                }
                Step::Keep(p) => {
                    processes[p].keep().unwrap();
                    for key in 0..3 {
                        stored[key] += std::mem::take(&mut pending[p][key]);
                        prop_assert_eq!(processes[p].total(KEYS[key]), stored[key]);
                    }
                }
                Step::Blocked(p) => {
                    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
                    let _ = processes[p].keep();
                    lock.execute_batch("ROLLBACK").unwrap();
                    // What it could not write is not forgotten.
                    let is_behind = pending[p] != [0; 3];
                    prop_assert!(!is_behind || processes[p].memory.tallies.unwritten() > 0);
                }
                Step::Crash(p) => {
                    processes[p] = Process::start(&folder);
                    pending[p] = [0; 3];
                    for key in 0..3 {
                        prop_assert_eq!(processes[p].total(KEYS[key]), stored[key]);
                    }
                }
            }
        }
        for process in &mut processes {
            process.keep().unwrap();
        }
        for key in 0..3 {
            let whole = stored[key] + pending[0][key] + pending[1][key];
            processes[0].keep().unwrap();
            for process in &processes {
                prop_assert_eq!(process.total(KEYS[key]), whole);
            }
        }
    }
}
