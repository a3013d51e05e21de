//! A guard at the gate: asks another service before it lets a request pass, so that those already in stay fast.
//!
//! It waits without holding up a thread: the gateway makes the call, and the hook is called again with the answer. The
//! README has its table, and what the service is asked.

#![warn(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod question;
mod verdict;

use std::time::Instant;

use millgate_plugin::{
    CallError, Counter, Exchange, Flow, Histogram, Hooks, Host, HttpAnswer, Place, Refusal,
    RefusalKind, SetupError, Stage, StageError, WaitCell, units::Duration,
};
use schemars::JsonSchema;
use serde::Deserialize;

use verdict::Verdict;

/// Keys of a stage of kind `latency-guard/guard`, beside those of every stage.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whom to ask: an `http` or `https` address, which is sent a `POST`.
    url: String,
    /// A key for the service, sent as `Authorization: Bearer`. Default: none.
    token: Option<String>,
    /// How long the answer may take. Default: `"500ms"`.
    #[serde(default = "half_a_second")]
    deadline: Duration,
    /// What to do where no answer comes, or none that says yes or no: `"pass"` or `"refuse"`. Default: `"pass"`.
    #[serde(default)]
    on_unavailable: OnUnavailable,
}

fn half_a_second() -> Duration {
    Duration::from_millis(500)
}

/// What to do where the service does not say yes or no.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnUnavailable {
    /// Let the request pass.
    #[default]
    Pass,
    /// Refuse it.
    Refuse,
}

/// The stage.
pub struct Guard {
    config: Config,
    host: Host,
    seen: Seen,
}

/// What is counted, by answer.
#[derive(Clone)]
struct Seen {
    passed: Counter,
    refused: Counter,
    unavailable: Counter,
    wait: Histogram,
}

/// What is known of a request's question.
#[derive(Default)]
pub struct Asked(WaitCell<Verdict>);

impl Stage for Guard {
    const KIND: &'static str = "guard";
    const PLACE: Place = Place::AboveRoute;
    type Config = Config;
    type State = Asked;

    fn new(name: &str, config: Config, host: &Host) -> Result<Self, SetupError> {
        if !config.url.starts_with("http://") && !config.url.starts_with("https://") {
            let message = "this is no address: write http://… or https://…";
            return Err(SetupError::at(["url"], message));
        }
        if config.deadline.is_zero() {
            let message = "nobody answers in no time: write \"500ms\", for example";
            return Err(SetupError::at(["deadline"], message));
        }
        let answers = |answer| {
            let labels = [("stage", name), ("answer", answer)];
            host.counter("latency_guard_answers_total", &labels)
        };
        let seen = Seen {
            passed: answers("pass"),
            refused: answers("refuse"),
            unavailable: answers("none"),
            wait: host.histogram("latency_guard_wait_seconds", &[("stage", name)]),
        };
        Ok(Self {
            config,
            host: host.clone(),
            seen,
        })
    }

    fn hooks(&self) -> Hooks {
        Hooks::REQUEST
    }

    fn begin(&self) -> Asked {
        Asked::default()
    }

    fn on_request(
        &self,
        Asked(answer): &mut Asked,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        if let Some(verdict) = answer.take() {
            return Ok(self.decide(verdict));
        }
        self.ask(exchange, answer.clone());
        if self.host.is_shadow() {
            // What is only watched is not held up either.
            return Ok(Flow::Next);
        }
        Ok(Flow::Wait(answer.filled()))
    }
}

impl Guard {
    /// Asks in the background; the answer is counted, whether anybody waits for it or not.
    fn ask(&self, exchange: &dyn Exchange, place: WaitCell<Verdict>) {
        let seen = self.seen.clone();
        let since = Instant::now();
        let done = move |answer: Result<HttpAnswer, CallError>| {
            seen.wait.record(since.elapsed().as_secs_f64());
            let verdict = Verdict::of(answer);
            match &verdict {
                Verdict::Pass => seen.passed.add(1),
                Verdict::Refuse(_) => seen.refused.add(1),
                Verdict::None(why) => {
                    seen.unavailable.add(1);
                    tracing::warn!(why, "the guard's service does not say yes or no");
                }
            }
            place.put(verdict);
        };
        self.host.call(question::call(&self.config, exchange), done);
    }

    fn decide(&self, verdict: Verdict) -> Flow {
        match verdict {
            Verdict::Refuse(refusal) => Flow::Reject(refusal),
            Verdict::None(_) if self.config.on_unavailable == OnUnavailable::Refuse => {
                let message =
                    "Whether there is room for the request cannot be told now. Try again later.";
                Flow::Reject(
                    Refusal::new(RefusalKind::Unavailable, message).code("guard_unavailable"),
                )
            }
            Verdict::Pass | Verdict::None(_) => Flow::Next,
        }
    }
}

millgate_plugin::export_plugin! {
    name: "latency-guard",
    stages: [Guard],
}
