//! `millgate redact`

use std::{
    io::{self, Read, Write},
    path::Path,
    process::ExitCode,
};

use super::{ConfigFile, fail, print_findings};
use crate::{
    config,
    redact::{
        Redactor,
        lines::{Lines, Output},
    },
    runtime::{compile::redact::configured, gateway::process_environment},
};

/// Options of `redact`.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Print what was found instead: for each line one of JSON, counted in Unicode code points
    #[arg(long)]
    json: bool,
}

/// So much is read at a time.
const READ: usize = 64 << 10;

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let Some(redactor) = redactor(&arguments.file.config) else {
        return ExitCode::from(1);
    };
    let output = if arguments.json {
        Output::Json
    } else {
        Output::Text
    };
    match filter(&redactor, output, io::stdin().lock(), io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
}

/// The redactor of the config, where there is a config with one; `None` where it cannot be used.
fn redactor(path: &Path) -> Option<Redactor> {
    let is_default = path == Path::new("config.toml");
    if is_default && !path.exists() {
        return Some(Redactor::default());
    }
    let loaded = config::load(path, &process_environment);
    let redactor = configured(&loaded);
    if loaded.findings.has_errors() {
        print_findings(&loaded);
        return None;
    }
    Some(redactor.unwrap_or_default())
}

/// Whatever has come is passed on before more is waited for.
fn filter(
    redactor: &Redactor,
    output: Output,
    mut input: impl Read,
    mut to: impl Write,
) -> io::Result<()> {
    let mut lines = Lines::new(redactor, output);
    let mut read = vec![0; READ];
    let mut out = Vec::new();
    loop {
        let count = match input.read(&mut read) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if count == 0 {
            lines.finish(&mut out);
        } else {
            lines.push(&read[..count], &mut out);
        }
        to.write_all(&out)?;
        to.flush()?;
        out.clear();
        if count == 0 {
            return Ok(());
        }
    }
}
