//! `millgate check`

use std::process::ExitCode;

use serde_json::json;

use super::{
    ConfigFile, load, print_findings,
    serve::{pipeline_line, route_lines},
};
use crate::{config::Severity, runtime::Runtime};

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
        println!("{document}");
    } else {
        print_findings(&loaded);
        println!("environment  {}", loaded.environment_name);
        for variable in &loaded.variables {
            println!("variable     {}: {}", variable.name, variable.origin);
        }
        match &runtime {
            Some(runtime) => describe(runtime),
            None => println!("The config has errors."),
        }
    }
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

fn describe(runtime: &Runtime) {
    println!("pipeline     {}", pipeline_line(runtime));
    for route in &runtime.routes.0 {
        println!(
            "route        {}: {} → {}",
            route.name,
            route
                .models
                .iter()
                .map(crate::routing::pattern::Glob::as_str)
                .collect::<Vec<_>>()
                .join(" | "),
            route
                .targets
                .iter()
                .map(|target| target.label())
                .collect::<Vec<_>>()
                .join(", "),
        );
        println!(
            "             retries {}, attempt_timeout {:?}, deadline {:?}, idle_timeout {:?}",
            route.retry.retries, route.attempt_timeout, route.deadline, route.idle_timeout
        );
    }
}
