//! The ledger: one row for every exchange, written off the request path by one thread, in batches.
//!
//! Whoever settles what has ended offers it here, which costs a lock and a push. What cannot be written waits, up to a bound;
//! past it rows are lost, counted and told of. Nothing here ever keeps an exchange waiting.

mod backend;
mod capture;
mod clock;
mod error;
pub mod place;
#[cfg(feature = "postgres")]
mod postgres;
mod pruning;
mod queue;
pub mod row;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests;
pub mod usage;
mod writer;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use serde::Serialize;

#[cfg(feature = "postgres")]
pub(crate) use self::postgres::check_url;
pub use self::{
    capture::{Key, Keys},
    error::LedgerError,
    place::Place,
};
use self::{queue::Shared, row::Row, writer::Writer};
use crate::{config::Secret, telemetry::ended::Ended};

/// The ledger of this process. It is off until it is configured.
#[derive(Default)]
pub struct Ledger {
    shared: Arc<Shared>,
    current: Mutex<Option<Current>>,
}

/// What it was configured with last.
struct Current {
    settings: Settings,
    place: Option<Place>,
    has_thread: bool,
}

/// What a config says of it, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether there is one.
    pub enabled: bool,
    /// A `PostgreSQL` server; the embedded SQLite where there is none.
    pub url: Option<Secret>,
    /// Certificate authorities to trust beside those of the system.
    pub ca_file: Option<std::path::PathBuf>,
    /// How often rows are written.
    pub interval: Duration,
    /// How many may wait.
    pub queue: usize,
    /// How long rows are kept.
    pub max_age: Duration,
    /// Bytes that the ledger may take.
    pub max_size: u64,
    /// With what captured content is encrypted.
    pub keys: Keys,
}

/// How the ledger is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stats {
    /// `"sqlite"`, `"postgres"` or `"off"`.
    pub kind: &'static str,
    /// Whether rows can be written; true where it is off.
    pub ok: bool,
    /// Rows that wait to be written.
    pub waiting: usize,
    /// Rows written since the start of the process.
    pub written: u64,
    /// Rows lost since then, because too many waited or a database would not take them.
    pub dropped: u64,
    /// Why rows cannot be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why old rows cannot be deleted; rows are written all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pruning_error: Option<String>,
}

impl Ledger {
    /// Writes down an exchange that has ended. Never blocks for long, whatever the database does.
    pub fn offer(&self, ended: &Ended) {
        if self.shared.is_on.load(Ordering::Relaxed) {
            self.shared.push(Row::of(ended));
        }
    }

    /// Works by these settings from now on; what waits is written to the old place first, if that can be done, else to the new
    /// one. `folder`: where state is kept, if there is such a folder.
    pub fn configure(&self, settings: &Settings, folder: Option<&Path>) {
        let found = settings.place(folder);
        let place = found.as_ref().ok().cloned().flatten();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let is_known = |current: &Current| current.settings == *settings && current.place == place;
        if current.as_ref().is_some_and(is_known) {
            return;
        }
        if let Err(error) = &found {
            tracing::info!(error, "exchanges are not written down");
        }
        let is_running = current.as_ref().is_some_and(|current| current.has_thread);
        self.shared.admit(place.is_some(), settings);
        let has_thread = if is_running {
            self.shared
                .order(queue::Order::Change(settings.clone(), place.clone()));
            true
        } else {
            place
                .clone()
                .is_some_and(|place| Writer::start(&self.shared, settings.clone(), place))
        };
        *current = Some(Current {
            settings: settings.clone(),
            place,
            has_thread,
        });
    }

    /// Where rows go; `None` where it is off.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.as_ref()?.place.clone()
    }

    /// How it is.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let place = self.place();
        let error = self.shared.error();
        Stats {
            kind: place.as_ref().map_or("off", Place::kind),
            ok: place.is_none() || error.is_none(),
            waiting: self.shared.waiting(),
            written: self.shared.written.load(Ordering::Relaxed),
            dropped: self.shared.dropped.load(Ordering::Relaxed),
            error,
            pruning_error: self.shared.pruning_error(),
        }
    }

    /// Writes what is left and ends, for as long as `patience`. The log says what could not be written.
    pub fn close(&self, patience: Duration) {
        self.shared.is_on.store(false, Ordering::Relaxed);
        // Not kept while it is waited for: others ask how the ledger is.
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let has_thread = current.as_ref().is_some_and(|current| current.has_thread);
        drop(current);
        if !has_thread {
            return;
        }
        let (done, is_done) = std::sync::mpsc::sync_channel(1);
        self.shared.order(queue::Order::Stop(done));
        if is_done.recv_timeout(patience).is_err() {
            tracing::error!(
                rows = self.shared.waiting(),
                "the ledger did not close in time: these rows may be lost"
            );
        }
    }
}

impl Settings {
    /// Where rows go by them; `None` where they say that there is no ledger. The error says what to set.
    pub fn place(&self, folder: Option<&Path>) -> Result<Option<Place>, String> {
        if !self.enabled {
            return Ok(None);
        }
        if let Some(url) = &self.url {
            return Ok(Some(Place::Postgres {
                url: url.clone(),
                ca_file: self.ca_file.clone(),
            }));
        }
        if cfg!(not(feature = "sqlite")) {
            return Err(
                "this millgate was built without the feature `sqlite`: set [ledger] url, or enabled = false".to_owned(),
            );
        }
        let folder = folder.ok_or(
            "there is no folder for the ledger: set [server] state_dir, or STATE_DIRECTORY as a service has it, or [ledger] enabled = false",
        )?;
        Ok(Some(Place::Sqlite {
            folder: folder.to_owned(),
        }))
    }
}

impl PartialEq for Settings {
    fn eq(&self, other: &Self) -> bool {
        let plain = |settings: &Self| {
            (
                settings.enabled,
                settings.ca_file.clone(),
                settings.interval,
                settings.queue,
                settings.max_age,
                settings.max_size,
                settings.url.as_ref().map(|url| url.expose().to_owned()),
            )
        };
        plain(self) == plain(other) && self.keys == other.keys
    }
}
