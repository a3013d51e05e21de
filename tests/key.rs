//! `millgate key`, and how soon a process that has the store open knows what it did.
#![cfg(feature = "sqlite")]

mod support;

use std::{
    path::Path,
    process::{Command, Output},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use millgate::{
    callers::{self, Callers},
    store::Store,
};
use serde_json::Value;
use support::PATIENCE;

/// A folder with a config whose store is in `state`.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("config.toml"),
            "[server]\nstate_dir = \"state\"\n",
        )
        .unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn key(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_millgate"))
            .arg("key")
            .args(arguments)
            .current_dir(self.path())
            .env_clear()
            .output()
            .unwrap()
    }

    /// What a command that must succeed prints.
    #[track_caller]
    fn told(&self, arguments: &[&str]) -> String {
        let output = self.key(arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The exit code of a command that must fail, and what it complains of.
    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.key(arguments);
        assert!(!output.status.success(), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let complaint = String::from_utf8(output.stderr).unwrap();
        (output.status.code(), complaint)
    }

    fn make(&self, arguments: &[&str]) -> String {
        let told = self.told(&[&["new"], arguments].concat());
        told.trim_end().to_owned()
    }

    fn list(&self) -> Vec<Value> {
        serde_json::from_str(&self.told(&["list", "--json"])).unwrap()
    }

    /// A gateway's store, open, and its callers.
    fn open(&self) -> (Arc<Store>, Callers) {
        let store = Arc::new(Store::default());
        store.keep_in(Ok(self.path().join("state")));
        assert!(store.open(PATIENCE));
        let callers = Callers::new(std::collections::HashMap::new(), store.clone());
        (store, callers)
    }
}

/// The id of whose key it is.
fn holder(callers: &Callers, key: &str) -> Option<String> {
    let caller = callers.find(&callers::hash(key), SystemTime::now());
    caller.ok().map(|caller| caller.id.to_string())
}

/// Waits until a key is known as `wanted`: how long that took.
#[track_caller]
fn until(callers: &Callers, key: &str, wanted: Option<&str>) -> Duration {
    let begun = Instant::now();
    while holder(callers, key).as_deref() != wanted {
        assert!(begun.elapsed() < PATIENCE, "{wanted:?} never came");
        std::thread::sleep(Duration::from_millis(1));
    }
    begun.elapsed()
}

#[test]
fn a_key_is_printed_once_and_only_its_hash_is_kept() {
    let place = Place::new();
    let output = place.key(&["new", "--id", "anna", "--expires", "90d"]);
    let key = std::str::from_utf8(&output.stdout)
        .unwrap()
        .trim_end()
        .to_owned();
    assert!(key.starts_with("mg-") && key.len() == 46, "{output:?}");
    let told = std::str::from_utf8(&output.stderr).unwrap();
    assert!(told.contains("of anna") && !told.contains(&key), "{told}");
    for entry in std::fs::read_dir(place.path().join("state")).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        let shows = |text: &str| {
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        assert!(!shows(&key) && !shows(&key[3..]));
    }
    assert!(!place.told(&["list"]).contains(&key[3..]));
    assert_eq!(place.list()[0]["status"], "good");
}

#[test]
fn a_list_shows_all_that_is_known_but_the_key() {
    let place = Place::new();
    assert_eq!(place.told(&["list"]), "");
    assert_eq!(place.told(&["list", "--json"]), "[]\n");
    assert!(
        !place.path().join("state").exists(),
        "looking makes nothing"
    );
    let arguments = "--id anna --team blue --tag a --tag b --meta ticket=K-7 --meta user=ä=ö --models gpt-4*,o1 --expires 2199-12-31";
    place.make(&arguments.split(' ').collect::<Vec<_>>());
    place.make(&["--id", "bert"]);
    let keys = place.list();
    let anna = &keys[0];
    for (field, value) in [
        ("id", r#""anna""#),
        ("team", r#""blue""#),
        ("tags", r#"["a","b"]"#),
        ("meta", r#"{"ticket":"K-7","user":"ä=ö"}"#),
        ("models", r#"["gpt-4*","o1"]"#),
        ("expires", r#""2199-12-31T00:00:00Z""#),
        ("revoked", "null"),
    ] {
        assert_eq!(anna[field].to_string(), value, "{field}");
    }
    assert_eq!(keys[1]["models"], Value::Null);
    let table = place.told(&["list"]);
    let lines: Vec<Vec<_>> = table
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0][..3], ["ID", "TEAM", "FINGERPRINT"]);
    assert_eq!(
        lines[1][..3],
        ["anna", "blue", anna["fingerprint"].as_str().unwrap()]
    );
    assert_eq!(lines[2][..2], ["bert", "-"]);
}

#[test]
fn revoked_by_its_fingerprint_or_all_of_a_caller() {
    let place = Place::new();
    for id in ["anna", "anna", "bert"] {
        place.make(&["--id", id]);
    }
    let status = || -> Vec<_> {
        let keys = place.list().into_iter();
        keys.map(|key| {
            format!(
                "{} {}",
                key["id"].as_str().unwrap(),
                key["status"].as_str().unwrap()
            )
        })
        .collect()
    };
    let first = place.list()[0]["fingerprint"].as_str().unwrap().to_owned();
    assert_eq!(
        place.told(&["revoke", &first]),
        format!("revoked {first} of anna\n")
    );
    let mut now = status();
    now.sort();
    assert_eq!(now, ["anna good", "anna revoked", "bert good"]);
    assert_eq!(place.told(&["revoke", "anna"]).lines().count(), 1);
    assert_eq!(status(), ["anna revoked", "anna revoked", "bert good"]);
    assert_eq!(place.told(&["list"]).lines().count(), 2);
    assert_eq!(place.told(&["list", "--all"]).lines().count(), 4);
    let (code, complaint) = place.refused(&["revoke", "anna"]);
    assert!(
        code == Some(1) && complaint.contains("already"),
        "{complaint}"
    );
    let (code, complaint) = place.refused(&["revoke", "carl"]);
    assert!(
        code == Some(1) && complaint.contains("no key `carl`"),
        "{complaint}"
    );
}

#[test]
fn rotated_a_key_leaves_what_it_said_to_the_next() {
    let place = Place::new();
    let old = place.make(&[
        "--id",
        "anna",
        "--team",
        "blue",
        "--models",
        "o1",
        "--expires",
        "30d",
    ]);
    let new = place.told(&["rotate", "anna", "--grace", "1h"]);
    assert_ne!(old, new.trim_end());
    let keys = place.list();
    let (was, is) = if keys[0]["status"] == "rotated" {
        (&keys[0], &keys[1])
    } else {
        (&keys[1], &keys[0])
    };
    assert_eq!(
        (&was["status"], &is["status"]),
        (&"rotated".into(), &"good".into())
    );
    assert_eq!((&is["team"], &is["models"]), (&was["team"], &was["models"]));
    assert!(
        was["expires"].as_str() < is["expires"].as_str(),
        "{keys:#?}"
    );
    let (_, callers) = place.open();
    assert_eq!(holder(&callers, &old).as_deref(), Some("anna"));
    assert_eq!(holder(&callers, new.trim_end()).as_deref(), Some("anna"));
    // The one that was rotated is not meant any more; with no grace it ends at once.
    let third = place.told(&["rotate", "anna", "--grace", "0s"]);
    let (_, callers) = place.open();
    assert_eq!(holder(&callers, new.trim_end()), None);
    assert_eq!(holder(&callers, third.trim_end()).as_deref(), Some("anna"));
    place.make(&["--id", "anna"]);
    let (code, complaint) = place.refused(&["rotate", "anna"]);
    assert!(
        code == Some(1) && complaint.contains("say which one"),
        "{complaint}"
    );
    let (code, _) = place.refused(&["rotate", "carl"]);
    assert_eq!(code, Some(1));
}

#[test]
fn wrong_usage_is_told_as_such() {
    let place = Place::new();
    for wrong in [
        &["new"][..],
        &["new", "--id", ""],
        &["new", "--id", "a b"],
        &["new", "--id", "a\u{7}"],
        &["new", "--id", "a", "--meta", "novalue"],
        &["new", "--id", "a", "--expires", "2020-01-01"],
        &["new", "--id", "a", "--expires", "0d"],
        &["new", "--id", "a", "--expires", "soon"],
        &["new", "--id", "a", "--models", ""],
        &["rotate", "a", "--grace", "-1h"],
        &["revoke"],
        &["forget", "a"],
    ] {
        let (code, complaint) = place.refused(wrong);
        assert_eq!(code, Some(2), "{wrong:?}: {complaint}");
    }
    assert!(!place.path().join("state").exists());
}

#[test]
fn without_a_config_or_a_place_it_says_what_to_do() {
    let place = Place::new();
    let (code, complaint) = place.refused(&["list", "--config", "none.toml"]);
    assert!(
        code == Some(1) && complaint.contains("none.toml"),
        "{complaint}"
    );
    std::fs::write(place.path().join("config.toml"), "[server]\n").unwrap();
    let (code, complaint) = place.refused(&["new", "--id", "anna"]);
    assert!(
        code == Some(1) && complaint.contains("state_dir"),
        "{complaint}"
    );
}

/// Three times, so that luck with the beat shows.
#[test]
fn a_process_that_runs_knows_within_a_second_what_was_made_rotated_or_revoked() {
    const SOON: Duration = Duration::from_secs(1);
    let place = Place::new();
    place.make(&["--id", "first"]);
    let (store, callers) = place.open();
    for _ in 0..3 {
        let key = place.make(&["--id", "anna"]);
        assert!(until(&callers, &key, Some("anna")) < SOON);
        let next = place.told(&["rotate", "anna", "--grace", "0s"]);
        let next = next.trim_end();
        assert!(until(&callers, &key, None) < SOON);
        assert_eq!(holder(&callers, next).as_deref(), Some("anna"));
        place.told(&["revoke", "anna"]);
        assert!(until(&callers, next, None) < SOON);
    }
    store.close(PATIENCE);
}

#[test]
fn two_makers_at_once_wait_for_each_other() {
    let place = Arc::new(Place::new());
    std::thread::scope(|scope| {
        for maker in 0..6 {
            let place = &place;
            scope.spawn(move || place.make(&["--id", &format!("caller-{maker}")]));
        }
    });
    assert_eq!(place.list().len(), 6);
}
