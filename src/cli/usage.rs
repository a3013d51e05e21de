//! `millgate usage`

mod table;

use std::{
    process::ExitCode,
    time::{Duration, SystemTime},
};

use uuid::Uuid;

use super::{ConfigFile, fail, print, print_findings};
use crate::{
    calendar,
    config::{self, Duration as Span},
    ledger::{
        Place, Settings,
        usage::{By, Usage, UsageRow, captured, usage},
    },
    runtime::{compile::ledger, gateway::process_environment},
    store::place,
};

/// Options of `usage`.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    /// From when on: "24h" ago, or "2027-01-31" (that midnight, UTC), or "2027-01-31T09:00:00Z"
    #[arg(long, value_name = "WHEN", default_value = "24h", value_parser = moment)]
    since: SystemTime,
    /// Until before when, in the same words [default: now]
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    until: Option<SystemTime>,
    /// By what to tell it
    #[arg(long, value_enum, default_value_t)]
    by: By,
    /// Print JSON, for programs
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print comma-separated values (RFC 4180), for spreadsheets
    #[arg(long)]
    csv: bool,
    /// Print what was captured of one exchange, by its id, instead
    #[arg(long, value_name = "ID", conflicts_with_all = ["since", "until", "by", "csv"])]
    exchange: Option<Uuid>,
    #[command(flatten)]
    file: ConfigFile,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    tell(arguments).unwrap_or_else(fail)
}

fn tell(arguments: &Arguments) -> Result<ExitCode, String> {
    let (place, settings) = place_of(&arguments.file)?;
    if let Some(id) = arguments.exchange {
        let Some(captured) = captured(&place, &settings.keys, id)? else {
            return Err(format!("nothing was captured of {id}"));
        };
        let text = if arguments.json {
            let whole = serde_json::json!({ "request": captured.request, "reply": captured.reply });
            format!("{whole:#}\n")
        } else {
            format!(
                "── request\n{}\n── reply\n{}\n",
                captured.request, captured.reply
            )
        };
        return Ok(print(&text));
    }
    let until = arguments.until.unwrap_or_else(SystemTime::now);
    if arguments.since >= until {
        return Err("--since is not before --until: there is no time between them".to_owned());
    }
    let usage = match usage(&place, arguments.since, until, arguments.by) {
        Err(error) if error.is_missing() => {
            return Err(format!(
                "{error}\n  a gateway with this config makes it: millgate serve{}",
                hint(&place, &arguments.file)
            ));
        }
        usage => usage?,
    };
    Ok(print(&if arguments.json {
        serde_json::to_string_pretty(&usage).map_err(|error| error.to_string())? + "\n"
    } else if arguments.csv {
        table::csv(&usage)
    } else {
        table::for_people(&usage)
    }))
}

/// What to do where the folder was guessed: a service has one of its own.
fn hint(place: &Place, file: &ConfigFile) -> &'static str {
    let is_told = process_environment("STATE_DIRECTORY").is_some_and(|folder| !folder.is_empty())
        || config::load(&file.config, &process_environment)
            .config
            .server
            .state_dir
            .is_some();
    if is_told || place.kind() != "sqlite" {
        return "";
    }
    "\n  a gateway that systemd runs has a folder of its own: ask with STATE_DIRECTORY as it has it, such as \
     STATE_DIRECTORY=/var/lib/millgate, or set [server] state_dir"
}

/// Where the config has its ledger. Only what the config says of the ledger need be right.
fn place_of(file: &ConfigFile) -> Result<(Place, Settings), String> {
    let loaded = config::load(&file.config, &process_environment);
    let settings = ledger::compile(&loaded);
    if loaded.findings.has_errors() {
        print_findings(&loaded);
        return Err("the config has errors: it does not tell where the ledger is".to_owned());
    }
    let folder = place::folder(&loaded.config.server, &file.config, &process_environment);
    let place = settings.place(folder.as_deref().ok())?;
    let place = place.ok_or("there is no ledger: [ledger] enabled is false in this config")?;
    Ok((place, settings))
}

/// A time that is over: a duration before now, or a date.
fn moment(text: &str) -> Result<SystemTime, String> {
    if let Some(seconds) = calendar::parse(text) {
        return SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .ok_or_else(|| "this is too late".to_owned());
    }
    let span: Span = text
        .parse()
        .map_err(|_| "expected a duration such as \"24h\", or a date such as \"2027-01-31\"")?;
    let before = SystemTime::now().checked_sub(span.get());
    Ok(before.unwrap_or(SystemTime::UNIX_EPOCH))
}
