use std::{fs, os::unix::fs::PermissionsExt, thread};

use super::{
    keys::{Holder, StoredKey},
    tallies::{KEPT, Mark},
    *,
};
use crate::store::tallies::Tallies;

const OPENING: Opening = Opening {
    create: true,
    patience: Duration::from_secs(20),
    durable: false,
};

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn open(folder: &tempfile::TempDir) -> Database {
    Database::open(folder.path(), OPENING).unwrap()
}

fn refusal(folder: &Path) -> String {
    match Database::open(folder, OPENING) {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn add(database: &mut Database, key: &str, amount: i64, now: SystemTime) -> i64 {
    let tallies = Tallies::default();
    tallies.tally(key).add(amount);
    let written = database.add(&tallies.take(), Mark::default(), now).unwrap();
    written.stored[0]
}

#[test]
fn only_its_owner_reads_and_writes_it() {
    let folder = folder();
    let state = folder.path().join("deep/state");
    let database = Database::open(&state, OPENING).unwrap();
    assert_eq!(mode(&state), 0o700);
    let mut files = 0;
    for entry in fs::read_dir(&state).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
        files += 1;
    }
    assert_eq!(files, 3, "the file, its log and the log's index");
    drop(database);
    let file = state.join(FILE);
    set_mode(&file, 0o644);
    Database::open(&state, OPENING).unwrap();
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn a_folder_that_others_can_write_to_is_refused() {
    let folder = folder();
    for open in [0o770, 0o702, 0o1777] {
        set_mode(folder.path(), open);
        let refusal = refusal(folder.path());
        assert!(refusal.contains(&format!("(mode {open:03o})")), "{refusal}");
        assert!(refusal.contains("chmod go-w"), "{refusal}");
    }
    set_mode(folder.path(), 0o755);
    open(&folder);
}

#[test]
fn a_place_that_cannot_be_had_is_told_with_what_to_do() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let refusal = refusal(&file.join("state"));
    assert!(refusal.contains("state_dir"), "{refusal}");
    let opening = Opening {
        create: false,
        ..OPENING
    };
    for missing in [folder.path(), &folder.path().join("none")] {
        let opened = Database::open(missing, opening);
        assert!(matches!(opened, Err(StoreError::Missing { .. })));
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_is_no_store_is_refused_and_left_as_it_is() {
    let folder = folder();
    let file = folder.path().join(FILE);
    let text = "not a database, but somebody's own words. ".repeat(100);
    fs::write(&file, &text).unwrap();
    let refused = refusal(folder.path());
    assert!(refused.contains("is damaged"), "{refused}");
    assert!(refused.contains("backup"), "{refused}");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);
    fs::remove_file(&file).unwrap();
    let other = Connection::open(&file).unwrap();
    other.execute_batch("CREATE TABLE theirs (x)").unwrap();
    let refused = refusal(folder.path());
    assert!(refused.contains("something else"), "{refused}");
    let journal: String = other
        .pragma_query_value(None, "journal_mode", |row| row.get(0))
        .unwrap();
    assert_eq!(journal, "delete");
}

#[test]
fn a_damaged_page_is_told_of() {
    let folder = folder();
    let mut database = open(&folder);
    add(&mut database, "a", 1, at(0));
    drop(database);
    let file = folder.path().join(FILE);
    let mut bytes = fs::read(&file).unwrap();
    for byte in &mut bytes[200..] {
        *byte = 0xa5;
    }
    fs::write(&file, bytes).unwrap();
    let refused = refusal(folder.path());
    assert!(refused.contains("is damaged"), "{refused}");
}

#[test]
fn a_newer_schema_is_refused() {
    let folder = folder();
    let database = open(&folder);
    let newer = schema::STORE.known() + 1;
    database
        .connection
        .pragma_update(None, "user_version", newer)
        .unwrap();
    let refused = refusal(folder.path());
    assert!(refused.contains("newer millgate"), "{refused}");
    assert!(refused.contains(&format!("schema {newer}")), "{refused}");
}

#[test]
fn opened_by_many_at_once_it_is_made_once() {
    let folder = folder();
    thread::scope(|scope| {
        for process in 0..8 {
            let folder = &folder;
            scope.spawn(move || add(&mut open(folder), "a", process, at(0)));
        }
    });
    assert_eq!(add(&mut open(&folder), "a", 0, at(0)), (0..8).sum::<i64>());
    let database = open(&folder);
    let version: u32 = database
        .connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, schema::STORE.known());
}

#[test]
fn a_sum_past_64_bits_stays_at_their_end() {
    let folder = folder();
    let mut database = open(&folder);
    add(&mut database, "a", i64::MAX - 1, at(0));
    assert_eq!(add(&mut database, "a", i64::MAX, at(0)), i64::MAX);
    add(&mut database, "b", i64::MIN + 1, at(0));
    assert_eq!(add(&mut database, "b", i64::MIN, at(0)), i64::MIN);
}

/// A clock that steps back makes nothing older than it was.
#[test]
fn old_sums_are_given_up_by_the_latest_time_that_they_grew() {
    let folder = folder();
    let mut database = open(&folder);
    let now = at(1_800_000_000);
    add(&mut database, "old", 1, now - KEPT - Duration::from_secs(1));
    add(&mut database, "young", 1, now - KEPT);
    add(&mut database, "stepped", 1, now);
    add(&mut database, "stepped", 1, at(0));
    assert_eq!(database.prune_tallies(at(5)).unwrap(), []);
    assert_eq!(database.prune_tallies(now).unwrap(), ["old".into()]);
    let (mut sums, _) = database.tallies_since(Mark::default()).unwrap();
    sums.sort();
    assert_eq!(sums, [("stepped".into(), 2), ("young".into(), 1)]);
}

fn key(hash: u8) -> StoredKey {
    StoredKey {
        hash: [hash; 32],
        holder: Holder {
            id: "anna".to_owned(),
            team: Some("blue".to_owned()),
            tags: vec!["a \"tag\"".to_owned()],
            meta: [("ticket".to_owned(), "ß1".to_owned())].into(),
            models: Some(vec!["gpt-4*".to_owned()]),
        },
        created: at(100),
        expires: Some(at(1000)),
        rotated: None,
        revoked: None,
    }
}

#[test]
fn keys_come_back_as_they_went() {
    let folder = folder();
    let mut database = open(&folder);
    let plain = StoredKey {
        holder: Holder {
            id: "bert".to_owned(),
            ..Holder::default()
        },
        expires: None,
        ..key(2)
    };
    let before = database.keys_revision().unwrap();
    database.insert_key(&key(1)).unwrap();
    database.insert_key(&plain).unwrap();
    assert_ne!(database.keys_revision().unwrap(), before);
    assert_eq!(database.keys().unwrap(), [key(1), plain]);
    assert!(
        database.insert_key(&key(1)).is_err(),
        "a key is somebody's once"
    );
    let callers = database.callers().unwrap();
    let anna = &callers[&[1; 32]];
    assert_eq!(&*anna.id, "anna");
    assert_eq!(anna.team.as_deref(), Some("blue"));
    assert_eq!(anna.meta.get("ticket"), Some("ß1".as_bytes()));
    assert_eq!(anna.models.as_ref().unwrap().lines(), "gpt-4*");
    assert_eq!(anna.expires, Some(at(1000)));
    assert_eq!(callers[&[2; 32]].expires, None);
}

#[test]
fn a_revoked_key_opens_nothing_and_a_rotated_one_nothing_for_long() {
    let folder = folder();
    let mut database = open(&folder);
    database.insert_key(&key(1)).unwrap();
    database.insert_key(&key(2)).unwrap();
    assert_eq!(
        database.revoke_keys(&[[2; 32], [3; 32]], at(200)).unwrap(),
        1
    );
    assert_eq!(database.revoke_keys(&[[2; 32]], at(300)).unwrap(), 0);
    database.replace_key(&[1; 32], &key(4), at(500)).unwrap();
    let callers = database.callers().unwrap();
    assert_eq!(callers.len(), 2);
    assert_eq!(callers[&[1; 32]].expires, Some(at(500)));
    assert_eq!(callers[&[4; 32]].expires, Some(at(1000)));
    // What ends sooner still does.
    database.replace_key(&[4; 32], &key(5), at(5000)).unwrap();
    assert_eq!(
        database.callers().unwrap()[&[4; 32]].expires,
        Some(at(1000))
    );
}

#[test]
fn a_row_that_nobody_can_read_is_no_key_and_hides_no_other() {
    let folder = folder();
    let mut database = open(&folder);
    database.insert_key(&key(1)).unwrap();
    database.insert_key(&key(2)).unwrap();
    let meddle = "UPDATE keys SET tags = '{\"not\": \"a list\"}' WHERE hash = ?1";
    database.connection.execute(meddle, [[1; 32]]).unwrap();
    let callers = database.callers().unwrap();
    assert_eq!(callers.keys().collect::<Vec<_>>(), [&[2; 32]]);
}
