//! Waiting: the future of a stage is polled in the hook that the host calls again, so that a plugin needs no thread and
//! no runtime of its own. Its waker is a token of the host's.

use std::{
    pin::Pin,
    task::{Context, Poll, RawWaker, RawWakerVTable, Waker},
};

use millgate_plugin_abi as abi;

use super::host::table;
use crate::{BoxFuture, StageError};

// A token travels as the data pointer of a waker, so that waking and cloning allocate nothing.
const _: () = assert!(size_of::<*const ()>() == size_of::<u64>());

/// Polls what a stage waits for; fails where this is no place to wait.
///
/// # Safety
/// The exchange is valid for the time of the call.
pub(super) unsafe fn poll(
    future: &mut BoxFuture,
    exchange: *mut abi::Exchange,
) -> Result<Poll<()>, StageError> {
    // SAFETY: as the caller vouches for.
    let token = table().token.map_or(0, |token| unsafe { token(exchange) });
    if token == 0 {
        return Err(StageError(
            "it wants to wait where there is no waiting".to_owned(),
        ));
    }
    // SAFETY: the table below only passes the token on as a number.
    let waker = unsafe { Waker::from_raw(raw(token)) };
    Ok(Pin::new(future).poll(&mut Context::from_waker(&waker)))
}

fn raw(token: u64) -> RawWaker {
    RawWaker::new(std::ptr::without_provenance(token as usize), &BY_TOKEN)
}

static BY_TOKEN: RawWakerVTable =
    RawWakerVTable::new(|data| raw(data.addr() as u64), wake, wake, |_| ());

fn wake(data: *const ()) {
    if let Some(wake) = table().wake {
        // SAFETY: a number; one that is stale is no harm.
        unsafe { wake(data.addr() as u64) };
    }
}
