//! One exchange through one stage.

use super::{FakeExchange, block_on};
use crate::{
    Bytes, Chunk, ChunkFlow, Exchange, Field, Flow, Hooks, Outcome, Refusal, Reply, Stage,
    StageError,
};

/// One exchange, or attempt, on its way through a stage: calls the hooks that the stage wants, as a gateway would, and
/// waits where it waits.
pub struct Visit<'a, S: Stage> {
    stage: &'a S,
    /// The exchange; look at it, or change it between hooks.
    pub exchange: FakeExchange,
    /// What the stage remembers of it.
    pub state: S::State,
}

/// What a stage says when it has done waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Next,
    /// This is the answer.
    Reply(Reply),
    /// It is refused.
    Reject(Refusal),
}

type FlowHook<S> = fn(&S, &mut <S as Stage>::State, &mut dyn Exchange) -> Result<Flow, StageError>;

impl<'a, S: Stage> Visit<'a, S> {
    /// Enters the stage.
    pub fn new(stage: &'a S, exchange: FakeExchange) -> Self {
        Self {
            stage,
            exchange,
            state: stage.begin(),
        }
    }

    /// The request comes in: `on_request_head`, and where that lets it pass, `on_request`.
    ///
    /// # Panics
    /// Where the stage waits for what does not come within 10 seconds.
    pub fn request(&mut self) -> Result<Verdict, StageError> {
        self.exchange.has_head_alone = !self.exchange.is_below_route();
        let head = self.run(Hooks::REQUEST_HEAD, S::on_request_head);
        self.exchange.has_head_alone = false;
        match head? {
            Verdict::Next => self.run(Hooks::REQUEST, S::on_request),
            decided => Ok(decided),
        }
    }

    /// The head of a reply comes: `on_response`.
    ///
    /// # Panics
    /// As for [`Visit::request`].
    pub fn response(
        &mut self,
        status: u16,
        headers: &[(&str, &str)],
    ) -> Result<Verdict, StageError> {
        let mut exchange = std::mem::take(&mut self.exchange);
        exchange.clear(Field::ReplyHeader);
        exchange.has_reply = true;
        exchange = exchange.with_number(Field::ReplyStatus, status.into());
        for (name, value) in headers {
            exchange = exchange.with_key(Field::ReplyHeader, &name.to_ascii_lowercase(), value);
        }
        self.exchange = exchange;
        self.run(Hooks::RESPONSE, S::on_response)
    }

    /// A piece of the reply comes: `on_chunk`. What is passed on in its place, piece by piece.
    pub fn chunk(&mut self, chunk: impl AsRef<[u8]>) -> Result<Vec<Bytes>, StageError> {
        let chunk = Chunk::borrowed(chunk.as_ref());
        if !self.stage.hooks().contains(Hooks::CHUNK) {
            return Ok(vec![chunk.share()]);
        }
        let flow = self
            .stage
            .on_chunk(&mut self.state, &mut self.exchange, chunk)?;
        Ok(match flow {
            ChunkFlow::Keep => vec![chunk.share()],
            ChunkFlow::Drop => Vec::new(),
            ChunkFlow::Replace(other) => vec![other],
            ChunkFlow::Split(pieces) => pieces,
        })
    }

    /// Pieces of the reply come, one after the other: all that is passed on of them, as one.
    pub fn chunks<C: AsRef<[u8]>>(
        &mut self,
        chunks: impl IntoIterator<Item = C>,
    ) -> Result<Bytes, StageError> {
        let mut passed = Vec::new();
        for chunk in chunks {
            passed.extend(self.chunk(chunk)?);
        }
        Ok(passed.concat().into())
    }

    /// It is over: `on_end`.
    pub fn end(mut self, outcome: Outcome) -> FakeExchange {
        if self.stage.hooks().contains(Hooks::END) {
            self.stage
                .on_end(&mut self.state, &mut self.exchange, outcome);
        }
        self.exchange
    }

    fn run(&mut self, which: Hooks, hook: FlowHook<S>) -> Result<Verdict, StageError> {
        if !self.stage.hooks().contains(which) {
            return Ok(Verdict::Next);
        }
        loop {
            match hook(self.stage, &mut self.state, &mut self.exchange)? {
                Flow::Next => return Ok(Verdict::Next),
                Flow::Reply(reply) => return Ok(Verdict::Reply(reply)),
                Flow::Reject(refusal) => return Ok(Verdict::Reject(refusal)),
                Flow::Wait(future) => block_on(future),
            }
        }
    }
}
