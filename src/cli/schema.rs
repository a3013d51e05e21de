//! `millgate schema`

use std::process::ExitCode;

/// Options of `schema`.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    /// Print the reference as Markdown instead (docs/configuration.md)
    #[arg(long)]
    markdown: bool,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let _ = arguments;
    ExitCode::SUCCESS
}
