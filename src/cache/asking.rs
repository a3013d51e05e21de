//! What drives a real flight: the route's targets until one commits, then what that one answers.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Instant,
};

use millgate_plugin::Outcome;

use super::flight::{Extent, Head, Source};
use crate::{
    pipeline::request::Vars,
    routing::{
        answer::{Piece, Seen},
        attempt::{self, Attempt, Broken},
        flight::{self, Journal, NoAnswer, StageTimes, Tried},
        retry::FailureClass,
    },
};

/// The attempts of a flight, which its leader tells of.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Tried>>>);

impl Log {
    /// The attempts so far.
    #[must_use]
    pub fn tried(&self) -> Vec<Tried> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Journal for Log {
    fn begin(&mut self, tried: Tried) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.begin(tried);
    }

    fn settle(&mut self, begun: Instant, ended: Result<StageTimes, FailureClass>) {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        list.settle(begun, ended);
    }
}

/// What is done with an answer that is whole; whether it was kept.
pub type Keep = Box<dyn FnOnce(&Attempt, &[Tried], &Head, &VecDeque<Piece>) -> bool + Send>;

/// The source of a flight.
pub struct Asking {
    stage: Stage,
    is_stream: bool,
    log: Log,
    keep: Option<Keep>,
}

enum Stage {
    /// No target has committed yet.
    Waiting(Pin<Box<dyn Future<Output = Result<Attempt, NoAnswer>> + Send>>),
    /// One has.
    Reading(Box<Attempt>),
    /// None will.
    Over,
}

impl Asking {
    /// Asks the targets of a route; `keep` gets the answer once it is whole, if it becomes that.
    #[must_use]
    pub fn new(context: attempt::Context, vars: Vars, keep: Keep) -> Self {
        let log = Log::default();
        let mut journal = log.clone();
        let is_stream = context.request.stream;
        let waiting = async move { flight::answer(&context, &vars, &mut journal).await };
        Self {
            stage: Stage::Waiting(Box::pin(waiting)),
            is_stream,
            log,
            keep: Some(keep),
        }
    }

    /// Its attempts, to be looked at while it goes on.
    #[must_use]
    pub fn log(&self) -> Log {
        self.log.clone()
    }

    fn end(&mut self, outcome: Outcome) {
        if let Stage::Reading(attempt) = &mut self.stage {
            attempt.end(outcome);
        }
    }
}

impl Source for Asking {
    fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<Head, NoAnswer>> {
        let Stage::Waiting(waiting) = &mut self.stage else {
            return Poll::Pending;
        };
        let answer = ready!(waiting.as_mut().poll(context));
        self.stage = Stage::Over;
        Poll::Ready(answer.map(|attempt| {
            let head = Head {
                reply: attempt.head.clone(),
                provider: attempt.target.provider.name.clone(),
                model: attempt.model.clone(),
                is_stream: self.is_stream,
                is_all: attempt.is_all_there(),
            };
            self.stage = Stage::Reading(Box::new(attempt));
            head
        }))
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Piece, Broken>>> {
        let Stage::Reading(attempt) = &mut self.stage else {
            return Poll::Ready(None);
        };
        let piece = ready!(attempt.poll_piece(context));
        if let Some(Err(broken)) = &piece {
            let outcome = broken.outcome;
            self.end(outcome);
        }
        Poll::Ready(piece)
    }

    fn extent(&self) -> Extent {
        match &self.stage {
            Stage::Reading(attempt) if attempt.is_spent() => Extent::Whole,
            Stage::Reading(attempt) if attempt.is_delivered() => Extent::Complete,
            _ => Extent::Part,
        }
    }

    fn seen(&self) -> Seen {
        match &self.stage {
            Stage::Reading(attempt) => attempt.seen(),
            _ => Seen::default(),
        }
    }

    fn keep(&mut self, head: &Head, pieces: &VecDeque<Piece>) -> bool {
        match (&self.stage, self.keep.take()) {
            (Stage::Reading(attempt), Some(keep)) => keep(attempt, &self.log.tried(), head, pieces),
            _ => false,
        }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        if self.extent() >= Extent::Complete {
            self.end(Outcome::Ok);
        }
    }
}
