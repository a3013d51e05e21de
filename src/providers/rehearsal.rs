//! Answers without any network, and says so: for a fresh machine, for tests and for rehearsing faults.
//!
//! An answer is worked out whole from the request, then played with the latency, the pace
//! and the faults of the config. The same request gives the same bytes, except for ids and `created`.

mod chance;
mod chat;
mod completions;
mod config;
mod embeddings;
mod format;
mod instance;
mod models;
mod request;
mod responses;
mod said;
mod script;
mod speech;
mod tools;
mod words;

use std::time::Duration;

use millgate_plugin::{
    Answer, Call, Endpoint, Gone, Provider, Refusal, RefusalKind, SetupError, UpstreamRequest,
};

pub use config::{Faults, RehearsalConfig};

use script::{Event, Script};

/// The `system_fingerprint` of its answers.
const FINGERPRINT: &str = "fp_rehearsal";

/// A provider that answers by itself, in words that say that no model did.
#[derive(Debug)]
pub struct Rehearsal {
    name: String,
    config: RehearsalConfig,
    /// Time before each piece of a stream.
    pace: Option<Duration>,
}

impl Provider for Rehearsal {
    const KIND: &'static str = "rehearsal";
    const ANSWERS: bool = true;
    type Config = RehearsalConfig;
    type State = ();

    fn new(name: &str, config: Self::Config) -> Result<Self, SetupError> {
        config.check()?;
        let pace = config
            .tokens_per_second
            .map(|rate| Duration::from_secs_f64(rate.recip()));
        Ok(Self {
            name: name.to_owned(),
            config,
            pace,
        })
    }

    fn serves(&self, endpoint: Endpoint) -> bool {
        endpoint.is_understood()
    }

    fn include_usage(&self) -> bool {
        true
    }

    fn charges(&self) -> bool {
        false
    }

    fn begin(&self) -> Self::State {}

    fn encode(&self, _state: &mut (), _call: &Call<'_>) -> Result<UpstreamRequest, Refusal> {
        Err(Refusal::new(
            RefusalKind::Internal,
            "the rehearsal provider has no upstream to send to",
        ))
    }

    fn answer(&self, call: &Call<'_>, answer: &mut dyn Answer) -> Result<(), Refusal> {
        let script = script(call)?;
        if answer.wait(self.config.latency.into()).is_err() {
            return Ok(());
        }
        if let Some(refusal) = self.config.faults.refusal(&self.name, call.request_id) {
            return Err(refusal);
        }
        // A reader that has left needs no answer and is no error.
        self.play(script, call.request_id, answer).or(Ok(()))
    }
}

impl Rehearsal {
    fn play(&self, script: Script, request_id: &str, answer: &mut dyn Answer) -> Result<(), Gone> {
        match script {
            Script::Document(document) => answer.emit(document),
            Script::Stream(events) => self.stream(events, request_id, answer),
        }
    }

    fn stream(
        &self,
        events: Vec<Event>,
        request_id: &str,
        answer: &mut dyn Answer,
    ) -> Result<(), Gone> {
        let faults = &self.config.faults;
        let is_cut = faults.cuts(&self.name, request_id);
        let stall = faults.stall(&self.name, request_id);
        let middle = script::middle(&events);
        for (position, event) in events.into_iter().enumerate() {
            if position == middle
                && let Some(time) = stall
            {
                answer.wait(time)?;
            }
            if position == middle && is_cut {
                return Ok(());
            }
            if event.is_token
                && let Some(time) = self.pace
            {
                answer.wait(time)?;
            }
            answer.emit(event.bytes)?;
        }
        Ok(())
    }
}

/// The whole answer to a call.
fn script(call: &Call<'_>) -> Result<Script, Refusal> {
    match call.endpoint {
        Endpoint::Chat => chat::script(call),
        Endpoint::Completions => completions::script(call),
        Endpoint::Embeddings => embeddings::script(call),
        Endpoint::Responses => responses::script(call),
        Endpoint::Models => models::script(call),
        _ => Err(Refusal::new(
            RefusalKind::Unsupported,
            "the rehearsal provider does not serve this endpoint",
        )),
    }
}

#[cfg(test)]
mod tests;
