//! `millgate serve`

mod reload;

use std::{net::SocketAddr, process::ExitCode, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpSocket},
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};

use super::{ConfigFile, fail, print, print_findings};
use crate::{
    admin::{self, Admin},
    config::{self, Config, Loaded},
    http::guard::Guard,
    pipeline::Phases,
    plugin::host,
    routing::answering,
    runtime::{
        Runtime,
        compile::{compile, filter, listeners},
        gateway::{Gateway, Listening, process_environment},
        host::Process,
    },
    server::{self, Limits},
    store,
    telemetry::logs,
};
use reload::{Reloader, Reloads};

/// Options of `serve`.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Where clients connect, instead of [server] listen; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where operators connect, instead of [admin] listen
    #[arg(long, value_name = "ADDRESS")]
    admin_listen: Option<SocketAddr>,
}

/// How long tasks that were cut off have to end.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long spans that still wait may take to be sent.
const LAST_SPANS: Duration = Duration::from_secs(3);

/// Threads that may block beside those that answer: what tokio has without being asked.
const OTHER_BLOCKING: usize = 512;

/// How long the start waits for the store to be read: a lock may be in the way.
const STORE_PATIENCE: Duration = Duration::from_secs(2);

/// How long the end waits for the rows of the last exchanges to be written.
const LEDGER_PATIENCE: Duration = Duration::from_secs(3);

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let process = Process::default();
    let (store, disk) = (process.store.clone(), process.disk.clone());
    let loaded = config::load(&arguments.file.config, &process_environment);
    // Before plugins are loaded, which log what they do.
    let logging = if loaded.findings.has_errors() {
        Ok(None)
    } else {
        filter(&loaded, None).install();
        logs::init(&loaded.config.log)
    };
    let runtime = compile(&loaded, None, &process);
    print_findings(&loaded);
    let Some(runtime) = runtime else {
        return ExitCode::from(1);
    };
    let objection = |address| listeners::objection(&loaded, address);
    if let Some(message) = arguments.listen.and_then(objection) {
        return fail(format!("--listen {message}\n  {}", listeners::REMEDY));
    }
    let objection = |address| listeners::operators_objection(&loaded, address);
    if let Some(message) = arguments.admin_listen.and_then(objection) {
        let remedy = listeners::OPERATORS_REMEDY;
        return fail(format!("--admin-listen {message}\n  {remedy}"));
    }
    runtime.filter.install();
    let _logging = match logging {
        Ok(writing) => writing,
        Err(error) => return fail(error),
    };
    // Each exchange has two connections, and shells allow 1024 files by default. Where that is not allowed, it is as
    // good as it was.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let (server, file) = (&loaded.config.server, &arguments.file.config);
    store.keep_in(store::place::folder(server, file, &process_environment));
    if runtime.pipeline.needs_store() {
        store.open(STORE_PATIENCE);
    }
    let observing = match process.observer.start() {
        Ok(observing) => observing,
        Err(error) => {
            return fail(format!(
                "cannot start the thread that keeps account: {error}"
            ));
        }
    };
    let observer = process.observer.clone();
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(workers) = loaded.config.server.workers {
        builder.worker_threads(workers.get() as usize);
    }
    // Answers that do not come to an end leave threads to those who look up names.
    builder.max_blocking_threads(answering::MOST_AT_ONCE + OTHER_BLOCKING);
    match builder.enable_all().build() {
        Ok(tokio) => {
            let code = tokio.block_on(serve(arguments, loaded, runtime, process));
            observer.cut_off();
            // What is cut off still says so in the log; a thread that blocks, on a name being resolved perhaps, is not
            // waited for.
            tokio.shutdown_timeout(LAST_WORDS);
            drop(observing);
            observer.ledger.close(LEDGER_PATIENCE);
            observer.traces.stop(LAST_SPANS);
            store.close(STORE_PATIENCE);
            disk.close(STORE_PATIENCE);
            code
        }
        Err(error) => fail(error),
    }
}

async fn serve(
    arguments: &Arguments,
    loaded: Loaded,
    runtime: Runtime,
    process: Process,
) -> ExitCode {
    // Now that there is a runtime, plugins can make calls.
    host::serve(&process.host);
    let config = loaded.config;
    let client_address = arguments.listen.unwrap_or(config.server.listen.0);
    let operator_address = arguments.admin_listen.unwrap_or(config.admin.listen.0);
    let (clients, operators) = match (
        bind(client_address, "server"),
        bind(operator_address, "admin"),
    ) {
        (Ok(clients), Ok(operators)) => (clients, operators),
        (Err(error), _) | (_, Err(error)) => return fail(error),
    };
    let (Ok(client_address), Ok(operator_address)) = (clients.local_addr(), operators.local_addr())
    else {
        return fail("a listener has no address");
    };
    // Before the greeting: whoever has read it may send signals.
    let signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return fail(format!("cannot listen for signals: {error}")),
    };
    greet(&runtime, client_address, operator_address);

    let store = process.store.clone();
    let gateway = Arc::new(Gateway::new(
        runtime,
        &arguments.file.config,
        Listening {
            clients: client_address,
            operators: operator_address,
        },
        process,
    ));
    let reloader = Reloader::new(gateway.clone(), store, arguments, &config);
    let (stop, stopped) = watch::channel(false);
    let drained = server::serve(clients, gateway.clone(), limits(&config), stopped);
    let reloads = match reloader.start() {
        Ok(reloads) => reloads,
        Err(error) => return fail(format!("cannot start the thread that reloads: {error}")),
    };
    let asked = reloads.clone();
    let admin = admin::serve(
        operators,
        Admin::new(
            gateway.clone(),
            Guard::new(&config.admin.hosts, &[]),
            Box::new(move || asked.ask_and_hear()),
        ),
        config.server.header_timeout.get(),
    );
    let signals = signals.obey(&gateway, &reloads, stop);
    tokio::select! {
        drained = drained => {
            tracing::info!(drained, "stopped");
            if drained { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
        () = admin => ExitCode::from(1),
        code = signals => code,
    }
}

/// So many connections may wait to be taken, where the system lets them (`net.core.somaxconn`): clients that all come at once are
/// not to wait for their systems to try again.
const BACKLOG: u32 = 4096;

fn bind(address: SocketAddr, table: &str) -> Result<TcpListener, String> {
    let listen = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A gateway that has just ended leaves connections behind that nobody listens to.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen()
        .map_err(|error: std::io::Error| format!("cannot listen on {address}: {error}\n  is another millgate running? Change [{table}] listen, or stop it"))
}

fn limits(config: &Config) -> Limits {
    let server = &config.server;
    Limits {
        max_header_size: usize::try_from(server.max_header_size.bytes()).unwrap_or(usize::MAX),
        max_headers: server.max_headers.get() as usize,
        max_connections: server.max_connections.get() as usize,
        header_timeout: server.header_timeout.get(),
        keep_alive_timeout: server.keep_alive_timeout.get(),
        write_timeout: server.write_timeout.get(),
        drain_timeout: server.drain_timeout.get(),
    }
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// SIGHUP reads the config again. The first SIGTERM or SIGINT stops in good order, a second one at once.
    async fn obey(
        mut self,
        gateway: &Gateway,
        reloads: &Reloads,
        stop: watch::Sender<bool>,
    ) -> ExitCode {
        let mut stopping = false;
        loop {
            let name = tokio::select! {
                _ = self.hangup.recv() => {
                    reloads.ask();
                    continue;
                }
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
            };
            if std::mem::replace(&mut stopping, true) {
                tracing::warn!(signal = name, "stopping at once");
                return ExitCode::from(130);
            }
            gateway.drain();
            tracing::info!(
                signal = name,
                "stopping: no new connections, exchanges may finish; a second signal stops at once"
            );
            stop.send_replace(true);
        }
    }
}

/// What a person at the terminal wants to know first. In one write, and nobody need be there to read it.
fn greet(runtime: &Runtime, clients: SocketAddr, operators: SocketAddr) {
    let routes = route_lines(runtime).join("\n  route        ");
    let _ = print(&format!(
        "millgate {}
  listening    http://{clients}/v1   (operators: http://{operators})
  environment  {}
  pipeline     {}
  route        {routes}
  try          curl -s http://{clients}/v1/chat/completions -H 'content-type: application/json' -d '{{\"model\":\"any\",\"messages\":[{{\"role\":\"user\",\"content\":\"hi\"}}]}}'
",
        env!("CARGO_PKG_VERSION"),
        runtime.environment,
        pipeline_line(runtime),
    ));
}

/// The stages in their order, with `route` among them.
pub(super) fn pipeline_line(runtime: &Runtime) -> String {
    let names = |phases: &Phases| {
        phases
            .stages()
            .iter()
            .map(|stage| stage.name.to_string())
            .collect::<Vec<_>>()
    };
    let mut all = names(&runtime.pipeline.above);
    all.extend(
        runtime
            .pipeline
            .cache
            .iter()
            .map(|cache| cache.name.to_string()),
    );
    all.push("route".to_owned());
    all.extend(names(&runtime.pipeline.below));
    all.join(" → ")
}

/// Each route with its patterns and targets.
pub(super) fn route_lines(runtime: &Runtime) -> Vec<String> {
    let route_line = |route: &std::sync::Arc<crate::routing::route::Route>| {
        let patterns = if route.paths.is_empty() {
            &route.models
        } else {
            &route.paths
        };
        let patterns: Vec<_> = patterns
            .iter()
            .map(crate::routing::pattern::Glob::as_str)
            .collect();
        let targets: Vec<_> = route.targets.iter().map(|target| target.label()).collect();
        format!(
            "{}: {} → {}",
            route.name,
            patterns.join(" | "),
            targets.join(", ")
        )
    };
    runtime.routes.0.iter().map(route_line).collect()
}
