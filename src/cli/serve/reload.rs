//! SIGHUP: the config is read again, and the log says what came of it.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use tokio::{runtime::Handle, sync::oneshot};

use super::Arguments;
use crate::{
    admin::reload::Reloaded,
    config::{
        Config, Severity,
        finding::{Finding, Findings, Renderer},
    },
    runtime::gateway::Gateway,
    store::Store,
};

/// How many findings are logged; the rest is in `millgate check`.
const SHOWN_FINDINGS: usize = 50;

/// Reads the config anew for a server that was started with certain values.
pub(super) struct Reloader {
    gateway: Arc<Gateway>,
    store: Arc<Store>,
    started_with: Vec<(&'static str, String)>,
    listen_is_given: bool,
    admin_listen_is_given: bool,
}

/// Where reloads are asked for.
#[derive(Clone)]
pub(super) struct Reloads {
    ask: mpsc::SyncSender<()>,
    waiting: Arc<Mutex<Vec<oneshot::Sender<Reloaded>>>>,
}

impl Reloads {
    /// Asks for a reload. One that is asked for already, and has not begun, serves both.
    pub(super) fn ask(&self) {
        let _ = self.ask.try_send(());
    }

    /// The same, to be told what came of it.
    pub(super) fn ask_and_hear(&self) -> oneshot::Receiver<Reloaded> {
        let (tell, hear) = oneshot::channel();
        lock(&self.waiting).push(tell);
        self.ask();
        hear
    }
}

impl Reloader {
    pub(super) fn new(
        gateway: Arc<Gateway>,
        store: Arc<Store>,
        arguments: &Arguments,
        config: &Config,
    ) -> Self {
        let mut reloader = Self {
            gateway,
            store,
            started_with: Vec::new(),
            listen_is_given: arguments.listen.is_some(),
            admin_listen_is_given: arguments.admin_listen.is_some(),
        };
        reloader.started_with = reloader.read_at_start(config);
        reloader
    }

    /// Reloads whenever that is asked for, on a thread of its own: a plugin may take its time to be loaded or made, and
    /// connections, operators and further signals are not to wait for it. It is not waited for at the end either.
    pub(super) fn start(self) -> io::Result<Reloads> {
        let (ask, asked) = mpsc::sync_channel(1);
        let waiting: Arc<Mutex<Vec<oneshot::Sender<Reloaded>>>> = Arc::default();
        let waited_for = waiting.clone();
        let runtime = Handle::current();
        thread::Builder::new()
            .name("reload".to_owned())
            .spawn(move || {
                let _entered = runtime.enter();
                while asked.recv().is_ok() {
                    // Whoever asks from now on has the next one to wait for.
                    let waiting = std::mem::take(&mut *lock(&waited_for));
                    // A panic has been logged; the next reload may do better.
                    let Ok(reloaded) = catch_unwind(AssertUnwindSafe(|| self.reload())) else {
                        continue;
                    };
                    for tell in waiting {
                        // It may have left.
                        let _ = tell.send(reloaded.clone());
                    }
                }
            })?;
        Ok(Reloads { ask, waiting })
    }

    /// Puts the config in force as it is now, or as a whole not at all.
    fn reload(&self) -> Reloaded {
        match self.gateway.reload() {
            Ok((runtime, loaded)) => {
                log(&loaded.findings);
                if runtime.pipeline.needs_store() {
                    self.store.open(Duration::ZERO);
                }
                let mut findings = loaded.findings.sorted();
                for (key, now) in self.needing_restart(&loaded.config) {
                    let why = "changed, but read only at start: restart to put it in force";
                    tracing::warn!(key, value = now, "{why}");
                    findings.push(Finding::warning(format!("`{key}` {why}")));
                }
                tracing::info!(generation = runtime.generation, "config reloaded");
                Reloaded {
                    generation: Some(runtime.generation),
                    findings,
                }
            }
            Err(loaded) => {
                log(&loaded.findings);
                tracing::error!("the new config has errors: the old one stays in force");
                Reloaded {
                    generation: None,
                    findings: loaded.findings.sorted(),
                }
            }
        }
    }

    fn needing_restart(&self, config: &Config) -> Vec<(&'static str, String)> {
        let mut now = self.read_at_start(config);
        now.retain(|value| !self.started_with.contains(value));
        now
    }

    /// What only a start reads. What the command line says, no config changes.
    fn read_at_start(&self, config: &Config) -> Vec<(&'static str, String)> {
        let (server, admin, log) = (&config.server, &config.admin, &config.log);
        let mut values = vec![
            (
                "server.max_header_size",
                format!("{:?}", server.max_header_size),
            ),
            ("server.max_headers", server.max_headers.to_string()),
            ("server.max_connections", server.max_connections.to_string()),
            (
                "server.header_timeout",
                format!("{:?}", server.header_timeout),
            ),
            (
                "server.keep_alive_timeout",
                format!("{:?}", server.keep_alive_timeout),
            ),
            (
                "server.write_timeout",
                format!("{:?}", server.write_timeout),
            ),
            (
                "server.drain_timeout",
                format!("{:?}", server.drain_timeout),
            ),
            ("server.state_dir", format!("{:?}", server.state_dir)),
            ("server.workers", format!("{:?}", server.workers)),
            ("admin.hosts", format!("{:?}", admin.hosts)),
            ("log.level", log.level.clone()),
            ("log.format", format!("{:?}", log.format)),
        ];
        if !self.listen_is_given {
            values.push(("server.listen", server.listen.to_string()));
        }
        if !self.admin_listen_is_given {
            values.push(("admin.listen", admin.listen.to_string()));
        }
        values
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn log(findings: &Findings) {
    let render = |finding: &Finding| Renderer::default().render(finding);
    for finding in findings.sorted().iter().take(SHOWN_FINDINGS) {
        if finding.severity == Severity::Error {
            tracing::error!(finding = render(finding), "config refused");
        } else {
            tracing::warn!(finding = render(finding), "config");
        }
    }
}
