//! Files of entries: written, read back, bounded, forgotten; what is damaged is never taken for an answer.

use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode};
use proptest::prelude::*;
use tempfile::TempDir;

use super::{Disk, Place, file};
use crate::{
    cache::{
        config::{Rules, Scope},
        entry::{Entry, Kept, Labels, Purge},
        flight::Head,
        key::Key,
        store::{Bounds, Store},
    },
    pipeline::view::ReplyHead,
    routing::{
        answer::{Piece, Seen},
        scanner::Usage,
    },
};

const LIFE: Duration = Duration::from_hours(1);
const PATIENCE: Duration = Duration::from_secs(20);

fn key(number: u8) -> Key {
    Key::from_bytes([number; 32])
}

fn entry(pieces: &[&str], stored: SystemTime) -> Entry {
    let mut headers = HeaderMap::new();
    headers.insert(
        "content-type",
        HeaderValue::from_static("text/event-stream"),
    );
    headers.append("x-many", HeaderValue::from_bytes(b"\xff one").unwrap());
    headers.append("x-many", HeaderValue::from_static("two"));
    let head = Head {
        reply: ReplyHead {
            status: StatusCode::CREATED,
            headers,
        },
        provider: "up".into(),
        model: "gpt-up".into(),
        is_stream: true,
        is_all: false,
    };
    let pieces: Vec<Piece> = pieces
        .iter()
        .map(|piece| Piece {
            bytes: Bytes::copy_from_slice(piece.as_bytes()),
            is_usage: piece.contains("usage"),
        })
        .collect();
    let seen = Seen {
        usage: Some(Usage {
            input: 11,
            output: 4,
            cached: Some(3),
            reasoning: None,
        }),
        output_estimate: Some(5),
    };
    let labels = Labels {
        asked: "gpt-asked".into(),
        caller: "anna".into(),
        tags: vec!["docs".into(), "밤".into()],
    };
    let mut entry = Entry::new(&head, pieces.iter(), seen, labels);
    entry.stored = stored;
    entry
}

/// All that an entry is, to be compared.
fn told(entry: &Entry) -> String {
    format!("{entry:?}")
}

/// A folder, and a disk tier of `size` bytes in it.
struct Bench {
    state: TempDir,
    place: Place,
}

impl Bench {
    fn new(size: u64) -> Self {
        let state = tempfile::tempdir().unwrap();
        let place = Place {
            folder: state.path().join("deep/cache"),
            size,
            life: LIFE,
            rules: Rules::default(),
        };
        Self { state, place }
    }

    /// A disk tier that has begun, with a store of its own.
    fn open(&self) -> (Disk, Arc<Store>) {
        let bounds = Bounds {
            size: 1 << 20,
            life: LIFE,
        };
        let (disk, store) = (Disk::default(), Arc::new(Store::new(bounds)));
        disk.serve(Some(self.place.clone()), &store);
        (disk, store)
    }

    /// What a start finds.
    fn restored(&self) -> Arc<Store> {
        let (disk, store) = self.open();
        disk.close(PATIENCE);
        store
    }

    /// Writes these entries, stored so many seconds ago, one after the other.
    fn fill(&self, entries: &[(u8, u64)]) {
        let (disk, _) = self.open();
        for (number, ago) in entries {
            self.keep(&disk, *number, &kept(*ago));
        }
        disk.close(PATIENCE);
    }

    fn keep(&self, disk: &Disk, number: u8, entry: &Kept) {
        disk.keep(key(number), entry.clone(), self.place.rules, disk.purges());
    }

    fn path(&self, number: u8) -> PathBuf {
        self.place.folder.join(key(number).in_full())
    }

    fn files(&self) -> Vec<PathBuf> {
        let found = fs::read_dir(&self.place.folder).unwrap();
        let mut files: Vec<_> = found.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }

    fn bytes(&self) -> u64 {
        let files = self.files();
        files
            .iter()
            .map(|file| fs::metadata(file).unwrap().len())
            .sum()
    }
}

fn kept(ago: u64) -> Kept {
    let stored = SystemTime::now() - Duration::from_secs(ago);
    Arc::new(entry(&["data: 안녕\n\n", "data: usage\n\n"], stored))
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().mode() & 0o777
}

#[test]
fn an_entry_comes_back_as_it_was_and_nobody_else_may_read_it() {
    let bench = Bench::new(1 << 20);
    let kept = kept(5);
    let (disk, _) = bench.open();
    bench.keep(&disk, 1, &kept);
    disk.close(PATIENCE);
    assert_eq!(disk.extent().files, 1);
    assert_eq!(disk.extent().bytes, bench.bytes());

    let back = bench.restored().get(&key(1)).unwrap();
    assert_eq!(told(&back), told(&kept));
    assert_eq!(bench.files(), [bench.path(1)]);
    assert_eq!(
        (mode(&bench.place.folder), mode(&bench.path(1))),
        (0o700, 0o600)
    );
}

#[test]
fn a_folder_that_others_may_read_is_closed_to_them() {
    let bench = Bench::new(1 << 20);
    fs::create_dir_all(&bench.place.folder).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&bench.place.folder, open).unwrap();
    bench.fill(&[(1, 0)]);
    assert_eq!(mode(&bench.place.folder), 0o700);
}

#[test]
fn no_byte_can_be_cut_off_or_changed_unseen() {
    let whole = file::encode(&key(1), Rules::default(), &kept(5)).unwrap();
    assert!(file::decode(&whole).is_some());
    for cut in 0..whole.len() {
        assert!(file::decode(&whole[..cut]).is_none(), "cut at {cut}");
    }
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            assert!(file::decode(&flipped).is_none(), "bit {bit} of byte {at}");
        }
    }
    assert!(file::decode(&[&*whole, b"\n"].concat()).is_none());
}

#[test]
fn damaged_half_written_expired_and_foreign_files_are_removed() {
    let bench = Bench::new(1 << 20);
    bench.fill(&[(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]);
    let folder = &bench.place.folder;
    let whole = fs::read(bench.path(1)).unwrap();
    fs::write(bench.path(2), &whole[..whole.len() - 1]).unwrap();
    let mut flipped = fs::read(bench.path(3)).unwrap();
    *flipped.last_mut().unwrap() ^= 1;
    fs::write(bench.path(3), flipped).unwrap();
    // Whole, but under the name of another one.
    fs::write(bench.path(4), &whole).unwrap();
    fs::write(bench.path(5), "").unwrap();
    fs::write(bench.path(6).with_extension("new"), &whole).unwrap();
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    symlink(bench.path(1), bench.path(7)).unwrap();
    let now = SystemTime::now();
    for (number, stored) in [
        (8, now - LIFE - Duration::from_secs(1)),
        // The clock was set back since.
        (9, now + Duration::from_hours(1)),
        (10, SystemTime::UNIX_EPOCH),
    ] {
        let entry = entry(&["data: old\n\n"], stored);
        let bytes = file::encode(&key(number), bench.place.rules, &entry).unwrap();
        fs::write(bench.path(number), bytes).unwrap();
    }
    let others = Rules {
        scope: Scope::All,
        ..bench.place.rules
    };
    fs::write(
        bench.path(11),
        file::encode(&key(11), others, &kept(5)).unwrap(),
    )
    .unwrap();

    let store = bench.restored();
    assert_eq!(bench.files(), [bench.path(1)]);
    assert_eq!(store.extent().0, 1);
    assert!(store.get(&key(1)).is_some());
}

#[test]
fn the_oldest_make_room_for_what_is_new() {
    let one = file::encode(&key(1), Rules::default(), &kept(0))
        .unwrap()
        .len() as u64;
    // Times may differ in a few digits.
    let mut bench = Bench::new(3 * one + 60);
    bench.fill(&[(1, 30), (2, 40), (3, 20), (4, 10), (4, 5)]);
    assert_eq!(bench.files(), [bench.path(1), bench.path(3), bench.path(4)]);
    // A file that is larger than all of it is not written, and takes no room from others.
    let (disk, _) = bench.open();
    let huge = "x".repeat(4 * one as usize);
    bench.keep(&disk, 5, &Arc::new(entry(&[&huge], SystemTime::now())));
    disk.close(PATIENCE);
    assert_eq!((disk.extent().files, disk.extent().unwritten), (3, 1));
    // Less room at the next start: the newest stay.
    bench.place.size = one + 60;
    let store = bench.restored();
    assert_eq!(bench.files(), [bench.path(4)]);
    assert!(store.get(&key(4)).is_some() && store.get(&key(1)).is_none());
}

#[test]
fn what_does_not_fit_into_memory_stays_on_disk() {
    let bench = Bench::new(1 << 20);
    bench.fill(&[(1, 30), (2, 20), (3, 10)]);
    let size = 2 * kept(0).weight() as u64;
    let store = Arc::new(Store::new(Bounds { size, life: LIFE }));
    let disk = Disk::default();
    disk.serve(Some(bench.place.clone()), &store);
    disk.close(PATIENCE);
    assert!(store.get(&key(3)).is_some() && store.get(&key(2)).is_some());
    assert!(store.get(&key(1)).is_none());
    assert_eq!(bench.files().len(), 3);
}

#[test]
fn what_is_in_memory_already_is_newer_than_what_is_on_disk() {
    let bench = Bench::new(1 << 20);
    bench.fill(&[(1, 30)]);
    let store = Arc::new(Store::new(Bounds {
        size: 1 << 20,
        life: LIFE,
    }));
    let newer = kept(0);
    assert!(store.put(key(1), newer.clone(), store.purges()));
    let disk = Disk::default();
    disk.serve(Some(bench.place.clone()), &store);
    disk.close(PATIENCE);
    assert!(Arc::ptr_eq(&store.get(&key(1)).unwrap(), &newer));
}

#[tokio::test]
async fn a_purge_removes_the_files_that_it_means() {
    let entries = [(1, 30), (2, 20)];
    for (purge, left) in [
        (Purge::All, 0),
        (Purge::Key(key(1).to_string()), 1),
        (Purge::Key(key(2).in_full()), 1),
        (Purge::Model("gpt-asked".to_owned()), 0),
        (Purge::Model("gpt-up".to_owned()), 0),
        (Purge::Model("gpt".to_owned()), 2),
        (Purge::Caller("anna".to_owned()), 0),
        (Purge::Caller("ben".to_owned()), 2),
        (Purge::Tag("밤".to_owned()), 0),
        (Purge::Tag("doc".to_owned()), 2),
    ] {
        let bench = Bench::new(1 << 20);
        bench.fill(&entries);
        let (disk, _) = bench.open();
        disk.purge(purge.clone()).await;
        assert_eq!(bench.files().len(), left, "{purge:?}");
        assert_eq!(disk.extent().files, left as u64);
    }
}

#[tokio::test]
async fn what_was_asked_before_a_purge_is_not_written_after_it() {
    let bench = Bench::new(1 << 20);
    let (disk, _) = bench.open();
    let before = disk.purges();
    disk.purge(Purge::Tag("other".to_owned())).await;
    disk.keep(key(1), kept(0), bench.place.rules, before);
    bench.keep(&disk, 2, &kept(0));
    disk.close(PATIENCE);
    assert_eq!(bench.files(), [bench.path(2)]);
}

#[test]
fn what_finds_no_room_in_the_queue_is_counted_and_not_written() {
    let bench = Bench::new(1 << 30);
    let (disk, _) = bench.open();
    let large = "x".repeat(9 << 20);
    let large = Arc::new(entry(&[&large], SystemTime::now()));
    for number in 0..20 {
        bench.keep(&disk, number, &large);
    }
    disk.close(PATIENCE);
    let extent = disk.extent();
    assert_eq!(extent.files + extent.unwritten, 20);
    assert!(extent.files >= 1 && extent.unwritten >= 1, "{extent:?}");
    assert_eq!(
        disk.shared
            .waiting
            .load(std::sync::atomic::Ordering::Relaxed),
        0
    );
}

#[test]
fn a_folder_that_cannot_be_had_is_no_failure() {
    let mut bench = Bench::new(1 << 20);
    bench.place.folder = bench.state.path().join("file/cache");
    fs::write(bench.state.path().join("file"), "").unwrap();
    let (disk, _) = bench.open();
    bench.keep(&disk, 1, &kept(0));
    disk.close(PATIENCE);
    assert_eq!(disk.extent().files, 0);
}

#[tokio::test]
async fn a_folder_has_one_owner_at_a_time() {
    let bench = Bench::new(1 << 20);
    bench.fill(&[(1, 5)]);
    let (first, _) = bench.open();
    // The first one has it once it has done what it was told.
    first.purge(Purge::Tag("none".to_owned())).await;
    let second = bench.restored();
    assert!(second.get(&key(1)).is_none());
    // The same owner may begin anew, and may let go of it.
    let store = Arc::new(Store::new(second.bounds()));
    first.serve(Some(bench.place.clone()), &store);
    first.serve(None, &store);
    first.purge(Purge::All).await;
    assert!(store.get(&key(1)).is_some());
    assert!(bench.restored().get(&key(1)).is_some());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever is kept, in whatever order: the files never take more than they may, and all that are there come back.
    #[test]
    fn the_bound_is_kept(entries in prop::collection::vec((0..12_u8, 0..3000_u64, 0..2000_usize), 1..40), size in 500..9000_u64) {
        let bench = Bench::new(size);
        let (disk, _) = bench.open();
        for (number, ago, length) in &entries {
            let stored = SystemTime::now() - Duration::from_secs(*ago);
            let text = "y".repeat(*length);
            bench.keep(&disk, *number, &Arc::new(entry(&[&text], stored)));
        }
        disk.close(PATIENCE);
        prop_assert!(bench.bytes() <= size);
        prop_assert_eq!(disk.extent().bytes, bench.bytes());
        let files = bench.files().len() as u64;
        prop_assert_eq!(bench.restored().extent().0, files);
        prop_assert_eq!(bench.files().len() as u64, files);
    }
}
