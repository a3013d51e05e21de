//! `millgate schema`

use std::process::ExitCode;

use super::print;
use crate::{
    config::schema::{self, Kind, Kinds},
    providers, stages,
};

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
    let kinds = kinds();
    if arguments.markdown {
        print(&schema::markdown(&kinds))
    } else {
        print(&format!("{:#}\n", schema::json_schema(&kinds)))
    }
}

/// Every kind that is linked in.
fn kinds() -> Kinds {
    let kind = |(name, table): (_, Option<_>)| {
        Some(Kind {
            name,
            table: table?,
        })
    };
    let providers = providers::KINDS.iter().map(|kind| (kind.kind, kind.schema));
    let stages = stages::KINDS.iter().map(|kind| (kind.kind, kind.schema));
    Kinds {
        providers: providers.filter_map(kind).collect(),
        stages: stages.filter_map(kind).collect(),
    }
}
