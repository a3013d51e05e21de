//! `millgate check`

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    process::ExitCode,
};

use serde_json::json;

use super::{
    ConfigFile, load, print_findings,
    serve::{pipeline_line, route_lines},
};
use crate::{
    config::{Loaded, Severity},
    runtime::Runtime,
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
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let (loaded, runtime) = load(&arguments.file.config);
    let mut text = String::new();
    if arguments.json {
        let findings: Vec<_> = loaded
            .findings
            .sorted()
            .iter()
            .map(crate::config::Finding::to_json)
            .collect();
        let document = json!({
            "ok": runtime.is_some(),
            "environment": loaded.environment_name,
            "findings": findings,
            "pipeline": runtime.as_ref().map(pipeline_line),
            "routes": runtime.as_ref().map(route_lines),
        });
        text = format!("{document}\n");
    } else {
        print_findings(&loaded);
        describe(&loaded, runtime.as_ref(), &mut text);
    }
    // A reader that wants no more of it (`| head`) is no failure.
    let _ = io::stdout().write_all(text.as_bytes());
    let is_clean = loaded
        .findings
        .sorted()
        .iter()
        .all(|finding| finding.severity != Severity::Error);
    if runtime.is_some() && is_clean {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    }
}

fn describe(loaded: &Loaded, runtime: Option<&Runtime>, text: &mut String) {
    line(text, "environment", &loaded.environment_name);
    for variable in &loaded.variables {
        let told = format!("{}: {}", variable.name, variable.origin);
        line(text, "variable", &told);
    }
    let Some(runtime) = runtime else {
        text.push_str("The config has errors.\n");
        return;
    };
    line(text, "pipeline", &pipeline_line(runtime));
    for (route, told) in runtime.routes.0.iter().zip(route_lines(runtime)) {
        line(text, "route", &told);
        let limits = format!(
            "retries {}, attempt_timeout {:?}, deadline {:?}, idle_timeout {:?}",
            route.retry.retries, route.attempt_timeout, route.deadline, route.idle_timeout
        );
        line(text, "", &limits);
    }
}

fn line(text: &mut String, name: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{name:<12} {value}");
}
