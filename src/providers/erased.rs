//! Codecs without their types, so that routing can hold built-in and foreign ones side by side.

use std::any::Any;

use millgate_plugin::{
    Answer, Call, Endpoint, HeadFlow, Provider, Refusal, RefusalKind, UpstreamHead, UpstreamRequest,
};

/// What a codec remembers of an attempt.
pub type State = dyn Any + Send;

/// A [`Provider`] behind a pointer. Called with the state that `begin` made, and no other.
pub trait ErasedProvider: Send + Sync {
    /// See [`Provider::KIND`].
    fn kind(&self) -> &'static str;
    /// See [`Provider::ANSWERS`].
    fn answers(&self) -> bool;
    /// See [`Provider::include_usage`].
    fn include_usage(&self) -> bool;
    /// See [`Provider::charges`].
    fn charges(&self) -> bool;
    /// See [`Provider::serves`].
    fn serves(&self, endpoint: Endpoint) -> bool;
    /// See [`Provider::BASE_PATH`].
    fn base_path(&self) -> &'static str;
    /// See [`Provider::begin`].
    fn begin(&self) -> Box<State>;
    /// See [`Provider::encode`].
    fn encode(&self, state: &mut State, call: &Call<'_>) -> Result<UpstreamRequest, Refusal>;
    /// See [`Provider::on_head`].
    fn on_head(&self, state: &mut State, head: &UpstreamHead<'_>) -> HeadFlow;
    /// See [`Provider::on_data`].
    fn on_data(
        &self,
        state: &mut State,
        data: &[u8],
        end: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal>;
    /// See [`Provider::on_error`].
    fn on_error(&self, status: u16, body: &[u8]) -> Option<Refusal>;
    /// See [`Provider::answer`].
    fn answer(&self, call: &Call<'_>, answer: &mut dyn Answer) -> Result<(), Refusal>;
}

/// A codec written in Rust and linked in.
pub struct Native<P>(pub P);

fn foreign_state() -> Refusal {
    Refusal::new(
        RefusalKind::Internal,
        "the codec was called with another codec's state",
    )
}

impl<P: Provider> ErasedProvider for Native<P> {
    fn kind(&self) -> &'static str {
        P::KIND
    }

    fn answers(&self) -> bool {
        P::ANSWERS
    }

    fn include_usage(&self) -> bool {
        self.0.include_usage()
    }

    fn charges(&self) -> bool {
        self.0.charges()
    }

    fn serves(&self, endpoint: Endpoint) -> bool {
        self.0.serves(endpoint)
    }

    fn base_path(&self) -> &'static str {
        P::BASE_PATH
    }

    fn begin(&self) -> Box<State> {
        Box::new(self.0.begin())
    }

    fn encode(&self, state: &mut State, call: &Call<'_>) -> Result<UpstreamRequest, Refusal> {
        self.0
            .encode(state.downcast_mut().ok_or_else(foreign_state)?, call)
    }

    fn on_head(&self, state: &mut State, head: &UpstreamHead<'_>) -> HeadFlow {
        state
            .downcast_mut()
            .map_or(HeadFlow::Passthrough, |state| self.0.on_head(state, head))
    }

    fn on_data(
        &self,
        state: &mut State,
        data: &[u8],
        end: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        self.0.on_data(
            state.downcast_mut().ok_or_else(foreign_state)?,
            data,
            end,
            out,
        )
    }

    fn on_error(&self, status: u16, body: &[u8]) -> Option<Refusal> {
        self.0.on_error(status, body)
    }

    fn answer(&self, call: &Call<'_>, answer: &mut dyn Answer) -> Result<(), Refusal> {
        self.0.answer(call, answer)
    }
}
