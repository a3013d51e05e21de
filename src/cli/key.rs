//! `millgate key`

mod list;
mod make;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, SystemTime},
};

use clap::Subcommand;

use super::{ConfigFile, fail, print, print_findings};
use crate::{
    calendar,
    config::{self, Duration as Span},
    runtime::gateway::process_environment,
    store::{
        database::{
            Database, Opening, StoreError,
            keys::{Holder, StoredKey},
        },
        place,
    },
};

/// Options of `key`.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make a key and print it, this once: only its hash is kept
    New {
        /// Who it is for: what logs, limits and reports know the caller by. One caller may have several keys
        #[arg(long, value_name = "ID", value_parser = id)]
        id: String,
        /// The caller's team, for limits and reports
        #[arg(long, value_name = "TEAM", value_parser = word)]
        team: Option<String>,
        /// For reports; may be given several times
        #[arg(long = "tag", value_name = "TAG", value_parser = word)]
        tags: Vec<String>,
        /// What else is known of the caller, for {caller.meta.NAME}; may be given several times
        #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
        meta: Vec<(String, String)>,
        /// Models that may be asked for, such as "gpt-4*", with commas between them [default: all]
        #[arg(long, value_name = "GLOBS", value_delimiter = ',', value_parser = word)]
        models: Vec<String>,
        /// When it ends: "90d" from now, or "2027-01-31" (that midnight, UTC) [default: never]
        #[arg(long, value_name = "WHEN", value_parser = moment)]
        expires: Option<SystemTime>,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// List the keys, each by its fingerprint: never a key itself
    List {
        /// Those that are revoked or have expired, too
        #[arg(long)]
        all: bool,
        /// Print JSON, for programs; all keys
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Revoke one key, or all keys of a caller; gateways know it within a second
    Revoke {
        /// The caller's id, or a key's fingerprint
        #[arg(value_name = "ID|FINGERPRINT")]
        which: String,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// Make a key that takes the place of another, and print it
    Rotate {
        /// The caller's id, or a key's fingerprint
        #[arg(value_name = "ID|FINGERPRINT")]
        which: String,
        /// How long the old key stays good
        #[arg(long, value_name = "TIME", default_value = "24h")]
        grace: Span,
        /// When the new key ends [default: it lives as long as the old one was to live]
        #[arg(long, value_name = "WHEN", value_parser = moment)]
        expires: Option<SystemTime>,
        #[command(flatten)]
        file: ConfigFile,
    },
}

/// How long a command waits for a store that others write to.
const PATIENCE: Duration = Duration::from_secs(5);

/// Runs the command.
pub(super) fn run(arguments: Arguments) -> ExitCode {
    let done = match arguments.command {
        Command::New {
            id,
            team,
            tags,
            meta,
            models,
            expires,
            file,
        } => {
            let holder = Holder {
                id,
                team,
                tags,
                meta: BTreeMap::from_iter(meta),
                models: (!models.is_empty()).then_some(models),
            };
            make::new(&file, holder, expires)
        }
        Command::List { all, json, file } => list::run(&file, all, json),
        Command::Revoke { which, file } => revoke(&file, &which),
        Command::Rotate {
            which,
            grace,
            expires,
            file,
        } => make::rotate(&file, &which, grace.get(), expires),
    };
    done.unwrap_or_else(fail)
}

fn revoke(file: &ConfigFile, which: &str) -> Result<ExitCode, String> {
    let folder = folder(file)?;
    let (mut database, keys) = existing(&folder)?.ok_or_else(|| nobody(which, &folder))?;
    let now = SystemTime::now();
    let meant = meant(&keys, which)?;
    let hashes: Vec<_> = meant.iter().map(|key| key.hash).collect();
    if database.revoke_keys(&hashes, now)? == 0 {
        return Err(if meant.is_empty() {
            nobody(which, &folder)
        } else {
            format!("`{which}` is revoked already")
        });
    }
    let revoked = meant.iter().filter(|key| key.revoked.is_none());
    let lines = revoked.map(|key| format!("revoked {} of {}\n", key.fingerprint(), key.holder.id));
    Ok(print(&lines.collect::<String>()))
}

/// The keys that a word on the command line means. None of them where it means nobody.
fn meant<'a>(keys: &'a [StoredKey], which: &str) -> Result<Vec<&'a StoredKey>, String> {
    let by_id: Vec<_> = keys.iter().filter(|key| key.holder.id == which).collect();
    let by_hash: Vec<_> = keys.iter().filter(|key| key.is_meant_by(which)).collect();
    match (by_id.is_empty(), by_hash.is_empty()) {
        (false, false) => Err(format!(
            "`{which}` is a caller's id and another key's fingerprint\n  give more of the fingerprint: `millgate key list --json` has the whole hash"
        )),
        (true, _) => Ok(by_hash),
        (false, true) => Ok(by_id),
    }
}

fn nobody(which: &str, folder: &Path) -> String {
    let asked =
        "`millgate key list` shows the keys of the store; those of the config are taken out there";
    let folder = folder.display();
    format!(
        "there is no key `{which}` in {folder}
  {asked}"
    )
}

/// Where the config says that the store is.
fn folder(file: &ConfigFile) -> Result<PathBuf, String> {
    let loaded = config::load(&file.config, &process_environment);
    if loaded.findings.has_errors() {
        print_findings(&loaded);
        return Err(format!(
            "{} does not say where the store is",
            file.config.display()
        ));
    }
    place::folder(&loaded.config.server, &file.config, &process_environment)
}

fn open(folder: &Path, create: bool) -> Result<Database, StoreError> {
    let opening = Opening {
        create,
        patience: PATIENCE,
        durable: true,
    };
    Database::open(folder, opening)
}

/// The store as it is, with its keys; `None` where there is none yet.
fn existing(folder: &Path) -> Result<Option<(Database, Vec<StoredKey>)>, String> {
    let database = match open(folder, false) {
        Ok(database) => database,
        Err(StoreError::Missing { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let keys = database.keys()?;
    Ok(Some((database, keys)))
}

/// `2026-11-22T14:14:39Z`
fn timestamp(time: SystemTime) -> String {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    calendar::timestamp(since.unwrap_or_default().as_secs()) + "Z"
}

/// A text that a line of a log or a table can hold.
fn word(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > 256 || text.chars().any(char::is_control) {
        return Err("expected 1 to 256 bytes without control characters".to_owned());
    }
    Ok(text.to_owned())
}

fn id(text: &str) -> Result<String, String> {
    if text.chars().any(char::is_whitespace) {
        return Err("an id has no white space".to_owned());
    }
    word(text)
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((word(name)?, word(value)?))
}

/// A time to come: a duration from now, or a date.
fn moment(text: &str) -> Result<SystemTime, String> {
    let now = SystemTime::now();
    let date = calendar::parse(text).map(Duration::from_secs);
    let moment = if let Some(since) = date {
        SystemTime::UNIX_EPOCH + since
    } else {
        let span: Span = text
            .parse()
            .map_err(|_| "expected a duration such as \"90d\", or a date such as \"2027-01-31\"")?;
        now + span.get()
    };
    if moment <= now {
        return Err("that is not in the future".to_owned());
    }
    Ok(moment)
}
