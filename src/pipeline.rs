//! The pipeline: the phase loop over the stages above `route`, and over those below it.
//!
//! `LIFECYCLE.md` beside this file tells in which order hooks run and what ends what.

pub mod content;
pub mod erased;
pub mod exchange;
pub mod registry;
pub mod reply;
pub mod request;
pub mod verdicts;
pub mod view;
pub mod when;

use std::{
    any::Any,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use millgate_plugin::{
    Chunk, ChunkFlow, Exchange, Flow, Hooks, Outcome, Refusal, Reply, StageError,
};
use smallvec::SmallVec;

use self::{
    erased::{ErasedStage, State},
    verdicts::Verdicts,
    when::When,
};
use crate::{cache::Cache, config::tree::Node};

/// The one list of the config, cut at `route`.
#[derive(Default)]
pub struct Pipeline {
    /// What sees an exchange once.
    pub above: Phases,
    /// What stands right above `route`, where there is one.
    pub cache: Option<Arc<Cache>>,
    /// What sees every attempt, with its target chosen.
    pub below: Phases,
    /// A hash of what `below` is made of: it may decide what is answered.
    pub fingerprint: [u8; 32],
}

impl Pipeline {
    /// The stages above `route` and those below it, in the order of the pipeline.
    pub fn stages(&self) -> impl Iterator<Item = &Mounted> {
        self.above.stages.iter().chain(&self.below.stages)
    }

    /// Whether a stage works with what outlives a restart.
    #[must_use]
    pub fn needs_store(&self) -> bool {
        self.stages().any(|mounted| mounted.stage.needs_store())
    }
}

/// What to do when a stage fails (a refusal is not a failure).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    /// The client gets a 500.
    Fail,
    /// As if the stage were not there.
    Skip,
}

/// Whether a stage's refusals count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They do.
    Enforce,
    /// They are logged and passed over.
    Shadow,
}

/// A stage in its place in the pipeline.
pub struct Mounted {
    /// Its name in the config.
    pub name: Arc<str>,
    /// What kind of stage it is.
    pub kind: &'static str,
    /// The SHA-256 of the library that it comes from; `None` where it is linked in.
    pub image: Option<&'static str>,
    /// The table that it was made from.
    pub table: Node,
    /// The exchanges it is for.
    pub when: When,
    /// What its failures mean.
    pub on_error: OnError,
    /// What its refusals mean.
    pub mode: Mode,
    /// How often it has refused or failed.
    pub verdicts: Arc<Verdicts>,
    /// What it wants called.
    pub hooks: Hooks,
    /// The stage.
    pub stage: Arc<dyn ErasedStage>,
}

/// Stages in pipeline order.
#[derive(Default)]
pub struct Phases {
    stages: Vec<Mounted>,
    wants_chunks: bool,
    /// How many stages are entered before the body of a request is read.
    before_the_body: usize,
}

/// What the stages of one exchange or one attempt remember, in pipeline order; `None` where one was not entered.
#[derive(Default)]
pub struct States(SmallVec<[Option<Entered>; 6]>);

/// What has become of a piece of a reply, in order.
pub type Chunks = SmallVec<[Bytes; 1]>;

/// A stage that was entered.
struct Entered {
    state: Box<dyn Any + Send>,
    /// How long its hooks of the way in took, waiting included.
    took: Duration,
}

/// Why the way in ended before its end.
#[derive(Debug)]
pub enum Stop {
    /// A stage answered.
    Reply(Reply),
    /// A stage refused.
    Reject(Refusal),
    /// A stage failed.
    Failed {
        /// Which one.
        stage: Arc<str>,
        /// In its own words, for the log.
        error: StageError,
    },
}

impl Phases {
    /// The phases of these stages.
    #[must_use]
    pub fn new(stages: Vec<Mounted>) -> Self {
        let wants_chunks = stages
            .iter()
            .any(|stage| stage.hooks.contains(Hooks::CHUNK));
        // None is passed over: who stands further in is never asked before who stands further out.
        let before_the_body = stages
            .iter()
            .take_while(|stage| !stage.needs_body())
            .count();
        Self {
            stages,
            wants_chunks,
            before_the_body,
        }
    }

    /// The stages, in pipeline order.
    #[must_use]
    pub fn stages(&self) -> &[Mounted] {
        &self.stages
    }

    /// The stages that had a say in the request, and how long each took over it.
    pub fn took<'a>(
        &'a self,
        states: &'a States,
    ) -> impl Iterator<Item = (&'a Arc<str>, Duration)> {
        self.stages
            .iter()
            .zip(&states.0)
            .filter(|(stage, _)| stage.hooks.meets(Hooks::REQUEST | Hooks::REQUEST_HEAD))
            .filter_map(|(stage, entered)| Some((&stage.name, entered.as_ref()?.took)))
    }

    /// Whether any stage that was entered looks at what passes.
    #[must_use]
    pub fn wants_chunks(&self, states: &States) -> bool {
        self.wants_chunks
            && self
                .stages
                .iter()
                .zip(&states.0)
                .any(|(stage, state)| state.is_some() && stage.hooks.contains(Hooks::CHUNK))
    }

    /// The way in while there is only the head of a request: enters the stages down to the first one that needs more,
    /// and calls their `on_request_head`, in pipeline order.
    pub async fn on_request_head<E: Exchange + Send>(
        &self,
        states: &mut States,
        exchange: &mut E,
    ) -> Result<(), Stop> {
        for mounted in self.stages.iter().take(self.before_the_body) {
            mounted.enter(states, exchange).await?;
        }
        Ok(())
    }

    /// The way in: enters each stage that the exchange is for, unless it was entered when there was only a head, and
    /// calls its `on_request`, in pipeline order.
    pub async fn on_request<E: Exchange + Send>(
        &self,
        states: &mut States,
        exchange: &mut E,
    ) -> Result<(), Stop> {
        for (index, mounted) in self.stages.iter().enumerate() {
            if index == states.0.len() {
                mounted.enter(states, exchange).await?;
            }
            if let Some(entered) = &mut states.0[index]
                && mounted.hooks.contains(Hooks::REQUEST)
            {
                mounted
                    .ask(entered, exchange, <dyn ErasedStage>::on_request)
                    .await?;
            }
        }
        Ok(())
    }

    /// The way out: `on_response` of every stage entered, in reverse. A reply or refusal made here takes the place
    /// of the reply in hand, and the stages further out see it as theirs: `replace` puts it there.
    pub async fn on_response<E: Exchange + Send>(
        &self,
        states: &mut States,
        exchange: &mut E,
        mut replace: impl FnMut(&mut E, Stop),
    ) {
        for (index, mounted) in self.stages.iter().enumerate().rev() {
            if !mounted.hooks.contains(Hooks::RESPONSE) {
                continue;
            }
            while let Some(entered) = states.0.get_mut(index).and_then(Option::as_mut) {
                let flow = contain(|| mounted.stage.on_response(&mut *entered.state, exchange));
                match mounted.settle(flow) {
                    Ok(Flow::Wait(wait)) => {
                        contain_wait(wait).await;
                        continue;
                    }
                    Ok(Flow::Reply(reply)) => replace(exchange, Stop::Reply(reply)),
                    Ok(Flow::Reject(refusal)) => replace(exchange, Stop::Reject(refusal)),
                    Ok(Flow::Next) => {}
                    Err(stop) => replace(exchange, stop),
                }
                break;
            }
        }
    }

    /// One piece of the reply through `on_chunk` of every stage entered, in reverse: what has become of it, which is nothing
    /// where it was dropped, and several where it was split.
    pub fn on_chunk<E: Exchange>(
        &self,
        states: &mut States,
        exchange: &mut E,
        chunk: Bytes,
    ) -> Result<Chunks, Stop> {
        let mut chunks = Chunks::from_buf([chunk]);
        for (index, mounted) in self.stages.iter().enumerate().rev() {
            if !mounted.hooks.contains(Hooks::CHUNK) {
                continue;
            }
            let Some(entered) = states.0.get_mut(index).and_then(Option::as_mut) else {
                continue;
            };
            let mut passed = Chunks::new();
            for chunk in chunks {
                let flow = contain(|| {
                    let chunk = Chunk::from(&chunk);
                    mounted.stage.on_chunk(&mut *entered.state, exchange, chunk)
                });
                match flow {
                    Ok(ChunkFlow::Keep) => passed.push(chunk),
                    Ok(ChunkFlow::Drop) => {}
                    Ok(ChunkFlow::Replace(other)) => passed.push(other),
                    Ok(ChunkFlow::Split(pieces)) => passed.extend(pieces),
                    Err(error) => {
                        mounted.failed(error)?;
                        passed.push(chunk);
                    }
                }
            }
            chunks = passed;
        }
        Ok(chunks)
    }

    /// `on_end` of every stage entered, in reverse, once: the states are gone afterwards.
    pub fn on_end<E: Exchange>(&self, states: &mut States, exchange: &mut E, outcome: Outcome) {
        for (mounted, entered) in self.stages.iter().zip(states.0.drain(..)).rev() {
            let Some(mut entered) = entered else {
                continue;
            };
            if !mounted.hooks.contains(Hooks::END) {
                continue;
            }
            let ended = contain(|| {
                mounted.stage.on_end(&mut *entered.state, exchange, outcome);
                Ok(())
            });
            if let Err(error) = ended {
                tracing::error!(stage = &*mounted.name, %error, "stage failed at the end of an exchange");
            }
        }
    }
}

impl Mounted {
    /// Whether it cannot be entered, or not be asked all that it has to say, before the body of a request is read.
    #[must_use]
    pub fn needs_body(&self) -> bool {
        let only_then =
            self.hooks.contains(Hooks::REQUEST) && !self.hooks.contains(Hooks::REQUEST_HEAD);
        only_then || !self.when.model.is_empty()
    }

    /// Enters the stage if the exchange is for it, and shows it the head of the request.
    async fn enter<E: Exchange + Send>(
        &self,
        states: &mut States,
        exchange: &mut E,
    ) -> Result<(), Stop> {
        if !self.when.matches(exchange) {
            states.0.push(None);
            return Ok(());
        }
        // It counts as entered from here on, even if the client leaves while it waits.
        states.0.push(Some(Entered {
            state: self.stage.begin(),
            took: Duration::ZERO,
        }));
        if let Some(Some(entered)) = states.0.last_mut()
            && self.hooks.contains(Hooks::REQUEST_HEAD)
        {
            self.ask(entered, exchange, <dyn ErasedStage>::on_request_head)
                .await?;
        }
        Ok(())
    }

    /// Calls a hook of the way in until it has come to an end.
    async fn ask<E: Exchange + Send>(
        &self,
        entered: &mut Entered,
        exchange: &mut E,
        hook: WayIn,
    ) -> Result<(), Stop> {
        let took_before = entered.took;
        let begun = Instant::now();
        loop {
            let flow = contain(|| hook(&*self.stage, &mut *entered.state, exchange));
            let flow = self.settle(flow);
            entered.took = took_before + begun.elapsed();
            match flow? {
                Flow::Wait(wait) => contain_wait(wait).await,
                Flow::Reply(reply) => return Err(Stop::Reply(reply)),
                Flow::Reject(refusal) => return Err(Stop::Reject(refusal)),
                Flow::Next => return Ok(()),
            }
        }
    }

    /// Applies `mode` and `on_error` to what a hook came back with.
    fn settle(&self, flow: Result<Flow, StageError>) -> Result<Flow, Stop> {
        match flow {
            Ok(Flow::Reject(refusal)) if self.mode == Mode::Shadow => {
                Verdicts::count(&self.verdicts.shadowed);
                tracing::info!(stage = &*self.name, kind = ?refusal.kind, refusal = &*refusal.message, "would have refused (shadow mode)");
                Ok(Flow::Next)
            }
            Ok(flow) => {
                if matches!(flow, Flow::Reject(_)) {
                    Verdicts::count(&self.verdicts.refused);
                }
                Ok(flow)
            }
            Err(error) => self.failed(error).map(|()| Flow::Next),
        }
    }

    /// A failure is logged, and ends the exchange unless the stage is to be skipped.
    fn failed(&self, error: StageError) -> Result<(), Stop> {
        Verdicts::count(&self.verdicts.failed);
        tracing::error!(stage = &*self.name, %error, skipped = self.on_error == OnError::Skip, "stage failed");
        match self.on_error {
            OnError::Skip => Ok(()),
            OnError::Fail => Err(Stop::Failed {
                stage: self.name.clone(),
                error,
            }),
        }
    }
}

/// A hook of the way in.
type WayIn =
    fn(&(dyn ErasedStage + 'static), &mut State, &mut dyn Exchange) -> Result<Flow, StageError>;

/// Runs a hook; a panic in it is that stage's failure and nobody else's.
fn contain<T>(hook: impl FnOnce() -> Result<T, StageError>) -> Result<T, StageError> {
    std::panic::catch_unwind(AssertUnwindSafe(hook)).unwrap_or_else(|panic| {
        let message = panic
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        Err(StageError(format!("panicked: {message}")))
    })
}

/// Awaits what a stage waits for; a panic in it ends the waiting, and the hook is called again.
async fn contain_wait(mut wait: millgate_plugin::BoxFuture) {
    std::future::poll_fn(|context| {
        std::panic::catch_unwind(AssertUnwindSafe(|| Pin::new(&mut wait).poll(context)))
            .unwrap_or(std::task::Poll::Ready(()))
    })
    .await;
}

#[cfg(test)]
mod tests;
