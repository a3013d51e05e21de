//! What the gateway asks on its own account: an answer past its time was given, and is fetched anew while nobody waits.
//!
//! That is an exchange of its own, so that nothing that an upstream is paid for goes unrecorded. It is booked to the caller of the
//! exchange that has set it off, but no stage above `route` hears of it: it counts towards nobody's limits and budgets.

use std::{
    future::poll_fn,
    sync::Arc,
    time::{Instant, SystemTime},
};

use millgate_plugin::Outcome;

use super::Exchange;
use crate::{
    api::error::ApiError,
    cache::{
        Cache, Refetch,
        asking::Asking,
        flight::{NotWhole, Reader},
        key::Key,
    },
    pipeline::request::ClientRequest,
    routing::{attempt::Context, flight::NoAnswer},
    server::tasks,
    telemetry::traces::context::{TRACESTATE, TraceContext},
};

/// The error of an answer that has outgrown what may be kept: it is of no use, and not read to its end.
const OUTGROWN: &str = "too_large_to_keep";

impl Exchange {
    /// Fetches anew what is kept under a key, unless that is under way.
    pub(super) fn revalidate(&self, cache: &Cache, key: Key, context: &Context) {
        let own = || Context {
            request: Arc::new(again(&context.request)),
            ..context.clone()
        };
        let Some(refetch) = cache.refetch(key, own, &self.vars) else {
            return;
        };
        let Refetch {
            request,
            reader,
            lead,
            permit,
        } = refetch;
        let mut exchange = Box::new(Self::begin(self.runtime.clone(), request, 0));
        exchange.route = Some(context.route.clone());
        exchange.record.cache_key = Some(key);
        exchange.record.is_revalidation = true;
        exchange.lead = Some(lead);
        tasks::spawn(async move {
            exchange.fetch(reader).await;
            drop(permit);
        });
    }

    /// Reads what comes, which is the cache's to keep. Dropped on the way, it ends like any other exchange.
    async fn fetch(mut self: Box<Self>, reader: Reader<Asking>) {
        let (outcome, error) = match read(reader).await {
            Ok(()) => (Outcome::Ok, None),
            Err((outcome, code)) => (outcome, Some(code)),
        };
        self.record.outcome = Some(outcome);
        self.record.error = error;
    }
}

async fn read(mut reader: Reader<Asking>) -> Result<(), (Outcome, String)> {
    let failed = |error: &ApiError, outcome| (outcome, error.code.to_string());
    match poll_fn(|context| reader.poll_head(context)).await {
        Ok(_) => {}
        Err(NoAnswer::Reply(_)) => return Ok(()),
        Err(NoAnswer::Error(error, outcome)) => return Err(failed(&error, outcome)),
    }
    match poll_fn(|context| reader.poll_whole(context)).await {
        Ok(_) => Ok(()),
        Err(NotWhole::Broken(broken)) => Err(failed(&broken.error, broken.outcome)),
        Err(NotWhole::Outgrown) => Err((Outcome::ClientClosed, OUTGROWN.to_owned())),
    }
}

/// The same request, made now: in the same trace, below the span of the exchange that sets it off.
fn again(request: &ClientRequest) -> ClientRequest {
    let mut own = ClientRequest {
        started: Instant::now(),
        time: SystemTime::now(),
        trace: request.trace.map(TraceContext::child),
        ..request.clone()
    };
    if request.trace.is_some_and(|trace| trace.parent.is_none()) {
        // It belongs to no trace that is known.
        own.headers.remove(TRACESTATE);
    }
    own
}
