//! `millgate logs`

pub(in crate::cli) mod line;

use std::{
    collections::{HashSet, VecDeque},
    io::{self, Write},
    mem,
    process::ExitCode,
    time::Duration,
};

use clap::builder::PossibleValuesParser;
use http::Method;
use millgate_plugin::Outcome;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{
    fail,
    operators::{Failure, Gateway, Lost, Operators, runtime},
    wants_color,
};

/// Options of `logs`.
#[derive(clap::Args)]
#[group(skip)]
pub(super) struct Arguments {
    /// Go on with exchanges as they end, through restarts of the gateway
    #[arg(short, long)]
    follow: bool,
    /// How many of the latest exchanges to begin with, at most 1000
    #[arg(short = 'n', long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=1000))]
    lines: u16,
    /// Only those that ended so
    #[arg(long, value_name = "OUTCOME", value_parser = PossibleValuesParser::new(outcomes()))]
    outcome: Option<String>,
    /// Only those of this caller: its id, its address or its team
    #[arg(long, value_name = "CALLER")]
    caller: Option<String>,
    #[command(flatten)]
    gateway: Gateway,
}

/// How long to wait before a gateway that was there is looked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// How long a gateway may be silent: three of its signs of life.
const SILENCE: Duration = Duration::from_secs(45);

/// So many exchanges a gateway remembers.
const KEPT: u16 = 1000;

/// So many are remembered here, that none is printed twice: as many as a gateway remembers, and those that come while they
/// are asked for.
const REMEMBERED: usize = 2048;

fn outcomes() -> impl Iterator<Item = &'static str> {
    (1..).map_while(Outcome::from_number).map(Outcome::name)
}

/// Why it has come to an end.
enum End {
    /// Nobody reads any more.
    Unread,
    /// The gateway is not there.
    Away(Failure),
    /// It was, and tells nothing any more.
    Lost(Lost),
    /// It does not answer this.
    Failed(String),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Away { .. } => Self::Away(failure),
            Failure::Refused(message) => Self::Failed(message),
        }
    }
}

/// Runs the command.
pub(super) fn run(arguments: &Arguments) -> ExitCode {
    let logs = Logs {
        arguments,
        color: wants_color(&io::stdout()),
        seen: Seen::default(),
        standing: Standing::Unknown,
        has_begun: false,
    };
    let ended = runtime().and_then(|runtime| {
        runtime.block_on(async {
            let operators = arguments.gateway.reach()?;
            logs.run(&operators).await
        })
    });
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(error),
    }
}

struct Logs<'a> {
    arguments: &'a Arguments,
    color: bool,
    seen: Seen,
    standing: Standing,
    /// Whether those have been printed that it begins with.
    has_begun: bool,
}

/// How the gateway that is followed was found last.
#[derive(Clone, Copy, PartialEq)]
enum Standing {
    Unknown,
    There,
    Away,
}

impl Logs<'_> {
    async fn run(mut self, operators: &Operators) -> Result<(), String> {
        loop {
            let ended = if self.arguments.follow {
                self.follow(operators).await
            } else {
                self.list(operators).await
            };
            let why = match ended {
                Ok(()) | Err(End::Unread) => return Ok(()),
                Err(End::Failed(message)) => return Err(message),
                Err(End::Away(failure)) if self.standing == Standing::Unknown => {
                    return Err(failure.to_string());
                }
                Err(End::Away(_) | End::Lost(Lost::Ended)) => "the gateway is gone",
                Err(End::Lost(Lost::Silent)) => "the gateway has been silent for too long",
            };
            if mem::replace(&mut self.standing, Standing::Away) == Standing::There {
                note(&format!("{why}; looking for it until it is back"));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Prints the latest exchanges, the last one last; whoever follows a gateway that was away gets all that are new.
    async fn list(&mut self, operators: &Operators) -> Result<(), End> {
        let Arguments { follow, lines, .. } = *self.arguments;
        if lines == 0 && !follow {
            return Ok(());
        }
        // Who follows has to know what was there before, to tell what is new after an interruption.
        let limit = if follow { KEPT } else { lines };
        let mut path = format!("/api/exchanges?limit={limit}");
        let filters = [
            ("outcome", &self.arguments.outcome),
            ("caller", &self.arguments.caller),
        ];
        for (name, value) in filters {
            if let Some(value) = value {
                let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
                path.extend(["&", name, "="].into_iter().chain(value));
            }
        }
        let answer = operators.call(Method::GET, &path, None).await?;
        let exchanges = answer["exchanges"].as_array();
        let exchanges = exchanges.map(Vec::as_slice).unwrap_or_default();
        let wanted = if mem::replace(&mut self.has_begun, true) {
            exchanges.len()
        } else {
            usize::from(lines).min(exchanges.len())
        };
        let (new, old) = exchanges.split_at(wanted);
        for exchange in old {
            self.seen.is_new(exchange);
        }
        for exchange in new.iter().rev() {
            self.print(exchange)?;
        }
        Ok(())
    }

    /// The same, and then exchanges as they end, for as long as the gateway is there.
    async fn follow(&mut self, operators: &Operators) -> Result<(), End> {
        // First of all, so that nothing goes by between the list and what follows.
        let mut events = operators.follow("/api/events?status=off").await?;
        if mem::replace(&mut self.standing, Standing::There) == Standing::Away {
            note("the gateway is back");
        }
        self.list(operators).await?;
        loop {
            let (name, data) = events.next(SILENCE).await.map_err(End::Lost)?;
            match &*name {
                "exchange" if self.is_wanted(&data) => self.print(&data)?,
                "missed" => note(&format!("{} exchanges went by too fast", data["count"])),
                _ => {}
            }
        }
    }

    fn is_wanted(&self, exchange: &Value) -> bool {
        let is = |wanted: &Option<String>, members: &[&str]| {
            let wanted = wanted.as_deref();
            wanted.is_none() || members.iter().any(|name| exchange[name].as_str() == wanted)
        };
        is(&self.arguments.outcome, &["outcome"]) && is(&self.arguments.caller, &["caller", "team"])
    }

    fn print(&mut self, exchange: &Value) -> Result<(), End> {
        if !self.seen.is_new(exchange) {
            return Ok(());
        }
        let text = if self.arguments.gateway.json {
            exchange.to_string()
        } else {
            line::of(exchange, self.color)
        };
        let mut out = io::stdout().lock();
        let written = writeln!(out, "{text}").and_then(|()| out.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => End::Unread,
            _ => End::Failed(error.to_string()),
        })
    }
}

/// The ids of what was seen last.
#[derive(Default)]
struct Seen {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Seen {
    fn is_new(&mut self, exchange: &Value) -> bool {
        let id = exchange["id"].as_str().unwrap_or_default();
        if !self.ids.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
        true
    }
}

/// Something about the lines, for a person.
fn note(text: &str) {
    // Nobody may be there to read it.
    let _ = writeln!(io::stderr(), "-- {text} --");
}
