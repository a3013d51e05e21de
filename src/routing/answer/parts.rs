//! What an answer is made of: where its bytes come from, how they are cut, and what may befall them.

use std::{any::Any, sync::Arc};

use bytes::Bytes;
use millgate_plugin::{Endpoint, Refusal};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{
    http::sse::Splitter,
    providers::erased::ErasedProvider,
    routing::{
        pool::UpstreamReply,
        scanner::{ReplyError, StreamScanner, Usage},
    },
};

/// The most that one event may hold: images come as base64 within events.
const MAX_EVENT: usize = 32 << 20;

/// Where the bytes come from.
pub enum Source {
    /// A socket.
    Upstream(UpstreamReply),
    /// A provider that answers by itself.
    Answering(mpsc::Receiver<Result<Bytes, Refusal>>),
    /// Nothing more comes.
    Ended,
}

/// How a reply is cut into pieces.
pub enum Shape {
    /// Server-sent events, each watched.
    Events {
        /// Cuts.
        splitter: Splitter,
        /// Watches.
        scanner: StreamScanner,
        /// Whether a `[DONE]` comes last; a stream of the Responses API just ends.
        has_done: bool,
    },
    /// A JSON document, collected until it is complete or larger than 1 MiB.
    Document {
        /// What it answers.
        endpoint: Endpoint,
        /// What has come of it.
        parts: Vec<Bytes>,
        /// How much that is, in bytes.
        length: usize,
    },
    /// Bytes of whatever kind, as they come.
    Raw,
}

impl Shape {
    /// The shape of a JSON document of which nothing has come yet.
    #[must_use]
    pub const fn document(endpoint: Endpoint) -> Self {
        Self::Document {
            endpoint,
            parts: Vec::new(),
            length: 0,
        }
    }

    /// The shape of an endpoint's event stream, for an answer of so many choices.
    #[must_use]
    pub fn events(endpoint: Endpoint, choices: u64) -> Self {
        Self::Events {
            splitter: Splitter::new(MAX_EVENT),
            scanner: StreamScanner::new(endpoint).choices_of(choices),
            has_done: endpoint != Endpoint::Responses,
        }
    }
}

/// A codec at work on one answer.
pub type Decoder = (Arc<dyn ErasedProvider>, Box<dyn Any + Send>);

/// A piece of an answer.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Of an event stream one whole event, of a document all of it, else bytes as they came.
    pub bytes: Bytes,
    /// Whether this is the usage chunk of a stream, which a client that did not ask for it must not see.
    pub is_usage: bool,
}

/// Why an answer broke off.
#[derive(Debug)]
pub enum Fault {
    /// The connection failed.
    Broken(String),
    /// It ended before its end.
    Incomplete(&'static str),
    /// What came is not what it should be.
    Bad(String),
    /// The upstream reported an error in mid-answer.
    Reported(Box<ReplyError>),
    /// The codec refused what came.
    Codec(Refusal),
    /// Nothing came for too long.
    Idle,
    /// It took too long as a whole.
    TooLong,
}

/// What is known of the tokens of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// As the upstream counted them.
    pub usage: Option<Usage>,
    /// Those of the answer so far, as estimated from what has passed; `None` while there is no answer.
    pub output_estimate: Option<u64>,
}
