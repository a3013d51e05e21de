//! An exchange at the cache: answered from it, or one of the readers of a flight.

use std::{
    future::poll_fn,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderValue, StatusCode, header};
use millgate_plugin::{CacheStatus, Outcome};

use super::{Answer, Exchange};
use crate::{
    api::error::ApiError,
    cache::{
        Boarded, Cache, Found, Lead,
        asking::Asking,
        control::{Status, Why},
        entry::Entry,
        flight::{Head, NotWhole, Reader},
        form,
    },
    pipeline::{reply::Content, view::ReplyHead},
    routing::{
        answer::{Piece, Seen},
        attempt::Context,
        failure::Failure,
        flight::{NoAnswer, Tried},
    },
};

/// The flight's own deadline knows which target was slow: it has the first word, unless stages have kept the request
/// waiting before the flight began.
const FIRST_WORD: Duration = Duration::from_millis(250);

/// What a flight came to for one reader.
enum Read {
    /// It is read on, as it comes.
    Live(Arc<Head>),
    /// It has been read to its end.
    Whole(Arc<Head>, Vec<Piece>),
    /// It is too large to be given in another form.
    Outgrown,
}

impl Exchange {
    /// What the cache answers; `None` where the targets are to be asked for this exchange alone.
    pub(super) async fn ask_cache(
        &mut self,
        context: &Context,
    ) -> Option<Result<Answer, ApiError>> {
        let cache = context.pipeline.cache.as_deref()?;
        let (_, mut view) = self.view();
        if !cache.when.matches(&mut view) {
            return None;
        }
        let begun = Instant::now();
        let (key, found) = cache.look(context, &self.vars);
        self.record.looked_up = Some((cache.name.clone(), begun.elapsed()));
        self.record.cache_key = key;
        match found {
            Found::Bypass(why) => {
                self.cached = Some(Status::Bypass(why));
                None
            }
            Found::Absent => {
                self.cached = Some(Status::Absent);
                self.record.outcome = Some(Outcome::ClientError);
                Some(Err(ApiError::new(
                    StatusCode::GATEWAY_TIMEOUT,
                    "not_cached",
                    "No answer to this request is stored, and `Cache-Control: only-if-cached` keeps the gateway from asking for one.",
                )))
            }
            Found::Stored(entry, status) => {
                if let (Status::Hit { ttl: ..0 }, Some(key)) = (status, key) {
                    self.revalidate(cache, key, context);
                }
                self.replay(&entry, status).map(Ok)
            }
            Found::Flight(boarded) => self.read_flight(cache, context, boarded).await,
        }
    }

    async fn read_flight(
        &mut self,
        cache: &Cache,
        context: &Context,
        boarded: Boarded,
    ) -> Option<Result<Answer, ApiError>> {
        let Boarded {
            mut reader,
            lead,
            status,
            instead,
        } = boarded;
        self.cached = Some(status);
        // From now on the flight tells this exchange of its end.
        self.lead = lead;
        let wants_stream = self.request.stream;
        let reading = read(&mut reader, wants_stream);
        let patience = if self.lead.is_some() {
            context.deadline + FIRST_WORD
        } else {
            context.deadline
        };
        let read = tokio::time::timeout_at(patience.into(), reading).await;
        self.tried = self
            .lead
            .as_ref()
            .map(|lead| lead.log.tried())
            .unwrap_or_default();
        let failed = match read {
            Ok(Ok(Read::Live(head))) => {
                if head.is_all {
                    self.tell_whether_stored(reader.is_kept());
                }
                return Some(Ok(self.share(
                    &head,
                    reader.seen(),
                    Content::Flight(Box::new(reader)),
                )));
            }
            Ok(Ok(Read::Whole(head, pieces))) => {
                let endpoint = self.request.endpoint;
                let Some(pieces) = form::other(endpoint, head.is_stream, &pieces) else {
                    return self.ask_alone();
                };
                return Some(Ok(self.share(
                    &head,
                    reader.seen(),
                    Content::pieces(pieces),
                )));
            }
            Ok(Ok(Read::Outgrown)) => return self.ask_alone(),
            Ok(Err(failed)) => failed,
            Err(_) => NoAnswer::from(self.too_late()),
        };
        match (failed, instead) {
            (NoAnswer::Error(_, Outcome::UpstreamError | Outcome::Timeout), Some(entry)) => {
                self.replay(&entry, cache.stale(&entry)).map(Ok)
            }
            (NoAnswer::Error(error, outcome), _) => {
                self.record.outcome = Some(outcome);
                Some(Err(error))
            }
            (NoAnswer::Reply(reply), _) => Some(Ok(reply.into())),
        }
    }

    /// There is no other form of the answer: this one is asked for anew.
    fn ask_alone<T>(&mut self) -> Option<T> {
        self.cached = Some(Status::Bypass(Why::Form));
        None
    }

    /// An answer that is kept.
    fn replay(&mut self, entry: &Entry, status: Status) -> Option<Answer> {
        let is_other = entry.head.is_stream != self.request.stream;
        let pieces = if is_other {
            let pieces: Vec<_> = entry.pieces().collect();
            let Some(pieces) = form::other(self.request.endpoint, entry.head.is_stream, &pieces)
            else {
                return self.ask_alone();
            };
            pieces
        } else if self.watches_chunks() {
            entry.pieces().collect()
        } else {
            entry.joined()
        };
        self.cached = Some(status);
        let mut answer = self.share(&entry.head, entry.seen, Content::pieces(pieces));
        let age = HeaderValue::from(entry.age().as_secs());
        answer.head.headers.insert(header::AGE, age);
        Some(answer)
    }

    /// An answer that others may get too.
    fn share(&mut self, head: &Head, seen: Seen, content: Content) -> Answer {
        let (provider, model) = (head.provider.clone(), head.model.clone());
        let answered = self.tried.last().filter(|tried| tried.failure.is_none());
        match answered {
            // Only the exchange that began a flight has attempts.
            Some(tried) => self.record.serve(&tried.target, &model, seen),
            _ => self.record.share(provider, model, seen),
        }
        let ReplyHead { status, headers } = &head.reply;
        let mut headers = headers.clone();
        if head.is_stream != self.request.stream {
            form::relabel(&mut headers, self.request.stream);
        }
        Answer {
            head: ReplyHead {
                status: *status,
                headers,
            },
            content,
        }
    }

    fn tell_whether_stored(&mut self, is_kept: bool) {
        if let Some(
            Status::Miss { stored } | Status::Refetched { stored } | Status::Stale { stored },
        ) = &mut self.cached
        {
            *stored = is_kept;
        }
    }

    /// This exchange's own time is over; the flight may go on for others.
    fn too_late(&self) -> Failure {
        let asked = self.tried.last();
        let provider = asked.map_or("of another request", |tried| &tried.target.provider.name);
        Failure::timeout(provider, "deadline")
    }

    /// What the cache had to do with it, for stages and the log.
    pub(super) fn cache_status(&self) -> Option<CacheStatus> {
        self.cached.map(|status| match status {
            Status::Hit { ttl: ..0 } => CacheStatus::Stale,
            Status::Hit { .. } => CacheStatus::Hit,
            Status::Collapsed => CacheStatus::Collapsed,
            Status::Bypass(_) => CacheStatus::Bypass,
            Status::Miss { .. }
            | Status::Refetched { .. }
            | Status::Stale { .. }
            | Status::Absent => CacheStatus::Miss,
        })
    }

    /// Ends this exchange once its flight has ended and it is known what that has cost: now, unless others still read it.
    pub(super) fn end_with(&mut self, lead: Lead) {
        let Lead { flight, log } = lead;
        match flight.end() {
            Ok(seen) => {
                self.charge(log.tried(), seen);
                self.end();
            }
            Err(flight) => {
                let mut rest = self.take();
                // Dropped, it ends.
                flight.at_end(Box::new(move |seen| rest.charge(log.tried(), seen)));
            }
        }
    }

    /// What its flight has come to.
    fn charge(&mut self, tried: Vec<Tried>, seen: Seen) {
        self.tried = tried;
        let answered = self.tried.last().filter(|_| seen.output_estimate.is_some());
        match answered.map(|tried| tried.target.clone()) {
            Some(target) => {
                let request = &self.request;
                let model = target.model_for(request.endpoint, &request.model).into();
                self.record.serve(&target, &model, seen);
            }
            None => self.record.finish(seen),
        }
    }

    /// Everything of this exchange, so that it can end elsewhere.
    fn take(&mut self) -> Self {
        Self {
            runtime: self.runtime.clone(),
            request: self.request.clone(),
            route: self.route.take(),
            states: std::mem::take(&mut self.states),
            vars: std::mem::take(&mut self.vars),
            head: std::mem::take(&mut self.head),
            tried: std::mem::take(&mut self.tried),
            origin: None,
            is_unread: false,
            record: std::mem::take(&mut self.record),
            cached: self.cached,
            lead: None,
            share: std::mem::replace(&mut self.share, self.runtime.budget.share(0)),
        }
    }
}

/// Reads a flight up to where this reader can answer.
async fn read(reader: &mut Reader<Asking>, wants_stream: bool) -> Result<Read, NoAnswer> {
    let head = poll_fn(|context| reader.poll_head(context)).await?;
    if head.is_stream == wants_stream {
        return Ok(Read::Live(head));
    }
    match poll_fn(|context| reader.poll_whole(context)).await {
        Ok(pieces) => Ok(Read::Whole(head, pieces)),
        Err(NotWhole::Outgrown) => Ok(Read::Outgrown),
        Err(NotWhole::Broken(broken)) => Err(NoAnswer::Error(broken.error.clone(), broken.outcome)),
    }
}
