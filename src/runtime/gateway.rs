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

use super::{
    Runtime,
    compile::{compile, filter, listeners},
    host::Process,
};
use crate::{
    config::{self, Loaded},
    plugin::image::Image,
};

/// What a server serves from.
pub struct Gateway {
    current: ArcSwap<Runtime>,
    process: Process,
    path: PathBuf,
    /// Where clients connect, whatever a config says that is read later.
    clients: SocketAddr,
    draining: AtomicBool,
    reloading: Mutex<()>,
}

impl Gateway {
    /// A gateway that serves `runtime`, of this `process`, read from the config at `path`, to clients that connect to this
    /// address. Logs show from now on what the config lets them.
    #[must_use]
    pub fn new(runtime: Runtime, path: &Path, clients: SocketAddr, process: Process) -> Self {
        put_in_force(&runtime, &process);
        Self {
            current: ArcSwap::from_pointee(runtime),
            process,
            path: path.to_owned(),
            clients,
            draining: AtomicBool::new(false),
            reloading: Mutex::new(()),
        }
    }

    /// The libraries of plugins that were loaded since the start, in that order.
    #[must_use]
    pub fn images(&self) -> Vec<&'static Image> {
        let images = self.process.images.as_ref();
        images.map(|images| images.all()).unwrap_or_default()
    }

    /// What lasts as long as the process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
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
        listeners::check_bound(&loaded, self.clients);
        let previous = self.runtime();
        if !loaded.findings.has_errors() {
            filter(&loaded, Some(&previous)).install();
        }
        let Some(next) = compile(&loaded, Some(&previous), &self.process) else {
            previous.filter.install();
            return Err(Box::new(loaded));
        };
        let next = Arc::new(next);
        put_in_force(&next, &self.process);
        self.current.store(next.clone());
        Ok((next, Box::new(loaded)))
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

/// What a runtime needs of its process before anybody is served from it.
fn put_in_force(runtime: &Runtime, process: &Process) {
    runtime.filter.install();
    // What has ended by now belongs to the traces of before.
    process.observer.look(|_| ());
    process
        .observer
        .traces
        .put_in_force(runtime.traces.as_ref());
    if let Some(cache) = &runtime.pipeline.cache {
        cache.put_in_force(process.store.folder());
    }
}

/// A variable of the process environment; one that is not UTF-8 counts as unset.
#[must_use]
pub fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
