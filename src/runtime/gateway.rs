//! The runtime in force, and its exchange for the next one.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
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
    telemetry::observer::Views,
};

/// Where the listeners are, whatever a config says that is read later.
#[derive(Clone, Copy, Debug)]
pub struct Listening {
    /// Where clients connect.
    pub clients: SocketAddr,
    /// Where operators connect.
    pub operators: SocketAddr,
}

/// What a server serves from.
pub struct Gateway {
    current: ArcSwap<Runtime>,
    process: Process,
    path: PathBuf,
    listening: Listening,
    draining: AtomicBool,
    reloading: Mutex<()>,
    reloads: Mutex<Reloads>,
}

/// How reloads went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reloads {
    /// Configs that were put in force after the one of the start.
    pub successes: u64,
    /// Configs that were refused.
    pub failures: u64,
    /// When a config was last put in force.
    pub last_success: Option<SystemTime>,
    /// When one was last refused.
    pub last_failure: Option<SystemTime>,
}

impl Gateway {
    /// A gateway that serves `runtime`, of this `process`, read from the config at `path`, to those who connect to these
    /// addresses. Logs show from now on what the config lets them.
    #[must_use]
    pub fn new(runtime: Runtime, path: &Path, listening: Listening, process: Process) -> Self {
        put_in_force(&runtime, &process);
        Self {
            current: ArcSwap::from_pointee(runtime),
            process,
            path: path.to_owned(),
            listening,
            draining: AtomicBool::new(false),
            reloading: Mutex::new(()),
            reloads: Mutex::new(Reloads {
                last_success: Some(SystemTime::now()),
                ..Reloads::default()
            }),
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
        listeners::check_bound(&loaded, self.listening.clients);
        listeners::check_operators_bound(&loaded, self.listening.operators);
        let previous = self.runtime();
        if !loaded.findings.has_errors() {
            filter(&loaded, Some(&previous)).install();
        }
        let Some(next) = compile(&loaded, Some(&previous), &self.process) else {
            previous.filter.install();
            let mut reloads = self.lock_reloads();
            reloads.failures += 1;
            reloads.last_failure = Some(SystemTime::now());
            return Err(Box::new(loaded));
        };
        let next = Arc::new(next);
        put_in_force(&next, &self.process);
        self.current.store(next.clone());
        let mut reloads = self.lock_reloads();
        reloads.successes += 1;
        reloads.last_success = Some(SystemTime::now());
        drop(reloads);
        Ok((next, Box::new(loaded)))
    }

    /// How reloads went so far.
    #[must_use]
    pub fn reloads(&self) -> Reloads {
        *self.lock_reloads()
    }

    fn lock_reloads(&self) -> MutexGuard<'_, Reloads> {
        self.reloads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on `/readyz` says no.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether the gateway has been told to stop.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

/// What a runtime needs of its process before anybody is served from it.
fn put_in_force(runtime: &Runtime, process: &Process) {
    runtime.filter.install();
    let providers = runtime.providers.iter().map(|provider| &*provider.made);
    // What has ended by now is settled with this, and belongs to the traces of before.
    let learn = |views: &mut Views| views.metrics.learn(providers, &runtime.routes);
    process.observer.look(learn);
    process
        .observer
        .traces
        .put_in_force(runtime.traces.as_ref());
    if let Some(cache) = &runtime.pipeline.cache {
        cache.put_in_force(process.store.folder());
    }
    // What has ended by now is written down, or not, as it was to be.
    process.observer.look(|_| ());
    let ledger = &process.observer.ledger;
    ledger.configure(&runtime.ledger, process.store.folder());
}

/// A variable of the process environment; one that is not UTF-8 counts as unset.
#[must_use]
pub fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
