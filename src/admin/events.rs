//! `/api/events`: exchanges as they end, and the status each second, as server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};
use tokio::{
    sync::{OwnedSemaphorePermit, broadcast, mpsc},
    time::MissedTickBehavior,
};

use super::{
    Admin,
    access::Pass,
    exchanges::exchange,
    query::{Query, invalid},
    reply::{Body, Reply},
    status::status,
};
use crate::{api::error::ApiError, server::tasks, telemetry::ended::Ended};

/// So many may follow at a time.
pub(super) const MOST_FOLLOWERS: usize = 32;

/// So many events wait for a follower that is slow, beside what the broadcast keeps for it.
const WAITING: usize = 64;

/// How often the status is sent, and looked whether the follower may still follow.
const BEAT: Duration = Duration::from_secs(1);

/// After so many beats without an event a comment is sent, so that nobody takes the connection for dead.
const QUIET: u32 = 15;

/// A follower that takes nothing for so long is let go.
const PATIENCE: Duration = Duration::from_secs(30);

/// `GET /api/events?status=off&exchanges=off`
pub(super) fn follow(
    admin: &Arc<Admin>,
    pass: Pass,
    query: &mut Query<'_>,
) -> Result<Reply, ApiError> {
    let (wants_status, wants_exchanges) = (is_on(query, "status")?, is_on(query, "exchanges")?);
    let Ok(permit) = admin.followers.clone().try_acquire_owned() else {
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_followers",
            format!("{MOST_FOLLOWERS} follow already. Close one, or ask /api/exchanges."),
        ));
    };
    // From before the reply: whoever has its head misses nothing.
    let exchanges = wants_exchanges.then(|| admin.gateway.process().observer.follow());
    let (events, body) = mpsc::channel(WAITING);
    let follower = Follower {
        admin: admin.clone(),
        pass,
        events,
        _permit: permit,
    };
    tasks::spawn(async move {
        // It ends with the one who follows.
        let _ = follower.run(exchanges, wants_status).await;
        tracing::debug!("a follower of the events has left");
    });
    let mut response = Response::new(Body::Events(body));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    Ok(response)
}

fn is_on(query: &mut Query<'_>, name: &str) -> Result<bool, ApiError> {
    match query.take(name).as_deref() {
        None | Some("on") => Ok(true),
        Some("off") => Ok(false),
        Some(_) => Err(invalid(name, "is `on` or `off`")),
    }
}

struct Follower {
    admin: Arc<Admin>,
    pass: Pass,
    events: mpsc::Sender<Bytes>,
    _permit: OwnedSemaphorePermit,
}

/// There is nobody any more, or nobody who may follow.
struct Gone;

impl Follower {
    async fn run(
        self,
        mut exchanges: Option<broadcast::Receiver<Arc<Ended>>>,
        wants_status: bool,
    ) -> Result<(), Gone> {
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut quiet = 0;
        self.send(": millgate\n\n".to_owned()).await?;
        loop {
            let event = tokio::select! {
                ended = next(&mut exchanges) => match ended {
                    Ok(ended) => event("exchange", &exchange(&ended)),
                    Err(missed) => event("missed", &json!({ "count": missed })),
                },
                _ = beat.tick() => {
                    if !self.admin.access.holds(self.admin.token(), self.pass) {
                        return Err(Gone);
                    }
                    quiet += 1;
                    if wants_status {
                        event("status", &status(&self.admin))
                    } else if quiet >= QUIET {
                        ": still here\n\n".to_owned()
                    } else {
                        continue;
                    }
                }
                () = self.events.closed() => return Err(Gone),
            };
            quiet = 0;
            self.send(event).await?;
        }
    }

    async fn send(&self, event: String) -> Result<(), Gone> {
        let sent = tokio::time::timeout(PATIENCE, self.events.send(event.into())).await;
        sent.map_err(|_| Gone)?.map_err(|_| Gone)
    }
}

/// The next exchange that ends; `Err` has how many went by unseen.
async fn next(exchanges: &mut Option<broadcast::Receiver<Arc<Ended>>>) -> Result<Arc<Ended>, u64> {
    let Some(followed) = exchanges else {
        return std::future::pending().await;
    };
    match followed.recv().await {
        Ok(ended) => Ok(ended),
        Err(broadcast::error::RecvError::Lagged(missed)) => Err(missed),
        // The process is about to end.
        Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
    }
}

/// JSON has no line breaks of its own.
fn event(name: &str, data: &Value) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}
