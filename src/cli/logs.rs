//! `millgate logs`

pub(in crate::cli) mod line;

use std::{
    collections::{HashSet, VecDeque},
    io::{self, Write},
    process::ExitCode,
    time::Duration,
};

use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::{
    fail,
    operators::{Failure, Gateway, Operators, runtime},
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
    /// Only those that ended so: `ok`, `client_closed`, `client_error`, `rejected`, `upstream_error`, `timeout` or `internal_error`
    #[arg(long, value_name = "OUTCOME")]
    outcome: Option<String>,
    /// Only those of this caller: its id, its address or its team
    #[arg(long, value_name = "CALLER")]
    caller: Option<String>,
    #[command(flatten)]
    gateway: Gateway,
}

/// How long to wait before a gateway that was there is looked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// So many exchanges are remembered, that none is printed twice: as many as a gateway remembers, and those that come
/// while they are asked for.
const REMEMBERED: usize = 2048;

/// Why it has come to an end.
enum End {
    /// Nobody reads any more.
    Unread,
    /// The gateway is not there.
    Away(Failure),
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
        printed: Printed::default(),
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
    printed: Printed,
}

impl Logs<'_> {
    async fn run(mut self, operators: &Operators) -> Result<(), String> {
        let mut lines = self.arguments.lines;
        let mut was_there = false;
        loop {
            let ended = if self.arguments.follow {
                self.follow(operators, lines, &mut was_there).await
            } else {
                self.list(operators, lines).await
            };
            match ended {
                Ok(()) | Err(End::Unread) => return Ok(()),
                Err(End::Failed(message)) => return Err(message),
                Err(End::Away(failure)) if !was_there => return Err(failure.to_string()),
                Err(End::Away(_)) => {}
            }
            if lines != u16::MAX {
                note("the gateway is gone; waiting for it to come back");
            }
            // All that it has to tell, when it is back.
            lines = u16::MAX;
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Prints the latest exchanges, the last one last.
    async fn list(&mut self, operators: &Operators, lines: u16) -> Result<(), End> {
        if lines == 0 {
            return Ok(());
        }
        let mut path = format!("/api/exchanges?limit={}", lines.min(1000));
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
        for exchange in exchanges.into_iter().flatten().rev() {
            self.print(exchange)?;
        }
        Ok(())
    }

    /// The same, and then exchanges as they end, for as long as the gateway is there.
    async fn follow(
        &mut self,
        operators: &Operators,
        lines: u16,
        was_there: &mut bool,
    ) -> Result<(), End> {
        // First of all, so that nothing goes by between the list and what follows.
        let mut events = operators.follow("/api/events?status=off").await?;
        if std::mem::replace(was_there, true) && lines == u16::MAX {
            note("the gateway is back");
        }
        self.list(operators, lines).await?;
        while let Some((name, data)) = events.next().await {
            match &*name {
                "exchange" if self.is_wanted(&data) => self.print(&data)?,
                "missed" => note(&format!("{} exchanges went by too fast", data["count"])),
                _ => {}
            }
        }
        Err(End::Away(Failure::Away {
            url: String::new(),
            detail: String::new(),
        }))
    }

    fn is_wanted(&self, exchange: &Value) -> bool {
        let is = |wanted: &Option<String>, members: &[&str]| {
            let wanted = wanted.as_deref();
            wanted.is_none() || members.iter().any(|name| exchange[name].as_str() == wanted)
        };
        is(&self.arguments.outcome, &["outcome"]) && is(&self.arguments.caller, &["caller", "team"])
    }

    fn print(&mut self, exchange: &Value) -> Result<(), End> {
        if !self
            .printed
            .is_new(exchange["id"].as_str().unwrap_or_default())
        {
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

/// What was printed last.
#[derive(Default)]
struct Printed {
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Printed {
    fn is_new(&mut self, id: &str) -> bool {
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
