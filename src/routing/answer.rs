//! What a provider answers, read piece by piece: from a socket or from a provider that answers by itself, decoded
//! where the codec asks for it, split into events and watched for content, its end and its usage.

mod parts;

pub use parts::{Decoder, Fault, Piece, Seen, Shape, Source};

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::Body;
use millgate_plugin::Endpoint;
use tokio::time::{Instant, Sleep};

use super::{
    pace::Pace,
    scanner::{Document, Usage, Witness},
    transport::chain,
};
use crate::http::{json, sse};

/// The largest document that is collected before it is passed on; a larger one is committed when it gets there.
const MAX_DOCUMENT: usize = 1 << 20;

/// How long an upstream may take to end a stream after its `[DONE]`, before it is taken as ended.
const AFTER_DONE: Duration = Duration::from_secs(1);

/// An answer being read.
pub struct Answer {
    source: Source,
    decoder: Option<Decoder>,
    shape: Shape,
    ready: VecDeque<Result<Piece, Fault>>,
    usage: Option<Usage>,
    progress: Progress,
    has_failed: bool,
    received: u64,
    /// Where the times of its events are noted.
    pace: Option<Arc<Pace>>,
    /// Where a trace is interested in it.
    witness: Option<Arc<Witness>>,
    /// Runs only after the commit.
    timer: Option<Timer>,
}

/// How far an answer has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    /// Nothing that a client would see.
    Silent,
    /// Content, or a document that is passed on before its end.
    Content,
    /// All that belongs to the answer; a usage chunk and `[DONE]` may follow.
    Complete,
    /// `[DONE]` or what else comes last, or the end of the document.
    Done,
}

/// The limits on silence and on the whole. Frames move `silent_since`; the timer is set anew only when it fires.
struct Timer {
    idle: Duration,
    end: Option<Instant>,
    silent_since: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl Answer {
    /// An answer to be read from `source`; `decoder` where the bytes are not in the OpenAI shape yet.
    #[must_use]
    pub fn new(source: Source, shape: Shape, decoder: Option<Decoder>) -> Self {
        Self {
            source,
            decoder,
            shape,
            ready: VecDeque::new(),
            usage: None,
            progress: Progress::Silent,
            has_failed: false,
            received: 0,
            pace: None,
            witness: None,
            timer: None,
        }
    }

    /// Has the times of its events noted.
    #[must_use]
    pub fn paced(mut self, pace: Option<Arc<Pace>>) -> Self {
        self.pace = pace;
        self
    }

    /// The same, watched for a trace.
    #[must_use]
    pub fn watched(mut self, witness: Option<Arc<Witness>>) -> Self {
        self.witness = witness;
        self
    }

    /// Whether content, or a complete document, has come.
    #[must_use]
    pub fn has_content(&self) -> bool {
        self.progress >= Progress::Content
    }

    /// Whether all that belongs to the answer has come, although its source may still be open.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.progress >= Progress::Complete
    }

    /// Whether nothing is waiting to be handed out.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        self.ready.is_empty()
    }

    /// Whether nothing more comes.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ready.is_empty() && matches!(self.source, Source::Ended)
    }

    /// Tokens, as the upstream counted them.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Events with content that have passed, about one for each token; `None` where it is no event stream.
    #[must_use]
    pub fn tokens_seen(&self) -> Option<u64> {
        match &self.shape {
            Shape::Events { scanner, .. } => Some(scanner.tokens_seen()),
            _ => None,
        }
    }

    /// Whether nothing that belongs to the answer is missing any more, `[DONE]` included.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.progress == Progress::Done
    }

    /// Whether the answer tells, in its own words, that it has failed.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// Bytes that came from the provider.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// The exact length of what is still to come, where it is known.
    #[must_use]
    pub fn exact_size(&self) -> Option<u64> {
        match (&self.source, &self.shape) {
            (Source::Upstream(body), Shape::Raw) if self.decoder.is_none() => {
                let ready = self.ready.iter().flatten();
                let ready: usize = ready.map(|piece| piece.bytes.len()).sum();
                body.size_hint().exact().map(|rest| rest + ready as u64)
            }
            _ => None,
        }
    }

    /// From the commit on: the limits on silence and on the whole.
    pub fn limit(&mut self, idle: Duration, whole: Option<Duration>) {
        if matches!(self.source, Source::Ended) {
            return;
        }
        let idle = if self.progress == Progress::Done {
            AFTER_DONE
        } else {
            idle
        };
        let now = Instant::now();
        let end = whole.map(|whole| now + whole);
        let first = end.map_or(now + idle, |end| end.min(now + idle));
        self.timer = Some(Timer {
            idle,
            end,
            silent_since: now,
            sleep: Box::pin(tokio::time::sleep_until(first)),
        });
    }

    /// The next piece; `None` when there is no more. Nothing follows a fault.
    pub fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Piece, Fault>>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Poll::Ready(Some(piece));
            }
            if matches!(self.source, Source::Ended) {
                return Poll::Ready(None);
            }
            let step = match self.poll_source(context) {
                Poll::Ready(Some(Ok(bytes))) => self.take(&bytes),
                Poll::Ready(Some(Err(fault))) => Err(fault),
                Poll::Ready(None) => {
                    self.source = Source::Ended;
                    self.finish()
                }
                Poll::Pending => std::task::ready!(self.poll_timer(context)),
            };
            if let Err(fault) = step {
                self.source = Source::Ended;
                if !self.is_nobodys_loss(&fault) {
                    self.ready.push_back(Err(fault));
                }
            }
        }
    }

    /// What befalls a connection after the last byte that matters. An error event would tell the client that its
    /// complete answer is none.
    fn is_nobodys_loss(&self, fault: &Fault) -> bool {
        match fault {
            Fault::Broken(_) | Fault::Incomplete(_) | Fault::Idle => self.is_complete(),
            _ => self.progress == Progress::Done,
        }
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        match &mut self.source {
            Source::Upstream(body) => loop {
                match std::task::ready!(Pin::new(&mut *body).poll_frame(context)) {
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            return Poll::Ready(Some(Ok(data)));
                        }
                    }
                    Some(Err(error)) => {
                        return Poll::Ready(Some(Err(Fault::Broken(chain(&error)))));
                    }
                    None => return Poll::Ready(None),
                }
            },
            Source::Answering(answers) => answers
                .poll_recv(context)
                .map(|answer| answer.map(|answer| answer.map_err(Fault::Codec))),
            Source::Ended => Poll::Ready(None),
        }
    }

    /// Bytes from the provider.
    fn take(&mut self, bytes: &Bytes) -> Result<(), Fault> {
        self.received += bytes.len() as u64;
        if let Some(timer) = &mut self.timer {
            timer.silent_since = Instant::now();
        }
        let Some((codec, state)) = &mut self.decoder else {
            return self.cut(bytes.clone());
        };
        let mut decoded = Vec::with_capacity(bytes.len() * 2);
        let verdict = codec.on_data(&mut **state, bytes, false, &mut decoded);
        // What the codec made of the bytes before it gave up is whole, and goes out.
        self.cut(Bytes::from(decoded))?;
        verdict.map_err(Fault::Codec)
    }

    /// The source has ended.
    fn finish(&mut self) -> Result<(), Fault> {
        if let Some((codec, mut state)) = self.decoder.take() {
            let mut decoded = Vec::new();
            let verdict = codec.on_data(&mut *state, &[], true, &mut decoded);
            self.cut(Bytes::from(decoded))?;
            verdict.map_err(Fault::Codec)?;
        }
        match &mut self.shape {
            Shape::Raw => self.progress = Progress::Done,
            Shape::Document {
                endpoint, parts, ..
            } => {
                let (endpoint, document) = (*endpoint, join(std::mem::take(parts)));
                self.finish_document(endpoint, document)?;
            }
            Shape::Events { splitter, .. } => {
                // Some upstreams leave out the last blank line; of a half event nobody could make anything.
                if let Some(tail) = splitter.finish().filter(|tail| is_whole(tail)) {
                    let mut event = tail.to_vec();
                    event.extend_from_slice(b"\n\n");
                    self.cut(Bytes::from(event))?;
                }
                if !self.is_complete() {
                    return Err(Fault::Incomplete("the stream broke off before its end"));
                }
            }
        }
        Ok(())
    }

    /// Cuts bytes in the OpenAI shape into pieces.
    fn cut(&mut self, bytes: Bytes) -> Result<(), Fault> {
        if bytes.is_empty() {
            return Ok(());
        }
        match &mut self.shape {
            Shape::Raw => {
                self.progress = self.progress.max(Progress::Content);
                self.ready.push_back(Ok(Piece {
                    bytes,
                    is_usage: false,
                }));
            }
            Shape::Document { parts, length, .. } => {
                *length += bytes.len();
                parts.push(bytes);
                if *length > MAX_DOCUMENT {
                    let parts = std::mem::take(parts);
                    self.ready.extend(parts.into_iter().map(|bytes| {
                        Ok(Piece {
                            bytes,
                            is_usage: false,
                        })
                    }));
                    self.shape = Shape::Raw;
                    self.progress = Progress::Content;
                }
            }
            Shape::Events { .. } => return self.cut_events(bytes),
        }
        Ok(())
    }

    fn cut_events(&mut self, bytes: Bytes) -> Result<(), Fault> {
        let Shape::Events {
            splitter,
            scanner,
            has_done,
        } = &mut self.shape
        else {
            return Ok(());
        };
        splitter.push(bytes);
        let mut with_content = 0;
        while let Some(event) = splitter
            .next_event()
            .map_err(|error| Fault::Bad(error.to_string()))?
        {
            let before = scanner.tokens_seen();
            let mark = scanner.look(&event);
            if let Some(witness) = &self.witness {
                witness.event(&event);
            }
            with_content += u32::from(scanner.tokens_seen() > before);
            // A response that fails after it has begun says so in an event of its own, which its client knows.
            if let Some(error) = mark.error {
                if !mark.end || self.progress < Progress::Content {
                    return Err(Fault::Reported(error));
                }
                self.has_failed = true;
            }
            if mark.garbage {
                return Err(Fault::Bad("an event is not JSON".to_owned()));
            }
            self.usage = mark.usage.or(self.usage);
            let reached = match () {
                () if mark.done || (mark.end && !*has_done) => Progress::Done,
                () if mark.end => Progress::Complete,
                () if mark.content => Progress::Content,
                () => Progress::Silent,
            };
            if reached == Progress::Done
                && let Some(timer) = &mut self.timer
            {
                timer.idle = AFTER_DONE;
                timer.sleep.as_mut().reset(Instant::now() + AFTER_DONE);
            }
            self.progress = self.progress.max(reached);
            self.ready.push_back(Ok(Piece {
                bytes: event,
                is_usage: mark.usage_only,
            }));
        }
        if let Some(pace) = &self.pace {
            pace.came(with_content);
        }
        Ok(())
    }

    /// A complete document: it must be JSON, and not an error in disguise.
    fn finish_document(&mut self, endpoint: Endpoint, document: Bytes) -> Result<(), Fault> {
        let seen = Document::look(endpoint, &document)
            .map_err(|error| Fault::Bad(format!("the reply is not a JSON object ({error})")))?;
        if let Some(error) = seen.error {
            return Err(Fault::Reported(error));
        }
        self.usage = seen.usage;
        if let Some(witness) = &self.witness {
            witness.document(&document);
        }
        self.progress = Progress::Done;
        self.ready.push_back(Ok(Piece {
            bytes: document,
            is_usage: false,
        }));
        Ok(())
    }

    /// While nothing comes: ready once a limit has run out, or after `[DONE]`.
    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let Some(timer) = &mut self.timer else {
            return Poll::Pending;
        };
        loop {
            std::task::ready!(timer.sleep.as_mut().poll(context));
            let now = Instant::now();
            if timer.end.is_some_and(|end| now >= end) {
                return Poll::Ready(Err(Fault::TooLong));
            }
            let silent_until = timer.silent_since + timer.idle;
            if now >= silent_until {
                return Poll::Ready(Err(Fault::Idle));
            }
            timer
                .sleep
                .as_mut()
                .reset(timer.end.map_or(silent_until, |end| end.min(silent_until)));
        }
    }
}

/// Whether the end of a stream, which no blank line ends, is an event nevertheless.
fn is_whole(tail: &[u8]) -> bool {
    let data = sse::data(tail);
    let data = data.trim_ascii();
    data == b"[DONE]" || json::scan(data).is_ok()
}

fn join(mut parts: Vec<Bytes>) -> Bytes {
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => Bytes::from(parts.concat()),
    }
}
