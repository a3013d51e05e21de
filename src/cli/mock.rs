//! `millgate mock`

use std::{net::SocketAddr, path::PathBuf, process::ExitCode};

use super::{fail, print};
use crate::mock::{self, Options, Plan};

/// Options of `mock`.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    /// Where to listen; port 0 picks a free one
    #[arg(short, long, default_value = "127.0.0.1:9999", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// A JSON file that says how to answer, such as `{"status": 503, "fail_first": 2}`
    #[arg(short, long, value_name = "FILE")]
    script: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let script = match &arguments.script {
        None => None,
        Some(path) => match read(path) {
            Ok(plan) => Some(plan),
            Err(error) => return fail(format!("{}: {error}", path.display())),
        },
    };
    let options = Options {
        listen: arguments.listen,
        script,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(error),
    };
    let served = runtime.block_on(async {
        tokio::select! {
            // First, so that whoever reads the greeting may interrupt.
            biased;
            _ = tokio::signal::ctrl_c() => Ok(()),
            served = mock::serve(options, greet) => served.map(|_| ()),
        }
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(format!("cannot listen on {}: {error}", arguments.listen)),
    }
}

fn read(path: &std::path::Path) -> Result<Plan, String> {
    let text = std::fs::read(path).map_err(|error| format!("cannot be read: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("is no script: {error}"))
}

/// In one write, so that a reader of the first line alone does no harm.
fn greet(address: SocketAddr) {
    let _ = print(&format!(
        "listening on http://{address}
  OpenAI  base_url = \"http://{address}/v1\"
  Ollama  base_url = \"http://{address}\"
  script  PUT http://{address}/mock/script, what was asked: GET /mock/requests, /mock/counts
"
    ));
}
