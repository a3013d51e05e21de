//! `/api/usage`: what was used, from the ledger.

use std::time::{Duration, SystemTime};

use clap::ValueEnum as _;
use http::StatusCode;
use tokio::sync::Semaphore;

use super::query::{Query, invalid};
use crate::{
    api::error::ApiError,
    calendar, config,
    ledger::usage::{self, By, Usage},
    runtime::gateway::Gateway,
};

/// So many questions are answered at a time: each reads much, and goes on after its client has left.
static ASKING: Semaphore = Semaphore::const_new(4);

/// How long one more waits for its turn: a page asks two at once, and several may be open.
const TURN: Duration = Duration::from_secs(5);

/// Over which time, unless the query says so.
const DAY: Duration = Duration::from_hours(24);

/// `GET /api/usage?since=24h&until=…&by=caller`
pub(super) async fn usage(gateway: &Gateway, query: &mut Query<'_>) -> Result<Usage, ApiError> {
    let now = SystemTime::now();
    let since = query.take("since");
    let since = since.map_or(Ok(now - DAY), |text| moment("since", &text, now))?;
    let until = query.take("until");
    let until = until.map_or(Ok(now), |text| moment("until", &text, now))?;
    let by = match query.take("by") {
        Some(name) => {
            By::named(&name).ok_or_else(|| invalid("by", &format!("is one of {}", names())))?
        }
        None => By::default(),
    };
    if until < since {
        return Err(invalid("until", "lies before `since`"));
    }
    let place = gateway.process().observer.ledger.place().ok_or_else(off)?;
    let told = ask(&ASKING, TURN, move || {
        usage::usage(&place, since, until, by)
    })
    .await?;
    told.map_err(|error| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ledger_unavailable",
            format!("The ledger cannot be read: {error}"),
        )
    })
}

/// Has a question answered, which blocks; refuses it where its turn does not come in this time.
async fn ask<T: Send + 'static>(
    asking: &'static Semaphore,
    patience: Duration,
    question: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    let turn = tokio::time::timeout(patience, asking.acquire()).await;
    let Ok(Ok(permit)) = turn else {
        return Err(busy());
    };
    let asked = tokio::task::spawn_blocking(move || {
        // Held for as long as the database works, whether or not the client waits for it.
        let _permit = permit;
        question()
    });
    asked
        .await
        .map_err(|_| ApiError::internal("The ledger could not be asked. See the log."))
}

fn busy() -> ApiError {
    let mut error = ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "ledger_busy",
        "The ledger is answering others. Ask again in a moment.",
    );
    error.retry_after = Some(Duration::from_secs(1));
    error
}

fn names() -> String {
    let names: Vec<_> = By::value_variants().iter().map(|by| by.name()).collect();
    names.join(", ")
}

fn off() -> ApiError {
    ApiError::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "ledger_off",
        "This gateway keeps no ledger. See [ledger] in the configuration.",
    )
}

/// A moment: so long ago (`24h`), a date, or a date and time in UTC (`2026-11-22T14:14:39Z`).
fn moment(name: &str, text: &str, now: SystemTime) -> Result<SystemTime, ApiError> {
    let ago = text
        .parse::<config::Duration>()
        .ok()
        .and_then(|ago| now.checked_sub(ago.get()));
    let at = || {
        let seconds = calendar::parse(text)?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
    };
    ago.or_else(at).ok_or_else(|| {
        invalid(
            name,
            "is a time such as 24h, 2026-11-22 or 2026-11-22T14:14:39Z",
        )
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Far longer than any of this takes.
    const PATIENCE: Duration = Duration::from_mins(1);

    /// A question that says when it is being answered, and is answered when this sender says so or is dropped.
    fn question(begun: &mpsc::Sender<()>) -> (mpsc::Sender<()>, impl FnOnce() + Send + 'static) {
        let (answer, answered) = mpsc::channel::<()>();
        let begun = begun.clone();
        let question = move || {
            begun.send(()).unwrap();
            let _ = answered.recv();
        };
        (answer, question)
    }

    #[tokio::test]
    async fn so_many_questions_and_no_more_are_answered_at_a_time() {
        static HERE: Semaphore = Semaphore::const_new(4);
        let (begun, begins) = mpsc::channel();
        let mut under_way = Vec::new();
        for _ in 0..4 {
            let (answer, question) = question(&begun);
            let mut asked = Box::pin(ask(&HERE, Duration::ZERO, question));
            // As far as the thread that answers it.
            assert!(at_once(&mut asked).is_none());
            begins.recv().unwrap();
            under_way.push((answer, asked));
        }
        let refused = ask(&HERE, Duration::ZERO, || ()).await.unwrap_err();
        assert_eq!(
            (refused.status.as_u16(), &*refused.code),
            (503, "ledger_busy")
        );
        assert_eq!(refused.retry_after, Some(Duration::from_secs(1)));

        // Whose client has left is answered all the same, and counts until it is.
        let (left, asked) = under_way.pop().unwrap();
        drop(asked);
        assert!(ask(&HERE, Duration::ZERO, || ()).await.is_err());
        // Whoever has the patience gets its turn.
        let mut patient = Box::pin(ask(&HERE, PATIENCE, || ()));
        assert!(at_once(&mut patient).is_none());
        drop(left);
        patient.await.unwrap();
        let (answer, asked) = under_way.pop().unwrap();
        drop(answer);
        asked.await.unwrap();
        ask(&HERE, Duration::ZERO, || ()).await.unwrap();
        for (answer, asked) in under_way {
            drop(answer);
            asked.await.unwrap();
        }
        let all = HERE.acquire_many(4).await.unwrap();
        drop(all);
    }

    /// What a future gives without waiting.
    fn at_once<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match std::pin::Pin::new(future).poll(&mut context) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }
}
