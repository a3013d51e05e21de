//! What the body of a reply is made of.

use std::{
    sync::Arc,
    task::{Context, Poll},
    vec,
};

use bytes::Bytes;

use crate::{
    cache::{asking::Asking, flight::Reader},
    routing::{
        answer::{Piece, Seen},
        attempt::{Attempt, Broken},
    },
};

/// What a body is made of.
pub enum Content {
    /// All of it, until it has been taken.
    Full(Option<Bytes>),
    /// All of it, in pieces.
    Pieces(vec::IntoIter<Piece>),
    /// An attempt that has committed.
    Attempt(Box<Attempt>),
    /// A flight that others may read too.
    Flight(Box<Reader<Asking>>),
    /// Nothing more.
    Ended,
}

impl Content {
    /// All of a body that is there already.
    #[must_use]
    pub fn pieces(pieces: Vec<Piece>) -> Self {
        Self::Pieces(pieces.into_iter())
    }

    /// The next piece; `None` after the last one.
    pub fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Piece, Arc<Broken>>>> {
        match self {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| {
                Ok(Piece {
                    bytes,
                    is_usage: false,
                })
            })),
            Self::Pieces(pieces) => Poll::Ready(pieces.next().map(Ok)),
            Self::Attempt(attempt) => attempt
                .poll_piece(context)
                .map(|piece| piece.map(|piece| piece.map_err(Arc::new))),
            Self::Flight(reader) => reader.poll_piece(context),
            Self::Ended => Poll::Ready(None),
        }
    }

    /// What is known so far of the tokens; `None` where this does not tell.
    #[must_use]
    pub fn seen(&self) -> Option<Seen> {
        match self {
            Self::Attempt(attempt) => Some(attempt.seen()),
            Self::Flight(reader) => Some(reader.seen()),
            _ => None,
        }
    }

    /// The length of the whole, where it is known; with or without the usage chunk of a stream.
    #[must_use]
    pub fn exact_size(&self, with_usage: bool) -> Option<u64> {
        match self {
            Self::Full(bytes) => Some(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Self::Pieces(pieces) => {
                let shown = |piece: &&Piece| with_usage || !piece.is_usage;
                let shown = pieces.as_slice().iter().filter(shown);
                Some(shown.map(|piece| piece.bytes.len() as u64).sum())
            }
            Self::Attempt(attempt) => attempt.exact_size(),
            Self::Flight(reader) => reader.exact_size(with_usage),
            Self::Ended => Some(0),
        }
    }

    /// Whether all that belongs to the answer has been taken.
    #[must_use]
    pub fn is_delivered(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Pieces(pieces) => pieces.as_slice().is_empty(),
            Self::Attempt(attempt) => attempt.is_delivered(),
            Self::Flight(reader) => reader.is_delivered(),
            Self::Ended => true,
        }
    }

    /// Whether nothing more can come, as far as that is known without asking.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Pieces(pieces) => pieces.as_slice().is_empty(),
            Self::Attempt(_) | Self::Flight(_) => false,
            Self::Ended => true,
        }
    }
}
