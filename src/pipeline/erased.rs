//! Stages without their types, so that a pipeline can hold built-in and foreign ones side by side.

use std::any::Any;

use millgate_plugin::{Chunk, ChunkFlow, Exchange, Flow, Hooks, Outcome, Place, Stage, StageError};

/// What an exchange's stage remembers.
pub type State = dyn Any + Send;

/// A [`Stage`] behind a pointer. The hooks are called with the state that `begin` made, and no other.
pub trait ErasedStage: Any + Send + Sync {
    /// See [`Stage::adopt`]; nothing where `old` is of another type.
    fn adopt(&self, old: &dyn ErasedStage);
    /// See [`Stage::place`].
    fn place(&self) -> Place;
    /// See [`Stage::hooks`].
    fn hooks(&self) -> Hooks;
    /// See [`Stage::needs_store`].
    fn needs_store(&self) -> bool;
    /// See [`Stage::begin`].
    fn begin(&self) -> Box<State>;
    /// See [`Stage::on_request_head`].
    fn on_request_head(
        &self,
        state: &mut State,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError>;
    /// See [`Stage::on_request`].
    fn on_request(
        &self,
        state: &mut State,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError>;
    /// See [`Stage::on_response`].
    fn on_response(
        &self,
        state: &mut State,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError>;
    /// See [`Stage::on_chunk`].
    fn on_chunk(
        &self,
        state: &mut State,
        exchange: &mut dyn Exchange,
        chunk: Chunk<'_>,
    ) -> Result<ChunkFlow, StageError>;
    /// See [`Stage::on_end`].
    fn on_end(&self, state: &mut State, exchange: &mut dyn Exchange, outcome: Outcome);
}

/// A stage written in Rust and linked in.
pub struct Native<S>(pub S);

impl<S: Stage> Native<S> {
    fn state(state: &mut State) -> Result<&mut S::State, StageError> {
        state
            .downcast_mut()
            .ok_or_else(|| StageError("called with another stage's state".to_owned()))
    }
}

impl<S: Stage> ErasedStage for Native<S> {
    fn adopt(&self, old: &dyn ErasedStage) {
        if let Some(Self(old)) = (old as &dyn Any).downcast_ref() {
            self.0.adopt(old);
        }
    }

    fn place(&self) -> Place {
        self.0.place()
    }

    fn hooks(&self) -> Hooks {
        self.0.hooks()
    }

    fn needs_store(&self) -> bool {
        self.0.needs_store()
    }

    fn begin(&self) -> Box<State> {
        Box::new(self.0.begin())
    }

    fn on_request_head(
        &self,
        state: &mut State,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        self.0.on_request_head(Self::state(state)?, exchange)
    }

    fn on_request(
        &self,
        state: &mut State,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        self.0.on_request(Self::state(state)?, exchange)
    }

    fn on_response(
        &self,
        state: &mut State,
        exchange: &mut dyn Exchange,
    ) -> Result<Flow, StageError> {
        self.0.on_response(Self::state(state)?, exchange)
    }

    fn on_chunk(
        &self,
        state: &mut State,
        exchange: &mut dyn Exchange,
        chunk: Chunk<'_>,
    ) -> Result<ChunkFlow, StageError> {
        self.0.on_chunk(Self::state(state)?, exchange, chunk)
    }

    fn on_end(&self, state: &mut State, exchange: &mut dyn Exchange, outcome: Outcome) {
        if let Ok(state) = Self::state(state) {
            self.0.on_end(state, exchange, outcome);
        }
    }
}
