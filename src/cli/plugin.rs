//! `millgate plugin`

mod list;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::{fail, operators::Gateway, print};

/// Options of `plugin`.
#[derive(Args)]
#[group(skip)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the plugins that a running gateway has loaded, from where, and how they do
    List(Gateway),
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let told = match &arguments.command {
        Command::List(gateway) => gateway
            .call("GET", "/api/plugins", None)
            .map(|answer| gateway.tell(&answer, &list::table(&answer))),
    };
    match told {
        Ok(text) => print(&text),
        Err(error) => fail(error),
    }
}
