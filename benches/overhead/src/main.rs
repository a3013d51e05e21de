//! Measures what millgate costs: CPU time, latency and memory, against a bare pass-through on hyper and
//! against nginx, in one run on one machine.
//!
//! ```text
//! millgate-overhead run [--millgate PATH] [--config PATH]… [--mock PATH] [--only TEXT] [--markdown FILE]
//!                       [--quick] [--korean] [--same] [--stages] [--border PATH] [--observe]
//! millgate-overhead bare LISTEN UPSTREAM
//! millgate-overhead collector
//! ```
//! `run` starts the mock upstream, the proxies and millgate, and loads them in turn, round after round, so
//! that whatever else the machine does falls on all of them alike. Compare ratios, not microseconds, between
//! runs: on a busy machine a proxy is woken less often and finds more to do each time, which makes a request
//! look cheaper. It reads `/proc`, so it runs on Linux.
//!
//! - `--millgate` is the program to measure; it also provides the mock. Without it `--mock` is the program of
//!   the mock, by default `examples/mock` beside this one, and the others are measured alone.
//! - `--config` measures millgate once more with that config, which finds `OVERHEAD_LISTEN`, `OVERHEAD_ADMIN` and
//!   `OVERHEAD_UPSTREAM` in its environment.
//! - `--only` runs the scenarios whose title holds the text.
//! - `--quick` is a short run that shows that all works, not a measurement.
//! - `--stages` measures millgate also without any stage and with each one alone.
//! - `--border` is a millgate that was built with `--features through-border`, so that its stages and providers are called
//!   as those of plugins are: measured with three stages, beside `--millgate` with the same three.
//! - `--observe` measures millgate also without any stage: without its ledger, with it, and with traces of one exchange in a
//!   hundred and of every one, sent to `millgate-overhead collector`, which takes whatever comes.
//! - `--korean` makes half of each prompt Korean. `--same` makes all requests the same, so that a cache answers.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal"
)]

mod bare;
mod client;
mod collector;
mod listener;
mod load;
mod process;
mod proxies;
mod report;
mod scenarios;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use proxies::{Proxy, Recipe, Site};
use report::{Samples, Table};
use scenarios::Effort;

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["bare", listen, upstream] => bare(listen, upstream),
        ["collector"] => collector(),
        ["run", ref rest @ ..] => run(rest),
        _ => {
            Err("usage: millgate-overhead run [OPTION]… | bare LISTEN UPSTREAM | collector".into())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("millgate-overhead: {error}");
            ExitCode::FAILURE
        }
    }
}

fn bare(listen: &str, upstream: &str) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match runtime.block_on(bare::run(listen.parse()?, upstream.parse()?))? {}
}

fn collector() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    match runtime.block_on(collector::run())? {}
}

/// The options of `run`.
#[expect(clippy::struct_excessive_bools, reason = "independent options")]
#[derive(Default)]
struct Settings {
    millgate: Option<PathBuf>,
    border: Option<PathBuf>,
    configs: Vec<PathBuf>,
    mock: Option<PathBuf>,
    only: String,
    markdown: Option<PathBuf>,
    quick: bool,
    korean: bool,
    same: bool,
    stages: bool,
    observe: bool,
}

impl Settings {
    fn parse(arguments: &[&str]) -> Result<Self, Failure> {
        let mut settings = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} wants a value"));
            match *argument {
                "--millgate" => settings.millgate = Some(value()?.into()),
                "--border" => settings.border = Some(value()?.into()),
                "--config" => settings.configs.push(value()?.into()),
                "--mock" => settings.mock = Some(value()?.into()),
                "--only" => settings.only = value()?.to_string(),
                "--markdown" => settings.markdown = Some(value()?.into()),
                "--quick" => settings.quick = true,
                "--korean" => settings.korean = true,
                "--same" => settings.same = true,
                "--stages" => settings.stages = true,
                "--observe" => settings.observe = true,
                other => return Err(format!("there is no option {other}").into()),
            }
        }
        Ok(settings)
    }

    fn effort(&self) -> Effort {
        let (rounds, divisor) = if self.quick { (2, 20) } else { (5, 1) };
        Effort {
            rounds,
            divisor,
            korean: self.korean,
            same: self.same,
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), Failure> {
    let settings = Settings::parse(arguments)?;
    // One thread, so that the load takes no more than one processor from those that are measured.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let folder = std::env::temp_dir().join(format!("millgate-overhead-{}", std::process::id()));
    std::fs::create_dir(&folder)?;
    let report = runtime.block_on(measure(&settings, &folder));
    std::fs::remove_dir_all(&folder)?;
    if let Some(file) = &settings.markdown {
        std::fs::write(file, report?)?;
    } else {
        report?;
    }
    Ok(())
}

/// Runs everything, and returns the report, which is printed as it grows.
async fn measure(settings: &Settings, folder: &Path) -> Result<String, Failure> {
    let effort = settings.effort();
    let (mock_program, mock_arguments) = match (&settings.mock, &settings.millgate) {
        (Some(mock), _) => (mock.clone(), vec!["127.0.0.1:0".into()]),
        (None, Some(millgate)) => (
            millgate.clone(),
            vec!["mock".into(), "--listen".into(), "127.0.0.1:0".into()],
        ),
        (None, None) => (beside_this("examples/mock")?, vec!["127.0.0.1:0".into()]),
    };
    let (_mock, upstream) = proxies::start_mock(&mock_program, mock_arguments, folder).await?;
    let site = Site { folder, upstream };
    let mut recipes = vec![site.bare()?];
    recipes.extend(site.nginx()?);
    let _collector;
    if let Some(millgate) = &settings.millgate {
        recipes.push(site.millgate(millgate, None)?);
        if settings.stages {
            recipes.extend(site.each_stage(millgate)?);
        }
        if let Some(border) = &settings.border {
            recipes.push(site.three_stages("three built in", millgate)?);
            recipes.push(site.three_stages("three through the border", border)?);
        }
        if settings.observe {
            let (process, address) = proxies::start_collector(folder).await?;
            _collector = process;
            recipes.extend(site.each_way_of_observing(millgate, address)?);
        }
        for config in &settings.configs {
            recipes.push(site.millgate(millgate, Some(config))?);
        }
    }

    let mut report = String::new();
    let mut show = |part: String| {
        println!("{part}");
        report.push_str(&part);
        report.push('\n');
    };
    show(machine());
    let mut proxies = Vec::new();
    let mut start_ups = Vec::new();
    for recipe in &recipes {
        let (proxy, start_up) = start(recipe, effort.rounds).await?;
        proxies.push(proxy);
        start_ups.push(start_up);
    }
    for scenario in scenarios::all(effort) {
        if scenario.title().contains(&settings.only) {
            show(scenario.measure(effort, upstream, &proxies).await?);
        }
    }
    if scenarios::LATENCY.contains(&settings.only) {
        show(scenarios::latency(effort, upstream, &proxies).await?);
    }
    show(sizes(&proxies, &start_ups));
    Ok(report)
}

fn beside_this(name: &str) -> Result<PathBuf, Failure> {
    let program = std::env::current_exe()?;
    let path = program.parent().unwrap_or(Path::new(".")).join(name);
    if path.is_file() {
        Ok(path)
    } else {
        Err(format!(
            "there is no mock at {}: name one with --mock",
            path.display()
        )
        .into())
    }
}

/// Starts a proxy several times over, to see how long that takes. The last one stays.
async fn start(recipe: &Recipe, times: usize) -> Result<(Proxy, Samples), Failure> {
    let mut start_up = Samples::default();
    let mut proxy = recipe.start().await?;
    for _ in 0..times {
        drop(proxy);
        proxy = recipe.start().await?;
        start_up.push(proxy.start_up.as_secs_f64() * 1000.0);
    }
    // What a start leaves to do is not to fall on the first scenario.
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok((proxy, start_up))
}

fn sizes(proxies: &[Proxy], start_ups: &[Samples]) -> String {
    let mebibytes = |bytes: u64| format!("{:.1}", bytes as f64 / f64::from(1 << 20));
    let columns = [
        "proxy",
        "resident idle MiB",
        "after load MiB",
        "start to first reply ms",
        "program MiB",
    ];
    let mut table = Table::new("Memory, start and size", &columns);
    for (proxy, start_up) in proxies.iter().zip(start_ups) {
        table.row(&[
            proxy.name.clone(),
            mebibytes(proxy.idle_bytes),
            mebibytes(proxy.process.resident()),
            start_up.with_spread(1),
            mebibytes(proxy.binary_bytes),
        ]);
    }
    table.finish()
}

/// What it is measured on.
fn machine() -> String {
    let processors = std::thread::available_parallelism().map_or(0, usize::from);
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{processors} × {model}, Linux {}\n", kernel.trim())
}
