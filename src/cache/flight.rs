//! One answer in the making, read by several.
//!
//! No task works for a flight: **whoever polls it drives it**, under its lock, and all who wait are woken when there is
//! something new to see. So a reader that leaves takes nothing along that others need, the last one that leaves takes the
//! flight along and with it the request to the upstream, and where nobody reads nothing is read from the upstream either.
//!
//! Pieces are kept from the first one on, so that whoever joins late sees all of them. Once they outgrow the flight's
//! `limit`, nobody can join any more; what every reader has had is let go of, and the fastest reader waits for the slowest
//! one whenever they are further apart than that.

#[cfg(test)]
mod tests;
mod waiting;

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use millgate_plugin::Outcome;

use crate::{
    api::error::ApiError,
    pipeline::view::ReplyHead,
    routing::{
        answer::{Piece, Seen},
        attempt::Broken,
        flight::NoAnswer,
    },
};
use waiting::Waiting;

/// Status, headers and origin of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    /// What clients get to see, less what belongs to one exchange.
    pub reply: ReplyHead,
    /// Name of the provider that answers.
    pub provider: Arc<str>,
    /// The model that it was asked for.
    pub model: Arc<str>,
    /// Whether it is a stream; else it is a document.
    pub is_stream: bool,
    /// Whether all of the answer is there already, so that its pieces can be had without waiting.
    pub is_all: bool,
}

/// Where a flight's answer comes from.
pub trait Source: Send + 'static {
    /// The head, or why there is none. Not called again once it is ready.
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<Head, NoAnswer>>;

    /// The next piece; `None` after the last one. Not called again after that, nor after an error.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Piece, Broken>>>;

    /// How much of the answer has been handed out.
    fn extent(&self) -> Extent;

    /// What is known so far of the tokens.
    fn seen(&self) -> Seen;

    /// All of the answer, from its first piece on: called once, when it is whole. Whether it is kept.
    fn keep(&mut self, head: &Head, pieces: &VecDeque<Piece>) -> bool;
}

/// How much of an answer has been handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// There is more to come.
    Part,
    /// All that a client must have; a usage chunk may follow.
    Complete,
    /// Everything, although the upstream may take its time to say so.
    Whole,
}

/// What is done once a flight has ended, with what is known of its tokens by then.
pub type Farewell = Box<dyn FnOnce(Seen) + Send>;

/// Why a whole answer cannot be had of a flight.
#[derive(Debug)]
pub enum NotWhole {
    /// It broke off.
    Broken(Arc<Broken>),
    /// It is too large to be kept.
    Outgrown,
}

/// A flight; it lives for as long as anybody reads it.
pub struct Flight<S: Source> {
    state: Mutex<State<S>>,
    waiting: Arc<Waiting>,
    /// Wakes all of `waiting`.
    waker: Waker,
}

struct State<S> {
    /// `None` once nothing more comes from it.
    source: Option<S>,
    head: Option<Result<Arc<Head>, NoAnswer>>,
    pieces: VecDeque<Piece>,
    /// Pieces let go of before the first of `pieces`.
    gone: usize,
    /// Bytes in `pieces`.
    held: usize,
    /// The most bytes that are kept.
    limit: usize,
    /// Whether all pieces are still there.
    is_replayable: bool,
    /// How it ended.
    end: Option<Result<(), Arc<Broken>>>,
    extent: Extent,
    /// Whether the whole of it was kept.
    is_kept: bool,
    seen: Seen,
    /// The next piece of each reader, by its place; `None` where that place is free.
    readers: Vec<Option<usize>>,
    farewells: Vec<Farewell>,
}

/// What is left of a flight that has ended: let go of outside of its lock, since stages hear of it then.
struct Remains<S> {
    source: Option<S>,
    farewells: Vec<Farewell>,
    seen: Seen,
}

impl<S> Remains<S> {
    fn bury(self) {
        drop(self.source);
        for farewell in self.farewells {
            farewell(self.seen);
        }
    }
}

impl<S: Source> Flight<S> {
    /// A flight of which at most `limit` bytes are kept, and its first reader.
    #[must_use]
    pub fn begin(source: S, limit: usize) -> (Arc<Self>, Reader<S>) {
        let waiting = Arc::new(Waiting::default());
        let flight = Arc::new(Self {
            state: Mutex::new(State {
                seen: source.seen(),
                extent: source.extent(),
                is_kept: false,
                source: Some(source),
                head: None,
                pieces: VecDeque::new(),
                gone: 0,
                held: 0,
                limit,
                is_replayable: true,
                end: None,
                readers: vec![Some(0)],
                farewells: Vec::new(),
            }),
            waker: waiting.clone().into(),
            waiting,
        });
        let reader = Reader {
            flight: flight.clone(),
            place: 0,
        };
        (flight, reader)
    }

    /// One more reader, from the first piece on; `None` where the flight has ended or has outgrown its limit.
    #[must_use]
    pub fn join(self: &Arc<Self>) -> Option<Reader<S>> {
        let mut state = self.lock();
        if !state.is_replayable || state.source.is_none() || state.extent == Extent::Whole {
            return None;
        }
        let place = state.readers.iter().position(Option::is_none);
        let place = place.unwrap_or_else(|| {
            state.readers.push(None);
            state.readers.len() - 1
        });
        state.readers[place] = Some(0);
        drop(state);
        Some(Reader {
            flight: self.clone(),
            place,
        })
    }

    /// Does this once the flight has ended; at once if it has.
    pub fn at_end(&self, farewell: Farewell) {
        let mut state = self.lock();
        if state.source.is_some() {
            state.farewells.push(farewell);
            return;
        }
        let seen = state.seen;
        drop(state);
        farewell(seen);
    }

    /// Ends a flight that nobody else reads, and tells what is known of its tokens; gives it back where somebody does.
    pub fn end(self: Arc<Self>) -> Result<Seen, Arc<Self>> {
        let mut flight = Arc::try_unwrap(self)?;
        let state = flight.state.get_mut();
        let state = state.unwrap_or_else(PoisonError::into_inner);
        state.over().bury();
        Ok(state.seen)
    }

    /// Drives the flight until `look` finds what it looks for.
    fn poll<T>(
        &self,
        place: usize,
        context: &mut Context<'_>,
        mut look: impl FnMut(&mut State<S>) -> Poll<T>,
    ) -> Poll<T> {
        let mut state = self.lock();
        let (mut waits, mut is_news, mut remains) = (false, false, None);
        let found = loop {
            let found = look(&mut state);
            if found.is_ready() {
                break found;
            }
            // Before the source is polled: it may wake at once.
            self.waiting.register(place, context.waker());
            waits = true;
            let driver = &mut Context::from_waker(&self.waker);
            match state.advance(driver) {
                Poll::Pending => break Poll::Pending,
                Poll::Ready(over) => {
                    is_news = true;
                    remains = over.or(remains);
                }
            }
        };
        is_news |= state.let_go();
        drop(state);
        if waits && found.is_ready() {
            self.waiting.forget(place);
        }
        if is_news {
            self.waiting.wake_others(place);
        }
        if let Some(remains) = remains {
            remains.bury();
        }
        found
    }

    fn lock(&self) -> MutexGuard<'_, State<S>> {
        // What runs under the lock and may panic is contained.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Source> Drop for Flight<S> {
    fn drop(&mut self) {
        let state = self.state.get_mut();
        state.unwrap_or_else(PoisonError::into_inner).over().bury();
    }
}

impl<S: Source> State<S> {
    /// One step of the source: ready once something has changed, with what is left of it where that was the end.
    fn advance(&mut self, context: &mut Context<'_>) -> Poll<Option<Remains<S>>> {
        let is_full = !self.is_replayable && self.held >= self.limit.max(1);
        let Some(source) = self.source.as_mut().filter(|_| !is_full) else {
            // Full: whoever reads slowly wakes the others when it has read.
            return Poll::Pending;
        };
        let is_headless = self.head.is_none();
        let step = std::panic::catch_unwind(AssertUnwindSafe(|| {
            if is_headless {
                source.poll_head(context).map(Step::Head)
            } else {
                source.poll_piece(context).map(Step::Piece)
            }
        }));
        step.unwrap_or_else(|_| Poll::Ready(Step::panicked(is_headless)))
            .map(|step| self.take(step))
    }

    fn take(&mut self, step: Step) -> Option<Remains<S>> {
        match step {
            Step::Head(Ok(head)) => {
                self.head = Some(Ok(Arc::new(head)));
                self.note();
                None
            }
            Step::Piece(Some(Ok(piece))) => {
                self.held += piece.bytes.len();
                self.pieces.push_back(piece);
                self.is_replayable &= self.held <= self.limit;
                self.note();
                None
            }
            Step::Piece(None) => {
                self.keep();
                self.end = Some(Ok(()));
                Some(self.over())
            }
            Step::Head(Err(error)) => {
                self.head = Some(Err(error));
                Some(self.over())
            }
            Step::Piece(Some(Err(broken))) => {
                self.end = Some(Err(Arc::new(broken)));
                Some(self.over())
            }
        }
    }

    /// Looks at how far the source has come.
    fn note(&mut self) {
        let Some(source) = &self.source else { return };
        self.seen = source.seen();
        match source.extent() {
            Extent::Whole => self.keep(),
            extent => self.extent = extent,
        }
    }

    /// All is here: it may be kept, before anybody is given the last of it.
    fn keep(&mut self) {
        let is_first = self.extent < Extent::Whole;
        self.extent = Extent::Whole;
        if let (Some(source), Some(Ok(head)), true, true) =
            (&mut self.source, &self.head, is_first, self.is_replayable)
        {
            self.is_kept = source.keep(head, &self.pieces);
        }
    }

    /// Nothing more comes.
    fn over(&mut self) -> Remains<S> {
        let source = self.source.take();
        self.seen = source.as_ref().map_or(self.seen, Source::seen);
        Remains {
            source,
            farewells: std::mem::take(&mut self.farewells),
            seen: self.seen,
        }
    }

    /// Lets go of what every reader has had; whether that made room.
    fn let_go(&mut self) -> bool {
        if self.is_replayable {
            return false;
        }
        let slowest = self.readers.iter().flatten().min();
        let slowest = slowest.copied().unwrap_or(usize::MAX);
        let before = self.gone;
        while self.gone < slowest
            && let Some(piece) = self.pieces.pop_front()
        {
            self.held -= piece.bytes.len();
            self.gone += 1;
        }
        self.gone > before
    }

    /// The head; of an answer that is all there with it, once that has been looked at.
    fn head(&self) -> Poll<Result<Arc<Head>, NoAnswer>> {
        let is_settled = |head: &Head| {
            !head.is_all
                || self.extent == Extent::Whole
                || !self.is_replayable
                || self.end.is_some()
        };
        match &self.head {
            Some(Ok(head)) if is_settled(head) => Poll::Ready(Ok(head.clone())),
            Some(Err(error)) => Poll::Ready(Err(error.clone())),
            _ => Poll::Pending,
        }
    }

    /// What comes next for a reader.
    fn next(&mut self, place: usize) -> Poll<Option<Result<Piece, Arc<Broken>>>> {
        let position = self.readers[place].get_or_insert_default();
        if let Some(piece) = self.pieces.get(*position - self.gone) {
            *position += 1;
            return Poll::Ready(Some(Ok(piece.clone())));
        }
        match &self.end {
            None => Poll::Pending,
            Some(Ok(())) => Poll::Ready(None),
            Some(Err(broken)) => Poll::Ready(Some(Err(broken.clone()))),
        }
    }

    /// All pieces at once.
    fn whole(&self) -> Poll<Result<Vec<Piece>, NotWhole>> {
        match &self.end {
            Some(Err(broken)) => Poll::Ready(Err(NotWhole::Broken(broken.clone()))),
            _ if !self.is_replayable => Poll::Ready(Err(NotWhole::Outgrown)),
            _ if self.extent == Extent::Whole => {
                Poll::Ready(Ok(self.pieces.iter().cloned().collect()))
            }
            _ => Poll::Pending,
        }
    }
}

/// What a source has come up with.
enum Step {
    Head(Result<Head, NoAnswer>),
    Piece(Option<Result<Piece, Broken>>),
}

impl Step {
    /// A panic ends the flight for all its readers alike.
    fn panicked(is_headless: bool) -> Self {
        let error = ApiError::internal("The gateway failed while it was waiting for an answer.");
        tracing::error!("a flight panicked");
        if is_headless {
            Self::Head(Err(NoAnswer::Error(error, Outcome::InternalError)))
        } else {
            Self::Piece(Some(Err(Broken {
                error,
                detail: "panicked".to_owned(),
                outcome: Outcome::InternalError,
            })))
        }
    }
}

/// One reader of a flight. Dropping it is leaving.
pub struct Reader<S: Source> {
    flight: Arc<Flight<S>>,
    place: usize,
}

impl<S: Source> Reader<S> {
    /// The head, or why there is none.
    pub fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<Arc<Head>, NoAnswer>> {
        self.flight.poll(self.place, context, |state| state.head())
    }

    /// The next piece; `None` after the last one. After the head.
    pub fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, Arc<Broken>>>> {
        let place = self.place;
        self.flight.poll(place, context, |state| state.next(place))
    }

    /// All pieces, once there are no more to come. After the head, and instead of reading piece by piece.
    pub fn poll_whole(&mut self, context: &mut Context<'_>) -> Poll<Result<Vec<Piece>, NotWhole>> {
        self.flight.poll(self.place, context, |state| state.whole())
    }

    /// What is known so far of the tokens.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.flight.lock().seen
    }

    /// Whether the whole of the answer is there and was kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.flight.lock().is_kept
    }

    /// Whether everything that belongs to the answer has been handed to this reader.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        let state = self.flight.lock();
        let had = state.readers[self.place].unwrap_or_default();
        state.extent >= Extent::Complete && had == state.gone + state.pieces.len()
    }

    /// The exact length of the whole, where all of it is there; with or without the usage chunk of a stream.
    #[must_use]
    pub fn exact_size(&self, with_usage: bool) -> Option<u64> {
        let state = self.flight.lock();
        let is_all = state.extent == Extent::Whole && state.is_replayable;
        let shown = |piece: &&Piece| with_usage || !piece.is_usage;
        let pieces = state.pieces.iter().filter(shown);
        is_all.then(|| pieces.map(|piece| piece.bytes.len() as u64).sum())
    }
}

impl<S: Source> Drop for Reader<S> {
    fn drop(&mut self) {
        // While the place is still this reader's.
        self.flight.waiting.forget(self.place);
        let mut state = self.flight.lock();
        state.readers[self.place] = None;
        let is_news = state.let_go();
        drop(state);
        if is_news {
            self.flight.waiting.wake_others(self.place);
        }
    }
}
