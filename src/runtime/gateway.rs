//! The runtime in force, and its exchange for the next one.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;
use millgate_plugin::Host;

use super::{
    Runtime,
    compile::{compile, listeners},
};
use crate::config::{self, Loaded};

/// What a server serves from.
pub struct Gateway {
    current: ArcSwap<Runtime>,
    host: Host,
    path: PathBuf,
    /// Where clients are listened for, whatever the config says by now.
    listening: SocketAddr,
    draining: AtomicBool,
    reloading: Mutex<()>,
}

impl Gateway {
    /// A gateway that serves `runtime` to clients who connect to `listening`, read from the config at `path` and made
    /// with `host`.
    #[must_use]
    pub fn new(runtime: Runtime, listening: SocketAddr, path: &Path, host: Host) -> Self {
        Self {
            current: ArcSwap::from_pointee(runtime),
            host,
            path: path.to_owned(),
            listening,
            draining: AtomicBool::new(false),
            reloading: Mutex::new(()),
        }
    }

    /// The runtime in force.
    #[must_use]
    pub fn runtime(&self) -> Arc<Runtime> {
        self.current.load_full()
    }

    /// Reads the config again and puts it in force as a whole, or not at all: `Err` has what is wrong with it.
    /// Exchanges under way keep the runtime they began with.
    pub fn reload(&self) -> Result<(Arc<Runtime>, Box<Loaded>), Box<Loaded>> {
        let _one_at_a_time = self
            .reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let loaded = config::load(&self.path, &process_environment);
        let previous = self.runtime();
        listeners::recheck(&loaded, self.listening);
        match compile(&loaded, Some(&previous), &self.host) {
            Some(next) => {
                let next = Arc::new(next);
                self.current.store(next.clone());
                Ok((next, Box::new(loaded)))
            }
            None => Err(Box::new(loaded)),
        }
    }

    /// From now on `/readyz` says no.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether new exchanges are welcome.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.draining.load(Ordering::Acquire)
    }
}

/// A variable of the process environment; one that is not UTF-8 counts as unset.
#[must_use]
pub fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
