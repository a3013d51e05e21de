//! `plugin check`
//!
//! The plugin is loaded by a child of this process, which says line by line what it does and finds. What ends the child, or
//! keeps it from going on, is then a finding like others.

mod drive;
pub(super) mod inside;
mod provider;
mod report;
mod stage;

use std::{
    io::{self, BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitCode, ExitStatus, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use self::report::{Line, Report};
use super::super::{fail, print};

/// Options of `plugin check`.
#[derive(clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The library
    file: PathBuf,
    /// The table to make stages or providers from, as JSON, less `kind` and the keys that all have. Default: an empty one
    #[arg(long, value_name = "JSON", value_parser = table)]
    config: Option<serde_json::Map<String, serde_json::Value>>,
    /// Run only this kind of stage or provider
    #[arg(long, value_name = "NAME")]
    kind: Option<String>,
}

fn table(text: &str) -> Result<serde_json::Map<String, serde_json::Value>, String> {
    serde_json::from_str(text).map_err(|error| format!("this is no JSON object: {error}"))
}

/// How long the plugin may be busy with one thing.
const DEADLINE: Duration = Duration::from_secs(10);

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let (mut child, lines) = match start(arguments) {
        Ok(started) => started,
        Err(error) => return fail(format!("no process can be started to load it: {error}")),
    };
    let mut report = Report::default();
    let ended = listen(&mut child, &lines, &mut report);
    match ended {
        Ok(status) if status.success() && report.is_complete() => {}
        Ok(status) => report.ended(&in_words(status)),
        Err(error) => report.ended(&error),
    }
    let printed = print(&report.to_string());
    if report.is_good() {
        printed
    } else {
        ExitCode::from(1)
    }
}

/// This very program as the child, and what it says.
fn start(arguments: &Arguments) -> io::Result<(Child, Receiver<Line>)> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(["plugin", "check-inside"])
        .arg(&arguments.file);
    if let Some(config) = &arguments.config {
        let config = serde_json::Value::Object(config.clone());
        command.arg("--config").arg(config.to_string());
    }
    if let Some(kind) = &arguments.kind {
        command.arg("--kind").arg(kind);
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let (say, said) = mpsc::channel();
    let out = child.stdout.take();
    thread::spawn(move || {
        let lines = out
            .into_iter()
            .flat_map(|out| BufReader::new(out).split(b'\n'));
        for line in lines.map_while(Result::ok) {
            // The plugin may write there too.
            if let Ok(line) = serde_json::from_slice(&line)
                && say.send(line).is_err()
            {
                return;
            }
        }
    });
    Ok((child, said))
}

/// Takes down what the child says until it ends, or has not come on for too long.
fn listen(
    child: &mut Child,
    lines: &Receiver<Line>,
    report: &mut Report,
) -> Result<ExitStatus, String> {
    loop {
        match lines.recv_timeout(DEADLINE) {
            Ok(line) => report.take(line),
            Err(RecvTimeoutError::Disconnected) => {
                return child.wait().map_err(|error| error.to_string());
            }
            Err(RecvTimeoutError::Timeout) => {
                // It may have ended just now.
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!(
                    "it has not come back within {} seconds",
                    DEADLINE.as_secs()
                ));
            }
        }
    }
}

/// How a process ended.
fn in_words(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    let Some(signal) = status.signal() else {
        return format!("it ended the process with {status}");
    };
    let name = match signal {
        4 => "SIGILL, an illegal instruction",
        6 => "SIGABRT: it gave up by itself, as `abort` and failed assertions do",
        7 => "SIGBUS",
        8 => "SIGFPE, a division by zero",
        9 => "SIGKILL: the system or somebody ended it",
        11 => "SIGSEGV: it read or wrote where nothing is",
        _ => return format!("it crashed with signal {signal}"),
    };
    format!("it crashed with {name}")
}
