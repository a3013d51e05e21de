//! `millgate plugin`

mod check;
mod list;
mod new;

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
    /// Load one plugin in a process of its own, run its hooks on sample exchanges, time them, and say what is wrong
    Check(check::Arguments),
    #[command(hide = true)]
    CheckInside(check::Arguments),
    /// Print the plugins that a running gateway has loaded, from where, and how they do
    List(Gateway),
    /// Write a folder with a plugin that builds and passes its own test, to begin with
    New(new::Arguments),
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let told = match &arguments.command {
        Command::List(gateway) => gateway
            .call("GET", "/api/plugins", None)
            .map(|answer| gateway.tell(&answer, &list::table(&answer))),
        Command::New(arguments) => new::write(arguments),
        Command::Check(arguments) => return check::run(arguments),
        Command::CheckInside(arguments) => return check::inside::run(arguments),
    };
    match told {
        Ok(text) => print(&text),
        Err(error) => fail(error),
    }
}
