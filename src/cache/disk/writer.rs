//! The one thread that has the folder. A file is written beside its place and then moved there, and begins with a hash of
//! the rest: half of one is never taken for a whole. Nothing waits for the disk itself: what a loss of power takes along is
//! asked for again.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::{Duration, SystemTime},
};

use super::{Job, Keep, Place, Shared, file};
use crate::cache::{
    entry::{Entry, Kept, Labels, Purge},
    key::Key,
    store::Store,
};

/// How often files are looked for whose time is over, where nothing else happens.
const SWEEPING: Duration = Duration::from_mins(1);

/// An entry from further ahead than this was kept before the clock was set back: nobody can tell how old it is.
const AHEAD: Duration = Duration::from_mins(1);

/// What the thread works with.
pub(super) struct Writer {
    shared: Arc<Shared>,
    folder: Option<Folder>,
}

/// The folder while entries are kept in it.
struct Folder {
    place: Place,
    known: HashMap<Key, Known>,
    /// The same, oldest first.
    ages: BTreeSet<(SystemTime, Key)>,
    bytes: u64,
    /// Whether a failure to write has been logged.
    has_complained: bool,
    /// Two processes in one folder would know nothing of each other's files; locked while it is open.
    _lock: File,
}

/// What is known of a file.
struct Known {
    labels: Labels,
    model: Arc<str>,
    stored: SystemTime,
    size: u64,
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            folder: None,
        }
    }

    pub(super) fn run(&mut self, work: &Receiver<Job>) {
        loop {
            match work.recv_timeout(SWEEPING) {
                Ok(Job::Serve(place, store, purges)) => self.serve(place, &store, purges),
                Ok(Job::Rest) => self.folder = None,
                Ok(Job::Keep(keep)) => self.keep(&keep),
                Ok(Job::Purge(purge, done)) => {
                    self.purge(&purge);
                    self.tell();
                    // Whoever asked may have left.
                    let _ = done.send(());
                }
                Ok(Job::Stop(done)) => {
                    // Unlocked for whoever comes next, before that is said.
                    self.folder = None;
                    let _ = done.send(());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if let Some(folder) = &mut self.folder {
                folder.sweep(SystemTime::now());
            }
            self.tell();
        }
    }

    fn serve(&mut self, place: Place, store: &Store, purges: u64) {
        // The lock of the folder before is let go of first: it may be the same one.
        self.folder = None;
        let path = place.folder.clone();
        let opened = Folder::open(place).and_then(|mut folder| {
            folder.restore(store, purges)?;
            Ok(folder)
        });
        match opened {
            Ok(folder) => self.folder = Some(folder),
            Err(error) => {
                let folder = path.display();
                tracing::error!(%folder, %error, "the cache cannot be kept on disk: it is in memory alone");
            }
        }
    }

    fn keep(&mut self, keep: &Keep) {
        let weight = keep.entry.weight() as u64;
        self.shared.waiting.fetch_sub(weight, Ordering::Relaxed);
        let is_wanted = self.shared.purges.load(Ordering::Acquire) == keep.purges;
        let folder = self.folder.as_mut();
        let Some(folder) = folder.filter(|folder| is_wanted && folder.place.rules == keep.rules)
        else {
            return;
        };
        if !folder.keep(keep.key, &keep.entry) {
            self.shared.unwritten.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn purge(&mut self, purge: &Purge) {
        let Some(folder) = &mut self.folder else {
            return;
        };
        let is_meant =
            |(key, known): &(&Key, &Known)| purge.means(key, &known.labels, &known.model);
        let meant = folder.known.iter().filter(is_meant);
        let meant: Vec<Key> = meant.map(|(key, _)| *key).collect();
        for key in &meant {
            folder.forget(key);
        }
    }

    fn tell(&self) {
        let (files, bytes) = self
            .folder
            .as_ref()
            .map_or((0, 0), |folder| (folder.known.len() as u64, folder.bytes));
        self.shared.files.store(files, Ordering::Relaxed);
        self.shared.bytes.store(bytes, Ordering::Relaxed);
    }
}

impl Folder {
    /// Makes the folder where there is none. Nobody else may look into it, nor write to it.
    fn open(place: Place) -> io::Result<Self> {
        let path = &place.folder;
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
        let lock = File::open(path)?;
        lock.try_lock().map_err(|error| match error {
            fs::TryLockError::Error(error) => error,
            fs::TryLockError::WouldBlock => io::Error::other(
                "another process keeps its cache there; give this one a state_dir of its own",
            ),
        })?;
        Ok(Self {
            place,
            known: HashMap::new(),
            ages: BTreeSet::new(),
            bytes: 0,
            has_complained: false,
            _lock: lock,
        })
    }

    /// Puts what the files hold into `store`, newest first, as far as there is room. What is of no use is removed.
    fn restore(&mut self, store: &Store, purges: u64) -> io::Result<()> {
        let mut found = Vec::new();
        for file in fs::read_dir(&self.place.folder)? {
            let file = file?;
            let is_ours = file.file_name().to_str().is_some_and(is_name);
            match file.metadata() {
                Ok(about) if is_ours && about.is_file() => {
                    let written = about.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    found.push((written, file.path(), about.len()));
                }
                Ok(about) if about.is_dir() => {}
                _ => remove(&file.path()),
            }
        }
        found.sort_unstable_by(|one, other| other.cmp(one));
        let (_, taken) = store.extent();
        let mut room = store.bounds().size.saturating_sub(taken);
        let now = SystemTime::now();
        for (_, path, size) in found {
            let fits = self.bytes.saturating_add(size) <= self.place.size;
            let read = fits.then(|| self.read(&path, now)).flatten();
            let Some((key, entry)) = read else {
                remove(&path);
                continue;
            };
            let entry = Arc::new(entry);
            self.know(key, &entry, size);
            let weight = entry.weight() as u64;
            if weight <= room && store.restore(key, entry, purges) {
                room -= weight;
            }
        }
        Ok(())
    }

    /// What is in a file, if that is of use.
    fn read(&self, path: &Path, now: SystemTime) -> Option<(Key, Entry)> {
        let (key, rules, entry) = file::decode(&fs::read(path).ok()?)?;
        let is_of_use = rules == self.place.rules
            && !is_over(entry.stored, self.place.life, now)
            && self.path(&key) == path;
        is_of_use.then_some((key, entry))
    }

    /// Whether the entry is on disk now.
    fn keep(&mut self, key: Key, entry: &Kept) -> bool {
        // Even where the new one cannot be written, the old one is out of date.
        self.forget(&key);
        let Some(bytes) = file::encode(&key, self.place.rules, entry) else {
            return false;
        };
        let size = bytes.len() as u64;
        if size > self.place.size {
            return false;
        }
        self.make_room(size);
        match write(&self.path(&key), &bytes) {
            Ok(()) => {
                self.know(key, entry, size);
                true
            }
            Err(error) => {
                if !std::mem::replace(&mut self.has_complained, true) {
                    tracing::error!(%error, "an answer could not be kept on disk, and others may not be: the cache goes on in memory");
                }
                false
            }
        }
    }

    fn know(&mut self, key: Key, entry: &Entry, size: u64) {
        let known = Known {
            labels: entry.labels.clone(),
            model: entry.head.model.clone(),
            stored: entry.stored,
            size,
        };
        self.bytes += size;
        self.ages.insert((known.stored, key));
        self.known.insert(key, known);
    }

    /// Removes the oldest until so many bytes more fit.
    fn make_room(&mut self, more: u64) {
        while self.bytes + more > self.place.size
            && let Some((_, oldest)) = self.ages.first().copied()
        {
            self.forget(&oldest);
        }
    }

    /// Removes what can be of no more use.
    fn sweep(&mut self, now: SystemTime) {
        let life = self.place.life;
        let is_over = |found: Option<&(SystemTime, Key)>| {
            let found = found.filter(|(stored, _)| is_over(*stored, life, now));
            found.map(|(_, key)| *key)
        };
        while let Some(key) = is_over(self.ages.first()).or_else(|| is_over(self.ages.last())) {
            self.forget(&key);
        }
    }

    fn forget(&mut self, key: &Key) {
        let Some(known) = self.known.remove(key) else {
            return;
        };
        self.ages.remove(&(known.stored, *key));
        self.bytes -= known.size;
        remove(&self.path(key));
    }

    fn path(&self, key: &Key) -> PathBuf {
        self.place.folder.join(key.in_full())
    }
}

/// Whether an entry has had its time, or is from a time that is yet to come.
fn is_over(stored: SystemTime, life: Duration, now: SystemTime) -> bool {
    match now.duration_since(stored) {
        Ok(age) => age > life,
        Err(ahead) => ahead.duration() > AHEAD,
    }
}

/// Whether a file may be one of ours: a key in full.
fn is_name(name: &str) -> bool {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.len() == 64 && name.bytes().all(is_digit)
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(0o600);
    let written = options
        .open(&beside)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // It may not be there at all; if it is, it takes room that is wanted.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::error!(%error, "a kept answer could not be removed from disk");
        }
        _ => {}
    }
}
