//! The command line: one file for each command.
//!
//! Exit codes: 0 all well, 1 a finding or a failure, 2 wrong usage.
#![expect(clippy::print_stderr, reason = "commands talk to a terminal")]

mod ask;
mod cache;
mod check;
#[cfg(feature = "sqlite")]
mod key;
mod logs;
mod mock;
mod operators;
mod plugin;
mod redact;
mod schema;
mod serve;
#[cfg(feature = "top")]
mod top;
mod usage;

use std::{
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::{
    config::{self, Loaded, finding::Renderer},
    runtime::{Runtime, compile::compile, gateway::process_environment, host::Process},
};

/// An OpenAI-compatible gateway: applications change one URL, operators one file.
#[derive(Parser)]
#[command(
    name = "millgate",
    version,
    after_help = "Exit codes: 0 all well, 1 a finding or a failure, 2 wrong usage.",
    args_conflicts_with_subcommands = true
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Arguments,
}

#[derive(Subcommand)]
enum Command {
    /// Serve clients (what millgate does without a command)
    Serve(serve::Arguments),
    /// Read the config and print every finding, the pipeline and the routes as they will run
    Check(check::Arguments),
    /// Send one prompt to a running gateway and print the answer as it comes
    Ask(ask::Arguments),
    /// Tell how the cache of a running gateway does, or forget what it keeps
    Cache(cache::Arguments),
    /// Make, list, revoke and rotate callers' keys
    #[cfg(feature = "sqlite")]
    Key(key::Arguments),
    /// Print the latest exchanges of a running gateway, a line each, and follow them as they end
    Logs(logs::Arguments),
    /// Run a scripted upstream that speaks OpenAI and Ollama, for tests and rehearsals
    Mock(mock::Arguments),
    /// Show the plugins of a running gateway
    Plugin(plugin::Arguments),
    /// Read text from standard input and write it redacted, line by line
    Redact(redact::Arguments),
    /// Print the JSON Schema of the config, or its reference as Markdown
    Schema(schema::Arguments),
    /// Tell what was used, by whom and at what cost, from the ledger
    Usage(usage::Arguments),
    /// Show live what a running gateway does
    #[cfg(feature = "top")]
    Top(top::Arguments),
}

/// The config file that a command works with.
#[derive(clap::Args, Clone)]
struct ConfigFile {
    /// The config file
    #[arg(
        short,
        long,
        env = "MILLGATE_CONFIG",
        default_value = DEFAULT_CONFIG,
        value_name = "FILE"
    )]
    config: PathBuf,
}

/// The config file that nobody need name, nor have.
const DEFAULT_CONFIG: &str = "config.toml";

/// Runs the command of the process arguments.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match arguments.command.unwrap_or(Command::Serve(arguments.serve)) {
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Ask(arguments) => ask::run(&arguments),
        Command::Cache(arguments) => cache::run(&arguments),
        #[cfg(feature = "sqlite")]
        Command::Key(arguments) => key::run(arguments),
        Command::Logs(arguments) => logs::run(&arguments),
        Command::Mock(arguments) => mock::run(&arguments),
        Command::Plugin(arguments) => plugin::run(&arguments),
        Command::Redact(arguments) => redact::run(&arguments),
        Command::Schema(arguments) => schema::run(&arguments),
        Command::Usage(arguments) => usage::run(&arguments),
        #[cfg(feature = "top")]
        Command::Top(arguments) => top::run(&arguments),
    }
}

/// Reads and compiles a config for this process.
fn load(path: &Path, process: &Process) -> (Loaded, Option<Runtime>) {
    let loaded = config::load(path, &process_environment);
    let runtime = compile(&loaded, None, process);
    (loaded, runtime)
}

/// Findings on standard error, for a person.
fn print_findings(loaded: &Loaded) {
    let renderer = Renderer::default().color(wants_color(&io::stderr()));
    for finding in loaded.findings.sorted() {
        // Nobody may be there to read it.
        let _ = writeln!(io::stderr(), "{}", renderer.render(&finding));
    }
}

/// Whether a stream is a terminal that may be painted (<https://no-color.org>).
fn wants_color(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints what a command came for. A reader that has seen enough, such as `head`, is no failure.
fn print(text: &str) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
}

/// A failure that is nobody's config.
fn fail(message: impl std::fmt::Display) -> ExitCode {
    let _ = writeln!(io::stderr(), "error: {message}");
    ExitCode::from(1)
}
