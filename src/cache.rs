//! The cache right above `route`: whole answers kept and given again, and calls under way that are shared.
//!
//! The way of a request: [`policy`] says whether it is one for the cache, [`key`] what identifies its answer, [`store`]
//! whether that is there already. Where it is not, the request joins the [`flight`] of another one, or begins one
//! ([`flights`], [`asking`]). What a flight has brought in full is looked at by [`policy`] once more and kept as an
//! [`entry`], on [`disk`] as well if so configured. Whoever wants an answer in the other form, as a stream or as a document, gets it from [`form`].

pub mod asking;
#[cfg(test)]
mod bench;
pub mod config;
pub mod control;
pub mod disk;
pub mod entry;
pub mod flight;
pub mod flights;
pub mod form;
pub mod key;
pub mod policy;
pub mod store;

use std::{
    collections::VecDeque,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::{
    asking::{Asking, Keep, Log},
    config::{Cacheable, Config},
    control::{Control, Status, Why},
    disk::{Disk, Place},
    entry::{Entry, Kept, Labels, Purge},
    flight::{Flight, Reader},
    flights::{Boarding, Flights},
    key::Key,
    store::{Bounds, Counters, Stats, Store},
};
use crate::{
    config::tree::Node,
    pipeline::{
        request::{ClientRequest, Vars},
        when::When,
    },
    routing::{
        answer::Piece,
        attempt::{Attempt, Context},
        flight::Tried,
    },
};

/// What `kind = "…"` says.
pub const KIND: &str = "cache";

/// Entries that are fetched anew at a time although nobody waits for them.
const REFRESHES: usize = 16;

/// The header that marks a request's answer, so that it can be purged by it; several marks are separated by commas.
const TAG: &str = "x-millgate-cache-tag";

/// So many marks count, of so many bytes each.
const TAGS: usize = 8;
const LONGEST_TAG: usize = 64;

/// The cache of a pipeline.
pub struct Cache {
    /// Its name in the config.
    pub name: Arc<str>,
    /// The exchanges that it is for.
    pub when: When,
    /// The table that it was made from.
    pub table: Node,
    config: Config,
    store: Arc<Store>,
    flights: Arc<Flights>,
    counters: Arc<Counters>,
    refreshes: Arc<Semaphore>,
    disk: Arc<Disk>,
    is_in_force: AtomicBool,
}

/// What there is for a request.
pub enum Found {
    /// Nothing; it is to be asked for by itself.
    Bypass(Why),
    /// Nothing, and nobody is to be asked.
    Absent,
    /// An answer that is kept.
    Stored(Kept, Status),
    /// An answer in the making.
    Flight(Boarded),
}

/// A seat in a flight.
pub struct Boarded {
    /// What is read.
    pub reader: Reader<Asking>,
    /// What only the exchange has that began it.
    pub lead: Option<Lead>,
    /// What the client is told.
    pub status: Status,
    /// What may be given in its place, should it fail.
    pub instead: Option<Kept>,
}

/// The flight that an exchange has begun, and that is charged to it.
pub struct Lead {
    /// The flight.
    pub flight: Arc<Flight<Asking>>,
    /// Its attempts.
    pub log: Log,
}

/// A call of the gateway's own that fetches anew what is past its time, while nobody waits for it.
pub struct Refetch {
    /// In whose name it is made.
    pub request: Arc<ClientRequest>,
    /// What is read.
    pub reader: Reader<Asking>,
    /// What it is charged by.
    pub lead: Lead,
    /// One of those that there may be at a time.
    pub permit: OwnedSemaphorePermit,
}

impl Cache {
    /// A cache that takes over from `old`, the cache of the config before, what it may. It keeps nothing on `disk` before
    /// it is put in force.
    #[must_use]
    pub fn new(
        name: &str,
        when: When,
        (table, config): (Node, Config),
        disk: Arc<Disk>,
        old: Option<&Self>,
    ) -> Self {
        let bounds = Bounds {
            size: config.max_size.bytes(),
            life: config.ttl.get() + config.grace(),
        };
        let store = match old.filter(|old| old.config.rules() == config.rules()) {
            Some(old) if old.store.bounds() == bounds => old.store.clone(),
            Some(old) => {
                let store = Store::new(bounds);
                store.take_over(&old.store);
                Arc::new(store)
            }
            None => Arc::new(Store::new(bounds)),
        };
        Self {
            name: name.into(),
            when,
            table,
            config,
            store,
            flights: Arc::default(),
            counters: old.map(|old| old.counters.clone()).unwrap_or_default(),
            refreshes: Arc::new(Semaphore::new(REFRESHES)),
            disk,
            is_in_force: AtomicBool::new(false),
        }
    }

    /// From now on requests are asked of this cache: it keeps its answers on disk if it is to, in the state folder or one
    /// within, and gets back what is there. Called again, it does nothing.
    pub fn put_in_force(&self, state: Option<&Path>) {
        if self.is_in_force.swap(true, Ordering::Relaxed) {
            return;
        }
        let place = self.config.disk.and_then(|size| {
            Some(Place {
                folder: state?.join("cache"),
                size: size.bytes(),
                life: self.store.bounds().life,
                rules: self.config.rules(),
            })
        });
        if place.is_none() && self.config.disk.is_some() {
            tracing::error!(
                "there is no folder for the cache, which is in memory alone: set [server] state_dir"
            );
        }
        self.disk.serve(place, &self.store);
    }

    /// What there is for a request, and under which key. Joins a flight, or begins one, where nothing is kept.
    #[must_use]
    pub fn look(&self, context: &Context, vars: &Vars) -> (Option<Key>, Found) {
        let request = &*context.request;
        let control = Control::of(&request.headers);
        let admitted = if control.no_store {
            Err(Why::NoStore)
        } else {
            policy::admit(request, &context.route, self.config.cacheable)
        };
        if let Err(why) = admitted {
            Counters::count(&self.counters.bypassed);
            let found = if control.only_if_cached {
                Found::Absent
            } else {
                Found::Bypass(why)
            };
            return (None, found);
        }
        let stages = &context.pipeline.fingerprint;
        let (scope, canonical) = (self.config.scope, self.config.canonical);
        let key = key::of(request, &context.route, stages, scope, canonical);
        (Some(key), self.find(key, control, context, vars))
    }

    fn find(&self, key: Key, control: Control, context: &Context, vars: &Vars) -> Found {
        let kept = self.store.get(&key);
        if let Some((entry, status)) = self.usable(kept.as_ref(), control) {
            if matches!(status, Status::Hit { ttl } if ttl < 0) {
                Counters::count(&self.counters.stale);
            } else {
                Counters::count(&self.counters.hits);
            }
            return Found::Stored(entry, status);
        }
        if control.only_if_cached {
            return Found::Absent;
        }
        let mut log = None;
        let mut begin = || {
            let (flight, reader, attempts) = self.begin(key, context, vars);
            log = Some(attempts);
            (flight, reader)
        };
        let boarding = if control.no_cache {
            // What is under way may have begun before whatever made the client ask anew.
            let (flight, reader) = begin();
            self.flights.replace(key, &flight);
            Boarding::Begun(flight, reader)
        } else {
            let find = || {
                let is_there = self.store.has(&key);
                is_there
                    .then(|| self.usable(self.store.get(&key).as_ref(), control))
                    .flatten()
            };
            self.flights.board(key, find, begin)
        };
        let instead = kept.clone().filter(|entry| self.may_stand_in(entry));
        match boarding {
            Boarding::Found((entry, status)) => {
                Counters::count(&self.counters.hits);
                Found::Stored(entry, status)
            }
            Boarding::Joined(reader) => {
                Counters::count(&self.counters.collapsed);
                Found::Flight(Boarded {
                    reader,
                    lead: None,
                    status: Status::Collapsed,
                    instead,
                })
            }
            Boarding::Begun(flight, reader) => {
                Counters::count(&self.counters.misses);
                Found::Flight(Boarded {
                    reader,
                    lead: log.map(|log| Lead { flight, log }),
                    status: self.reason(kept.as_deref()),
                    instead,
                })
            }
        }
    }

    /// An entry that may be given to this client now, and how that is told.
    fn usable(&self, entry: Option<&Kept>, control: Control) -> Option<(Kept, Status)> {
        let entry = entry?;
        let age = entry.age();
        let (ttl, grace) = (
            self.config.ttl.get(),
            self.config.stale_while_revalidate.get(),
        );
        let is_usable = control.takes(age) && (age < ttl || age < ttl + grace);
        let left = ttl.as_secs().cast_signed() - age.as_secs().cast_signed();
        // A second that has begun counts as over: a stale answer never says that it is not.
        let ttl = if age < ttl { left } else { left.min(-1) };
        is_usable.then(|| (entry.clone(), Status::Hit { ttl }))
    }

    /// Whether an entry is better than an error.
    fn may_stand_in(&self, entry: &Entry) -> bool {
        let most = self.config.stale_if_error.get();
        !most.is_zero() && entry.age() < self.config.ttl.get() + most
    }

    /// Why what is kept does not do.
    fn reason(&self, kept: Option<&Entry>) -> Status {
        match kept {
            None => Status::Miss { stored: false },
            Some(entry) if entry.age() < self.config.ttl.get() => {
                Status::Refetched { stored: false }
            }
            Some(_) => Status::Stale { stored: false },
        }
    }

    /// The age of an entry that is given as stale in place of an error.
    #[must_use]
    pub fn stale(&self, entry: &Entry) -> Status {
        Counters::count(&self.counters.stale);
        let over = entry.age().saturating_sub(self.config.ttl.get());
        Status::Hit {
            ttl: -over.as_secs().cast_signed().max(1),
        }
    }

    /// A flight of its own deadline, which nobody can join yet.
    fn begin(
        &self,
        key: Key,
        context: &Context,
        vars: &Vars,
    ) -> (Arc<Flight<Asking>>, Reader<Asking>, Log) {
        let mut context = context.clone();
        context.deadline = Instant::now() + context.route.deadline;
        let keep = self.keeper(key, context.request.clone());
        let asking = Asking::new(context, vars.clone(), keep);
        let log = asking.log();
        let limit = usize::try_from(self.config.max_entry_size.bytes()).unwrap_or(usize::MAX);
        let (flight, reader) = Flight::begin(asking, limit);
        (flight, reader, log)
    }

    /// What keeps the answer to a request, if it may be kept.
    fn keeper(&self, key: Key, request: Arc<ClientRequest>) -> Keep {
        let (store, counters) = (self.store.clone(), self.counters.clone());
        let (cacheable, fallbacks) = (self.config.cacheable, self.config.cache_fallbacks);
        let purges = store.purges();
        let disk = self.config.disk.map(|_| self.disk.clone());
        let (rules, written_purges) = (self.config.rules(), self.disk.purges());
        Box::new(move |attempt, tried, head, pieces| {
            if !is_to_be_kept(&request, (attempt, tried), pieces, cacheable, fallbacks) {
                return false;
            }
            let labels = labels(&request);
            let entry = Entry::new(head, pieces.iter(), attempt.seen(), labels);
            let entry = Arc::new(entry);
            if !store.put(key, entry.clone(), purges) {
                return false;
            }
            Counters::count(&counters.stored);
            if let Some(disk) = disk {
                disk.keep(key, entry, rules, written_purges);
            }
            true
        })
    }

    /// Begins to fetch anew what is past its time, as `context` says; `None` where that is under way or there is enough of
    /// it. Nothing comes of it unless it is read.
    pub fn refetch(
        &self,
        key: Key,
        context: impl FnOnce() -> Context,
        vars: &Vars,
    ) -> Option<Refetch> {
        let permit = self.refreshes.clone().try_acquire_owned().ok()?;
        let mut own = None;
        let begin = || {
            let context = context();
            let (flight, reader, log) = self.begin(key, &context, vars);
            own = Some((context.request, log));
            (flight, reader)
        };
        let boarding = self.flights.board(key, || None::<()>, begin);
        let (Boarding::Begun(flight, reader), Some((request, log))) = (boarding, own) else {
            return None;
        };
        Some(Refetch {
            request,
            reader,
            lead: Lead { flight, log },
            permit,
        })
    }

    /// Forgets what is meant, on disk too, and lets nobody join what is under way; how many entries in memory that was.
    pub async fn purge(&self, purge: &Purge) -> usize {
        let purged = self.store.purge(purge);
        self.flights.clear();
        self.disk.purge(purge.clone()).await;
        purged
    }

    /// How it does.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let (entries, bytes) = self.store.extent();
        let on_disk = self.disk.extent();
        self.counters.stats(Stats {
            entries,
            bytes,
            max_bytes: self.store.bounds().size,
            flights: self.flights.count() as u64,
            files: on_disk.files,
            file_bytes: on_disk.bytes,
            unwritten: on_disk.unwritten,
            ..Stats::default()
        })
    }
}

/// Whether a whole answer is one to be kept.
fn is_to_be_kept(
    request: &ClientRequest,
    (attempt, tried): (&Attempt, &[Tried]),
    pieces: &VecDeque<Piece>,
    cacheable: Cacheable,
    fallbacks: bool,
) -> bool {
    let is_first_choice = tried
        .first()
        .is_none_or(|first| Arc::ptr_eq(&first.target, &attempt.target));
    attempt.may_be_kept()
        && (fallbacks || is_first_choice)
        && policy::may_keep(request, pieces.iter(), cacheable)
}

/// What the answer to a request can be purged by.
fn labels(request: &ClientRequest) -> Labels {
    let marks = request.headers.get_all(TAG).iter();
    let marks = marks.filter_map(|value| value.to_str().ok());
    let marks = marks.flat_map(|value| value.split(',')).map(str::trim);
    let marks = marks.filter(|mark| !mark.is_empty() && mark.len() <= LONGEST_TAG);
    let (team, own) = (request.caller.team(), request.caller.tags());
    Labels {
        asked: request.model.clone(),
        caller: match request.caller.id() {
            Some(id) => id.into(),
            None => request.peer.to_string().into(),
        },
        tags: own
            .iter()
            .map(AsRef::as_ref)
            .chain(team)
            .chain(marks.take(TAGS))
            .map(Into::into)
            .collect(),
    }
}
