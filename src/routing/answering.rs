//! Providers that answer by themselves: a blocking thread of their own, and a bounded channel to the reader.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use millgate_plugin::{Answer, Call, Gone, Refusal, RefusalKind};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, SemaphorePermit, mpsc},
};

use crate::{pipeline::request::ClientRequest, providers::erased::ErasedProvider};

/// Pieces that a provider may be ahead of its reader.
const AHEAD: usize = 16;

/// Answers that may be under way at once. Each has a thread, also one that goes on when its reader has long left.
pub const MOST_AT_ONCE: usize = 4096;

static ROOM: Semaphore = Semaphore::const_new(MOST_AT_ONCE);

/// Room for one more answer, until it is dropped.
fn take_room(room: &'static Semaphore) -> Result<SemaphorePermit<'static>, Refusal> {
    room.try_acquire().map_err(|_| {
        Refusal::new(
            RefusalKind::Unavailable,
            "Too many answers of this kind are under way. Try again later.",
        )
    })
}

/// Starts a provider's `answer` for a request; dropping the receiver tells it that the reader has gone.
#[must_use]
pub fn start(
    codec: Arc<dyn ErasedProvider>,
    request: &Arc<ClientRequest>,
    model: &str,
    body: Bytes,
) -> mpsc::Receiver<Result<Bytes, Refusal>> {
    let (sender, receiver) = mpsc::channel(AHEAD);
    let room = match take_room(&ROOM) {
        Ok(room) => room,
        Err(refusal) => {
            // Nothing is in it yet, so that it has a place.
            let _ = sender.try_send(Err(refusal));
            return receiver;
        }
    };
    let request = request.clone();
    let model = model.to_owned();
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _room = room;
        let call = Call {
            endpoint: request.endpoint,
            method: request.method.as_str(),
            path: request.api_path(),
            query: request.query.as_deref(),
            model: &model,
            stream: request.stream,
            body: &body,
            request_id: request.id(),
            created: request.created(),
        };
        let mut writer = Writer {
            sender: sender.clone(),
            runtime,
        };
        let answered = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            codec.answer(&call, &mut writer)
        }))
        .unwrap_or_else(|_| {
            Err(Refusal::new(
                RefusalKind::Internal,
                "The provider panicked.",
            ))
        });
        if let Err(refusal) = answered {
            // The reader may have gone; then nobody wants to know.
            let _ = sender.blocking_send(Err(refusal));
        }
    });
    receiver
}

/// The headers of such an answer, and of one that a codec has translated.
#[must_use]
pub fn headers(request: &ClientRequest) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    let content_type = if request.stream {
        "text/event-stream; charset=utf-8"
    } else {
        "application/json"
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers
}

struct Writer {
    sender: mpsc::Sender<Result<Bytes, Refusal>>,
    runtime: Handle,
}

impl Answer for Writer {
    fn emit(&mut self, bytes: Vec<u8>) -> Result<(), Gone> {
        self.sender
            .blocking_send(Ok(Bytes::from(bytes)))
            .map_err(|_| Gone)
    }

    fn wait(&mut self, time: Duration) -> Result<(), Gone> {
        let sender = &self.sender;
        let left = self
            .runtime
            .block_on(async { tokio::time::timeout(time, sender.closed()).await.is_ok() });
        if left { Err(Gone) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_many_answers_and_again_when_one_has_ended() {
        static SMALL: Semaphore = Semaphore::const_new(1);
        let one = take_room(&SMALL).unwrap();
        let refused = take_room(&SMALL).unwrap_err();
        assert_eq!(refused.kind, RefusalKind::Unavailable);
        drop(one);
        assert!(take_room(&SMALL).is_ok());
    }
}
