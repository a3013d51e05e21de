//! The embedded store between processes, through crashes and where it cannot be had.
#![cfg(feature = "sqlite")]

mod support;

use std::{
    io::{BufRead, BufReader, Lines, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use millgate::store::Store;
use support::{Client, Gateway, PATIENCE};

/// Names the folder of the store to [`another_process`].
const FOLDER: &str = "MILLGATE_TEST_STORE";

fn store(folder: &Path) -> Store {
    let store = Store::default();
    store.keep_in(Ok(folder.to_owned()));
    store
}

/// What a store holds once all others have let go of it.
fn total(folder: &Path, key: &str) -> i64 {
    let store = store(folder);
    assert!(store.open(PATIENCE));
    let total = store.tally(key).total();
    store.close(PATIENCE);
    total
}

/// Waits for what must come.
#[track_caller]
fn wait_for(wanted: impl Fn() -> bool) {
    let begun = Instant::now();
    while !wanted() {
        assert!(begun.elapsed() < PATIENCE, "it never came");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Not a test: what [`Other`] runs. Each line asks for something and is answered by the sum: a number to add,
/// `count` to add without an end, `stop` to close and end.
#[test]
#[ignore = "the other process of a test"]
fn another_process() {
    let Ok(folder) = std::env::var(FOLDER) else {
        return;
    };
    let store = store(Path::new(&folder));
    assert!(store.open(PATIENCE));
    let tally = store.tally("sum");
    println!("\nready");
    for line in std::io::stdin().lines() {
        match line.unwrap().as_str() {
            "stop" => {
                store.close(PATIENCE);
                println!("stopped");
                return;
            }
            "count" => loop {
                tally.add(1);
                println!("{}", tally.total());
                std::thread::sleep(Duration::from_millis(1));
            },
            number => {
                tally.add(number.parse().unwrap());
                println!("{}", tally.total());
            }
        }
    }
}

/// Another process with the store open. Killed when dropped.
struct Other {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Other {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "another_process", "--ignored", "--nocapture"])
            .env(FOLDER, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(output.any(|line| line.unwrap() == "ready"));
        Self {
            child,
            input,
            output,
        }
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.input, "{line}").unwrap();
        self.line()
    }

    fn line(&mut self) -> String {
        self.output.next().unwrap().unwrap()
    }

    fn add(&mut self, amount: i64) -> i64 {
        self.ask(&amount.to_string()).parse().unwrap()
    }

    fn stop(mut self) {
        assert_eq!(self.ask("stop"), "stopped");
        self.child.wait().unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn processes_add_up_and_a_stop_in_good_order_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (mut one, mut two) = (Other::start(folder.path()), Other::start(folder.path()));
    let here = store(folder.path());
    assert!(here.open(PATIENCE));
    let tally = here.tally("sum");
    one.add(1);
    two.add(20);
    tally.add(300);
    wait_for(|| tally.total() == 321);
    let begun = Instant::now();
    while one.add(0) != 321 || two.add(0) != 321 {
        assert!(begun.elapsed() < PATIENCE);
    }
    // No time to write by itself.
    one.add(4000);
    one.stop();
    tally.add(-1);
    here.close(PATIENCE);
    two.add(50_000);
    two.stop();
    assert_eq!(total(folder.path(), "sum"), 54_320);
}

#[test]
fn a_kill_loses_at_most_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = Other::start(folder.path());
    let begun = Instant::now();
    let mut said = Vec::new();
    writeln!(other.input, "count").unwrap();
    while begun.elapsed() < Duration::from_millis(2500) {
        let sum: i64 = other.line().parse().unwrap();
        said.push((Instant::now(), sum));
    }
    let killed = Instant::now();
    drop(other);
    let kept = total(folder.path(), "sum");
    let second = Duration::from_secs(1);
    let mut older = said.iter().filter(|(when, _)| *when + second < killed);
    let (_, least) = older.next_back().unwrap();
    assert!(*least > 0 && kept >= *least, "{kept} is less than {least}");
}

#[test]
fn what_cannot_be_had_at_the_start_is_had_later() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    std::fs::write(&state, "in the way").unwrap();
    let store = store(&state);
    assert!(!store.open(PATIENCE));
    let tally = store.tally("sum");
    tally.add(7);
    let health = store.health();
    assert!(
        !health.is_open && health.failures > 0 && health.unwritten == 1,
        "{health:?}"
    );
    std::fs::remove_file(&state).unwrap();
    wait_for(|| store.keys_are_known() && store.health().unwritten == 0);
    assert_eq!(tally.total(), 7);
    store.close(PATIENCE);
    assert_eq!(total(&state, "sum"), 7);
}

/// A file that is gone is no file without keys.
#[test]
fn a_store_that_goes_away_keeps_what_was_known() {
    let folder = tempfile::tempdir().unwrap();
    let (state, aside) = (folder.path().join("state"), folder.path().join("aside"));
    std::fs::write(
        folder.path().join("config.toml"),
        "[server]\nstate_dir = \"state\"\n",
    )
    .unwrap();
    let made = Command::new(env!("CARGO_BIN_EXE_millgate"))
        .args(["key", "new", "--id", "anna"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let store = store(&state);
    assert!(store.open(PATIENCE));
    let (keys, tally) = (store.keys(), store.tally("sum"));
    std::fs::rename(&state, &aside).unwrap();
    wait_for(|| !store.health().is_open);
    tally.add(7);
    assert_eq!(keys.load().len(), 1);
    assert!(!state.exists(), "it is not made anew");
    std::fs::rename(&aside, &state).unwrap();
    wait_for(|| store.health().is_open && store.health().unwritten == 0);
    assert_eq!((keys.load().len(), tally.total()), (1, 7));
    store.close(PATIENCE);
    assert_eq!(total(&state, "sum"), 7);
}

#[test]
fn a_damaged_store_is_left_alone_and_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("millgate.db");
    std::fs::write(&file, "damaged".repeat(1000)).unwrap();
    let store = store(folder.path());
    let begun = Instant::now();
    assert!(!store.open(PATIENCE));
    assert!(begun.elapsed() < PATIENCE);
    assert!(!store.keys_are_known());
    store.tally("sum").add(1);
    store.close(PATIENCE);
    assert_eq!(
        std::fs::read(&file).unwrap(),
        "damaged".repeat(1000).as_bytes()
    );
}

#[tokio::test]
async fn a_gateway_that_needs_no_store_writes_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let config = format!(
        "[server]\nstate_dir = {:?}\n[ledger]\nenabled = false\n[providers.rehearsal]\nkind = \"rehearsal\"\n[routes.default]\nmodel = \"*\"\ntargets = [\"rehearsal\"]\n",
        state.to_str().unwrap()
    );
    let mut gateway = Gateway::start(&config).await;
    let reply = Client::new(&gateway).get("/v1/models").await;
    assert_eq!(reply.status, 200);
    gateway.signal("TERM");
    assert!(gateway.ended().await.success());
    assert!(!state.exists());
}
