//! A stage for millgate: it refuses prompts that are too long, and says hello in a header of the reply.

use millgate_plugin::{
    Counter, Exchange, Field, Flow, Hooks, Host, Refusal, RefusalKind, SetupError, Stage,
    StageError,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// Its table in the config, beside the keys of every stage. Doc comments go into its schema.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The most tokens of a prompt, as estimated. Default: any number.
    max_input_tokens: Option<u64>,
    /// What the header `x-my-plugin` of replies says. Default: `"hello"`.
    #[serde(default = "hello")]
    greeting: String,
}

fn hello() -> String {
    "hello".to_owned()
}

/// The stage: one object for all exchanges.
pub struct MyStage {
    config: Config,
    refused: Counter,
}

impl Stage for MyStage {
    /// `kind = "my-plugin/stage"` in the config.
    const KIND: &'static str = "stage";
    type Config = Config;
    /// What it remembers of one exchange: nothing.
    type State = ();

    fn new(name: &str, config: Config, host: &Host) -> Result<Self, SetupError> {
        if config.greeting.contains(['\r', '\n']) {
            return Err(SetupError::at(
                ["greeting"],
                "is for a header: keep it on one line",
            ));
        }
        Ok(Self {
            config,
            refused: host.counter("refused_total", &[("stage", name)]),
        })
    }

    /// The hooks that it wants called.
    fn hooks(&self) -> Hooks {
        Hooks::REQUEST | Hooks::RESPONSE
    }

    fn begin(&self) {}

    fn on_request(&self, (): &mut (), exchange: &mut dyn Exchange) -> Result<Flow, StageError> {
        let tokens = exchange.number(Field::InputEstimate).unwrap_or_default();
        if self
            .config
            .max_input_tokens
            .is_none_or(|most| tokens <= most)
        {
            return Ok(Flow::Next);
        }
        self.refused.add(1);
        let message = "The prompt is too long. Shorten it.";
        Ok(Flow::Reject(Refusal::new(
            RefusalKind::InvalidRequest,
            message,
        )))
    }

    fn on_response(&self, (): &mut (), exchange: &mut dyn Exchange) -> Result<Flow, StageError> {
        let greeting = self.config.greeting.as_bytes();
        exchange.set(Field::ReplyHeader, "x-my-plugin", Some(greeting))?;
        Ok(Flow::Next)
    }
}

millgate_plugin::export_plugin! {
    stages: [MyStage],
}
