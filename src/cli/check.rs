//! `millgate check`

mod report;
mod text;

use std::{io, process::ExitCode};

use serde_json::json;

use self::report::Report;
use super::{ConfigFile, load, print, wants_color};
use crate::{
    config::{Finding, Severity, finding::Renderer},
    runtime::host::Process,
};

/// Options of `check`.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    #[command(flatten)]
    file: ConfigFile,
    /// Print JSON, for programs
    #[arg(long)]
    json: bool,
    /// Do not load plugins, whose code `check` runs otherwise, and pass over what is of their kinds
    #[arg(long)]
    no_plugins: bool,
    /// Fail on warnings too
    #[arg(long)]
    strict: bool,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let process = if arguments.no_plugins {
        Process::without_plugins()
    } else {
        Process::default()
    };
    let (loaded, runtime) = load(&arguments.file.config, &process);
    let findings = loaded.findings.sorted();
    let is_fatal = |finding: &Finding| arguments.strict || finding.severity == Severity::Error;
    let is_fine = runtime.is_some() && !findings.iter().any(is_fatal);
    let report = Report::new(&loaded, runtime.as_ref());
    let text = if arguments.json {
        let findings: Vec<_> = findings.iter().map(Finding::to_json).collect();
        format!(
            "{:#}\n",
            json!({ "ok": is_fine, "findings": findings, "report": report })
        )
    } else {
        let color = wants_color(&io::stdout());
        let told: String = findings
            .iter()
            .map(|finding| Renderer::default().color(color).render(finding) + "\n")
            .collect();
        // What is wrong comes first, and alone: the rest would only push it out of sight.
        let described = match runtime {
            Some(_) => text::describe(&report, color) + "\n",
            None => String::new(),
        };
        let file = arguments.file.config.display();
        format!("{told}{described}{file}: {}\n", verdict(&findings))
    };
    let printed = print(&text);
    if is_fine { printed } else { ExitCode::from(1) }
}

/// How much there is to find fault with.
fn verdict(findings: &[Finding]) -> String {
    let count = |severity, one: &str| {
        let count = findings.iter().filter(|f| f.severity == severity).count();
        match count {
            0 => None,
            1 => Some(format!("1 {one}")),
            many => Some(format!("{many} {one}s")),
        }
    };
    let counts = [
        count(Severity::Error, "error"),
        count(Severity::Warning, "warning"),
    ];
    let counts: Vec<_> = counts.into_iter().flatten().collect();
    if counts.is_empty() {
        "ready to serve".to_owned()
    } else {
        counts.join(", ")
    }
}
